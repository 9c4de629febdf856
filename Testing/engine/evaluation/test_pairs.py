"""Which file belongs to which, and what is said of those that have none."""

import pytest

from umamba.errors import InputError
from umamba.evaluation.pairs import find_pairs


@pytest.fixture
def folders(tmp_path):
    """Make two folders with empty-looking files of these names."""

    def make(references, predictions):
        made = []
        for name, files in (("truth", references), ("found", predictions)):
            folder = tmp_path / name
            folder.mkdir()
            for file in files:
                (folder / file).write_text("x")
            made.append(folder)
        return made

    return make


def names(pairs):
    return [(pair.name, pair.reference.name, pair.prediction.name) for pair in pairs]


def test_names_up_to_the_suffix_hidden_and_other_files_passed_over(folders):
    truth, found = folders(
        ["a.b.nii.gz", "c.seg.nrrd", ".hidden.nii.gz", "dataset.json"],
        ["a.b.nrrd", "c.nii", "plans.json", "c.npz"],
    )
    pairs, warnings = find_pairs(truth, found, allow_missing=False)
    assert names(pairs) == [("a.b", "a.b.nii.gz", "a.b.nrrd"), ("c", "c.seg.nrrd", "c.nii")]
    assert warnings == []


def test_a_missing_prediction_is_an_error_unless_allowed(folders):
    truth, found = folders([f"{letter}.png" for letter in "abcdefg"], ["g.png"])
    with pytest.raises(
        InputError, match=r"found has no prediction of a, b, c, d and 2 more; .*--allow-missing"
    ):
        find_pairs(truth, found, allow_missing=False)
    pairs, warnings = find_pairs(truth, found, allow_missing=True)
    assert names(pairs) == [("g", "g.png", "g.png")]
    assert warnings == ["6 references have no prediction and were left out: a, b, c, d and 2 more"]


def test_a_prediction_too_many_is_told(folders):
    pairs, warnings = find_pairs(*folders(["a.nii"], ["a.nii", "b.nii"]), allow_missing=False)
    assert len(pairs) == 1
    assert warnings == ["1 prediction has no reference and was left out: b"]


def test_a_picture_beside_a_prediction_is_not_taken_for_it(folders):
    pairs, _ = find_pairs(*folders(["a.nii.gz"], ["a.nii.gz", "a.png"]), allow_missing=False)
    assert names(pairs) == [("a", "a.nii.gz", "a.nii.gz")]


def test_references_with_a_longer_name(folders):
    pairs, _ = find_pairs(*folders(["a_label.tiff"], ["a.png"]), allow_missing=False, ending="_label")
    assert names(pairs) == [("a", "a_label.tiff", "a.png")]


def test_two_files_are_a_pair_whatever_their_names(folders):
    truth, found = folders(["truth.nii"], ["other.nrrd"])
    pairs, _ = find_pairs(truth / "truth.nii", found / "other.nrrd", allow_missing=False)
    assert names(pairs) == [("truth", "truth.nii", "other.nrrd")]


@pytest.mark.parametrize(
    ("references", "predictions", "part"),
    [
        (["a.nii"], ["b.nii"], "no prediction has the name of a reference: truth has a, found has b"),
        (["a.nii"], [], "found: holds no label image"),
        (["notes.txt"], ["a.nii"], "truth: holds no label image"),
        (["a.nii"], ["a.nrrd", "a.mha"], "a.nii, a.mha, a.nrrd all have its name"),
    ],
)
def test_folders_that_do_not_go_together(folders, references, predictions, part):
    with pytest.raises(InputError, match=part):
        find_pairs(*folders(references, predictions), allow_missing=True)


def test_places_that_do_not_go_together(folders):
    truth, found = folders(["a.nii"], ["a.nii", "a.txt"])
    for one, other, part in (
        (truth, found / "a.nii", "two files or two folders"),
        (truth, truth, "given as REFERENCE and as PREDICTION"),
        (truth / "a.nii", found / "a.txt", "a.txt: is no label image by its name"),
        (truth, found / "nothing", "nothing: cannot be read: it does not exist"),
    ):
        with pytest.raises(InputError, match=part):
            find_pairs(one, other, allow_missing=False)
