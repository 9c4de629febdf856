"""From a training's results to one file: what goes in, what its card says, what is refused."""

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.working_folder import make_working_folder, trainer_folder, write_json
from umamba import models
from umamba.errors import Cancelled, InputError, ModelError
from umamba.events import Monitor
from umamba.models.package import Comparison, package
from umamba.models.results import read_results
from umamba.models.safetensors_file import read_arrays

CASES = {"mueller": "case_a"}, {"meier": "case_b", "schulze": "case_a"}
FINAL, BEST, LATEST = "checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth"
# float16 keeps 11 bits of a weight.
HALF_PRECISION = 2**-11


@pytest.fixture
def work(oracle, tmp_path) -> Path:
    """-o FOLDER of a training of two folds."""
    return make_working_folder(tmp_path / "work", oracle / "e2e_804", *CASES).root


@pytest.fixture
def results(work) -> Path:
    """The trainer's folder in it."""
    return next(work.glob("results/*/*__3d_fullres"))


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "model.zip"


class Data:
    """Images at hand, with answers given in advance."""

    def __init__(self, comparison=None, orientations=(), cases=None):
        self.comparison, self.letters, self.cases = comparison, orientations, cases

    def trained_on(self, results):
        return self.cases

    def orientations(self, results):
        return self.letters

    def compare(self, results, folder):
        assert (folder / "card.json").is_file()
        return self.comparison

    def draw(self, results, folder, case, picture):
        picture.write_bytes(b"picture of " + case.encode())


def dice(*cases: tuple[float, ...]) -> str:
    """summary.json as nnU-Net writes it; one Dice for each label of a case."""
    rows = [{str(n): {"Dice": value} for n, value in enumerate(case, 1)} for case in cases]
    return json.dumps(
        {"metric_per_case": [{"metrics": row, "prediction_file": "/home/mueller"} for row in rows]}
    )


def write_summary(results: Path, fold: str, text: str) -> None:
    path = results / f"fold_{fold}" / "validation" / "summary.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def with_weight(results: Path, fold: str, value: float) -> str:
    """Give one weight of a fold's checkpoint this value; return its key."""
    path = results / f"fold_{fold}" / FINAL
    content = torch.load(path, map_location="cpu", weights_only=False)
    key = next(iter(content["network_weights"]))
    content["network_weights"][key].view(-1)[0] = value
    torch.save(content, path)
    return key


def installed(file: Path) -> models.Model:
    return models.get(models.install(file))


@pytest.mark.parametrize("level", [".", "results", "results/*", "results/*/*", "results/*/*/fold_0"])
def test_results_of_any_level_become_a_model(work, file, level):
    report = package(next(work.glob(level)) if level != "." else work, file, fields={"id": "my-ct"})
    model = installed(file)
    assert (report.id, model.id) == ("my-ct", "my-ct")
    assert model.folds == (("0",) if "fold" in level else ("0", "1"))
    assert models.verify("my-ct").files == tuple(model.card.files)
    assert report.size_bytes == file.stat().st_size


def test_weights_are_rounded_to_half_precision(results, file):
    report = package(results, file)
    assert report.precision == "float16"
    model = installed(file)
    with torch.no_grad():
        whole = models.load_network(results, fold="0").state_dict()
    for key, array in read_arrays(model.folder / "fold_0.safetensors"):
        assert array.dtype == np.float16
        np.testing.assert_allclose(array, whole[key], rtol=HALF_PRECISION, atol=np.finfo(np.float16).tiny)


def test_float32_keeps_every_bit(results, file):
    assert package(results, file, precision="float32").precision == "float32"
    whole = models.load_network(results, fold="1").state_dict()
    for key, array in read_arrays(installed(file).folder / "fold_1.safetensors"):
        np.testing.assert_array_equal(array, whole[key])


def test_weights_too_large_for_half_precision_stay_as_they_are(results, file):
    key = with_weight(results, "1", 70_000.0)
    report = package(results, file)
    assert report.precision == "float32"
    assert any(f"fold 1: {key} reaches 7e+04, float16 ends at 65504" in note for note in report.notes)
    assert installed(file).weights("1")[key].view(-1)[0] == 70_000.0


def test_weights_that_are_not_finite_are_refused(results, file):
    with_weight(results, "0", float("nan"))
    for precision in ("float16", "float32"):
        with pytest.raises(ModelError, match="hold NaN or infinity"):
            package(results, file, precision=precision)
    assert not file.exists()


def test_rounding_that_changes_labels_is_undone(results, file):
    report = package(results, file, data=Data(Comparison(cases=2, voxels=900, changed=100, agreement=0.93)))
    assert report.precision == "float32"
    assert any("rounding changes labels (Dice 0.9300" in note for note in report.notes)
    assert not any("rounded" in entry.data for entry in installed(file).card.accuracy)


def test_the_card_says_what_was_measured_and_on_which_weights(results, file):
    write_summary(results, "0", dice((0.5, 0.5, 0.5, 0.5), (1.0, 0.5, 0.5, 0.5)))
    write_summary(results, "1", dice((0.75, 0.5, 0.5, 0.5)))
    package(results, file)
    entry = installed(file).card.accuracy[0]
    assert (entry.label, entry.metric, entry.mean, entry.sd, entry.cases) == ("a", "Dice", 0.75, 0.25, 3)
    where = "validation cases of folds 0, 1"
    assert entry.data == f"{where}; measured before the weights were rounded to float16"

    data = Data(Comparison(cases=3, voxels=1000, changed=2, agreement=0.999))
    report = package(results, file, data=data, overwrite=True)
    assert report.card["accuracy"][0]["data"] == (
        f"{where}; measured before the weights were rounded to float16, "
        "which changes 2 of 1000 voxels in 3 of these cases"
    )
    report = package(results, file, precision="float32", overwrite=True)
    assert report.card["accuracy"][0]["data"] == where


def test_without_a_validation_the_card_has_no_accuracy(results, file):
    report = package(results, file)
    assert "accuracy" not in report.card
    assert any("no measured accuracy" in note for note in report.notes)


def test_the_card_tells_of_the_training_what_its_files_tell(results, file):
    fingerprint = {
        "shapes_after_crop": [[10, 20, 30], [10, 20, 30], [12, 40, 30]],
        "spacings": [[3, 1, 1]] * 3,
    }
    write_json(results / "dataset_fingerprint.json", fingerprint)
    write_json(
        results / "fold_0" / "debug.json",
        {"gpu_name": "NVIDIA X", "hostname": "ward-7", "num_iterations_per_epoch": "250"},
    )
    write_json(results / "fold_1" / "training.json", {"machine": "CPU Y", "steps_per_epoch": 250})
    card = package(results, file, data=Data(cases=5)).card
    checkpoint = read_results(results).checkpoints["0"]
    assert checkpoint.epochs == 20
    assert card["training"] == {
        "data": "Dataset804_OracleCT",
        "cases": 5,
        "steps": 20 * 250,
        "machine": "CPU Y; NVIDIA X",
        "recipe": "nnUNetTrainer, 20 epochs",
        **({"date": card["training"]["date"]} if checkpoint.ended else {}),
    }
    assert card["field_of_view"] == [30, 20, 30]
    assert (card["mirror"], card["modality"], card["origin"]) == (True, "CT", "nnunetv2")
    assert b"ward-7" not in file.read_bytes()


def test_what_is_not_known_is_absent(results, file):
    card = package(results, file).card
    assert set(card["training"]) <= {"data", "recipe", "date"}  # the dataset's cases are not all trained on
    assert not {"field_of_view", "licence", "commercial_use", "limits", "anatomy", "citation"} & set(card)


def test_pictures_have_no_size_in_mm(results, file):
    plans = json.loads((results / "plans.json").read_text())
    write_json(results / "plans.json", {**plans, "image_reader_writer": "NaturalImage2DIO"})
    write_json(
        results / "dataset_fingerprint.json", {"shapes_after_crop": [[1, 9, 9]], "spacings": [[999, 1, 1]]}
    )
    assert "field_of_view" not in package(results, file).card


def test_a_person_fills_in_the_card(results, file):
    write_summary(results, "0", dice((0.5, 0.5, 0.5, 0.5)))
    write_summary(results, "1", dice((0.5, 0.5, 0.5, 0.5)))
    kidney = ["SCT", "64033007", "Kidney"]
    fields = {
        "id": "kidneys-ct",
        "name": "Kidneys",
        "version": "1.2",
        "anatomy": "Kidney",
        "orientation": "RAS",
        "licence": "CC-BY-NC-4.0",
        "commercial_use": False,
        "citation": ["Somebody (2020)"],
        "limits": "Adults only.",
        "training": {"data": "Own scans"},
        "channels": [{"name": "CT", "description": "late phase"}],
        "labels": [
            {
                "value": 1,
                "key": "left",
                "name": "Left kidney",
                "color": [1, 2, 3],
                "terminology": {"category": ["SCT", "123037004", "Anatomical Structure"], "type": kidney},
            },
            {"value": 2, "name": "Right kidney"},
        ],
        "description": None,
        "schema": "umamba-card/1",
        "network": {"class": "UMambaBot", "configuration": "nowhere"},
        "files": {},
    }
    report = package(results, file, fields=fields)
    card = installed(file).card
    assert (card.id, card.name, card.version, card.orientation) == ("kidneys-ct", "Kidneys", "1.2", "RAS")
    assert (card.licence, card.commercial_use, card.limits) == ("CC-BY-NC-4.0", False, "Adults only.")
    assert card.citation == ("Somebody (2020)",)
    assert card.training["data"] == "Own scans"
    assert card.training["recipe"] == "nnUNetTrainer, 20 epochs"
    assert card.channels[0].description == "late phase"
    assert [label.key for label in card.labels] == ["left", "right_kidney", "c", "d"]
    assert card.labels[0].terminology.type == tuple(kidney)
    assert [entry.label for entry in card.accuracy] == ["left", "right_kidney", "c", "d"]
    assert card.network.class_ == "PlainConvUNet"
    assert card.description.startswith("PlainConvUNet")
    assert not any("licence" in note for note in report.notes)


def test_a_persons_own_measurement_is_taken_as_it_is(results, file):
    measured = [{"label": "nuclei", "metric": "F1", "mean": 0.9, "cases": 7, "data": "own test set"}]
    assert package(results, file, fields={"accuracy": measured}).card["accuracy"] == measured


@pytest.mark.parametrize(
    ("licence", "warned"),
    [("free for friends", True), ("CC-BY-4.0", False), ("LicenseRef-Ours", False), (None, True)],
)
def test_a_licence_that_is_no_spdx_identifier_is_warned_of(results, file, licence, warned):
    report = package(results, file, fields={"licence": licence})
    assert report.card.get("licence") == licence
    assert any("licence" in note for note in report.notes) == warned


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "My Model"}, "lower-case letters, digits and dashes"),
        ({"colour": "red"}, "'colour' is unknown; known are id, name"),
        ({"orientation": "RAX"}, "three letters such as RAS"),
        ({"labels": [{"value": 9, "name": "x"}]}, "value 9 found"),
        ({"labels": {"1": "x"}}, "a list of objects is wanted"),
        ({"labels": [{"value": 1, "key": "No Key"}]}, "What a person types"),
        ({"labels": [{"value": 1, "key": "b"}]}, "the key 'b' stands twice"),
        ({"channels": []}, None),
        ({"channels": [{"name": "a"}, {"name": "b"}]}, "2 found, the model has 1"),
        ({"commercial_use": "no"}, "commercial_use"),
        ({"training": "long"}, "training"),
        ({"training": {"hospital": "x"}}, "hospital"),
        ({"instances": {"boundary": 7, "interior": 1}}, "7 is not the value of a label"),
        ({"licence": 5}, "licence"),
    ],
)
def test_fields_that_do_not_fit_are_refused(results, file, fields, message):
    if message is None:
        assert package(results, file, fields=fields).card["channels"] == [{"name": "CT", "description": ""}]
        return
    with pytest.raises(InputError, match=message) as error:
        package(results, file, fields=fields)
    assert "\n" not in str(error.value)
    assert not file.exists()


def test_an_orientation_that_the_images_do_not_have_is_refused(results, file):
    with pytest.raises(InputError, match="RAS found, but 2 of 3 training images looked at lie LAS, LPS"):
        package(results, file, fields={"orientation": "RAS"}, data=Data(orientations=["LPS", "RAS", "LAS"]))
    package(results, file, fields={"orientation": "RAS"}, data=Data(orientations=["RAS"]))


def test_some_folds(results, file):
    assert package(results, file, folds=["1"]).folds == ("1",)
    assert installed(file).folds == ("1",)
    with pytest.raises(InputError, match=r"folds: '2' found, one of those trained wanted \(0, 1\)"):
        package(results, file, folds=["2"], overwrite=True)


def test_the_best_fold(results, file):
    write_summary(results, "0", dice((0.5, 0.5, 0.5, 0.5)))
    with pytest.raises(InputError, match="fold 1 has no validation"):
        package(results, file, folds="best")
    write_summary(results, "1", dice((0.5, 0.5, 0.5, 0.6)))
    report = package(results, file, folds="best")
    assert report.folds == ("1",)
    assert report.card["accuracy"][3]["mean"] == 0.6


def test_numbered_folds_win_over_the_fold_of_all_cases(results, file):
    shutil.copytree(results / "fold_0", results / "fold_all")
    assert package(results, file).folds == ("0", "1")
    shutil.rmtree(results / "fold_0")
    shutil.rmtree(results / "fold_1")
    card = package(results, file, overwrite=True).card
    assert card["training"]["cases"] == 6  # the whole dataset


@pytest.mark.parametrize("kept", [(LATEST,), (LATEST, BEST)])
def test_of_an_unfinished_training_the_latest_is_taken_on_demand(results, file, kept):
    for fold in ("0", "1"):
        place = results / f"fold_{fold}"
        content = torch.load(place / FINAL, map_location="cpu", weights_only=False)
        for epoch, name in zip((12 + int(fold), 7), kept, strict=False):
            torch.save({**content, "current_epoch": epoch}, place / name)
        (place / FINAL).unlink()
    with pytest.raises(ModelError, match=r"has not finished; finish it \(umamba train --resume\)"):
        package(results, file)
    assert not file.exists()
    report = package(results, file, allow_unfinished=True)
    assert installed(file).folds == ("0", "1")
    assert "fold_1: the weights after epoch 13 of a training that has not finished" in report.notes
    assert report.card["training"]["recipe"] == "nnUNetTrainer, 12 or 13 epochs, not finished"


def test_a_folder_without_a_training(tmp_path, file):
    with pytest.raises(ModelError, match="no trained model found"):
        package(tmp_path, file)


def test_an_existing_file_is_replaced_on_demand_only(results, file):
    file.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        package(results, file)
    assert file.read_text() == "mine"
    package(results, file, overwrite=True)
    assert zipfile.is_zipfile(file)
    for name, message in (("model.tar", "ends in .zip"), ("nowhere/model.zip", "its folder does not exist")):
        with pytest.raises(InputError, match=message):
            package(results, file.with_name(name) if "/" not in name else file.parent / name)


def test_equal_trainings_give_equal_files(results, file):
    other = file.with_name("other.zip")
    package(results, file)
    package(results, other)
    assert file.read_bytes() == other.read_bytes()


def test_cancelling_leaves_nothing(results, file, home):
    steps = []
    with pytest.raises(Cancelled):
        package(results, file, monitor=Monitor(steps.append, cancel=lambda: len(steps) > 5))
    assert list(file.parent.iterdir()) == [results.parents[2]]
    assert not list(home.glob("models/*"))


def test_no_case_and_no_path_is_in_the_file(work, results, file):
    write_summary(results, "0", dice((0.5, 0.5, 0.5, 0.5)))
    write_summary(results, "1", dice((0.5, 0.5, 0.5, 0.5)))
    dataset = json.loads((results / "dataset.json").read_text())
    write_json(results / "dataset.json", {**dataset, "training": [{"image": "/home/mueller/a.nii.gz"}]})
    package(work, file)
    for secret in (b"mueller", b"meier", b"schulze", str(work).encode(), b"/home"):
        assert secret not in file.read_bytes()


def test_a_picture_only_where_it_is_asked_for(results, file):
    package(results, file)
    assert not any(name.endswith(".png") for name in zipfile.ZipFile(file).namelist())
    report = package(results, file, data=Data(), preview="mueller", overwrite=True)
    assert "preview.png" in report.card["files"]
    assert zipfile.ZipFile(file).read(f"{report.id}/preview.png") == b"picture of mueller"
    with pytest.raises(InputError, match="cannot be drawn"):
        package(results, file, preview="mueller", overwrite=True)


def test_a_cascade_is_packaged_whole(oracle, tmp_path, file):
    names = {"mueller": "case_a"}, {"meier": "case_a"}
    work = make_working_folder(tmp_path / "work", oracle / "e2e_803", *names)
    fields = {
        "id": "organ-mr",
        "licence": "CC0-1.0",
        "description": "Both.",
        "labels": [{"value": 1, "name": "O"}],
    }
    report = package(work.root, file, fields=fields)
    assert (report.id, report.previous_stage) == ("organ-mr", "organ-mr-3d-lowres")
    second = installed(file)
    first = second.previous
    assert first is not None
    assert (first.id, first.card.licence, first.card.labels[0].name) == ("organ-mr-3d-lowres", "CC0-1.0", "O")
    assert (second.card.description, second.card.licence) == ("Both.", "CC0-1.0")
    assert first.card.description != "Both."

    trainer = trainer_folder(work, "3d_lowres")
    assert package(trainer, file, overwrite=True).previous_stage is None


def test_a_card_is_written_whole_for_a_recipe(results, tmp_path):
    """What Resources/Recipes/publish.py does: folders in both precisions from the same content."""
    from umamba.models.package_card import card_content, write_stage
    from umamba.models.stages import stages_of

    (stage,) = stages_of(read_results(results), "my-ct", None)
    content = card_content(stage, "native", {}, cases=3)
    cards = [write_stage(stage, tmp_path / dtype, content, dtype) for dtype in ("F16", "F32")]
    assert dataclasses.replace(cards[0], files={}) == dataclasses.replace(cards[1], files={})
    assert cards[0].training["cases"] == 3
    sizes = [(tmp_path / dtype / "fold_0.safetensors").stat().st_size for dtype in ("F16", "F32")]
    assert sizes[0] < 0.55 * sizes[1]  # half, and the same header
