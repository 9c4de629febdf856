"""Time from a label map to segments in Slicer's scene: 117 labels on 512 x 512 x 143, without a desktop.

Run: .venv/bin/python Testing/benchmarks/bench_import.py
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing" / "panel"), str(ROOT / "UMambaSegmentation")]

from bench import environment  # noqa: E402

environment.prepare()
environment.check()
from bench import slicer_app  # noqa: E402

slicer_app.install()

import slicer  # noqa: E402

from UMambaSegmentationLib.cards import Card, parse_card  # noqa: E402
from UMambaSegmentationLib.scene.edits import edited_segments  # noqa: E402
from UMambaSegmentationLib.scene.segmentations import show_result  # noqa: E402
from UMambaSegmentationLib.scene.tables import segment_volumes  # noqa: E402

LABELS = 117
SHAPE = (143, 512, 512)


def organs() -> np.ndarray:
    """(K, J, I) uint8: ellipsoids of many sizes that fill about a quarter of the body."""
    rng = np.random.default_rng(1)
    labels = np.zeros(SHAPE, np.uint8)
    for value in range(1, LABELS + 1):
        radius = rng.uniform(0.04, 0.16) * np.array(SHAPE)
        centre = rng.uniform(radius, np.array(SHAPE) - radius)
        box = tuple(slice(int(c - r), int(c + r) + 1) for c, r in zip(centre, radius, strict=True))
        grid = np.ogrid[box]
        distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, radius, strict=True))
        labels[box][distance < 1] = value
    return labels


def card() -> Card:
    """A card of 117 labels without codes, so that each is guessed."""
    folder = ROOT / "Resources" / "Models" / "hippocampus-mr"
    raw = json.loads((folder / "card.json").read_text())
    raw["labels"] = [
        {
            "value": value,
            "key": f"rib_{value}",
            "name": f"rib_left_{value}",
            "color": [value, 255 - value, 90],
        }
        for value in range(1, LABELS + 1)
    ]
    return parse_card(raw, folder, "bundled", 1)


def main() -> None:
    """Print seconds for each step."""
    labels, model = organs(), card()
    matrix = np.diag([-0.8, 0.8, 2.5, 1.0])
    volume = slicer.util.addVolumeFromArray(np.zeros(SHAPE, np.int16), ijkToRAS=matrix, name="CT")
    print(f"{LABELS} labels, {' x '.join(map(str, SHAPE[::-1]))}, {np.mean(labels > 0):.0%} labelled")
    node = _timed("into a new segmentation", lambda: show_result(labels, volume, model, provenance={}))
    _timed("look for edited segments", lambda: edited_segments(node))
    _timed("replace all", lambda: show_result(labels, volume, model, output=node, provenance={}))
    _timed("count volumes", lambda: segment_volumes(node))


def _timed(what: str, function: Callable[[], object]) -> object:
    start = time.perf_counter()
    result = function()
    print(f"{what}: {time.perf_counter() - start:.2f} s")
    return result


if __name__ == "__main__":
    main()
