"""From a small dataset to what nnU-Net's trainer reads: once, whole, and never from other data than now."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_builders import LABELS, SIZE, label_voxels, nnunet_dataset, picture_folder, write_volume
from umamba import Cancelled, InputError
from umamba.events import Monitor, Progress
from umamba.training import TrainingFolders
from umamba.training.dataset.fingerprint import draws_of_a_case
from umamba.training.dataset.raw import Case, open_dataset
from umamba.training.planning.options import PlanOptions
from umamba.training.prepare import Prepared, prepare

pytest.importorskip("nnunetv2", reason="training needs the extra `train`")

NAME = "Dataset009_Small"
NAMES = tuple("abcdef")
STAGES = ("check", "fingerprint", "preprocess")
# nnU-Net's statistics are of draws with one seed from the same voxels: equal but for the order of sums.
ROUNDING = 1e-6
# Less than a preprocessed case, more than any JSON file beside it.
SMALL_FILE_BYTES = 3000
# Cases after which a run is killed.
KILLED_AFTER = 2


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nnunet_dataset(tmp_path_factory.mktemp("source") / NAME, NAMES)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingFolders:
    """Prepared for two networks."""
    folders = TrainingFolders(tmp_path_factory.mktemp("whole"))
    for network in ("umamba-enc", "nnunet"):
        prepare(open_dataset(source), folders, network, "3d_fullres")
    return folders


def _copy(folders: TrainingFolders, root: Path) -> TrainingFolders:
    shutil.copytree(folders.root, root)
    return TrainingFolders(root)


def _prepare(source: Path, folders: TrainingFolders, network: str = "nnunet", **options: Any) -> Prepared:
    return prepare(open_dataset(source), folders, network, "3d_fullres", **options)


def _refusal(source: Path, folders: TrainingFolders, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        _prepare(source, folders, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def _data(folders: TrainingFolders) -> Path:
    return next((folders.preprocessed / NAME).glob("3d_fullres_*"))


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _files(root: Path) -> dict[str, int]:
    return {
        str(path.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()
    }


def test_nnunet_s_trainer_finds_what_it_needs(whole: TrainingFolders) -> None:
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class

    home = whole.preprocessed / NAME
    assert {path.name for path in home.iterdir() if path.is_file()} == {
        "dataset.json",
        "dataset_fingerprint.json",
        "inventory.json",
        "splits_final.json",
        "UMambaEncPlans.json",
        "nnUNetPlans.json",
    }
    cases = infer_dataset_class(str(_data(whole)))(str(_data(whole)))
    assert sorted(cases.identifiers) == list(NAMES)
    data, labels, previous, properties = cases["b"]
    assert data.shape == (1, *SIZE)
    assert previous is None
    np.testing.assert_array_equal(labels[0], label_voxels(1))
    assert sorted(properties["class_locations"]) == [1, 2]


def test_the_fingerprint_is_nnunet_s(source: Path, whole: TrainingFolders, tmp_path: Path) -> None:
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
        DatasetFingerprintExtractor,
    )

    folders = _copy(whole, tmp_path / "theirs")
    (folders.preprocessed / NAME / "dataset_fingerprint.json").unlink()
    with folders.activate():
        extractor = DatasetFingerprintExtractor(NAME, 1)
        extractor.show_progress_bar = False
        extractor.num_foreground_voxels_for_intensitystats = len(NAMES) * draws_of_a_case(
            open_dataset(source).cases
        )
        extractor.run()
    theirs = _load(folders.preprocessed / NAME / "dataset_fingerprint.json")
    ours = _load(whole.preprocessed / NAME / "dataset_fingerprint.json")
    assert ours.keys() == theirs.keys()
    assert [ours[key] for key in ("spacings", "shapes_after_crop")] == [
        theirs[key] for key in ("spacings", "shapes_after_crop")
    ]
    key = "foreground_intensity_properties_per_channel"
    assert ours[key].keys() == theirs[key].keys()
    assert ours[key]["0"] == pytest.approx(theirs[key]["0"], rel=ROUNDING)


def test_nnunet_s_number_of_voxels_is_drawn_from_all_but_toys(tmp_path: Path) -> None:
    image = tmp_path / "image.nii.gz"
    cases = [Case(name, (image,), image) for name in "abcd"]
    for stored_bytes, drawn in ((250_000, 25_000_000), (50_000_000, 25_000_000), (1000, 100_000)):
        image.write_bytes(bytes(stored_bytes))
        assert draws_of_a_case(cases) == drawn


def test_the_list_of_cases_stays_in_raw(source: Path, whole: TrainingFolders) -> None:
    entries = _load(whole.raw / NAME / "dataset.json")["dataset"]
    assert entries["c"] == {
        "images": [str(source / "imagesTr" / "c_0000.nii.gz")],
        "label": str(source / "labelsTr" / "c.nii.gz"),
    }
    for path in (whole.preprocessed / NAME).glob("*.json"):
        assert str(source) not in path.read_text(encoding="utf-8"), path.name
    described = _load(whole.preprocessed / NAME / "dataset.json")
    assert described["labels"] == LABELS
    assert described["numTraining"] == len(NAMES)


def test_five_folds_of_nnunet(whole: TrainingFolders) -> None:
    """By hand from nnU-Net's seed (12345): a permutation of six cases, dealt to five folds."""
    from sklearn.model_selection import KFold

    splits = _load(whole.preprocessed / NAME / "splits_final.json")
    expected = KFold(5, shuffle=True, random_state=12345).split(NAMES)
    assert [fold["val"] for fold in splits] == [[NAMES[n] for n in held] for _, held in expected]
    assert all(sorted(fold["train"] + fold["val"]) == list(NAMES) for fold in splits)


def test_a_second_call_does_nothing_again(source: Path, whole: TrainingFolders, tmp_path: Path) -> None:
    folders = _copy(whole, tmp_path / "again")
    made = ("raw", "dataset.json", "splits_final.json")
    before = {name: time for name, time in _files(folders.root).items() if not name.endswith(made)}
    seen: list[Progress] = []
    assert _prepare(source, folders, monitor=Monitor(seen.append)).plans_name == "nnUNetPlans"
    assert {(event.stage, event.done) for event in seen} == {("preprocess", len(NAMES))}
    assert {name: time for name, time in _files(folders.root).items() if name in before} == before


def test_other_options_have_plans_of_their_own_and_share_the_cases(
    source: Path, whole: TrainingFolders, tmp_path: Path
) -> None:
    folders = _copy(whole, tmp_path / "options")
    prepared = _prepare(source, folders, "umamba-enc", options=PlanOptions(batch_size=3, base_features=8))
    assert prepared == Prepared(NAME, "UMambaEncPlans_b3_w8-", "3d_fullres")
    home = folders.preprocessed / NAME
    assert _load(home / "UMambaEncPlans.json") == _load(whole.preprocessed / NAME / "UMambaEncPlans.json")
    assert len(list(home.glob("3d_fullres_*"))) == 1


def test_a_faulty_dataset_leaves_nothing_behind(tmp_path: Path) -> None:
    source = nnunet_dataset(tmp_path / NAME, NAMES)
    write_volume(source / "labelsTr" / "b.nii.gz", np.full(SIZE, 9, np.uint8))
    folders = TrainingFolders(tmp_path / "work")
    assert "holds the value 9" in _refusal(source, folders)
    assert not folders.root.exists()


def _add(source: Path) -> None:
    nnunet_dataset(source, (*NAMES, "g"))


def _remove(source: Path) -> None:
    nnunet_dataset(source, NAMES[:-1])
    for path in source.rglob("f*.nii.gz"):
        path.unlink()


def _redraw(source: Path) -> None:
    write_volume(source / "labelsTr" / "c.nii.gz", label_voxels(77))


def _touch(source: Path) -> None:
    os.utime(source / "imagesTr" / "c_0000.nii.gz", ns=(0, 0))


def _rename(source: Path) -> None:
    described = _load(source / "dataset.json")
    described["labels"] = {"background": 0, "inner": 1, "outer": 2}
    (source / "dataset.json").write_text(json.dumps(described), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_add, "1 case added (g)"),
        (_remove, "1 case removed (f)"),
        (_redraw, "1 case with other files (c)"),
        (_touch, "1 case with other files (c)"),
        (_rename, "its description (labels, channels) changed"),
    ],
)
def test_a_changed_dataset_is_noticed(
    source: Path, whole: TrainingFolders, tmp_path: Path, change: Any, said: str
) -> None:
    data = tmp_path / NAME
    shutil.copytree(source, data)  # keeps the files' times
    folders = _copy(whole, tmp_path / "work")
    _prepare(data, folders)
    change(data)
    before = _files(folders.root)
    line = _refusal(data, folders)
    assert said in line
    assert "choose another folder with -o" in line
    assert _files(folders.root) == before


def test_a_dataset_that_moved_is_the_same(source: Path, whole: TrainingFolders, tmp_path: Path) -> None:
    data = tmp_path / "elsewhere" / NAME
    shutil.copytree(source, data)
    folders = _copy(whole, tmp_path / "work")
    _prepare(data, folders)
    assert str(data) in _load(folders.raw / NAME / "dataset.json")["dataset"]["a"]["label"]


def test_a_folder_of_another_program_is_left_alone(source: Path, tmp_path: Path) -> None:
    folders = TrainingFolders(tmp_path)
    (folders.preprocessed / NAME).mkdir(parents=True)
    (folders.preprocessed / NAME / "nnUNetPlans.json").write_text("{}", encoding="utf-8")
    assert "was prepared by another program" in _refusal(source, folders)


KILLED = """
import os, signal, sys
from pathlib import Path
from umamba.events import Monitor
from umamba.training import TrainingFolders
from umamba.training.dataset.raw import open_dataset
from umamba.training.prepare import prepare

def kill(event):
    if event.stage == "preprocess" and event.done == int(sys.argv[3]):
        # what a kill between the moves of one case's files leaves
        data = next((Path(sys.argv[2]) / "preprocessed").glob("*/3d_fullres_*[!g]"))
        (data / "e.b2nd").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    prepare(
        open_dataset(sys.argv[1]), TrainingFolders(Path(sys.argv[2])), "nnunet", "3d_fullres",
        monitor=Monitor(kill),
    )
"""


def test_a_killed_run_is_completed(source: Path, whole: TrainingFolders, tmp_path: Path) -> None:
    work = tmp_path / "work"
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(source), str(work), str(KILLED_AFTER)],
        check=False,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert run.returncode == -signal.SIGKILL, run.stderr.decode()
    folders = TrainingFolders(work)
    assert len(list(_data(folders).glob("*.pkl"))) == KILLED_AFTER
    seen: list[Progress] = []
    _prepare(source, folders, monitor=Monitor(seen.append))
    assert [event.done for event in seen] == list(range(KILLED_AFTER, len(NAMES) + 1))
    for path in sorted(_data(whole).glob("*.b2nd")):
        assert (_data(folders) / path.name).read_bytes() == path.read_bytes(), path.name
    assert not list(work.rglob("*.writing"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_cancelled_run_goes_on_where_it_was(source: Path, tmp_path: Path, stage: str) -> None:
    folders, reached = TrainingFolders(tmp_path), []

    def watch(event: Progress) -> None:
        if (event.stage, event.done) == (stage, 1):
            reached.append(event)

    with pytest.raises(Cancelled):
        _prepare(source, folders, monitor=Monitor(watch, lambda: bool(reached)))
    assert not list(tmp_path.rglob("*.writing"))
    seen: list[Progress] = []
    _prepare(source, folders, monitor=Monitor(seen.append))
    assert seen[0].stage == stage
    assert len(list(_data(folders).glob("*.pkl"))) == len(NAMES)


def test_two_preparations_do_not_disturb_each_other(
    source: Path, whole: TrainingFolders, tmp_path: Path
) -> None:
    """Two folds are begun at the same time; the second waits, and can be cancelled meanwhile."""
    from umamba.training.locks import one_at_a_time

    folders, asked = _copy(whole, tmp_path / "work"), []
    shutil.rmtree(_data(folders))

    def cancel() -> bool:
        asked.append(True)
        return len(asked) > 1

    with one_at_a_time(folders.root, lambda: None), pytest.raises(Cancelled):
        _prepare(source, folders, monitor=Monitor(cancel=cancel))
    assert not list((folders.preprocessed / NAME).glob("3d_fullres_*"))
    _prepare(source, folders)
    assert len(list(_data(folders).glob("*.pkl"))) == len(NAMES)


def test_a_case_that_cannot_be_written_is_told(source: Path, whole: TrainingFolders, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    folders = _copy(whole, tmp_path / "work")
    shutil.rmtree(_data(folders))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILE_BYTES, limits[1]))
    try:
        line = _refusal(source, folders)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "a preprocessed case could not be written" in line
    assert "make room" in line
    _prepare(source, folders)


def test_a_full_disk_is_told_before_the_work(
    source: Path, whole: TrainingFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = _copy(whole, tmp_path / "work")
    shutil.rmtree(_data(folders))
    needed = len(NAMES) * int(np.prod(SIZE)) * (4 + 2)  # float32 and int16
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=needed - 1))
    assert "make room" in _refusal(source, folders)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=needed))
    _prepare(source, folders)


def test_pictures_are_prepared_for_2d_alone(tmp_path: Path) -> None:
    raw = open_dataset(picture_folder(tmp_path / "cells", NAMES))
    folders = TrainingFolders(tmp_path / "work")
    prepared = prepare(raw, folders, "umamba-enc", "2d")
    assert prepared == Prepared("Dataset501_cells", "UMambaEncPlans", "2d")
    plans = _load(folders.preprocessed / prepared.name / "UMambaEncPlans.json")
    assert plans["image_reader_writer"] == "NaturalImage2DIO"
    assert plans["configurations"]["2d"]["normalization_schemes"] == ["ZScoreNormalization"] * 3
    with pytest.raises(InputError, match=r"3d_fullres: the images are flat, .* take 2d"):
        prepare(raw, folders, "umamba-enc", "3d_fullres")


@pytest.mark.parametrize("configuration", ["3d_lowres", "3d_cascade_fullres"])
def test_a_configuration_that_small_images_do_not_need_is_refused(
    source: Path, whole: TrainingFolders, configuration: str
) -> None:
    with pytest.raises(InputError, match=f"{configuration}: not planned .* are small.* take 3d_fullres"):
        prepare(open_dataset(source), whole, "nnunet", configuration)


def test_a_cascade_wants_its_first_stage(tmp_path: Path) -> None:
    """A patch of 8 x 8 x 8 makes even these images large."""
    raw = open_dataset(nnunet_dataset(tmp_path / NAME, NAMES, shape=(20, 28, 24)))
    folders, options = TrainingFolders(tmp_path / "work"), PlanOptions(patch_size=(8, 8, 8))
    with pytest.raises(InputError) as caught:
        prepare(raw, folders, "umamba-bot", "3d_cascade_fullres", options=options)
    line = str(caught.value)
    assert "3d_lowres has not segmented 6 of 6 cases (a, b, c, d and 2 more); train 3d_lowres" in line
    low = prepare(raw, folders, "umamba-bot", "3d_lowres", options=options)
    results = folders.results / NAME / f"UMambaTrainer__{low.plans_name}__3d_lowres"
    maps = results / "predicted_next_stage" / "3d_cascade_fullres"
    maps.mkdir(parents=True)
    for name in NAMES:
        (maps / f"{name}.b2nd").write_bytes(b"a map")
    cascade = prepare(raw, folders, "umamba-bot", "3d_cascade_fullres", options=options)
    assert cascade.plans_name == low.plans_name
    assert len(list(_data(folders).glob("*.pkl"))) == len(NAMES)


@pytest.mark.parametrize(
    ("network", "configuration", "said"),
    [("unet", "2d", "umamba-bot, umamba-enc, nnunet"), ("nnunet", "3d", "2d, 3d_fullres, 3d_lowres")],
)
def test_unknown_names_are_answered_with_the_known_ones(
    source: Path, tmp_path: Path, network: str, configuration: str, said: str
) -> None:
    with pytest.raises(InputError, match=f"{said}.* are"):
        prepare(open_dataset(source), TrainingFolders(tmp_path / "none"), network, configuration)
    assert not (tmp_path / "none").exists()
