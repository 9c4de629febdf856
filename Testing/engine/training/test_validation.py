"""The validation of a fold: the figures of the published code, resumable, true to the weights it is of."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from engine.working_folder import make_working_folder, trainer_folder, write_json
from umamba import models
from umamba.errors import Cancelled, InputError
from umamba.events import Monitor
from umamba.inference import api
from umamba.models.accuracy import RECORD, RESULTS, measured_accuracy
from umamba.models.results import read_results
from umamba.training import TrainingFolders
from umamba.training.validation import validate

DATASET = "Dataset801_OracleMR"
CASES = {"mueller": "case_a", "meier": "case_b"}
# The published Dice are rounded to three digits; our labels may differ from theirs in a voxel of a surface.
PUBLISHED_DICE = 0.002
# A map of the right case on the right grid; a swapped axis gives less than half of it.
LEAST_NEXT_STAGE_DICE = 0.8


@pytest.fixture(scope="module")
def validated(oracle, tmp_path_factory) -> TrainingFolders:
    """Both cases validated once."""
    folders = make_working_folder(tmp_path_factory.mktemp("work") / "work", oracle / "e2e_801", CASES)
    run(folders)
    return folders


@pytest.fixture
def work(validated, tmp_path) -> TrainingFolders:
    """A copy to change."""
    shutil.copytree(validated.root, tmp_path / "work")
    return TrainingFolders(tmp_path / "work")


@pytest.fixture
def segmented(monkeypatch) -> list[str]:
    """Names of the images that are segmented from now on."""
    names: list[str] = []
    real = api.segment

    def segment(images, *words, **options):
        names.append(Path(images[0]).name)
        return real(images, *words, **options)

    monkeypatch.setattr(api, "segment", segment)
    return names


def run(folders: TrainingFolders, fold: int | str = 0, configuration: str = "3d_fullres", **options):
    options = {"device": "cpu", "threads": 1} | options
    return validate(trainer_folder(folders, configuration), folders, fold, **options)


def place(folders: TrainingFolders, fold: str = "fold_0") -> Path:
    return trainer_folder(folders) / fold / "validation"


def test_the_figures_are_those_of_the_published_code(validated, oracle):
    manifest = json.loads((oracle / "e2e_801" / "manifest.json").read_text())
    published = {entry["name"]: entry.get("dice_to_truth") for entry in manifest["cases"]}
    found = json.loads((place(validated) / RESULTS.name).read_text())
    assert [case["case"] for case in found["cases"]] == list(CASES)
    for case in found["cases"]:
        wanted = published[CASES[case["case"]]]
        assert [row["Dice"] for row in case["labels"].values()] == pytest.approx(
            list(wanted.values()), abs=PUBLISHED_DICE
        )
    assert list(found["mean"]["labels"]) == ["organ", "core", "node"]
    table = (place(validated) / "results.csv").read_text().splitlines()
    assert len(table) == 1 + len(CASES) * len(found["labels"])


def test_each_case_has_its_label_map(validated):
    for name in CASES:
        assert (place(validated) / f"{name}.nii.gz").is_file()
    assert {path.name for path in place(validated).iterdir()} == {
        *(f"{name}.nii.gz" for name in CASES),
        *("results.json", "results.csv", "weights.json"),
    }


def test_what_is_there_is_not_done_again(work, segmented):
    before = (place(work) / RESULTS.name).read_bytes()
    run(work)
    assert segmented == []
    (place(work) / "meier.nii.gz").unlink()
    run(work)
    assert segmented == ["case_b_0000.nii.gz"]
    assert (place(work) / RESULTS.name).read_bytes() == before


def test_label_maps_of_other_weights_are_made_anew(work, segmented):
    record = json.loads((place(work) / RECORD.name).read_text())
    maps = {name: (place(work) / f"{name}.nii.gz").read_bytes() for name in CASES}
    write_json(place(work) / RECORD.name, {**record, "weights": {"fold_0/checkpoint_final.pth": "0" * 64}})
    shutil.copyfile(place(work) / "meier.nii.gz", place(work) / "mueller.nii.gz")
    run(work)
    assert len(segmented) == len(CASES)
    assert {name: (place(work) / f"{name}.nii.gz").read_bytes() for name in CASES} == maps


def test_a_validation_that_was_stopped_goes_on(work, segmented):
    shutil.rmtree(place(work))
    told = []
    with pytest.raises(Cancelled):
        run(work, monitor=Monitor(told.append, cancel=lambda: (place(work) / "mueller.nii.gz").exists()))
    assert (told[0].stage, told[0].done, told[0].total) == ("validate", 0, len(CASES))
    assert not (place(work) / RESULTS.name).exists()
    assert not [path for path in place(work).iterdir() if path.name.startswith(".")]
    run(work)
    assert segmented == ["case_a_0000.nii.gz", "case_b_0000.nii.gz"]
    assert (place(work) / RESULTS.name).exists()


def test_the_figures_become_a_card(validated):
    results = read_results(trainer_folder(validated))
    found = {entry.label: entry for entry in measured_accuracy(results)}
    assert list(found) == ["organ", "core", "node", "mean of all labels"]
    figures = json.loads((place(validated) / RESULTS.name).read_text())
    assert found["core"].mean == round(figures["mean"]["labels"]["core"]["Dice"], 4)
    assert found["mean of all labels"].sd == round(figures["sd"]["Dice"], 4)
    assert {(entry.cases, entry.data) for entry in found.values()} == {(2, "validation cases of fold 0")}


@pytest.mark.parametrize("change", ["other weights", "no record", "not a share", "no cases"])
def test_figures_that_are_not_of_these_weights_do_not(work, change):
    content = json.loads((place(work) / RESULTS.name).read_text())
    if change == "other weights":
        record = json.loads((place(work) / RECORD.name).read_text())
        write_json(
            place(work) / RECORD.name, {**record, "weights": {"fold_0/checkpoint_final.pth": "0" * 64}}
        )
    elif change == "no record":
        (place(work) / RECORD.name).unlink()
    elif change == "not a share":
        content["cases"][0]["labels"]["core"]["Dice"] = 1.5
    else:
        content["cases"] = []
    write_json(place(work) / RESULTS.name, content)
    assert measured_accuracy(read_results(trainer_folder(work))) == ()


def test_all_cases_have_no_validation_unless_told(work):
    (trainer_folder(work) / "fold_0").rename(trainer_folder(work) / "fold_all")
    shutil.rmtree(place(work, "fold_all"))
    assert run(work, fold="all").cases == ()
    assert not place(work, "fold_all").exists()
    assert [case.name for case in run(work, fold="all", cases=["meier"]).cases] == ["meier"]


@pytest.mark.parametrize(
    ("fold", "message"), [(1, "fold_1"), (7, "fold_7"), ("all", "fold_all")], ids=lambda value: str(value)
)
def test_a_fold_without_a_training(validated, fold, message):
    with pytest.raises(InputError, match=message):
        run(validated, fold=fold)


def test_a_fold_that_the_splits_do_not_have(work):
    (trainer_folder(work) / "fold_0").rename(trainer_folder(work) / "fold_5")
    with pytest.raises(InputError, match="there is no fold 5; the dataset is split into folds 0 to 1"):
        run(work, fold=5)


def test_a_working_folder_without_its_lists(work):
    (work.raw / DATASET / "dataset.json").rename(work.raw / "elsewhere.json")
    with pytest.raises(InputError, match=f"raw/{DATASET}/dataset.json is missing"):
        run(work)
    (work.preprocessed / DATASET / "splits_final.json").unlink()
    with pytest.raises(InputError, match=r"splits_final\.json is missing"):
        run(work)


def test_a_case_that_is_not_in_the_list(work):
    with pytest.raises(InputError, match="1 of the 1 cases of fold 0 are not in the list"):
        run(work, cases=["schulze"])


@pytest.fixture
def cascade(oracle, tmp_path) -> TrainingFolders:
    """Both stages of a cascade, trained in fold 0; there is one image, under two names."""
    names = {"mueller": "case_a"}, {"meier": "case_a"}
    return make_working_folder(tmp_path / "cascade", oracle / "e2e_803", *names)


@pytest.mark.filterwarnings("ignore:Detected old nnU-Net plans format")
def test_the_first_stage_of_a_cascade_leaves_the_input_of_the_second(cascade, segmented):
    """Loaded by nnU-Net's own dataset class, beside the second stage's preprocessed case."""
    pytest.importorskip("nnunetv2", reason="cascades are trained with the extra `train`")
    with cascade.activate():
        from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
        from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    run(cascade, configuration="3d_lowres")
    first = trainer_folder(cascade, "3d_lowres")
    maps = first / "predicted_next_stage" / "3d_cascade_fullres"
    assert [path.name for path in maps.iterdir()] == ["mueller.b2nd"]

    entry = json.loads((cascade.raw / "Dataset803_OracleCascade" / "dataset.json").read_text())["dataset"]
    plans = PlansManager(str(first / "plans.json"))
    data, seg, properties = DefaultPreprocessor(verbose=False).run_case(
        entry["mueller"]["images"],
        entry["mueller"]["label"],
        plans,
        plans.get_configuration("3d_cascade_fullres"),
        str(first / "dataset.json"),
    )
    folder = cascade.preprocessed / "second"
    folder.mkdir()
    whole = tuple(data.shape)
    nnUNetDatasetBlosc2.save_case(data, seg, properties, str(folder / "mueller"), whole, whole)
    loaded = nnUNetDatasetBlosc2(str(folder), ["mueller"], str(maps)).load_case("mueller")
    previous = np.asarray(loaded[2][:])
    assert previous.shape == data.shape[1:]
    assert previous.dtype == np.uint8
    for value in (1, 2, 3):
        found, wanted = previous == value, seg[0] == value
        assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) >= LEAST_NEXT_STAGE_DICE

    segmented.clear()
    (maps / "mueller.b2nd").unlink()
    run(cascade, configuration="3d_lowres")
    assert (maps / "mueller.b2nd").is_file()
    assert len(segmented) == 1


def test_the_second_stage_of_a_cascade_is_validated_with_the_first_of_its_fold(cascade, oracle):
    evaluation = run(cascade, configuration="3d_cascade_fullres")
    published = SimpleITK.ReadImage(str(oracle / "e2e_803" / "output" / "case_a_cascade.nii.gz"))
    found = SimpleITK.ReadImage(
        str(trainer_folder(cascade, "3d_cascade_fullres") / "fold_0" / "validation" / "mueller.nii.gz")
    )
    assert np.array_equal(SimpleITK.GetArrayFromImage(found), SimpleITK.GetArrayFromImage(published))
    assert [case.name for case in evaluation.cases] == ["mueller"]

    first = trainer_folder(cascade, "3d_lowres")
    (first / "fold_0").rename(first / "fold_1")
    with pytest.raises(InputError, match="first stage, 3d_lowres, is not trained in this fold"):
        run(cascade, configuration="3d_cascade_fullres")


def test_a_zip_of_the_results_keeps_the_figures(validated, tmp_path):
    file = Path(shutil.make_archive(str(tmp_path / "results"), "zip", validated.results))
    model = models.get(models.import_(file, id="zipped"))
    assert model.card.accuracy == measured_accuracy(read_results(trainer_folder(validated)))
    assert b"mueller" not in (model.folder / "card.json").read_bytes()


def test_regions_of_several_channels_are_measured_whole(oracle, tmp_path):
    folders = make_working_folder(tmp_path / "work", oracle / "e2e_802", CASES)
    folder = trainer_folder(folders, "2d")
    (folder / "fold_all").rename(folder / "fold_0")
    evaluation = run(folders, configuration="2d")
    assert {name: facts["values"] for name, facts in evaluation.labels.items()} == {
        "whole": [1, 2, 3],
        "core": [2, 3],
        "node": [3],
    }
    found = {entry.label: entry.mean for entry in measured_accuracy(read_results(folder))}
    means = evaluation.mean["labels"]
    assert found == {
        **{name: round(means[name]["Dice"], 4) for name in ("whole", "core", "node")},
        "mean of all labels": round(evaluation.mean["Dice"], 4),
    }
