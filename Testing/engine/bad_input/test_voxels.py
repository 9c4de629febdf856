"""Rows 5, 6, 16 and 18: voxels that are no numbers, all the same, of another type, or of another modality."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from engine.bad_input.desk import labels_of
from engine.bad_input.samples import CLASSES, change_json, make_model, only_configuration
from image_builders import dicom_slice, nifti_bytes, nifti_header, nrrd_bytes, save_series

SCHEMES = ("ZScoreNormalization", "CTNormalization", "NoNormalization", "RescaleTo01Normalization")
VOXEL = (4, 9, 11)
OTHER = (7, 3, 2)
CT_OFFSET = 1024
RESCALE = (0.5, -20.0)  # exact in single precision


def with_values(image: np.ndarray, values: dict[tuple[int, ...], float]) -> np.ndarray:
    changed = image.copy()
    for index, value in values.items():
        changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("values", "told", "replaced"),
    [
        ({VOXEL: np.nan}, "1 of 4180 voxels are not finite; NaN was replaced by 0", {VOXEL: 0}),
        ({VOXEL: np.inf}, "1 of 4180 voxels are not finite", {VOXEL: 120}),
        ({VOXEL: -np.inf}, "1 of 4180 voxels are not finite", {VOXEL: 1}),
        ({VOXEL: np.nan, OTHER: np.inf}, "2 of 4180 voxels are not finite", {VOXEL: 0, OTHER: 120}),
    ],
    ids=["nan", "inf", "minus inf", "both"],
)  # fmt: skip
def test_row_5_voxels_that_are_no_numbers(desk, mr, image, values, told, replaced):
    clean = desk.good(desk.save("a.nii", nifti_bytes(with_values(image, replaced))), mr, name="a.nrrd")
    path = desk.save("scan.nii", nifti_bytes(with_values(image, values)))
    np.testing.assert_array_equal(desk.warns(path, mr, told), clean)


def test_row_5_double_beyond_single_precision(desk, mr, image):
    clean = desk.good(desk.save("a.nii", nifti_bytes(with_values(image, {VOXEL: 120}))), mr, name="a.nrrd")
    changed = with_values(image.astype(np.float64), {VOXEL: 1e300})
    path = desk.save("scan.nii", nifti_bytes(changed))
    np.testing.assert_array_equal(desk.warns(path, mr, "1 of 4180 voxels are not finite"), clean)


def test_row_5_nan_in_another_format(desk, mr, image):
    data = with_values(image, {VOXEL: np.nan}).tobytes()
    sizes = " ".join(map(str, image.shape[::-1]))
    path = desk.save("scan.nrrd", nrrd_bytes(data, type="float", sizes=sizes))
    desk.warns(path, mr, "1 of 4180 voxels are not finite")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_row_5_not_one_number(desk, mr, image, value):
    path = desk.save("scan.nii", nifti_bytes(np.full_like(image, value)))
    desk.refuses_image(path, mr, "not one voxel holds a finite number", "export the image again")


@pytest.fixture(scope="module", params=SCHEMES)
def of_scheme(request, tmp_path_factory) -> Path:
    """A model of each normalisation."""
    return make_model(tmp_path_factory.mktemp("scheme"), scheme=request.param, channels=("T1",))


@pytest.mark.parametrize("value", [0, 7], ids=["all zero", "constant"])
def test_row_6_image_without_contrast(desk, of_scheme, image, value):
    path = desk.save("scan.nii", nifti_bytes(np.full_like(image, value)))
    labels = desk.warns(path, of_scheme, f"all voxels have the same value ({value}); expect an empty result")
    assert labels.shape == image.shape


@pytest.mark.parametrize("value", [0, 7])
def test_row_6_without_contrast_inside_a_mask(desk, mr, image, value, tmp_path):
    model = make_model(tmp_path / "mask")

    def use_mask(plans):
        only_configuration(plans)["use_mask_for_norm"] = [True]

    change_json(model, "plans.json", use_mask)
    path = desk.save("scan.nii", nifti_bytes(np.full_like(image, value)))
    desk.warns(path, model, "all voxels have the same value")


def test_row_6_constant_colours(desk, tmp_path):
    from PIL import Image as Picture

    model = make_model(
        tmp_path / "rgb", scheme="RGBTo01Normalization", channels=("R", "G", "B"), patch=(16, 16)
    )
    path = desk.inputs / "scan.png"
    Picture.new("RGB", (20, 18)).save(path)
    answer = desk.segment(path, model)
    told = [f"channel {name}: all voxels have the same value (0); expect an empty result" for name in "RGB"]
    assert answer.result["warnings"] == answer.result["provenance"]["warnings"] == told
    assert labels_of(desk.outputs / "labels.nrrd").shape == (18, 20)


TYPES = (
    "i1",
    "u1",
    "<i2",
    ">i2",
    "<u2",
    ">u2",
    "<i4",
    ">i4",
    "<u4",
    "<i8",
    "<u8",
    "<f4",
    ">f4",
    "<f8",
    ">f8",
)


@pytest.mark.parametrize("kind", TYPES)
def test_row_16_number_types(desk, mr, image, expected, kind):
    path = desk.save("scan.nii", nifti_bytes(image.astype(kind)))
    np.testing.assert_array_equal(desk.good(path, mr), expected)


@pytest.mark.parametrize("rescale", [(0.0, 0.0), (np.nan, np.nan), (np.nan, 0.0), (1.0, np.nan)])
def test_row_16_rescale_that_says_nothing(desk, mr, image, expected, rescale):
    path = desk.save("scan.nii", nifti_bytes(image.astype("<i2"), rescale=rescale))
    np.testing.assert_array_equal(desk.good(path, mr), expected)


def test_row_16_rescale(desk, ct, image):
    """With CT's normalisation, which is not blind for a rescale."""
    clean = desk.good(desk.save("a.nii", nifti_bytes(image * RESCALE[0] + RESCALE[1])), ct, name="a.nrrd")
    path = desk.save("scan.nii", nifti_bytes(image.astype("<i2"), rescale=RESCALE))
    np.testing.assert_array_equal(desk.good(path, ct), clean)


def test_row_16_intercept_without_slope(desk, mr, image, expected):
    path = desk.save("scan.nii", nifti_bytes(image.astype("<i2"), rescale=(0.0, 5.0)))
    np.testing.assert_array_equal(desk.warns(path, mr, "scl_slope is 0 with scl_inter 5"), expected)


@pytest.mark.parametrize("kind", ["u1", "<i2", ">u2", "<f8"])
def test_row_16_number_types_of_nrrd(desk, mr, image, expected, kind):
    names = {"u1": "uchar", "i2": "short", "u2": "ushort", "f8": "double"}
    header = {"type": names[kind.strip("<>")], "endian": "big" if kind[0] == ">" else "little"}
    sizes = " ".join(map(str, image.shape[::-1]))
    path = desk.save("scan.nrrd", nrrd_bytes(image.astype(kind).tobytes(), sizes=sizes, **header))
    np.testing.assert_array_equal(desk.good(path, mr), expected)


def test_row_16_colours(desk, mr):
    path = desk.inputs / "scan.nii"
    sitk.WriteImage(sitk.Image([8, 8, 8], sitk.sitkVectorUInt8, 3), path)
    desk.refuses_image(path, mr, "channel T1: scan.nii holds 3 channels", "the model works on grey images")


@pytest.mark.parametrize("code", [32, 1792])
def test_row_16_complex(desk, mr, code):
    content = nifti_header((8, 8, 8), code) + bytes(16 * 8**3)
    desk.refuses_image(desk.save("scan.nii", content), mr, "holds complex numbers", "the magnitude")


def test_row_16_complex_of_nrrd(desk, mr):
    content = nrrd_bytes(
        bytes(2 * 24 * 4), type="float", dimension="4", sizes="2 2 3 4", kinds="complex domain domain domain",
        space_directions="none (1,0,0) (0,1,0) (0,0,1)",
    )  # fmt: skip
    desk.refuses_image(desk.save("scan.nrrd", content), mr, "holds complex numbers", "save its magnitude")


@pytest.mark.parametrize("name", ["scan.nii", "scan.nrrd", "scan.mha"])
def test_row_16_four_axes(desk, mr, name):
    path = desk.inputs / name
    sitk.WriteImage(sitk.Image([8, 8, 8, 3], sitk.sitkInt16), path)
    desk.refuses_image(path, mr, f"{name}: ", "give one volume")


def test_row_16_a_fourth_axis_of_one(desk, mr, image, expected):
    path = desk.save("scan.nii", nifti_bytes(image, size=(*image.shape[::-1], 1)))
    np.testing.assert_array_equal(desk.good(path, mr), expected)


@pytest.fixture
def hounsfield(image) -> np.ndarray:
    """The image with the range of a CT, air to bone."""
    return np.round((image - 1) * 20 - 1000).astype(np.float32)


def test_row_18_ct_in_hounsfield_units(desk, ct, hounsfield):
    labels = desk.good(desk.save("scan.nii", nifti_bytes(hounsfield)), ct)
    assert len(np.unique(labels)) == CLASSES


def test_row_18_ct_with_an_offset(desk, ct, hounsfield):
    path = desk.save("scan.nii", nifti_bytes(hounsfield + CT_OFFSET))
    desk.warns(path, ct, "look like CT stored with an offset; subtract 1024")


def test_row_18_mr_for_a_ct_model(desk, ct, image):
    path = desk.save("scan.nii", nifti_bytes(image))
    desk.warns(path, ct, "no value below 0 (air is -1000); this does not look like CT")


def test_row_18_dicom_says_mr(desk, ct):
    folder = save_series(
        desk.inputs / "series", {f"{n}.dcm": dicom_slice(n, Modality="MR") for n in range(3)}
    )
    desk.warns(folder, ct, "the model expects CT, the image is MR")


def test_row_16_infinite_rescale(desk, mr, image, expected):
    content = bytearray(nifti_bytes(image.astype("<i2")))
    struct.pack_into("<2f", content, 112, np.inf, 0.0)
    path = desk.save("scan.nii", bytes(content))
    np.testing.assert_array_equal(desk.warns(path, mr, "is infinite and was ignored"), expected)
