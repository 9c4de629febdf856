"""Row 19's DICOM series that are no regular grid: refused with the reason, or told, or right."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from image_builders import dicom_slice, nifti_bytes, plain_series, save_series

COUNT = 5
# mm. NIfTI stores single precision.
SINGLE = 1e-6


@pytest.mark.parametrize(
    ("series", "found", "advice"),
    [
        ("ct_head_gantry_tilt", "are tilted against the stack by 18.5 degrees", "resample it first"),
        ("ct_head_gantry_tilt", "the slices are unevenly spaced (1.08 to 7.00 mm)", "resample it first"),
        ("mr_enhanced_philips", "is a multi-frame object (64 frames)", "load it in 3D Slicer"),
        ("mr_enhanced_siemens_xa", "is a multi-frame object (6 frames)", "load it in 3D Slicer"),
    ],
)  # fmt: skip
def test_row_19_real_series_that_are_no_grid(desk, mr, shared_data, series, found, advice):
    line = desk.refuses_image(shared_data / "dicom" / series, mr, found, advice)
    assert series in line


@pytest.fixture
def wanted(desk, mr):
    """Labels of the series that nothing is wrong with."""
    return desk.good(save_series(desk.inputs / "whole", plain_series(COUNT)), mr, name="wanted.nrrd")


def test_row_19_unsorted(desk, mr, wanted):
    """Names in the order of the slices, and in no order."""
    named = {f"{n}.dcm": dicom_slice(n) for n in range(COUNT)}
    np.testing.assert_array_equal(desk.good(save_series(desk.inputs / "sorted", named), mr), wanted)


def test_row_19_a_missing_slice(desk, mr):
    slices = {f"{n}.dcm": dicom_slice(n) for n in range(8) if n != 3}
    folder = save_series(desk.inputs / "series", slices)
    desk.refuses_image(folder, mr, "a slice seems to be missing after the 3rd from below", "resample it")


def test_row_19_a_slice_twice(desk, mr):
    folder = save_series(desk.inputs / "series", plain_series(COUNT) | {"copy.dcm": dicom_slice(2)})
    desk.refuses_image(folder, mr, "1 slices lie at the place of another", "give one volume")


def test_row_19_two_series(desk, mr):
    other = {f"other{n}.dcm": dicom_slice(n, uid="1.2.826.0.1.99.2") for n in range(3)}
    folder = save_series(desk.inputs / "series", plain_series(COUNT) | other)
    line = desk.refuses_image(folder, mr, "holds 2 series", "choose one with --series UID")
    assert "1.2.826.0.1.99.1 (CT, 5 slices), 1.2.826.0.1.99.2 (CT, 3 slices)" in line
    desk.refuses_image(folder, mr, "no image series 1.2.3", "it holds", "--series", "1.2.3")
    alone = desk.good(save_series(desk.inputs / "alone", plain_series(COUNT)), mr, name="alone.nrrd")
    labels = desk.good(folder, mr, "--series", "1.2.826.0.1.99.1")
    np.testing.assert_array_equal(labels, alone)


def test_row_19_no_pixels(desk, mr):
    slices = {f"{n}.dcm": dicom_slice(n, PixelData=None) for n in range(3)}
    folder = save_series(desk.inputs / "series", slices)
    desk.refuses_image(folder, mr, "none with pixel data", "give an image series")


def test_row_19_colours(desk, mr):
    folder = save_series(
        desk.inputs / "series", {"0.dcm": dicom_slice(0, PhotometricInterpretation="PALETTE COLOR")}
    )
    desk.refuses_image(folder, mr, "is no grey image (PALETTE COLOR)", "give a series of grey slices")


def test_row_19_columns_that_run_the_other_way(desk, mr):
    """The slices' normal points down: the stack is read from its upper end, as a right-handed grid."""
    slices = {f"{n}.dcm": dicom_slice(n, ImageOrientationPatient=[1, 0, 0, 0, -1, 0]) for n in range(COUNT)}
    values = np.arange(20, dtype=np.float32).reshape(4, 5) + 100 * np.arange(COUNT)[::-1, None, None]
    rows = (-0.5, 0, 0, 10.5, 0, 0.75, 0, -20.25, 0, 0, -2, 13)
    same = desk.save("same.nii", nifti_bytes(values.astype("f4"), pixdim=(0.5, 0.75, 2), srows=rows))
    labels = desk.good(save_series(desk.inputs / "series", slices), mr)
    np.testing.assert_array_equal(labels, desk.good(same, mr, name="same.nrrd"))
    grids = [sitk.ReadImage(desk.outputs / name) for name in ("labels.nrrd", "same.nrrd")]
    for part in ("Size", "Spacing", "Origin", "Direction"):
        found, wanted = (getattr(grid, f"Get{part}")() for grid in grids)
        np.testing.assert_allclose(found, wanted, atol=SINGLE)


def test_row_19_names_stay_out_of_messages_and_provenance(desk, mr):
    folder = save_series(desk.inputs / "series", plain_series(COUNT))
    answer = desk.segment(folder, mr)
    everything = "\n".join([*answer.out, *answer.err])
    assert "Secret" not in everything
    assert "SECRET" not in everything
