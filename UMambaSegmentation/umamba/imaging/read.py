"""Images from files in any format that the engine knows, and the channels that a model wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from umamba.errors import InputError
from umamba.imaging.checks import checked_grid, checked_image
from umamba.imaging.dicom import read_dicom
from umamba.imaging.dicomheader import is_dicom
from umamba.imaging.files import checked_input, suffix_of
from umamba.imaging.image import Image
from umamba.imaging.metaimage import read_metaimage
from umamba.imaging.natural import read_png, read_tiff
from umamba.imaging.nifti import read_nifti
from umamba.imaging.nrrd import read_nrrd
from umamba.imaging.simpleitk import from_sitk, to_sitk

__all__ = ["from_sitk", "read_channels", "read_image", "to_sitk"]

_READERS: dict[str, Callable[[Path], list[Image]]] = {
    ".nii.gz": read_nifti,
    ".nii": read_nifti,
    ".nrrd": read_nrrd,
    ".seg.nrrd": read_nrrd,
    ".nhdr": read_nrrd,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
    ".png": read_png,
    ".tif": read_tiff,
    ".tiff": read_tiff,
}
KNOWN_FORMATS = ".nii.gz, .nii, .nrrd, .nhdr, .mha, .mhd, .png, .tif, or a folder with a DICOM series"
# Relative. Spacings closer than this are one grid's, whatever format rounded them.
_SAME_SPACING = 1e-4
# mm and cosines, as the contract has it: beyond, channels are told to lie apart.
_SAME_PLACE = 1e-3
_COLOURS = 3


def read_image(path: str | Path, *, series: str | None = None, voxels: bool = True) -> list[Image]:
    """Read an image file, or a DICOM series from its folder or one of its files.

    Args:
        path: The file or folder.
        series: UID of the series, for a DICOM folder with several.
        voxels: Whether voxels are looked at, and those that are not finite replaced. False leaves that to
            the caller (`checks.checked_voxels`), who may want a part of the image only.

    Returns:
        One image per channel: one for a grey image; red, green, blue, or each component of a vector image.
        Voxels keep the file's number type after its rescale, as SimpleITK gives it; (Z, Y, X), Z = 1 for a
        flat file. What was odd stands in each image's `warnings`.

    Raises:
        InputError: Whatever makes a correct result impossible, one line with the way out. Nothing is read
            into memory before the header has been held against the file.
    """
    path = checked_input(path)
    reader = _READERS.get(suffix_of(path))
    if path.is_dir() or reader is None:
        if not path.is_dir() and not is_dicom(path):
            raise InputError(
                f"{path.name}: images of the kind {suffix_of(path) or 'without an ending'} cannot be read; "
                f"known are {KNOWN_FORMATS}"
            )
        images = read_dicom(path, series)
    elif series is not None:
        raise InputError(f"{path.name}: is one image; a series can be chosen from a DICOM folder only")
    else:
        images = reader(path)
    return [_checked(image, path.name, voxels, own=True) for image in images]


def read_channels(
    sources: Any,  # noqa: ANN401
    channel_names: Sequence[str],
    *,
    allow_grey_repeat: bool = False,
    series: str | None = None,
    voxels: bool = True,
) -> list[Image]:
    """Read one image per channel and hold their grids against each other.

    Args:
        sources: A source, or a sequence with one per channel in order, or a mapping from channel name to
            source. A source is a path, an `Image` or a SimpleITK image; a text "NAME=path" names its
            channel. One file with as many components as there are channels (RGB) gives them all.
        channel_names: The model's channels.
        allow_grey_repeat: A single grey image may stand for all three channels of a colour model.
        series: UID of the series, for a DICOM folder with several.
        voxels: As for `read_image`.

    Returns:
        An image per channel, all of one shape and spacing. The first one's `warnings` also tell which
        channel lies elsewhere than the first.

    Raises:
        InputError: A channel is missing, given twice or unknown; shapes or spacings differ; and as
            `read_image`.
    """
    named = _named_sources(sources, channel_names)
    load = partial(_load, series=series, voxels=voxels)
    if None in named:
        images = _from_unnamed(named[None], channel_names, allow_grey_repeat, load)
    else:
        images = [_single(load(named[name][0]), name, len(channel_names)) for name in channel_names]
    warnings = [line for index in range(1, len(images)) for line in _compare(images, index, channel_names)]
    if warnings:
        images[0] = replace(images[0], warnings=(*images[0].warnings, *warnings))
    return images


def _named_sources(sources: Any, channel_names: Sequence[str]) -> dict[str | None, list[Any]]:  # noqa: ANN401
    """{channel: [source]} where all are named, {None: sources in order} where none is."""
    pairs: list[tuple[str | None, Any]]
    if isinstance(sources, Mapping):
        pairs = [(_known_channel(str(key), channel_names), source) for key, source in sources.items()]
    else:
        listed = list(sources) if isinstance(sources, list | tuple) else [sources]
        pairs = [_split(source, channel_names) for source in listed]
    names = [name for name, _ in pairs if name is not None]
    if not names:
        return {None: [source for _, source in pairs]}
    if len(names) < len(pairs):
        raise InputError("some images are named (NAME=path) and some are not; name all of them or none")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"channel {twice[0]} is given twice; give each channel once")
    missing = [channel for channel in channel_names if channel not in names]
    if missing:
        raise InputError(f"channel {', '.join(missing)} is missing; the model takes {_listed(channel_names)}")
    return {name: [source] for name, source in pairs}


def _split(source: Any, channel_names: Sequence[str]) -> tuple[str | None, Any]:  # noqa: ANN401
    """("T1", "path") of "T1=path"; a path that merely holds "=" is taken as it is."""
    if not isinstance(source, str) or "=" not in source:
        return None, source
    name, _, path = source.partition("=")
    known = {channel.casefold() for channel in channel_names}
    if name.casefold() not in known and (not name or "/" in name or "\\" in name or _exists(source)):
        return None, source
    return _known_channel(name, channel_names), path


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _known_channel(name: str, channel_names: Sequence[str]) -> str:
    for channel in channel_names:
        if channel.casefold() == name.strip().casefold():
            return channel
    raise InputError(f"the model has no channel {name[:60]!r}; it takes {_listed(channel_names)}")


def _load(source: Any, series: str | None, voxels: bool) -> list[Image]:  # noqa: ANN401
    if isinstance(source, str | Path):
        return read_image(source, series=series, voxels=voxels)
    if isinstance(source, Image):
        return [_checked(source, source.files[0] if source.files else "image", voxels)]
    if hasattr(source, "GetPixelIDTypeAsString"):
        return [_checked(image, "image", voxels, own=True) for image in from_sitk(source)]
    raise InputError(
        f"an image is a path, an umamba.Image or a SimpleITK image; a {type(source).__name__} was given"
    )


def _checked(image: Image, name: str, voxels: bool, own: bool = False) -> Image:
    return checked_image(image, name, own) if voxels else checked_grid(image, name)


def _from_unnamed(
    sources: Sequence[Any],
    channel_names: Sequence[str],
    allow_grey_repeat: bool,
    load: Callable[[Any], list[Image]],
) -> list[Image]:
    """Channels in the order of their sources; one source may hold several."""
    wanted = len(channel_names)
    if len(sources) > wanted:
        raise InputError(f"{len(sources)} images were given, the model takes {_listed(channel_names)}")
    loaded = [load(source) for source in sources]
    if len(loaded) == wanted:
        return [_single(images, name, wanted) for images, name in zip(loaded, channel_names, strict=True)]
    found = [image for images in loaded for image in images]
    if len(found) == wanted:
        return found
    if allow_grey_repeat and len(found) == 1 and wanted == _COLOURS:
        return found * wanted
    if len(found) > wanted:
        raise InputError(
            f"the images given hold {len(found)} channels, the model takes {_listed(channel_names)}"
        )
    raise InputError(
        f"channel {', '.join(channel_names[len(found) :])} is missing: {len(found)} of {wanted} were given; "
        f"the model takes {_listed(channel_names)}"
    )


def _single(images: list[Image], channel: str, wanted: int) -> Image:
    """The one image for a channel; three equal colours of a photograph count as one grey."""
    first = images[0]
    if len(images) == 1:
        return first
    name = first.files[0] if first.files else "the image"
    alike = first.source == "natural" and all(np.array_equal(first.data, other.data) for other in images[1:])
    if not alike:
        raise InputError(
            f"channel {channel}: {name} holds {len(images)} channels (colours or components), one is wanted; "
            + ("the model works on grey images" if wanted == 1 else "give one image per channel")
        )
    return replace(
        first, warnings=(*first.warnings, f"{name}: its colours are all equal; the first was taken as grey")
    )


def _compare(images: Sequence[Image], index: int, channel_names: Sequence[str]) -> list[str]:
    """Refuse another shape or spacing than the first channel's, warn of another place.

    Raises:
        InputError: Shape or spacing differ; the channel is named.
    """
    first, other = images[0].geometry, images[index].geometry
    channel, reference = channel_names[index], channel_names[0]
    if other.size != first.size:
        raise InputError(
            f"channel {channel} has {_by(other.size)} voxels, channel {reference} {_by(first.size)}; "
            "resample one to the other's grid first"
        )
    if not np.allclose(other.spacing, first.spacing, rtol=_SAME_SPACING, atol=0):
        raise InputError(
            f"channel {channel} has spacing {_by(other.spacing)} mm, channel {reference} "
            f"{_by(first.spacing)} mm; resample one to the other's grid first"
        )
    apart = [
        what
        for what, one, two in (
            ("origin", other.origin, first.origin),
            ("direction", other.direction, first.direction),
        )
        if np.abs(np.subtract(one, two)).max() > _SAME_PLACE
    ]
    if not apart:
        return []
    return [
        f"channel {channel} lies elsewhere than channel {reference} ({' and '.join(apart)} differ); its "
        "voxels were taken as if they lay on the same grid"
    ]


def _listed(channel_names: Sequence[str]) -> str:
    count = len(channel_names)
    return f"{count} channel{'s' if count != 1 else ''} ({', '.join(channel_names)})"


def _by(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
