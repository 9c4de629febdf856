"""`umamba train` with Mamba-UNet: its preset the whole way, and what is refused."""

from pathlib import Path

import pytest
import torch

from dataset_builders import nnunet_dataset
from umamba.nn import MambaUNet

PAPER = "mamba-unet-paper"
SMALL = ("--epochs", "1", "--steps", "1", "--batch-size", "2", "--features", "4", "--threads", "1")


@pytest.fixture
def dataset(tmp_path) -> Path:
    return nnunet_dataset(tmp_path / "rings", ("a", "b", "c"), shape=(3, 30, 34), spacing=(1, 1, 5))


@pytest.fixture
def train(call, dataset, tmp_path):
    """Train in this process; with further words."""
    pytest.importorskip("nnunetv2", reason="training needs the extra `train`")
    return lambda *words: call("train", dataset, "-o", tmp_path / "work", *words)


def test_the_published_training_begins_from_vmamba_and_goes_on(train, tmp_path):
    vmamba = MambaUNet(3, 2, dims=[4, 8, 16, 32], depths=[2, 2, 2, 2], patch_size=[4, 4])
    state = {key.removeprefix("mamba_unet."): tensor for key, tensor in vmamba.state_dict().items()}
    encoder = {key: tensor for key, tensor in state.items() if key.startswith(("patch_embed", "layers."))}
    torch.save({"model": encoder}, tmp_path / "vmamba.pth")

    done = train("--preset", PAPER, *SMALL, "--pretrained", tmp_path / "vmamba.pth")
    assert done.status == 0, done.err
    assert done.out[1] == f"{PAPER} 2d fold 0: patch 224 x 224, batch 2, 4 stages of 4 to 32 channels"
    assert done.out[2].startswith("training begins: 1 epoch of 1 step; start values: 195 of 218 tensors (")
    assert list(tmp_path.glob("work/results/*/UMambaTrainerMambaUNetPaper__*__2d/fold_0/validation/*.nii.gz"))

    again = train("--resume")
    assert again.status == 0, again.err
    assert again.out[1] == done.out[1]
    twice = train("--preset", PAPER, *SMALL)
    assert twice.status == 2
    assert (
        f"has a training of {PAPER} 2d fold 0 of Dataset501_rings (1 of 1 epoch done) already" in twice.err[0]
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--network", "nnunet", "--preset", PAPER),
            "is a training of --network mamba-unet, --network nnunet found; leave one of the two away",
        ),
        (
            ("--configuration", "3d_fullres", "--preset", PAPER),
            "is a training of --configuration 2d, --configuration 3d_fullres found; leave one of",
        ),
        (("--network", "mamba-unet", "--pretrained", "nothing"), "no model 'nothing'"),
        (("--network", "mamba-unet", "--features", "8-50"), "give --features 8"),
    ],
)
def test_what_does_not_go_together_is_refused(train, tmp_path, words, said):
    refused = train(*words)
    assert refused.status == 2
    (line,) = refused.err
    assert said in line
    assert not list(tmp_path.glob("work/results/*"))


def test_two_channels_are_refused_by_the_preset(call, tmp_path):
    pytest.importorskip("nnunetv2", reason="training needs the extra `train`")
    colours = nnunet_dataset(tmp_path / "two", ("a", "b"), channels=2, shape=(3, 30, 34), spacing=(1, 1, 5))
    refused = call("train", colours, "-o", tmp_path / "work", "--preset", PAPER)
    assert refused.status == 2
    assert refused.err == [
        "umamba: error: the published Mamba-UNet takes images of one channel or of three, these have 2; "
        "leave --preset away"
    ]
