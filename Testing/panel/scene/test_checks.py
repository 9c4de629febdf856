"""Notes before a run: each has a cause, says what to do, and agrees with the engine's own warnings."""

import json
import shutil
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import vtk

from umamba.imaging.image import Geometry, Image
from umamba.inference.plausibility import plausibility_warnings
from UMambaSegmentationLib import cards, plans
from UMambaSegmentationLib.scene import axes, checks

RNG = np.random.default_rng(4)
SPACING, SHAPE = "original_median_spacing_after_transp", "original_median_shape_after_transp"
MOST_MS = 50
ORDER = "transpose_forward"
LIKE_TRAINING = np.diag([1.0, 1.0, 1.0, 1.0])  # RAS, 1 mm


@pytest.fixture
def card():
    return cards.read_models()[0]


@pytest.fixture
def head(volume_from):
    """A volume as the bundled model's training images: 35 x 50 x 36 mm of T1, RAS."""
    return volume_from(RNG.gamma(4, 100, (36, 50, 35)).astype(np.float32), LIKE_TRAINING)


@pytest.fixture
def model(card, tmp_path):
    """A copy of the bundled model with other plans and another card."""

    def make(normalization=None, **changes):
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(card.folder, folder)
        raw = json.loads((folder / "plans.json").read_text())
        if normalization:
            raw["configurations"]["3d_fullres"]["normalization_schemes"] = list(normalization)
        for name in (
            "original_median_spacing_after_transp",
            "original_median_shape_after_transp",
            "transpose_forward",
        ):
            raw[name] = changes.pop(name, raw[name])
        (folder / "plans.json").write_text(json.dumps(raw))
        return replace(card, folder=folder, source="installed", **changes)

    return make


def one(notes):
    assert len(notes) == 1, notes
    assert notes[0].endswith(".")
    return notes[0]


def test_what_looks_like_the_training_has_no_note(card, head):
    assert checks.notes(card, [head], None) == []


def test_without_a_volume_there_is_nothing_to_say(scene, card):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    for chosen in ([], [None], [empty]):
        assert checks.notes(card, chosen, None) == []


# --- modality ------------------------------------------------------------

CT, MR = "CTNormalization", "ZScoreNormalization"


@pytest.mark.parametrize("known", [None, "CT", "MR"])
@pytest.mark.parametrize("scheme", [CT, MR])
@pytest.mark.parametrize("low_high", [(-1024, 2000), (0, 3000), (0, 1400), (0, 255), (-20, 300)])
def test_the_engine_warns_of_nothing_that_was_not_said_before(
    volume_from, model, monkeypatch, known, scheme, low_high
):
    """And the other way round, but for CT values without DICOM, which only the panel tells by their look."""
    array = RNG.uniform(*low_high, (36, 50, 35)).round().astype(np.int16)
    array.flat[0], array.flat[-1] = low_high
    array[::1, 0, 0], array[0, 0, :] = low_high
    card = model([scheme], modality="CT" if scheme == CT else "MR")
    monkeypatch.setattr(checks, "modality", lambda _volume: known)
    said = checks.notes(card, [volume_from(array, LIKE_TRAINING)], None)
    geometry = Geometry((35, 50, 36), (1.0,) * 3, (0.0,) * 3, (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    theirs = plausibility_warnings(
        [Image(array, geometry, modality=known)],
        SimpleNamespace(
            configuration=SimpleNamespace(normalization=(scheme,)),
            dataset=SimpleNamespace(channel_names=("MRI",)),
            card=SimpleNamespace(modality=card.modality, channels=(SimpleNamespace(name="MRI"),)),
        ),
    )
    by_look = scheme == MR and known is None and low_high[0] < -500
    assert bool(said) == bool(theirs or by_look), (said, theirs)


@pytest.mark.parametrize(
    ("scheme", "known", "values", "said"),
    [
        (CT, "MR", (0, 900), "expects CT, this volume is MR: choose a CT."),
        (CT, None, (0, 3000), "subtract 1024"),
        (CT, None, (0, 900), "may be an MR"),
        (MR, "CT", (-1000, 900), "expects MR, this volume is CT: choose an MR."),
        (MR, "PT", (0, 900), "this volume is PT"),
        (MR, None, (-1000, 900), "looks like CT (values down to -1000)"),
        (MR, None, (7, 7), "same value"),
        (CT, "CT", (7, 7), "same value"),
    ],
)
def test_each_look_has_its_sentence(volume_from, model, monkeypatch, scheme, known, values, said):
    array = np.full((36, 50, 35), values[0], np.int16)
    array[18:] = values[1]
    monkeypatch.setattr(checks, "modality", lambda _volume: known)
    card = model([scheme], modality="CT" if scheme == CT else "MR")
    assert said in one(checks.notes(card, [volume_from(array, LIKE_TRAINING)], None))


def test_a_model_that_is_only_available_is_judged_by_its_card(volume_from, card):
    array = RNG.integers(0, 900, (36, 50, 35)).astype(np.int16)
    ct = replace(card, source="available", modality="CT", folder=card.folder / "share.zip")
    assert "may be an MR" in one(checks.notes(ct, [volume_from(array, LIKE_TRAINING)], None))


def test_voxels_that_are_no_numbers_are_seen(volume_from, card):
    array = np.full((36, 50, 35), np.nan, np.float32)
    assert "no numbers" in one(checks.notes(card, [volume_from(array, LIKE_TRAINING)], None))
    array[::2] = RNG.gamma(4, 100, (18, 50, 35))
    assert checks.notes(card, [volume_from(array, LIKE_TRAINING)], None) == []


def test_colours_and_label_maps_are_named(card, scene):
    colour = slicer.util.addVolumeFromArray(
        RNG.integers(0, 9, (36, 50, 35, 3)).astype(np.uint8),
        ijkToRAS=LIKE_TRAINING,
        nodeClassName="vtkMRMLVectorVolumeNode",
    )
    label = slicer.util.addVolumeFromArray(
        RNG.integers(0, 9, (36, 50, 35)).astype(np.uint8),
        ijkToRAS=LIKE_TRAINING,
        nodeClassName="vtkMRMLLabelMapVolumeNode",
    )
    assert "grey" in one(checks.notes(card, [colour], None))
    assert "label map" in one(checks.notes(card, [label], None))
    three = replace(card, channels=tuple(cards.Channel(name) for name in "RGB"))
    assert checks.notes(three, [colour, None, None], None) == []


# --- grid ----------------------------------------------------------------


def test_coarse_slices_are_named_along_their_axis(volume_from, card):
    array = RNG.gamma(4, 100, (36, 10, 35))
    note = one(checks.notes(card, [volume_from(array, np.diag([1, 5, 1, 1]))], None))
    assert "(1 x 5 x 1 mm) are much coarser" in note
    assert "thinner slices" in note


def test_spacing_is_compared_axis_by_axis_in_the_models_orientation(volume_from, model):
    """Trained on thick slices along the body: the same, stored sagittally, is as it should be."""
    card = model(
        original_median_spacing_after_transp=[5.0, 1.0, 1.0],
        original_median_shape_after_transp=[8, 50, 35],
        field_of_view=None,
    )
    sagittal = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 5, 0, 0], [0, 0, 0, 1.0]])  # i: A, j: S (5 mm), k: R
    assert checks.notes(card, [volume_from(RNG.gamma(4, 100, (35, 8, 50)), sagittal)], None) == []
    axial_wrong = np.diag([5.0, 1, 1, 1])
    note = one(checks.notes(card, [volume_from(RNG.gamma(4, 100, (36, 50, 8)), axial_wrong)], None))
    assert "(5 x 1 x 1 mm) are much coarser than the model's training images (1 x 1 x 5 mm)" in note


def test_transposed_plans_are_turned_back(model):
    card = model(
        original_median_spacing_after_transp=[7.0, 5.0, 3.0],
        original_median_shape_after_transp=[10, 20, 30],
        transpose_forward=[2, 0, 1],
    )
    found = plans.read_plans(card)  # network axis 0 is array axis 2, that is i
    assert found.spacing == (7.0, 3.0, 5.0)
    assert found.covered == (70.0, 90.0, 100.0)


def test_voxels_far_too_fine_are_a_question_of_units(volume_from, card):
    array = RNG.gamma(4, 100, (80, 110, 80))
    notes = checks.notes(card, [volume_from(array, np.diag([0.2, 0.2, 0.2, 1]))], None)
    assert "in mm" in notes[0]
    assert len(notes) == 2  # and it covers little


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"configurations": {"3d_fullres": 3}}', None])
def test_plans_that_cannot_be_read_make_no_note_and_no_fault(head, model, content):
    card = model()
    (card.folder / "plans.json").unlink()
    if content is not None:
        (card.folder / "plans.json").write_bytes(content)
    assert plans.read_plans(card) == plans.Plans()
    assert checks.notes(card, [head], None) == []


def test_plans_inherit(model):
    card = model()
    raw = json.loads((card.folder / "plans.json").read_text())
    raw["configurations"]["child"] = {"inherits_from": "3d_fullres", "spacing": [2, 2, 2]}
    raw["configurations"]["loop"] = {"inherits_from": "loop"}
    (card.folder / "plans.json").write_text(json.dumps(raw))
    child = plans.read_plans(replace(card, network=card.network | {"configuration": "child"}))
    assert child.normalization == (MR,)
    assert plans.read_plans(replace(card, network=card.network | {"configuration": "loop"})) == plans.Plans()


def turned(degrees):
    angle = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def test_a_tilted_volume_is_named_beyond_the_usual(volume_from, card):
    array = RNG.gamma(4, 100, (36, 50, 35))
    assert checks.notes(card, [volume_from(array, turned(15))], None) == []
    note = one(checks.notes(card, [volume_from(array, turned(30))], None))
    assert "turned by 30 degrees" in note


@pytest.mark.parametrize("letters", ["RAS", "LPS", "LIP", "ASR"])
def test_any_upright_orientation_is_usual_for_a_model_with_one(volume_from, card, letters):
    where = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    matrix, extent = np.zeros((4, 4)), []
    matrix[3, 3] = 1
    for index, letter in enumerate(letters):
        axis, sign = where[letter]
        matrix[axis, index] = sign
        extent.append((35, 50, 36)[axis])
    assert checks.notes(card, [volume_from(RNG.gamma(4, 100, extent[::-1]), matrix)], None) == []


def test_a_model_of_native_axes_expects_axial_slices(volume_from, card):
    native = replace(card, orientation="native", field_of_view=None)
    sagittal = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    array = RNG.gamma(4, 100, (36, 50, 35))
    assert "not axial" in one(checks.notes(native, [volume_from(array, sagittal)], None))
    assert checks.notes(native, [volume_from(array, np.diag([-1.0, -1, 1, 1]))], None) == []


def test_axes_of_an_oblique_volume_are_the_engines(volume_from):
    from umamba.imaging.orientation import orientation_of
    from umamba.worker.images import load_sources

    for seed in range(20):
        rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        volume = volume_from(np.zeros((2, 2, 2)), matrix)
        folder = slicer.app.temporaryPath
        np.save(f"{folder}/axes.npy", np.zeros((2, 2, 2)))
        (image,) = load_sources(({"npy": f"{folder}/axes.npy", "ijk_to_ras": matrix.tolist()},))
        letters = orientation_of(image.geometry)
        expected = tuple({"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}[letter] for letter in letters)
        assert axes.body_axes(volume) == expected


# --- extent --------------------------------------------------------------


@pytest.fixture
def whole_head(volume_from):
    matrix = LIKE_TRAINING.copy()
    matrix[:3, 3] = -90, -110, -90
    return volume_from(RNG.gamma(4, 100, (180, 220, 180)).astype(np.float32), matrix)


def add_roi(scene, size, center=(0, 0, 0), turn=None):
    region = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    region.SetCenter(center)
    region.SetSize(size)
    if turn is not None:
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(turn.ravel().tolist())
        region.SetAndObserveObjectToNodeMatrix(matrix)
    return region


def test_a_whole_head_for_a_model_of_crops_asks_for_a_point(scene, card, whole_head):
    note = one(checks.notes(card, [whole_head], None))
    assert "pieces of 35 x 50 x 36 mm" in note
    assert "180 x 220 x 180 mm" in note
    assert "point at the structure" in note
    point = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    point.AddControlPointWorld((1, 2, 3))
    assert checks.notes(card, [whole_head], point) == []
    assert checks.notes(card, [whole_head], add_roi(scene, (40, 55, 40))) == []


def test_a_region_too_small_or_too_large_is_named(scene, card, whole_head):
    assert "only 10 x 55 x 40 mm" in one(checks.notes(card, [whole_head], add_roi(scene, (10, 55, 40))))
    assert "draw a region" in one(checks.notes(card, [whole_head], add_roi(scene, (40, 55, 150))))


def test_a_region_outside_or_empty_or_turned_is_named(scene, card, whole_head):
    assert "outside" in one(checks.notes(card, [whole_head], add_roi(scene, (40, 55, 40), (300, 0, 0))))
    assert "draw a box" in one(
        checks.notes(card, [whole_head], scene.AddNewNodeByClass("vtkMRMLMarkupsROINode"))
    )
    note = one(checks.notes(card, [whole_head], add_roi(scene, (40, 55, 40), turn=turned(40))))
    assert "turned" in note
    assert "times as large" in note


def test_a_volume_that_shows_too_little_is_named(volume_from, card):
    note = one(checks.notes(card, [volume_from(RNG.gamma(4, 100, (36, 50, 12)), LIKE_TRAINING)], None))
    assert "only 12 x 50 x 36 mm" in note


def test_without_a_field_of_view_the_plans_say_what_was_covered(volume_from, model, whole_head):
    """Large volumes are nothing unusual for such a model; small ones are."""
    card = model(field_of_view=None)
    assert checks.notes(card, [whole_head], None) == []
    note = one(checks.notes(card, [volume_from(RNG.gamma(4, 100, (5, 50, 35)), LIKE_TRAINING)], None))
    assert "35 x 50 x 36" in note


# --- channels, transforms, licence ---------------------------------------


def test_channels_are_named_and_compared(volume_from, model, head):
    card = model([MR, MR], channels=(cards.Channel("T1"), cards.Channel("FLAIR")))
    array = slicer.util.arrayFromVolume(head).copy()
    beside = LIKE_TRAINING.copy()
    beside[0, 3] = 4
    note = one(checks.notes(card, [head, volume_from(array, beside)], None))
    assert note.startswith("Channel FLAIR")
    assert "4 mm apart" in note
    assert "Resample" in note
    assert "choose its own" in one(checks.notes(card, [head, head], None))
    flat = one(checks.notes(card, [head, volume_from(np.full_like(array, 7), LIKE_TRAINING)], None))
    assert flat == "Channel FLAIR: All voxels have the same value: choose another volume."
    assert checks.notes(card, [head, None], None) == []


def test_uneven_slices_are_named(scene, card, head):
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline = vtk.vtkThinPlateSplineTransform()
    points = vtk.vtkPoints()
    for corner in np.ndindex(2, 2, 2):
        points.InsertNextPoint(*(np.array(corner) * 50.0))
    target = vtk.vtkPoints()
    target.DeepCopy(points)
    target.SetPoint(0, 3, 3, 3)
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(target)
    node.SetAndObserveTransformToParent(spline)
    head.SetAndObserveTransformNodeID(node.GetID())
    note = one(checks.notes(card, [head], None))
    assert "not linear" in note
    assert "Harden" in note
    linear = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    head.SetAndObserveTransformNodeID(linear.GetID())
    assert checks.notes(card, [head], None) == []


@pytest.mark.parametrize(
    ("licence", "commercial", "noted"),
    [
        ("CC-BY-NC-4.0", None, True),
        ("CC-BY-4.0", False, True),
        (None, False, True),
        ("CC-BY-SA-4.0", True, False),
        (None, None, False),
    ],
)
def test_a_licence_without_commercial_use_is_said_last(head, card, licence, commercial, noted):
    notes = checks.notes(replace(card, licence=licence, commercial_use=commercial), [head], None)
    assert bool(notes) == noted
    if noted:
        assert "commercial use" in one(notes)


def test_no_note_names_the_patient(volume_from, card):
    volume = volume_from(np.full((9, 9, 9), -1000.0), turned(30), name="Doe^Jane")
    notes = checks.notes(card, [volume], None)
    assert len(notes) >= 3
    assert "Doe" not in " ".join(notes)


def test_a_large_volume_is_judged_at_once(volume_from, model):
    card = model([CT], modality="CT")
    array = np.zeros((500, 512, 512), np.int16)
    array[::7] = -1000
    volume = volume_from(array, LIKE_TRAINING)
    checks.notes(card, [volume], None)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        checks.notes(card, [volume], None)
        times.append(1000 * (time.perf_counter() - start))
    print(f"notes on 512 x 512 x 500: {min(times):.1f} ms")
    assert min(times) < MOST_MS
