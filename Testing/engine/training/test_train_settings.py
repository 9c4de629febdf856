"""Which training is meant: a new one, or the one to go on with."""

import pytest

from umamba import InputError
from umamba.training import TrainingFolders
from umamba.training.settings import Settings, begun_training, begun_trainings, new_training, write_settings

NAME, OTHER = "Dataset001_A", "Dataset002_B"
BOT = {"network": "umamba-bot"}
ENC = {"network": "umamba-enc", "configuration": "2d", "epochs": 50}


@pytest.fixture
def folders(tmp_path) -> TrainingFolders:
    return TrainingFolders(tmp_path / "work")


def begin(folders: TrainingFolders, asked: dict, finished: bool = False, dataset: str = NAME):
    settings = Settings(**asked)
    place = folders.results / dataset / f"UMambaTrainer__{settings.network}__{settings.configuration}"
    fold = place / f"fold_{settings.fold}"
    write_settings(fold, settings)
    if finished:
        (fold / "checkpoint_final.pth").touch()
    return settings


def test_a_new_training_has_nnunets_lengths(folders) -> None:
    settings = new_training(folders, NAME, {})
    assert (settings.epochs, settings.steps) == (1000, 250)
    assert str(settings) == "umamba-bot 3d_fullres fold 0"


def test_a_folder_holds_several(folders) -> None:
    begin(folders, BOT)
    assert new_training(folders, NAME, ENC).network == "umamba-enc"
    assert new_training(folders, NAME, {**BOT, "fold": "1"}).fold == "1"
    assert new_training(folders, NAME, {**BOT, "batch_size": 2}).batch_size == 2


def test_one_that_was_begun_is_no_new_one(folders) -> None:
    begin(folders, {**BOT, "epochs": 5})
    with pytest.raises(
        InputError, match=r"fold 0 of Dataset001_A \(0 of 5 epochs done\) already; add --resume"
    ):
        new_training(folders, NAME, {**BOT, "epochs": 7})


def test_the_only_one_is_meant(folders) -> None:
    settings = begin(folders, ENC)
    assert begun_training(folders, NAME, {}).settings == settings


def test_the_unfinished_one_is_meant(folders) -> None:
    begin(folders, BOT, finished=True)
    settings = begin(folders, ENC)
    assert begun_training(folders, NAME, {}).settings == settings
    assert begun_training(folders, NAME, BOT).finished


def test_two_unfinished_ones_must_be_told_apart(folders) -> None:
    begin(folders, BOT)
    begin(folders, ENC)
    with pytest.raises(InputError, match=r"several trainings, choose one by --network"):
        begun_training(folders, NAME, {})
    assert begun_training(folders, NAME, {"configuration": "2d"}).settings.network == "umamba-enc"


def test_other_settings_are_named(folders) -> None:
    begin(folders, ENC)
    with pytest.raises(
        InputError, match=r"other settings than --epochs 60 \(it has 50\), --seed 1 \(it has 0\)"
    ):
        begun_training(folders, NAME, {"epochs": 60, "seed": 1})


def test_the_precision_may_change(folders) -> None:
    begin(folders, ENC)
    assert begun_training(folders, NAME, {"precision": "float32"}).settings.precision == "float32"


def test_none_of_these_options(folders) -> None:
    begin(folders, ENC)
    with pytest.raises(InputError, match=r"only umamba-enc 2d fold 0 .*, not with --fold 3 \(it has 0\)"):
        begun_training(folders, NAME, {"fold": "3"})


def test_none_at_all(folders) -> None:
    with pytest.raises(InputError, match=r"no training was begun there; leave --resume away"):
        begun_training(folders, NAME, {})


def test_the_training_of_another_dataset_is_another(folders) -> None:
    begin(folders, BOT)
    with pytest.raises(
        InputError, match=r"no training of Dataset002_B was begun there, only .* of Dataset001_A"
    ):
        begun_training(folders, OTHER, {})
    assert new_training(folders, OTHER, BOT).network == "umamba-bot"
    begin(folders, BOT, dataset=OTHER)
    assert begun_training(folders, OTHER, {}).dataset == OTHER
    assert len({str(begun) for begun in begun_trainings(folders)}) == 2


@pytest.mark.parametrize("text", ["", "[]"])
def test_damaged_settings_are_named(folders, text) -> None:
    begin(folders, BOT)
    (path,) = folders.results.rglob("settings.json")
    path.write_text(text)
    with pytest.raises(InputError, match=r"fold_0/settings.json: is damaged .*; delete fold_0"):
        begun_training(folders, NAME, {})


def test_files_of_others_are_passed_over(folders) -> None:
    fold = folders.results / "Dataset001_A" / "nnUNetTrainer__Plans__2d" / "fold_0"
    fold.mkdir(parents=True)
    for text in ("", "[]", "no json"):
        (fold / "settings.json").write_text(text)
        assert begun_trainings(folders) == []
