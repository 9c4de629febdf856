"""A large CT through our engine and through nnunetv2's own predictor: seconds, peak memory, equal labels.

    python Testing/benchmarks/bench_ct.py                      a synthetic 512 x 512 x 143 CT
    python Testing/benchmarks/bench_ct.py --image FOLDER       a DICOM series or any image file

The network is a PlainConvUNet of random weights: features 32 to 320, 14 classes, patch 64 x 128 x 128 at
2 x 1.5 x 1.5 mm. Every run is a process of its own; its peak is the operating system's figure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import nnunet_peer as peer
from peers.memory import peak_resident_bytes

CLASSES = 14
STRIDES = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
FEATURES = (32, 64, 128, 256, 320, 320)
PROGRAMS = ("umamba", "nnunetv2", "nnunetv2, float32 sums")


def main() -> None:
    """Run each program in turn and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, help="an image instead of the synthetic CT")
    parser.add_argument("--runs", type=int, default=1, help="runs of each program; the median counts")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        run_one(*arguments.worker)
        return
    with tempfile.TemporaryDirectory() as scratch:
        compare(Path(scratch), arguments)


def compare(scratch: Path, arguments: argparse.Namespace) -> None:
    """Make model and image, run the programs in turn, print seconds, memory and agreement."""
    plans = peer.make_plans((64, 128, 128), (2.0, 1.5, 1.5), FEATURES, STRIDES, ("CTNormalization",))
    model = peer.write_results_folder(scratch, plans, peer.make_dataset(["CT"], CLASSES))
    image = to_nifti(arguments.image, scratch / "ct.nii.gz")
    found: dict[str, list[dict[str, Any]]] = {program: [] for program in arguments.programs}
    for number in range(arguments.runs):
        for program in arguments.programs:
            out = scratch / f"{program}-{number}.npy".replace(" ", "-")
            report = start(program, image, model, out)
            found[program].append(report)
            print(f"{program}: {report['seconds']:.1f} s, {report['peak_bytes'] / 1e9:.2f} GB", flush=True)
    print_table(found, scratch)


def to_nifti(image: Path | None, target: Path) -> Path:
    """The synthetic CT, or the given image as one NIfTI file that both programs read."""
    if image is None:
        return peer.write_ct_phantom(target, (143, 512, 512), (0.54, 0.54, 2.0))
    import SimpleITK as sitk

    if image.is_dir():
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(image))
        sitk.WriteImage(sitk.ReadImage(files), str(target))
        return target
    return image


def start(program: str, image: Path, model: Path, out: Path) -> dict[str, Any]:
    """Run one program in a process of its own."""
    command = [sys.executable, __file__, "--worker", program, str(image), str(model), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def run_one(program: str, image: str, model: str, out: str) -> None:
    """Segment once in this process; print seconds and peak memory as JSON."""
    begin = time.perf_counter()
    planned = None
    if program == "umamba":
        import umamba

        plan = umamba.plan(image, model, device="cpu", mirror=False)
        planned = {"peak_bytes": plan.peak_ram_bytes, "seconds": plan.seconds}
        begin = time.perf_counter()
        labels = umamba.segment(image, model, device="cpu", mirror=False).labels
    else:
        predictor = peer.make_predictor(Path(model), mirror=False, float32_sums="float32" in program)
        begin = time.perf_counter()
        labels = peer.predict(predictor, [Path(image)])
    seconds = time.perf_counter() - begin
    peak = peak_resident_bytes()
    np.save(out, labels)
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "planned": planned}))


def print_table(found: dict[str, list[dict[str, Any]]], scratch: Path) -> None:
    """Medians, ratios to nnunetv2, agreement of the labels, and our plan beside what was measured."""
    labels = {name: np.load(scratch / f"{name}-0.npy".replace(" ", "-")) for name in found}
    base = found.get("nnunetv2")
    print(f"\n{'program':24} {'seconds':>8} {'GB':>6} {'time ratio':>11} {'memory ratio':>13}")
    for name, reports in found.items():
        seconds = median(report["seconds"] for report in reports)
        peak = median(report["peak_bytes"] for report in reports)
        ratios = ""
        if base:
            ratios = f" {seconds / median(r['seconds'] for r in base):10.2f}"
            ratios += f" {peak / median(r['peak_bytes'] for r in base):13.2f}"
        print(f"{name:24} {seconds:8.1f} {peak / 1e9:6.2f}{ratios}")
    names = list(labels)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            equal = np.mean(labels[first] == labels[second])
            print(f"labels of {first} and {second}: {100 * equal:.4f} % equal")
    for report in found.get("umamba", []):
        planned = report["planned"]
        print(
            f"umamba planned {planned['peak_bytes'] / 1e9:.2f} GB and {planned['seconds']:.0f} s, took "
            f"{report['peak_bytes'] / 1e9:.2f} GB and {report['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main()
