"""The files that a run writes beside its labels: a table with one function for each."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umamba.inference.result import Result
    from umamba.inference.run import Prepared

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
FLAT_SUFFIXES = (".png", ".tif", ".tiff")
FLOAT_BYTES = 4
# What a picture, a table or a record takes at most; they do not grow with the image.
SMALL_BYTES = 2_000_000


@dataclass(frozen=True)
class SideOutput:
    """One kind of file.

    Attributes:
        option: How it is asked for.
        suffixes: What its name may end with.
        about: For the help.
        write: Writes it to a path.
        voxel_bytes: Bytes for each voxel of the image, uncompressed, by the number of classes.
    """

    option: str
    suffixes: tuple[str, ...]
    about: str
    write: Callable[[Path, Result, Prepared], None]
    voxel_bytes: Callable[[int], int] = lambda classes: 0

    @property
    def key(self) -> str:
        """What a program calls it."""
        return self.option.removeprefix("--")

    def bytes_needed(self, voxels: int, classes: int) -> int:
        """The most that the file takes on the disk."""
        return SMALL_BYTES + voxels * self.voxel_bytes(classes)


def _write_preview(path: Path, result: Result, prepared: Prepared) -> None:
    from umamba.imaging.preview import draw_preview

    normalization = prepared.model.configuration.normalization
    draw_preview(
        [channel.original for channel in prepared.channels],
        result.labels,
        result.segments if result.classes is None else (),
        path,
        voxels=None if result.classes is not None else {v.label: v.voxels for v in result.volumes()},
        ct=result.image.modality in (None, "CT") and normalization[0] == "CTNormalization",
    )


def _write_volumes(path: Path, result: Result, prepared: Prepared) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("label", "key", "name", "voxels", "ml"))
        for volume in result.volumes():
            rows.writerow((volume.label, volume.key, volume.name, volume.voxels, f"{volume.ml:.6g}"))


def _write_uncertainty(path: Path, result: Result, prepared: Prepared) -> None:
    from umamba.imaging.write import write_values

    assert result.uncertainty is not None  # it was asked for
    write_values(path, result.uncertainty, result.image, result.provenance)


def _write_probabilities(path: Path, result: Result, prepared: Prepared) -> None:
    import numpy as np

    assert result.probabilities is not None  # it was asked for
    np.savez_compressed(path, probabilities=result.probabilities)


def _write_provenance(path: Path, result: Result, prepared: Prepared) -> None:
    from umamba.imaging.files import write_json

    write_json(path, dict(result.provenance))


def _write_classes(path: Path, result: Result, prepared: Prepared) -> None:
    assert result.classes is not None  # checked before the run
    replace(result, labels=result.classes, classes=None).write(path)


PREVIEW = SideOutput("--preview", (".png",), "a picture: planes, contours, legend, scale", _write_preview)
VOLUMES = SideOutput("--volumes", (".csv",), "voxels and ml of each label", _write_volumes)
PROVENANCE = SideOutput(
    "--provenance", (".json",), "model, device, options, versions, date", _write_provenance
)
# Not an option: it goes with an output whose format has no room for it.
RECORD = SideOutput("record", (".json",), "", _write_provenance)
UNCERTAINTY = SideOutput(
    "--uncertainty",
    (*VOLUME_SUFFIXES, *FLAT_SUFFIXES[1:]),
    "how undecided the network is in each voxel, 0 to 1 (float32)",
    _write_uncertainty,
    lambda classes: FLOAT_BYTES,
)
PROBABILITIES = SideOutput(
    "--probabilities",
    (".npz",),
    "the probability of every class, as nnU-Net saves it",
    _write_probabilities,
    lambda classes: FLOAT_BYTES * classes,
)
CLASSES = SideOutput(
    "--classes",
    (*VOLUME_SUFFIXES, *FLAT_SUFFIXES),
    "the class map beside the instances, for a model with instances",
    _write_classes,
    lambda classes: 1,
)
ALL = (PREVIEW, VOLUMES, UNCERTAINTY, PROBABILITIES, PROVENANCE, CLASSES)
