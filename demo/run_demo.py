"""From one command to a result to look at: both hippocampi of the MNI152 T1 template, anterior and posterior.

`make demo` runs it. The bundled model knows one hippocampus in a crop of a few centimetres, so it is pointed
at the left and at the right one in turn, and the two results are merged into one segmentation of four labels.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import umamba
from umamba.inference.result import Volume
from umamba.models.card import CardLabel

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "Resources" / "SampleData" / "MNI152_T1_1mm" / "MNI152_T1_1mm.nii.gz"
MODEL = "hippocampus-mr"
STEP_WIDTH = 40


@dataclass(frozen=True)
class Side:
    """One hippocampus.

    Attributes:
        name: "left" or "right".
        point_mm: Its middle in the template, LPS (x grows towards the left hand).
        modifier: SNOMED CT's code for the side.
        colors: Of its labels, in the model's order.
    """

    name: str
    point_mm: tuple[float, float, float]
    modifier: tuple[str, str, str]
    colors: tuple[tuple[int, int, int], ...]


SIDES = (
    Side("left", (28, 20, -14), ("SCT", "7771000", "Left"), ((240, 228, 66), (213, 94, 0))),
    Side("right", (-28, 20, -14), ("SCT", "24028007", "Right"), ((86, 220, 233), (0, 114, 178))),
)


def sided_labels(labels: Sequence[CardLabel]) -> tuple[CardLabel, ...]:
    """The model's labels once for each side: their values for the first, numbered on for the second."""
    return tuple(
        CardLabel(
            value=label.value + number * len(labels),
            key=f"{side.name}-{label.key}",
            name=f"{side.name.capitalize()} {label.name[:1].lower()}{label.name[1:]}",
            color=color,
            terminology=label.terminology and replace(label.terminology, modifier=side.modifier),
        )
        for number, side in enumerate(SIDES)
        for label, color in zip(labels, side.colors, strict=True)
    )


def merge(results: Sequence[umamba.Result]) -> umamba.Result:
    """One result of the sides' results; where two claim a voxel, the first has it."""
    first = results[0]
    merged = np.zeros_like(first.labels)
    for number, result in enumerate(results):
        free = (result.labels > 0) & (merged == 0)
        merged[free] = result.labels[free] + number * len(first.model.labels)
    return replace(
        first,
        labels=merged,
        model=replace(first.model, labels=sided_labels(first.model.labels)),
        provenance={**first.provenance, "around_mm_lps": [list(side.point_mm) for side in SIDES]},
        warnings=tuple(dict.fromkeys(warning for result in results for warning in result.warnings)),
    )


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print what was done and how long it took."""
    started = time.perf_counter()
    yield
    print(f"  {what:<{STEP_WIDTH}} {time.perf_counter() - started:6.1f} s", flush=True)


def write_table(path: Path, volumes: Sequence[Volume]) -> None:
    """The columns of `umamba segment --volumes`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("label", "key", "name", "voxels", "ml"))
        rows.writerows((v.label, v.key, v.name, v.voxels, f"{v.ml:.6g}") for v in volumes)


def run(folder: Path) -> None:
    """Segment, write and print; the folder is made if need be and its files of the last demo replaced.

    Raises:
        InputError: The model or the template is missing, or the folder cannot be written to.
        RuntimeError: A label was not found, so the result cannot be right.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise umamba.InputError(f"{folder}: {error.strerror}; name another folder") from error
    with step("load the engine and the model"):
        segment = umamba.segment  # loads PyTorch and the CPU kernels, which are compiled the first time
        model = umamba.models.get(MODEL)
    print(f"  {umamba.plan(TEMPLATE, model, around=SIDES[0].point_mm).line()}", flush=True)
    results = []
    for side in SIDES:
        with step(f"segment the {side.name} hippocampus"):
            results.append(segment(TEMPLATE, model, around=side.point_mm))
    result = merge(results)
    volumes = result.volumes()
    empty = [volume.name for volume in volumes if not volume.voxels]
    if empty:
        raise RuntimeError(f"nothing was found for {', '.join(empty)}")

    files = {
        "label map": folder / "hippocampi.nii.gz",
        "segmentation for 3D Slicer": folder / "hippocampi.seg.nrrd",
        "picture": folder / "hippocampi.png",
        "volumes": folder / "volumes.csv",
    }
    with step("write label map and segmentation"):
        result.write(files["label map"], overwrite=True)
        result.write(files["segmentation for 3D Slicer"], overwrite=True)
    with step("draw the picture, write the table"):
        from umamba.imaging.preview import draw_preview

        draw_preview(result.image, result.labels, result.model.labels, files["picture"])
        write_table(files["volumes"], volumes)

    for warning in result.warnings:
        print(f"warning: {warning}")
    print()
    for volume in volumes:
        print(f"  {volume.name:<{STEP_WIDTH}} {volume.ml:6.2f} ml")
    print()
    for what, path in files.items():
        print(f"  {what:<28} {path}")


def main(arguments: Sequence[str]) -> int:
    """Run the demo into the folder named, or into demo-output."""
    started = time.perf_counter()
    print("Hippocampi of the MNI152 T1 template (research use only, not a medical device)", flush=True)
    try:
        run(Path(arguments[0]) if arguments else Path("demo-output"))
    except umamba.InputError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    print(f"\nDone in {time.perf_counter() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
