"""Previews: the right planes, the patient's right on the left, true shapes, nothing about the patient."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image as Picture

from umamba.imaging.image import Geometry, Image
from umamba.imaging.preview import MARGIN, ROW, _scale, draw_preview, millilitres
from umamba.imaging.preview_planes import CT_WINDOW_HU, select_planes, to_bytes

RED = (255, 0, 0)
GREEN = (0, 255, 0)
# Contours are reduced from a finer drawing, which mixes a colour a little with what lies beside it.
PURE = 170
FAINT = 100
# A contour's outermost pixel on either side may be a mixture.
SHAPE_TOLERANCE_PX = 2


@dataclass(frozen=True)
class Label:
    value: int
    name: str
    color: tuple[int, int, int]


LABELS = (Label(1, "right thing", RED), Label(2, "left thing", GREEN))


def geometry(size, spacing=(1.0, 1.0, 1.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    return Geometry(size, spacing, (0.0, 0.0, 0.0), tuple(float(value) for value in direction))


def volume(data, **keywords):
    return Image(data, geometry(data.shape[::-1], **keywords))


def pure_pixels(path, planes, colour):
    """Rows and columns of the pixels of the first plane that are nearly `colour`."""
    height, width = (round(length * _scale(planes)) for length in planes[0].size_mm)
    top, left = MARGIN + ROW, MARGIN
    picture = np.asarray(Picture.open(path)).astype(int)[top : top + height, left : left + width]
    high = [picture[..., c] > PURE if colour[c] else picture[..., c] < FAINT for c in range(3)]
    return np.nonzero(np.logical_and.reduce(high))


def two_things():
    """In LPS order: label 1 at low x (the patient's right), label 2 at high x."""
    labels = np.zeros((20, 30, 40), dtype=np.uint8)
    labels[8:12, 12:18, 4:12] = 1
    labels[8:12, 12:18, 28:36] = 2
    return labels


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "ASL", "SRP"])
def test_the_patients_right_is_on_the_left_whatever_the_grid(tmp_path, orientation):
    import SimpleITK as sitk

    turned = sitk.DICOMOrient(sitk.GetImageFromArray(two_things()), orientation)
    labels = sitk.GetArrayFromImage(turned)
    grid = Geometry(turned.GetSize(), turned.GetSpacing(), turned.GetOrigin(), turned.GetDirection())
    path = tmp_path / "preview.png"
    draw_preview(Image(np.zeros(labels.shape, np.float32), grid), labels, LABELS, path)
    planes = select_planes([Image(labels, grid)], labels)
    for plane in planes[:2]:
        assert plane.marks[:2] == ("R", "L")
        assert np.nonzero(plane.labels == 1)[1].max() < np.nonzero(plane.labels == 2)[1].min()
    assert pure_pixels(path, planes, RED)[1].max() < pure_pixels(path, planes, GREEN)[1].min()


def test_front_is_up_and_head_is_up():
    labels = np.zeros((20, 30, 40), dtype=np.uint8)
    labels[15:18, 2:6, 10:30] = 1  # high z: towards the head; low y: towards the front
    axial, coronal, sagittal = select_planes([volume(labels)], labels)
    assert np.nonzero(axial.labels)[0].max() < axial.labels.shape[0] / 2
    assert np.nonzero(coronal.labels)[0].max() < coronal.labels.shape[0] / 2
    assert np.nonzero(sagittal.labels)[1].max() < sagittal.labels.shape[1] / 2
    assert (axial.marks, coronal.marks, sagittal.marks) == (
        ("R", "L", "A", "P"),
        ("R", "L", "S", "I"),
        ("A", "P", "S", "I"),
    )


def test_where_the_centre_of_mass_shows_nothing_the_fullest_plane_is_drawn():
    labels = two_things()
    sagittal = select_planes([volume(labels)], labels)[2]
    assert np.count_nonzero(sagittal.labels) == 4 * 6


def test_each_plane_has_its_true_proportions(tmp_path):
    labels = two_things()
    image = volume(np.zeros(labels.shape, np.float32), spacing=(0.5, 1.0, 4.0))
    planes = select_planes([image], labels)
    assert [plane.size_mm for plane in planes] == [(30.0, 20.0), (80.0, 20.0), (80.0, 30.0)]
    path = tmp_path / "preview.png"
    draw_preview(image, labels, LABELS, path)
    rows, columns = pure_pixels(path, planes, RED)
    drawn = (np.ptp(rows) + 1, np.ptp(columns) + 1)
    true = (6 * 1.0 * _scale(planes), 8 * 0.5 * _scale(planes))
    assert drawn == pytest.approx(true, abs=SHAPE_TOLERANCE_PX)


def test_a_flat_image_is_one_plane_without_marks():
    labels = np.zeros((1, 30, 40), dtype=np.uint8)
    image = Image(labels, Geometry((40, 30), (0.5, 0.5), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0)))
    (plane,) = select_planes([image], labels)
    assert (plane.name, plane.marks, plane.size_mm) == ("", (), (15.0, 20.0))


def test_one_slice_of_a_volume_is_one_plane():
    labels = np.zeros((1, 30, 40), dtype=np.uint8)
    assert [plane.name for plane in select_planes([volume(labels)], labels)] == ["axial"]


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((3, 4, 5), np.float32),
        np.full((3, 4, 5), np.nan, np.float32),
        np.full((3, 4, 5), 7, np.int16),
        np.full((1, 1, 1), -np.inf, np.float32),
    ],
    ids=["zero", "nan", "constant", "one infinite voxel"],
)
@pytest.mark.parametrize("ct", [True, False])
def test_images_without_contrast(tmp_path, data, ct):
    path = tmp_path / "preview.png"
    draw_preview(volume(data), np.zeros(data.shape, np.uint8), LABELS, path, ct=ct)
    assert Picture.open(path).format == "PNG"


def test_ct_is_shown_in_the_soft_tissue_window():
    low, high = CT_WINDOW_HU
    data = np.linspace(low - 100, high + 100, 400, dtype=np.float32).reshape(1, 20, 20)
    (shown,) = to_bytes(select_planes([volume(data)], np.zeros(data.shape, np.uint8)), ct=True)
    assert shown[data[0] <= low].max() == 0
    assert shown[data[0] >= high].min() == 255
    middle = np.abs(data[0] - (low + high) / 2).argmin()
    assert shown.ravel()[middle] in (127, 128)


def test_ct_that_is_stored_with_an_offset_is_still_seen():
    data = np.linspace(900, 1200, 400, dtype=np.float32).reshape(1, 20, 20)
    (shown,) = to_bytes(select_planes([volume(data)], np.zeros(data.shape, np.uint8)), ct=True)
    assert shown.min() == 0
    assert shown.max() == 255
    assert 100 < np.median(shown) < 155


def test_the_picture_holds_pixels_and_nothing_else(tmp_path):
    path = tmp_path / "preview.png"
    image = Image(two_things(), geometry((40, 30, 20)), files=("Doe_John.nii.gz",))
    draw_preview(image, two_things(), LABELS, path)
    assert b"Doe" not in path.read_bytes()
    assert Picture.open(path).info == {}


def test_any_number_of_labels_and_any_letters(tmp_path):
    labels = np.arange(1, 301, dtype=np.uint16).reshape(3, 10, 10)
    many = [Label(value, f"Örgån ß 器官 {value}" * 3, RED) for value in range(1, 301)]
    draw_preview(volume(labels), labels, many, tmp_path / "many.png")
    draw_preview(volume(labels), labels, (), tmp_path / "instances.png")
    width, height = Picture.open(tmp_path / "many.png").size
    assert (width < 2000, height < 1500) == (True, True)


@pytest.mark.parametrize(
    ("volume_ml", "text"),
    [(0.00123, "0.00123 ml"), (1.524, "1.52 ml"), (2.0, "2.00 ml"), (1519.6, "1520 ml")],
)
def test_millilitres(volume_ml, text):
    assert millilitres(volume_ml) == text


def test_the_scale_makes_every_plane_fit():
    labels = np.zeros((10, 10, 10), np.uint8)
    planes = select_planes([volume(labels, spacing=(1.0, 1.0, 100.0))], labels)
    scale = _scale(planes)
    assert math.isclose(max(plane.size_mm[0] for plane in planes) * scale, 540)
