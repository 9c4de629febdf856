"""The training's images beside its results: what rounding does to their labels, how they lie, a picture."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.working_folder import make_working_folder, trainer_folder
from umamba import models
from umamba.errors import Cancelled, InputError
from umamba.events import Monitor
from umamba.models.package import LEAST_AGREEMENT, package
from umamba.models.package_card import card_content, write_card, write_stage
from umamba.models.results import Results, read_results
from umamba.models.safetensors_file import read_arrays, write_arrays
from umamba.models.stages import stages_of
from umamba.training import TrainingFolders
from umamba.training.dataset.at_hand import DataAtHand

CASES = {"mueller": "case_a"}, {"meier": "case_b", "schulze": "case_b"}
AT_HAND = DataAtHand(device="cpu", threads=1)


@pytest.fixture
def work(oracle, tmp_path) -> TrainingFolders:
    return make_working_folder(tmp_path / "work", oracle / "e2e_801", *CASES)


@pytest.fixture
def results(work) -> Results:
    return read_results(trainer_folder(work))


@pytest.fixture
def alone(results, tmp_path) -> Results:
    """The same without the working folder around it."""
    shutil.copytree(results.folder, tmp_path / "alone" / results.folder.name)
    return read_results(tmp_path / "alone")


def model_folder(results: Results, folder: Path, dtype: str) -> Path:
    (stage,) = stages_of(results, None, None)
    write_stage(stage, folder, card_content(stage, "native", {}, None), dtype)
    return folder


def test_rounding_moves_a_few_voxels_at_most(results, tmp_path):
    same = AT_HAND.compare(results, model_folder(results, tmp_path / "full", "F32"))
    assert (same.cases, same.changed, same.agreement) == (1, 0, 1.0)
    rounded = AT_HAND.compare(results, model_folder(results, tmp_path / "half", "F16"))
    assert rounded.voxels == same.voxels
    assert LEAST_AGREEMENT <= rounded.agreement <= 1


def test_weights_that_are_not_the_trained_ones_are_noticed(results, tmp_path):
    folder = model_folder(results, tmp_path / "other", "F32")
    path = folder / "fold_0.safetensors"
    arrays = [(key, array * np.float32(0.5)) for key, array in read_arrays(path)]
    path.unlink()
    write_arrays(path, {key: ("F32", array.shape) for key, array in arrays}, arrays)
    content = models.get(trainer_folder(TrainingFolders(tmp_path / "work"))).card.as_dict()
    write_card(folder, content)
    found = AT_HAND.compare(results, folder)
    assert found.changed > 0
    assert found.agreement < LEAST_AGREEMENT


def test_nothing_is_segmented_where_that_is_not_wanted(results, tmp_path):
    assert DataAtHand(measure=False).compare(results, tmp_path) is None


def test_nothing_is_at_hand_elsewhere(alone, tmp_path):
    assert AT_HAND.trained_on(alone) is None
    assert AT_HAND.orientations(alone) == []
    assert AT_HAND.compare(alone, tmp_path) is None
    with pytest.raises(InputError, match="images are not at hand"):
        AT_HAND.draw(alone, tmp_path, "mueller", tmp_path / "a.png")


def test_an_image_that_is_gone_is_not_at_hand(results, work, oracle):
    entry = work.raw / results.plans.dataset_name / "dataset.json"
    entry.write_text(entry.read_text().replace("case_a_0000", "gone"))
    assert AT_HAND.orientations(results) == []


def test_cases_are_counted_over_the_folds(results):
    assert AT_HAND.trained_on(results) == 2
    (checkpoint,) = results.checkpoints.values()
    for folds, count in ((("0", "1"), 3), (("1",), 1), (("all",), 3)):
        several = dict.fromkeys(folds, checkpoint)
        assert AT_HAND.trained_on(Results(**{**vars(results), "checkpoints": several})) == count


def test_cancelling_stops_a_comparison(results, tmp_path):
    folder = model_folder(results, tmp_path / "full", "F32")
    steps = []
    monitor = Monitor(steps.append, cancel=lambda: bool(steps))
    with pytest.raises(Cancelled):
        DataAtHand(device="cpu", threads=1, monitor=monitor).compare(results, folder)
    assert [step.stage for step in steps] == ["compare"]


def test_a_picture_is_of_a_validation_case(work, tmp_path):
    file = tmp_path / "a.zip"
    with pytest.raises(
        InputError, match="'meier' cannot be drawn: it is no validation case of these folds; mueller"
    ):
        package(work.root, file, data=DataAtHand(measure=False), preview="meier")
    assert not file.exists()
    package(work.root, file, fields={"id": "drawn"}, data=AT_HAND, preview="mueller")
    models.install(file)
    with Image.open(models.find("drawn").folder / "preview.png") as picture:
        assert min(picture.size) > 0


def test_the_orientation_of_the_images_is_read(work, results, tmp_path):
    (letters,) = AT_HAND.orientations(results)
    other = letters[::-1]
    with pytest.raises(InputError, match=f"orientation {other} found, but 1 of 1 training images"):
        package(work.root, tmp_path / "a.zip", fields={"orientation": other}, data=AT_HAND)
    report = package(work.root, tmp_path / "a.zip", fields={"orientation": letters}, data=AT_HAND)
    assert report.card["orientation"] == letters
    assert report.card["training"]["cases"] == 2
