"""Rows 10 to 15: spacing, orientation, oblique, sheared and left-handed grids, and headers that disagree."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import umamba
from engine.bad_input.desk import labels_of
from engine.bad_input.samples import make_image, make_model
from image_builders import dicom_slice, metaimage_bytes, nifti_bytes, nrrd_bytes, save_series
from umamba.imaging.image import Geometry, Image

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
TILT = math.radians(18.5)  # that of the tilted series in the reference data
OBLIQUE = math.radians(15)
# NIfTI stores single precision.
SINGLE = 1e-6


def rotation(angle: float) -> np.ndarray:
    """About the x axis."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def sheared(angle: float) -> np.ndarray:
    """Slices moved along y as they rise: columns are the directions of i, j, k, each of length 1."""
    return np.array([[1, 0, 0], [0, 1, math.sin(angle)], [0, 0, math.cos(angle)]])


def off_by(amount: float) -> np.ndarray:
    """The unit matrix with one entry wrong."""
    matrix = np.eye(3)
    matrix[0, 1] = amount
    return matrix


def nifti_with(image: np.ndarray, cosines: np.ndarray, codes: tuple[int, int] = (0, 1)) -> bytes:
    """A NIfTI of 1 mm whose sform has these directions (columns, LPS)."""
    lengths = np.linalg.norm(cosines, axis=0)
    rows = np.column_stack([RAS_TO_LPS @ cosines, np.zeros(3)])
    return nifti_bytes(image, srows=tuple(rows.ravel()), pixdim=tuple(lengths), codes=codes)


def vector(values: np.ndarray) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"


def nrrd_with(image: np.ndarray, cosines: np.ndarray) -> bytes:
    directions = " ".join(vector(column) for column in cosines.T)
    sizes = " ".join(map(str, image.shape[::-1]))
    return nrrd_bytes(image.tobytes(), type="float", sizes=sizes, space_directions=directions)


def metaimage_with(image: np.ndarray, cosines: np.ndarray) -> bytes:
    columns = " ".join(repr(float(value)) for value in cosines.T.ravel())
    return metaimage_bytes(
        image.tobytes(), ElementType="MET_FLOAT", DimSize=" ".join(map(str, image.shape[::-1])),
        TransformMatrix=columns, ElementSpacing="1 1 1",
    )  # fmt: skip


FORMATS = {"scan.nii": nifti_with, "scan.nrrd": nrrd_with, "scan.mha": metaimage_with}
each_format = pytest.mark.parametrize("name", FORMATS)


IMPOSSIBLE = (0, -1, np.nan, np.inf, 1e-6, 1e6)
# DICOM's decimal strings hold no NaN and no infinity.
SPACINGS = [
    (name, value)
    for name in ("scan.nii", "scan.nrrd", "spacings.nrrd", "scan.mha", "series")
    for value in IMPOSSIBLE
    if name != "series" or math.isfinite(value)
]


@pytest.mark.parametrize(("name", "value"), SPACINGS)
def test_row_10_impossible_spacing(desk, mr, image, name, value):
    sizes = " ".join(map(str, image.shape[::-1]))
    if name == "series":
        path = save_series(
            desk.inputs / name, {f"{n}.dcm": dicom_slice(n, PixelSpacing=[1, value]) for n in range(3)}
        )
    else:
        content = {
            "scan.nii": lambda: nifti_bytes(image, pixdim=(1, 1, value)),
            "scan.nrrd": lambda: nrrd_bytes(
                image.tobytes(), type="float", sizes=sizes, space_directions=f"(1,0,0) (0,1,0) (0,0,{value})"
            ),
            "spacings.nrrd": lambda: nrrd_bytes(
                image.tobytes(), type="float", sizes=sizes, space=None, space_directions=None,
                space_origin=None, spacings=f"1 1 {value}",
            ),
            "scan.mha": lambda: metaimage_bytes(
                image.tobytes(), ElementType="MET_FLOAT", DimSize=sizes, ElementSpacing=f"1 1 {value}"
            ),
        }[name]()  # fmt: skip
        path = desk.save(name, content)
    if name == "scan.nrrd" and value == -1:
        return  # a direction that runs the other way, which is no fault (row 15)
    desk.refuses_image(
        path, mr, "spacing", "again" if name == "series" and value <= 0 else "repair the header"
    )


@pytest.mark.parametrize(
    ("pixdim", "model_spacing"),
    [((0.005,) * 3, (0.005,) * 3), ((1, 1, 21), (21, 1, 1))],
    ids=["5 micrometres", "2 cm"],
)
def test_row_10_unusual_spacing(desk, image, expected, tmp_path, pixdim, model_spacing):
    model = make_model(tmp_path / "model", spacing=model_spacing)
    rows = np.column_stack([np.diag(pixdim), np.zeros(3)]).ravel()
    path = desk.save("scan.nii", nifti_bytes(image, pixdim=pixdim, srows=rows))
    labels = desk.warns(path, model, "unusual spacing")
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(("units", "millimetre", "told"), [(1, 1e-3, "metres"), (3, 1e3, "micrometres")])
def test_row_10_other_units(desk, mr, image, expected, units, millimetre, told):
    rows = np.column_stack([np.eye(3) * millimetre, np.zeros(3)]).ravel()
    path = desk.save("scan.nii", nifti_bytes(image, pixdim=(millimetre,) * 3, srows=rows, units=units))
    labels = desk.warns(path, mr, f"its lengths are given in {told} and were taken as such")
    np.testing.assert_array_equal(labels, expected)


def test_row_10_spacing_that_would_fill_the_memory(desk, mr, image):
    """Within what can be, but a thousand times what the network works at: 10^12 voxels."""
    rows = np.column_stack([np.eye(3) * 900, np.zeros(3)]).ravel()
    path = desk.save("scan.nii", nifti_bytes(image, pixdim=(900,) * 3, srows=rows))
    desk.refuses_image(path, mr, "memory", "region of interest")


@pytest.fixture(scope="module")
def oriented(oracle, tmp_path_factory):
    """The published Bot model of e2e_801, imported with a card that says RAS, and an image of its kind."""
    results = oracle / "e2e_801" / "nnUNetTrainerUMambaBot__nnUNetPlans__3d_fullres"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UMAMBA_HOME", str(tmp_path_factory.mktemp("home")))
        folder = umamba.models.get(umamba.models.import_(results, orientation="RAS")).folder
    return folder, umamba.models.get(folder)


SIGNED_AXES = [
    (axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]
# (i, j, k) along L, P, S; spacing and sizes that differ, so that no mix-up of axes goes unseen.
SPACING = (1.1, 0.9, 2.2)
SIZE = (14, 17, 9)


def moved(image: Image, axes: tuple[int, ...], flips: tuple[bool, ...]) -> tuple[Image, np.ndarray]:
    """The same image with its axes permuted and reversed; index numbers of its voxels in the first one."""
    order = tuple(2 - axis for axis in axes[::-1])
    turned = tuple(slice(None, None, -1 if flip else None) for flip in flips[::-1])

    def move(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array.transpose(order)[turned])

    old = image.geometry
    cosines = np.reshape(old.direction, (3, 3))[:, list(axes)]
    size = [old.size[axis] for axis in axes]
    spacing = [old.spacing[axis] for axis in axes]
    origin = np.array(old.origin)
    for axis, flip in enumerate(flips):
        if flip:
            origin = origin + cosines[:, axis] * spacing[axis] * (size[axis] - 1)
            cosines[:, axis] *= -1
    geometry = Geometry(tuple(size), tuple(spacing), tuple(origin), tuple(cosines.ravel()))
    numbers = np.arange(image.data.size).reshape(image.data.shape)
    return Image(move(image.data), geometry), move(numbers)


@pytest.fixture(scope="module")
def upright() -> Image:
    return Image(
        make_image(SIZE[::-1]), Geometry(SIZE, SPACING, (5.0, -7.0, 11.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    )


@pytest.fixture(scope="module")
def upright_labels(oriented, upright) -> np.ndarray:
    labels = umamba.segment(upright, oriented[1], device="cpu", mirror=False).labels
    assert len(np.unique(labels)) > 1
    return labels


@pytest.mark.parametrize(("axes", "flips"), SIGNED_AXES)
def test_row_11_all_48_orientations(oriented, upright, upright_labels, axes, flips):
    """Row 15 as well: 24 of them are left-handed."""
    image, numbers = moved(upright, axes, flips)
    result = umamba.segment(image, oriented[1], device="cpu", mirror=False)
    assert result.geometry == image.geometry
    np.testing.assert_array_equal(result.labels, upright_labels.ravel()[numbers])


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize(
    ("axes", "flips"), [((0, 1, 2), (True, False, False)), ((2, 0, 1), (False, True, True))]
)
def test_row_11_through_files(desk, oriented, upright, upright_labels, suffix, axes, flips):
    image, numbers = moved(upright, axes, flips)
    volume = sitk.GetImageFromArray(image.data)
    volume.SetSpacing(image.geometry.spacing)
    volume.SetOrigin(image.geometry.origin)
    volume.SetDirection(image.geometry.direction)
    path = desk.inputs / f"scan{suffix}"
    sitk.WriteImage(volume, path)
    labels = desk.good(path, oriented[0], name=f"labels{suffix}")
    np.testing.assert_array_equal(labels, upright_labels.ravel()[numbers])
    check_grid(desk.outputs / f"labels{suffix}", path)


def check_grid(output: Path, scan: Path) -> None:
    """The same grid, to the last bit."""
    found, wanted = sitk.ReadImage(output), sitk.ReadImage(scan)
    for part in ("Size", "Spacing", "Origin", "Direction"):
        assert getattr(found, f"Get{part}")() == getattr(wanted, f"Get{part}")()


@each_format
def test_row_12_oblique(desk, mr, image, expected, name):
    path = desk.save(name, FORMATS[name](image, rotation(OBLIQUE)))
    output = Path(name).with_stem("labels").name
    np.testing.assert_array_equal(desk.good(path, mr, name=output), expected)
    check_grid(desk.outputs / output, path)


@each_format
def test_row_12_gantry_tilt(desk, mr, image, expected, name):
    path = desk.save(name, FORMATS[name](image, sheared(TILT)))
    labels = desk.warns(path, mr, "tilted by 18.5 degrees", name=Path(name).with_stem("labels").name)
    np.testing.assert_array_equal(labels, expected)


@each_format
@pytest.mark.parametrize("amount", [1e-4, 1e-2])
def test_row_13_axes_not_quite_at_right_angles(desk, mr, image, expected, name, amount):
    path = desk.save(name, FORMATS[name](image, off_by(amount)))
    labels = desk.warns(
        path, mr, "its axes are not quite at right angles", name=Path(name).with_stem("labels").name
    )
    np.testing.assert_array_equal(labels, expected)


@each_format
def test_row_13_axes_at_any_angle(desk, mr, image, name):
    path = desk.save(name, FORMATS[name](image, off_by(1.0)))
    desk.refuses_image(path, mr, "its axes are not at right angles", "resample it")


@each_format
def test_row_13_two_axes_alike(desk, mr, image, name):
    cosines = np.eye(3)[:, [0, 0, 2]]
    path = desk.save(name, FORMATS[name](image, cosines))
    desk.refuses_image(path, mr, f"{name}: ", "r")


QUARTER = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("codes", "used"), [((1, 1), "sform"), ((2, 1), "sform"), ((1, 2), "qform")], ids=str
)
def test_row_14_sform_and_qform_differ(desk, mr, image, expected, codes, used):
    """ITK's rule: the sform where its code is 1, else the qform."""
    content = nifti_bytes(
        image, codes=codes, quaternion=(QUARTER, 0, 0), srows=(-1, 0, 0, 9, 0, -1, 0, 8, 0, 0, 1, 7)
    )
    path = desk.save("scan.nii", content)
    labels = desk.warns(path, mr, "sform and qform disagree by up to", name="labels.nii")
    np.testing.assert_array_equal(labels, expected)
    check_grid(desk.outputs / "labels.nii", path)
    assert f"the {used} was used" in desk_record(desk)


def desk_record(desk) -> str:
    return (desk.outputs / "record.json").read_text()


def test_row_14_both_codes_zero(desk, mr, image, expected):
    path = desk.save("scan.nii", nifti_bytes(image, codes=(0, 0)))
    labels = desk.warns(path, mr, "qform and sform codes are 0", name="labels.nii")
    np.testing.assert_array_equal(labels, expected)
    check_grid(desk.outputs / "labels.nii", path)


def test_row_14_sform_of_another_size_than_pixdim(desk, mr, image):
    rows = np.column_stack([np.diag((2.0, 2.0, 2.0)), np.zeros(3)]).ravel()
    path = desk.save("scan.nii", nifti_bytes(image, srows=rows))
    desk.warns(path, mr, "voxel size 2 x 2 x 2 is not that of pixdim")


@each_format
def test_row_15_left_handed(desk, mr, image, expected, name):
    """A native card: the labels lie as the voxels do."""
    path = desk.save(name, FORMATS[name](image, np.diag([1.0, -1.0, 1.0])))
    output = Path(name).with_stem("labels").name
    np.testing.assert_array_equal(desk.good(path, mr, name=output), expected)
    check_grid(desk.outputs / output, path)
    assert labels_of(desk.outputs / output).dtype == np.uint8
