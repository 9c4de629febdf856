"""Folds: nnU-Net's, the user's, by groups; and those that do not exist."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import nnunet_dataset
from umamba import InputError
from umamba.training import TrainingFolders
from umamba.training.dataset.raw import RawDataset, open_dataset
from umamba.training.dataset.splits import check_fold, make_splits
from umamba.training.prepare import prepare

pytest.importorskip("nnunetv2", reason="training needs the extra `train`")

NAMES = tuple("abcdefgh")
OWN = [{"train": ["a", "b", "c"], "val": ["d"]}, {"train": ["d", "e"], "val": ["a", "b"]}]


def _dataset(folder: Path, names: tuple[str, ...] = NAMES) -> RawDataset:
    return open_dataset(nnunet_dataset(folder / "Dataset003_Folds", names))


def _write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_folds_are_those_that_nnunet_draws(tmp_path: Path) -> None:
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    theirs = generate_crossval_split(list(NAMES))
    assert make_splits(_dataset(tmp_path)) == theirs


@pytest.mark.parametrize(("cases", "folds"), [(2, 2), (3, 3), (4, 4), (5, 5), (8, 5)])
def test_few_cases_make_few_folds(tmp_path: Path, cases: int, folds: int) -> None:
    splits = make_splits(_dataset(tmp_path, NAMES[:cases]))
    assert len(splits) == folds
    assert sorted(name for fold in splits for name in fold["val"]) == list(NAMES[:cases])
    check_fold(folds - 1, splits)
    check_fold("all", splits)
    for fold in (folds, -1, "0", "every"):
        with pytest.raises(InputError, match=f"no fold {fold}; .* folds 0 to {folds - 1}, or take 'all'"):
            check_fold(fold, splits)


def test_cases_of_a_group_stay_together(tmp_path: Path) -> None:
    raw = _dataset(tmp_path)
    groups = dict(zip(NAMES, "wwxxyyzz", strict=True))
    _write(raw.folder / "groups.json", groups)
    splits = make_splits(raw)
    assert len(splits) == 4
    for fold in splits:
        assert not {groups[name] for name in fold["train"]} & {groups[name] for name in fold["val"]}
        assert sorted(fold["train"] + fold["val"]) == list(NAMES)
    _write(raw.folder / "groups.json", dict.fromkeys(NAMES, "same"))
    with pytest.raises(InputError, match=r"groups.json: all cases are of one group"):
        make_splits(raw)
    _write(raw.folder / "groups.json", {"a": "w"})
    with pytest.raises(InputError, match=r"groups.json: has no group for b, c, d, e and 3 more"):
        make_splits(raw)


@pytest.mark.parametrize("name", ["splits_final.json", "splits.json"])
def test_a_file_in_the_dataset_s_folder_is_honoured(tmp_path: Path, name: str) -> None:
    raw = _dataset(tmp_path)
    _write(raw.folder / name, OWN)
    assert make_splits(raw) == OWN
    other = _write(tmp_path / "other.json", OWN[:1])
    assert make_splits(raw, other) == OWN[:1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[", "is not JSON"),
        ({}, "a list of"),
        ([], "a list of"),
        ([["a"], ["b"]], "fold 0"),
        ([{"train": ["a"], "val": []}], "at least one each"),
        ([{"train": ["a"]}], "at least one each"),
        ([OWN[0], {"train": ["a", "nobody"], "val": ["b"]}], "fold 1: the dataset has no case nobody"),
        ([{"train": ["a", "b"], "val": ["b"]}], "b are trained on and validated on"),
    ],
)
def test_a_file_of_folds_that_cannot_be_used_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    path = _write(tmp_path / "mine.json", content)
    with pytest.raises(InputError) as caught:
        make_splits(_dataset(tmp_path), path)
    assert str(caught.value).startswith("mine.json")
    assert said in str(caught.value)
    with pytest.raises(InputError, match="it does not exist"):
        make_splits(_dataset(tmp_path), tmp_path / "nowhere.json")


def test_folds_stay_as_they_are(tmp_path: Path) -> None:
    raw, folders = _dataset(tmp_path), TrainingFolders(tmp_path / "work")
    path = folders.preprocessed / raw.name / "splits_final.json"
    with pytest.raises(InputError, match="there is no fold 7"):
        prepare(raw, folders, "nnunet", "2d", fold=7)
    assert not folders.root.exists()
    prepare(raw, folders, "nnunet", "2d", fold=4)
    drawn = path.read_bytes()
    other = _write(tmp_path / "other.json", OWN)
    with pytest.raises(InputError, match="was split into other folds before"):
        prepare(raw, folders, "nnunet", "2d", split=other)
    assert path.read_bytes() == drawn
    _write(path, OWN)  # nnU-Net's users edit this file
    prepare(raw, folders, "nnunet", "2d", fold=1)
    prepare(raw, folders, "nnunet", "2d", split=other)
    with pytest.raises(InputError, match="there is no fold 4"):
        prepare(raw, folders, "nnunet", "2d", fold=4)
