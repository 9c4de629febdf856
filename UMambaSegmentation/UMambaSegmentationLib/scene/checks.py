"""Notes before a run: where the input does not look like what the model was trained on, and what to do.

They refuse nothing. The judgement of intensities agrees with the engine's own warnings; the engine checks
again what it gets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.plans import Plans, read_plans
from UMambaSegmentationLib.scene.axes import axis_order, is_axial, tilt_degrees
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.grids import same_grid, size_of
from UMambaSegmentationLib.scene.regions import box_excess, region_options
from UMambaSegmentationLib.scene.volumes import components, grey_array, modality

# Times coarser, or finer, than the training images from which a person should know.
MUCH_COARSER, MUCH_FINER = 2.0, 4.0
# Of what the training images covered: below the first a network misses its surroundings; beyond the second
# one trained on crops meets what it never saw.
TOO_SMALL, TOO_LARGE = 0.5, 3.0
# Degrees that a grid may be turned against the body's axes before networks suffer.
MUCH_TILTED = 20.0
# A turned region whose box is larger than itself by this much.
MUCH_LARGER_BOX = 1.1
# Air is -1000 in CT; MR has no such values.
BELOW_ANY_MR = -500
# As the engine: a CT whose smallest value is 0 and whose largest is beyond this is stored with an offset.
OFFSET_CT = 1_500
# Voxels looked at along each axis; as many as the engine takes.
SAMPLES_PER_AXIS = 64

_CT_SCHEME = "CTNormalization"


def notes(
    card: Card, volumes: Sequence[slicer.vtkMRMLVolumeNode | None], region: slicer.vtkMRMLNode | None = None
) -> list[str]:
    """Sentences for the person, the gravest first; none where all looks as it should.

    Args:
        card: The model's.
        volumes: One for each channel; None where none is chosen yet.
        region: As for `regions.region_options`.
    """
    first = volumes[0] if volumes else None
    if first is None or not components(first):
        return _licence_notes(card)
    plans = read_plans(card)
    found = _region_notes(region, first) + _grid_notes(card, volumes)
    for index, volume in enumerate(volumes[: len(card.channels)]):
        if volume is not None and components(volume):
            found += [_named(note, card, index) for note in _channel_notes(card, plans, volume, index)]
    found += _spacing_notes(card, plans, first)
    found += _orientation_notes(card, first)
    found += _extent_notes(card, plans, first, region)
    return found + _licence_notes(card)


def _channel_notes(card: Card, plans: Plans, volume: slicer.vtkMRMLVolumeNode, index: int) -> list[str]:
    if components(volume) != 1:
        colours = components(volume) == len(card.channels)
        return [] if colours else [_("The volume has colours: choose a grey one.")]
    try:
        array = grey_array(volume)
    except SceneError as error:
        return [str(error)]
    steps = tuple(slice(None, None, max(size // SAMPLES_PER_AXIS, 1)) for size in array.shape)
    sample = array[steps]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return [_("The voxels hold no numbers: load the volume again.")]
    low, high = float(sample.min()), float(sample.max())
    if low == high:
        return [_("All voxels have the same value: choose another volume.")]
    known, trained = modality(volume), (card.modality or "").upper()
    scheme = plans.normalization[index] if index < len(plans.normalization) else None
    if scheme == _CT_SCHEME or (scheme is None and trained == "CT"):
        return _ct_notes(known, low, high)
    if not trained.startswith("MR"):
        return []
    if known is not None and known != "MR":
        return [_("The model expects MR, this volume is {modality}: choose an MR.").format(modality=known)]
    if known is None and low < BELOW_ANY_MR:
        return [
            _("The model expects MR, this volume looks like CT (values down to {low}): choose an MR.").format(
                low=f"{low:.0f}"
            )
        ]
    return []


def _ct_notes(known: str | None, low: float, high: float) -> list[str]:
    if known is not None and known != "CT":
        return [_("The model expects CT, this volume is {modality}: choose a CT.").format(modality=known)]
    if low < 0:
        return []
    if high >= OFFSET_CT:
        return [
            _(
                "The values from {low} to {high} look like CT stored with an offset: subtract 1024 to get "
                "Hounsfield units."
            ).format(low=f"{low:.0f}", high=f"{high:.0f}")
        ]
    return [
        _(
            "No value is below 0, and air is -1000 in CT: this may be an MR, or not in Hounsfield units. "
            "Choose a CT."
        )
    ]


def _region_notes(region: slicer.vtkMRMLNode | None, volume: slicer.vtkMRMLVolumeNode) -> list[str]:
    try:
        options = region_options(region, volume)
        times = box_excess(region, volume) if "roi" in options else 1.0
    except SceneError as error:
        return [str(error)]
    if times < MUCH_LARGER_BOX:
        return []
    return [
        _(
            "The region is turned: the upright box around it is run, {times} times as large. Turn it back "
            "for a smaller one."
        ).format(times=f"{times:.1f}")
    ]


def _grid_notes(card: Card, volumes: Sequence[slicer.vtkMRMLVolumeNode | None]) -> list[str]:
    found = []
    first = volumes[0]
    if first is None:
        return []
    for channel, volume in zip(card.channels[1:], volumes[1:], strict=False):
        if volume is None or not components(volume):
            continue
        if volume == first:
            found.append(
                _("Channel {channel} is the first channel's volume: choose its own.").format(
                    channel=channel.name
                )
            )
            continue
        difference = same_grid(first, volume)
        if difference is not None:
            found.append(
                _("Channel {channel} is not on the first channel's grid: {difference}. Resample it.").format(
                    channel=channel.name, difference=difference
                )
            )
    parent = first.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToWorldLinear():
        found.append(
            _(
                "The volume lies under a transform that is not linear (uneven slices, or a registration): "
                "the run takes its slices as evenly spaced. Harden the transform first if that matters."
            )
        )
    return found


def _spacing_notes(card: Card, plans: Plans, volume: slicer.vtkMRMLVolumeNode) -> list[str]:
    if plans.spacing is None:
        return []
    order = axis_order(volume, card.orientation)
    spacing = np.array(volume.GetSpacing())[list(order)]
    times = spacing / np.array(plans.spacing)
    texts = {"found": _by(spacing), "trained": _by(np.array(plans.spacing))}
    if times.max() > MUCH_COARSER:
        return [
            _(
                "The voxels ({found} mm) are much coarser than the model's training images ({trained} mm): "
                "small structures may be missed. Choose a series with thinner slices."
            ).format(**texts)
        ]
    if times.min() < 1 / MUCH_FINER:
        return [
            _(
                "The voxels ({found} mm) are much finer than the model's training images ({trained} mm): "
                "check that the voxel size is in mm; such detail is not used."
            ).format(**texts)
        ]
    return []


def _orientation_notes(card: Card, volume: slicer.vtkMRMLVolumeNode) -> list[str]:
    if card.orientation == "native":
        if is_axial(volume):
            return []
        return [
            _(
                "The model takes slices as they are stored, and these are not axial: if it was trained on "
                "axial slices, reformat the volume to axial first."
            )
        ]
    degrees = tilt_degrees(volume)
    if degrees <= MUCH_TILTED:
        return []
    return [
        _(
            "The volume is turned by {degrees} degrees against the body's axes, unlike the training images: "
            "resample it upright if the result is poor."
        ).format(degrees=f"{degrees:.0f}")
    ]


def _extent_notes(
    card: Card, plans: Plans, volume: slicer.vtkMRMLVolumeNode, region: slicer.vtkMRMLNode | None
) -> list[str]:
    trained = card.field_of_view or plans.covered
    try:
        options = region_options(region, volume)
    except SceneError:
        return []  # said already
    if trained is None or "around" in options:  # around a point the engine takes the model's own extent
        return []
    order = list(axis_order(volume, card.orientation))
    extent = (np.array(volume.GetSpacing()) * size_of(volume))[order]
    if "roi" in options:
        extent = np.minimum(extent, _roi_lengths(options["roi"], volume)[order])
    texts = {"found": _by(extent), "trained": _by(np.array(trained))}
    if np.any(extent < TOO_SMALL * np.array(trained)):
        return [
            _(
                "The run would see only {found} mm, the training images covered about {trained} mm: take in "
                "more around the structure."
            ).format(**texts)
        ]
    if card.field_of_view is not None and np.any(extent > TOO_LARGE * np.array(trained)):
        return [
            _(
                "The model was trained on pieces of {trained} mm, the run would see {found} mm: point at the "
                "structure, or draw a region around it."
            ).format(**texts)
        ]
    return []


def _roi_lengths(roi: Sequence[float], volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Lengths of an upright box along the volume's own axes, each named by the body axis it is nearest to."""
    lengths = np.subtract(roi[1::2], roi[0::2])
    nearest = axis_order(volume, "LPS")
    found = np.empty(3)
    found[list(nearest)] = lengths
    return found


def _licence_notes(card: Card) -> list[str]:
    if card.commercial_use is not False and "-NC" not in (card.licence or "").upper():
        return []
    return [
        _("The model's licence ({licence}) does not allow commercial use.").format(
            licence=card.licence or _("not stated")
        )
    ]


def _named(note: str, card: Card, index: int) -> str:
    if len(card.channels) == 1:
        return note
    return _("Channel {channel}: {note}").format(channel=card.channels[index].name, note=note)


def _by(values: np.ndarray) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
