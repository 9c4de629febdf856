"""Volumes to the engine: what its own reader makes of them is the volume, voxel for voxel, mm for mm."""

import json
import stat
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk

from umamba.imaging.checks import checked_image
from umamba.worker.images import load_sources
from UMambaSegmentationLib import cards
from UMambaSegmentationLib.scene import volumes
from UMambaSegmentationLib.scene.errors import SceneError

OBLIQUE = np.array([[0.8, -0.3, 0.1, -5.25], [0.2, 0.9, -0.3, 1 / 3], [0.0, 0.4, 2.0, 7.1], [0, 0, 0, 1]])
OBLIQUE[:3, :3] = np.linalg.qr(OBLIQUE[:3, :3])[0] * (0.8, 0.9, 2.5)


@pytest.fixture
def card():
    return cards.read_models()[0]


def channels(card, *names, **changes):
    return replace(card, channels=tuple(cards.Channel(name) for name in names), **changes)


def through_the_worker(entry):
    """As the worker takes it: over JSON, then by its own reader and checks."""
    (image,) = load_sources((json.loads(json.dumps(entry)),))
    return checked_image(image, "image")


def volume_of_type(scene, vtk_type):
    image = vtk.vtkImageData()
    image.SetDimensions(4, 3, 2)
    image.AllocateScalars(vtk_type, 1)
    for index in range(24):
        image.GetPointData().GetScalars().SetTuple1(index, index)
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    volume.SetAndObserveImageData(image)
    return volume


# --- one volume ----------------------------------------------------------


@pytest.mark.parametrize("hand", [1, -1])
def test_the_engine_sees_the_same_voxels_at_the_same_places(volume_from, tmp_path, hand):
    matrix = OBLIQUE.copy()
    matrix[:3, 0] *= hand
    array = np.random.default_rng(1).integers(-1024, 3071, (4, 5, 6)).astype(np.int16)
    image = through_the_worker(volumes.image_entry(volume_from(array, matrix), tmp_path, "a"))
    np.testing.assert_array_equal(image.data, array)
    assert image.data.dtype == np.int16
    itk = sitk.Image(6, 5, 4, sitk.sitkInt16)
    itk.SetSpacing(image.geometry.spacing)
    itk.SetOrigin(image.geometry.origin)
    itk.SetDirection(image.geometry.direction)
    for index in ((0, 0, 0), (5, 4, 3), (1, 2, 3)):
        lps = itk.TransformIndexToPhysicalPoint(index)
        ras = (matrix @ (*index, 1))[:3]
        np.testing.assert_allclose((-lps[0], -lps[1], lps[2]), ras, atol=1e-12)


def test_the_matrix_arrives_to_the_last_digit(volume_from, tmp_path):
    entry = json.loads(
        json.dumps(volumes.image_entry(volume_from(np.zeros((2, 2, 2)), OBLIQUE), tmp_path, "a"))
    )
    matrix = vtk.vtkMatrix4x4()
    slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode").GetIJKToRASMatrix(matrix)
    assert np.ravel(entry["ijk_to_ras"]).tolist() == [
        matrix.GetElement(r, c) for r in range(4) for c in range(4)
    ]


@pytest.mark.parametrize(
    ("vtk_type", "dtype"),
    [
        (vtk.VTK_CHAR, np.int8),
        (vtk.VTK_SIGNED_CHAR, np.int8),
        (vtk.VTK_UNSIGNED_CHAR, np.uint8),
        (vtk.VTK_SHORT, np.int16),
        (vtk.VTK_UNSIGNED_SHORT, np.uint16),
        (vtk.VTK_INT, np.int32),
        (vtk.VTK_UNSIGNED_INT, np.uint32),
        (vtk.VTK_LONG_LONG, np.int64),
        (vtk.VTK_UNSIGNED_LONG_LONG, np.uint64),
        (vtk.VTK_FLOAT, np.float32),
        (vtk.VTK_DOUBLE, np.float64),
    ],
)
def test_every_number_type_of_slicer_is_kept_and_taken(scene, tmp_path, vtk_type, dtype):
    image = through_the_worker(volumes.image_entry(volume_of_type(scene, vtk_type), tmp_path, "a"))
    assert image.data.dtype == dtype
    np.testing.assert_array_equal(image.data.ravel(), np.arange(24))


def test_the_array_is_a_copy_in_c_order(volume_from, tmp_path):
    volume = volume_from(np.arange(24.0).reshape(2, 3, 4))
    entry = volumes.image_entry(volume, tmp_path, "a")
    slicer.util.arrayFromVolume(volume)[:] = -1
    stored = np.load(entry["npy"], mmap_mode="r")
    assert stored.flags.c_contiguous
    np.testing.assert_array_equal(stored.ravel(), np.arange(24))


def test_a_transform_above_the_volume_does_not_move_it(scene, volume_from, tmp_path):
    volume = volume_from(np.zeros((2, 3, 4)), OBLIQUE)
    plain = volumes.image_entry(volume, tmp_path, "a")["ijk_to_ras"]
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 40)
    node.SetMatrixTransformToParent(matrix)
    volume.SetAndObserveTransformNodeID(node.GetID())
    assert volumes.image_entry(volume, tmp_path, "b")["ijk_to_ras"] == plain


def test_nothing_of_the_patient_is_in_the_entry(volume_from, tmp_path):
    entry = volumes.image_entry(volume_from(np.zeros((2, 2, 2)), name="Doe^Jane"), tmp_path, "channel_0")
    assert set(entry) == {"npy", "ijk_to_ras"}
    assert entry["npy"] == str(tmp_path / "channel_0.npy")
    assert [file.name for file in tmp_path.iterdir()] == ["channel_0.npy"]


# --- refusals ------------------------------------------------------------


def empty(scene, _make):
    return scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")


def without_scalars(scene, _make):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    volume.SetAndObserveImageData(vtk.vtkImageData())
    return volume


def label_map(_scene, _make):
    array = np.ones((2, 3, 4), np.uint8)
    return slicer.util.addVolumeFromArray(array, nodeClassName="vtkMRMLLabelMapVolumeNode")


def colours(_scene, _make):
    return slicer.util.addVolumeFromArray(np.ones((2, 3, 4, 3)), nodeClassName="vtkMRMLVectorVolumeNode")


def sheared(_scene, make):
    matrix = np.eye(4)
    matrix[0, 2] = 0.2
    return make(np.ones((2, 3, 4)), matrix)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (empty, "no voxels"),
        (without_scalars, "no voxels"),
        (label_map, "label map"),
        (colours, "3 components"),
        (sheared, "right angles"),
    ],
)
def test_what_the_engine_cannot_take_is_refused_before(scene, volume_from, tmp_path, make, said):
    volume = make(scene, volume_from)
    volume.SetName("Doe^Jane")
    with pytest.raises(SceneError, match=said) as refusal:
        volumes.image_entry(volume, tmp_path, "a")
    assert "Doe" not in str(refusal.value)
    assert str(refusal.value).endswith(".")
    assert not list(tmp_path.iterdir())


def test_shear_is_judged_as_the_engine_judges_it(volume_from, tmp_path):
    """What is taken here the engine takes without a word about shear beyond rounding."""
    for shear, taken in ((0.03, True), (0.06, False)):
        matrix = np.eye(4)
        matrix[0, 2] = shear
        volume = volume_from(np.random.default_rng(0).normal(0, 1, (2, 3, 4)), matrix)
        if taken:
            image = through_the_worker(volumes.image_entry(volume, tmp_path, "a"))
            assert not any("resampl" in line for line in image.warnings)
        else:
            with pytest.raises(SceneError):
                volumes.image_entry(volume, tmp_path, "a")


def test_a_full_disk_is_one_sentence_without_the_path(volume_from, tmp_path):
    folder = tmp_path / "gone"
    with pytest.raises(SceneError, match=r"copied for the engine .*make room") as refusal:
        volumes.image_entry(volume_from(np.zeros((2, 2, 2))), folder, "a")
    assert "gone" not in str(refusal.value)


# --- channels ------------------------------------------------------------


def test_two_channels_in_the_cards_order(volume_from, tmp_path, card):
    first, second = (volume_from(np.full((2, 2, 2), value, np.uint8)) for value in (1, 2))
    entries = volumes.image_entries([first, second], channels(card, "T1", "T2"), tmp_path)
    assert [int(np.load(entry["npy"]).max()) for entry in entries] == [1, 2]


def test_a_missing_channel_is_named(volume_from, tmp_path, card):
    volume = volume_from(np.zeros((2, 2, 2)))
    for chosen in ([volume], [volume, None], [None, volume]):
        with pytest.raises(SceneError, match="T1" if chosen[0] is None else "FLAIR"):
            volumes.image_entries(chosen, channels(card, "T1", "FLAIR"), tmp_path)


def test_a_channel_on_another_grid_is_named_with_what_differs(volume_from, tmp_path, card):
    chosen = [volume_from(np.zeros((2, 2, 2))), volume_from(np.zeros((2, 2, 3)))]
    with pytest.raises(SceneError, match=r"FLAIR .*numbers of voxels differ .*Resample"):
        volumes.image_entries(chosen, channels(card, "T1", "FLAIR"), tmp_path)


def test_a_colour_volume_fills_three_channels(tmp_path, card):
    array = np.random.default_rng(2).integers(0, 255, (2, 3, 4, 3)).astype(np.uint8)
    volume = slicer.util.addVolumeFromArray(array, ijkToRAS=OBLIQUE, nodeClassName="vtkMRMLVectorVolumeNode")
    entries = volumes.image_entries([volume, None, None], channels(card, "R", "G", "B"), tmp_path)
    images = [through_the_worker(entry) for entry in entries]
    np.testing.assert_array_equal(np.stack([image.data for image in images], axis=-1), array)
    assert images[0].geometry == images[2].geometry
    with pytest.raises(SceneError, match="3 components"):
        volumes.image_entries([volume], card, tmp_path)


def test_one_grey_volume_stands_for_three_channels_only_where_the_card_says_so(volume_from, tmp_path, card):
    volume = volume_from(np.zeros((2, 2, 2)))
    entries = volumes.image_entries([volume], channels(card, "R", "G", "B", grey_repeat=True), tmp_path)
    assert len(entries) == 1
    with pytest.raises(SceneError, match="G"):
        volumes.image_entries([volume], channels(card, "R", "G", "B"), tmp_path)


# --- modality ------------------------------------------------------------


class Database:
    """A DICOM database with one instance, as ctkDICOMDatabase answers."""

    def __init__(self, value):
        self.value = value

    def fileForInstance(self, uid):
        return "/somewhere/1.dcm" if uid == "1.2.3" else ""

    def fileValue(self, file, tag):
        assert (file, tag) == ("/somewhere/1.dcm", "0008,0060")
        return self.value


@pytest.mark.parametrize(("value", "expected"), [("MR", "MR"), (" ct ", "CT"), ("", None), ("???", None)])
def test_modality_by_the_dicom_database(volume_from, tmp_path, monkeypatch, value, expected):
    volume = volume_from(np.zeros((2, 2, 2)))
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    monkeypatch.setattr(slicer, "dicomDatabase", Database(value))
    assert volumes.modality(volume) == expected
    entry = volumes.image_entry(volume, tmp_path, "a")
    assert entry.get("modality") == expected
    assert through_the_worker(entry).modality == expected


def test_modality_by_the_subject_hierarchy(scene, volume_from, monkeypatch):
    """A scene loaded elsewhere: the database does not know it, the tree does."""
    volume = volume_from(np.zeros((2, 2, 2)))
    volume.SetAttribute("DICOM.instanceUIDs", "9.9")
    monkeypatch.setattr(slicer, "dicomDatabase", Database("MR"))
    assert volumes.modality(volume) is None
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    tree.SetItemAttribute(tree.GetItemByDataNode(volume), "DICOM.Modality", "CT")
    assert volumes.modality(volume) == "CT"


def test_without_dicom_nothing_is_claimed(volume_from, monkeypatch):
    monkeypatch.setattr(slicer, "dicomDatabase", None)
    volume = volume_from(np.zeros((2, 2, 2)))
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    assert volumes.modality(volume) is None


def test_files_of_a_run_are_as_private_as_their_folder(volume_from, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    volumes.image_entry(volume_from(np.zeros((2, 2, 2))), folder, "a")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
