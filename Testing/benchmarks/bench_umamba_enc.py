"""U-Mamba_Enc 3D end to end on the CPU, beside nnU-Net's PlainConvUNet from the same plans.

    python Testing/benchmarks/bench_umamba_enc.py [--features 16] [--patch 32 96 96] [--shape 48 128 128]

Both networks have random weights and run through `umamba.segment` without mirroring, each in its own process.
The ratios say what the Mamba layers, one after every encoder stage, cost in time and memory. The plan is
printed beside what was taken.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import nnunet_peer as peer
from peers.memory import peak_resident_bytes

CLASSES = 5
STRIDES = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2))
NETWORKS = {"nnUNetTrainer": "PlainConvUNet", "nnUNetTrainerUMambaEnc": "UMambaEnc"}


def fork_plans(patch: Sequence[int], features: int) -> dict[str, Any]:
    """Plans in the format of U-Mamba's fork."""
    plans = peer.make_plans(
        patch, (2.0, 1.0, 1.0), [features] * len(STRIDES), STRIDES, ("ZScoreNormalization",)
    )
    entry = plans["configurations"]["3d_fullres"]
    del entry["architecture"]
    entry |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": features,
        "unet_max_num_features": 320,
        "n_conv_per_stage_encoder": [2] * len(STRIDES),
        "n_conv_per_stage_decoder": [2] * (len(STRIDES) - 1),
        "num_pool_per_axis": [2, 3, 3],
        "pool_op_kernel_sizes": [list(stride) for stride in STRIDES],
        "conv_kernel_sizes": [[1, 3, 3]] + [[3, 3, 3]] * (len(STRIDES) - 1),
    }
    return plans


def write_results_folder(folder: Path, plans: dict[str, Any], trainer: str) -> Path:
    """A results folder as the fork leaves it, with random weights."""
    from umamba import nn

    dataset = peer.make_dataset(["MR"], CLASSES)
    torch.manual_seed(0)
    network = nn.build_network(plans, "3d_fullres", dataset, network=NETWORKS[trainer], deep_supervision=True)
    root = folder / f"{trainer}__nnUNetPlans__3d_fullres"
    (root / "fold_all").mkdir(parents=True)
    (root / "plans.json").write_text(json.dumps(plans))
    (root / "dataset.json").write_text(json.dumps(dataset))
    checkpoint = {
        "network_weights": network.state_dict(),
        "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": "all", "dataset_json": dataset},
        "trainer_name": trainer,
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(checkpoint, root / "fold_all" / "checkpoint_final.pth")
    return root


def run_one(image: str, model: str) -> None:
    """Segment once in this process; print seconds, peak and plan as JSON."""
    import umamba

    plans: list[umamba.RunPlan] = []
    begin = time.perf_counter()
    umamba.segment(image, model, device="cpu", mirror=False, on_plan=plans.append)
    report = {
        "seconds": time.perf_counter() - begin,
        "peak_bytes": peak_resident_bytes(),
        "planned_bytes": plans[0].peak_ram_bytes,
        "tiles": plans[0].tiles,
    }
    print(json.dumps(report))


def main() -> None:
    """Make both models and the image, run each, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--patch", type=int, nargs=3, default=(32, 96, 96))
    parser.add_argument("--shape", type=int, nargs=3, default=(48, 128, 128), help="of the image, Z Y X")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        run_one(*arguments.worker)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        image = peer.write_ct_phantom(folder / "image.nii.gz", arguments.shape, (1.0, 1.0, 2.0))
        plans = fork_plans(arguments.patch, arguments.features)
        base: dict[str, Any] | None = None
        print(
            f"{'network':16} {'tiles':>5} {'seconds':>8} {'GB':>6} {'planned':>8} {'time':>6} {'memory':>7}"
        )
        for trainer, network in NETWORKS.items():
            model = write_results_folder(folder, plans, trainer)
            command = [sys.executable, __file__, "--worker", str(image), str(model)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            report = json.loads(done.stdout.splitlines()[-1])
            base = base or report
            taken, planned = report["peak_bytes"] / 1e9, report["planned_bytes"] / 1e9
            time_ratio = report["seconds"] / base["seconds"]
            memory_ratio = report["peak_bytes"] / base["peak_bytes"]
            print(
                f"{network:16} {report['tiles']:5} {report['seconds']:8.1f} {taken:6.2f} {planned:8.2f} "
                f"{time_ratio:6.2f} {memory_ratio:7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
