"""SimpleITK's side of an image: grids read from headers, and images handed over in memory."""

from __future__ import annotations

import locale
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from umamba.errors import InputError
from umamba.imaging.image import Geometry, Image

READABLE_AXES = (2, 3)


def load_itk() -> Any:  # noqa: ANN401  (SimpleITK's functions have no types)
    """The SimpleITK module, imported when first needed."""
    import SimpleITK

    return SimpleITK


@contextmanager
def quiet_itk() -> Iterator[None]:
    """ITK without lines on standard error, and with the point as its decimal sign.

    Host programs may have set a locale with a decimal comma; ITK's readers of text headers go by it and
    would take 0.5 for 0.
    """
    itk = load_itk()
    warned = itk.ProcessObject.GetGlobalWarningDisplay()
    numbers = locale.setlocale(locale.LC_NUMERIC)
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    if numbers != "C":
        locale.setlocale(locale.LC_NUMERIC, "C")
    try:
        yield
    finally:
        itk.ProcessObject.SetGlobalWarningDisplay(warned)
        if numbers != "C":
            locale.setlocale(locale.LC_NUMERIC, numbers)


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Nothing on the process's standard error: the JPEG libraries inside ITK write there by themselves."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all, as under a window system
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def read_grid(path: Path, image_io: str) -> Geometry:
    """The grid of a file as SimpleITK gives it, from the header alone.

    Args:
        path: The file.
        image_io: ITK's name of the format's reader, such as "NrrdImageIO".

    Raises:
        InputError: ITK refuses the header.
    """
    reader = load_itk().ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    try:
        with quiet_itk():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path.name}: its header cannot be read: {itk_reason(error)}") from error
    return Geometry(
        size=tuple(int(value) for value in reader.GetSize()),
        spacing=tuple(reader.GetSpacing()),
        origin=tuple(reader.GetOrigin()),
        direction=tuple(reader.GetDirection()),
    )


def itk_reason(error: RuntimeError) -> str:
    """The last line of an ITK exception, without addresses and paths."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rpartition("): ")[2].removeprefix("sitk::ERROR: ") if lines else "unknown reason"


def from_sitk(image: Any) -> list[Image]:  # noqa: ANN401
    """Copy a SimpleITK image: one `Image` per component, (Z, Y, X), Z = 1 for a 2D image.

    Raises:
        InputError: Complex values, or neither two nor three axes.
    """
    axes = image.GetDimension()
    if axes not in READABLE_AXES:
        raise InputError(f"the image has {axes} axes; give one volume of three, or a flat image of two")
    components = image.GetNumberOfComponentsPerPixel()
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError("the image holds complex numbers; give its magnitude")
    geometry = Geometry(
        size=tuple(int(value) for value in image.GetSize()),
        spacing=tuple(image.GetSpacing()),
        origin=tuple(image.GetOrigin()),
        direction=tuple(image.GetDirection()),
    )
    view = load_itk().GetArrayViewFromImage(image)  # valid while `image` lives: copied below
    split = view.reshape(*geometry.shape, components)
    copies = (np.array(split[..., channel], order="C") for channel in range(components))
    return [Image(data=copy, geometry=geometry) for copy in copies]


def to_sitk(image: Image) -> Any:  # noqa: ANN401
    """A SimpleITK image with a copy of the voxels, on the same grid to the last bit."""
    geometry = image.geometry
    data = image.data if geometry.axes == READABLE_AXES[-1] else image.data[0]
    made = load_itk().GetImageFromArray(np.ascontiguousarray(data))
    made.SetSpacing(geometry.spacing)
    made.SetOrigin(geometry.origin)
    made.SetDirection(geometry.direction)
    return made
