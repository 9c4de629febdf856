"""Our labels beside those of nnunetv2's own predictor, same random weights, same image."""

from pathlib import Path

import numpy as np
import pytest

import umamba
from peers import nnunet_peer as peer

# One voxel in 2,000: resampling and sums in another order flip near-ties of random logits.
FLOAT32_AGREEMENT = 0.9995
# nnunetv2 sums in float16, which moves logits by about 1e-3 and at image corners by more.
HALF_AGREEMENT = 0.998

# Weights under which both networks give several labels.
SEED = 3
THREE_D = {
    "patch": (16, 32, 32),
    "spacing": (2.0, 1.5, 1.5),
    "features": (8, 16, 32),
    "strides": ((1, 1, 1), (2, 2, 2), (2, 2, 2)),
    "normalization": ("CTNormalization",),
}
TWO_D = {
    "patch": (32, 48),
    "spacing": (1.1, 0.9),
    "features": (8, 16, 32),
    "strides": ((1, 1), (2, 2), (2, 2)),
    "normalization": ("ZScoreNormalization",),
    "network": "ResidualEncoderUNet",
    "transpose": (1, 0, 2),
}


@pytest.mark.parametrize("options", [THREE_D, TWO_D], ids=["3d", "2d"])
def test_labels_agree_with_nnunetv2(
    tmp_path: Path, options: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = peer.write_results_folder(
        tmp_path, peer.make_plans(**options), peer.make_dataset(["CT"], 5), seed=SEED
    )
    image = peer.write_ct_phantom(tmp_path / "ct.nii.gz", (20, 44, 40), (0.9, 1.05, 2.6))
    ours = umamba.segment(image, folder, device="cpu").labels
    exact = peer.predict(peer.make_predictor(folder, mirror=True, float32_sums=True), [image])
    published = peer.predict(peer.make_predictor(folder, mirror=True, float32_sums=False), [image])
    assert len(np.unique(ours)) >= 3, "random weights that give one label everywhere compare nothing"
    agreement = {
        "ours to float32 sums": np.mean(ours == exact),
        "ours to nnunetv2": np.mean(ours == published),
        "nnunetv2 to itself in float32": np.mean(published == exact),
    }
    with capsys.disabled():
        print("\n" + ", ".join(f"{name} {value:.5f}" for name, value in agreement.items()))
    assert agreement["ours to float32 sums"] >= FLOAT32_AGREEMENT
    assert agreement["ours to nnunetv2"] >= HALF_AGREEMENT
