"""Results folders: found at every level, read as one model, refused where files do not belong together."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from engine.models.hostile_files import save_checkpoint
from umamba.errors import ModelError
from umamba.models.results import read_results

FINAL, BEST = "checkpoint_final.pth", "checkpoint_best.pth"


@pytest.fixture
def copy(tmp_path, results_804) -> Path:
    """A copy of a trainer's folder in a dataset's folder, to be changed."""
    folder = tmp_path / "results" / "Dataset804_OracleCT" / results_804.name
    shutil.copytree(results_804, folder)
    for entry in (folder, *folder.rglob("*")):
        entry.chmod(0o755)
    return folder


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("case", "network", "generation", "origin", "folds", "axes"),
    [
        ("e2e_801", "UMambaBot", "current", "u-mamba", ["0"], (0, 1, 2)),
        ("e2e_802", "UMambaEnc", "current", "u-mamba", ["all"], (0, 1)),
        ("e2e_803", "UMambaBot", "current", "u-mamba", ["0"], (0, 1, 2)),
        ("e2e_804", "PlainConvUNet", None, "nnunetv2", ["0", "1"], (0, 1, 2)),
    ],
)
def test_published_results(oracle, case, network, generation, origin, folds, axes):
    found = read_results(oracle / case)
    assert (found.network, found.generation, found.origin) == (network, generation, origin)
    assert (list(found.checkpoints), found.mirror_axes) == (folds, axes)
    assert found.notes == ()


def test_every_level_leads_to_the_model(copy):
    levels = (copy.parents[1], copy.parent, copy)
    assert [list(read_results(level).checkpoints) for level in levels] == [["0", "1"]] * 3
    assert list(read_results(copy / "fold_1").checkpoints) == ["1"]
    assert list(read_results(copy / "fold_1" / FINAL).checkpoints) == ["1"]


def test_a_lone_checkpoint_brings_its_plans(copy, tmp_path):
    lone = tmp_path / "from a colleague" / "model.pth"
    lone.parent.mkdir()
    shutil.copy(copy / "fold_1" / FINAL, lone)
    found = read_results(lone)
    assert (found.plans.dataset_name, list(found.checkpoints)) == ("Dataset804_OracleCT", ["1"])


def test_the_plans_beside_the_checkpoint_win(copy):
    edit(copy / "plans.json", lambda plans: plans.update(dataset_name="Renamed"))
    assert read_results(copy).plans.dataset_name == "Renamed"
    (copy / "plans.json").unlink()
    assert read_results(copy).plans.dataset_name == "Dataset804_OracleCT"


def test_the_final_checkpoint_is_preferred(copy):
    shutil.copy(copy / "fold_0" / FINAL, copy / "fold_0" / BEST)
    (copy / "fold_1" / FINAL).rename(copy / "fold_1" / BEST)
    found = read_results(copy)
    assert [entry.path.name for entry in found.checkpoints.values()] == [FINAL, BEST]
    assert found.notes == (f"fold_1: {BEST} taken, for there is no {FINAL}",)


def test_a_fold_without_checkpoint_is_left_out(copy):
    (copy / "fold_1" / FINAL).rename(copy / "fold_1" / "checkpoint_latest.pth")
    found = read_results(copy)
    assert list(found.checkpoints) == ["0"]
    assert "fold_1: left out" in found.notes[0]
    shutil.rmtree(copy / "fold_0")
    with pytest.raises(ModelError, match="has not finished"):
        read_results(copy)


def test_fold_all_beside_numbered_folds(copy):
    shutil.copytree(copy / "fold_0", copy / "fold_all")
    found = read_results(copy)
    assert list(found.checkpoints) == ["0", "1", "all"]
    assert any("fold_all" in note for note in found.notes)


def test_ten_folds_are_in_their_order(copy):
    shutil.copytree(copy / "fold_0", copy / "fold_10")
    shutil.copytree(copy / "fold_0", copy / "fold_02")
    assert list(read_results(copy).checkpoints) == ["0", "1", "2", "10"]


@pytest.mark.parametrize("place", ["postprocessing.pkl", "crossval_results_folds_0_1/postprocessing.pkl"])
def test_postprocessing_is_said_to_be_ignored(copy, place):
    path = copy / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"cos\nsystem\n(S'touch PWNED'\ntR.")
    assert any("postprocessing.pkl is ignored" in note for note in read_results(copy).notes)


def test_several_models_are_listed(copy):
    for name in ("2d", "3d_lowres"):
        shutil.copytree(copy, copy.with_name(f"nnUNetTrainer__nnUNetPlans__{name}"))
    with pytest.raises(ModelError, match=r"3 trained models.*__2d.*__3d_fullres.*__3d_lowres"):
        read_results(copy.parent)


def test_both_levels_of_a_cascade(oracle):
    found = read_results(oracle / "e2e_803")
    assert found.configuration.name == "3d_cascade_fullres"
    assert found.previous is not None
    assert found.previous.configuration.name == "3d_lowres"
    second = oracle / "e2e_803" / "nnUNetTrainerUMambaBot__nnUNetPlans__3d_cascade_fullres"
    for level in (second, second / "fold_0"):
        beside = read_results(level).previous
        assert beside is not None
        assert beside.configuration.name == "3d_lowres"
    first = read_results(second.with_name("nnUNetTrainerUMambaBot__nnUNetPlans__3d_lowres"))
    assert first.previous is None


def test_a_cascade_without_its_first_stage(oracle, tmp_path):
    name = "nnUNetTrainerUMambaBot__nnUNetPlans__3d_cascade_fullres"
    shutil.copytree(oracle / "e2e_803" / name, tmp_path / name)
    with pytest.raises(ModelError, match=r"first one \(3d_lowres\) is not beside it"):
        read_results(tmp_path / name)


def test_a_fold_may_be_a_link(copy, tmp_path):
    (copy / "fold_1").rename(tmp_path / "elsewhere")
    (copy / "fold_1").symlink_to(tmp_path / "elsewhere")
    assert list(read_results(copy).checkpoints) == ["0", "1"]


def test_no_model_at_all(tmp_path):
    with pytest.raises(ModelError, match="no trained model found"):
        read_results(tmp_path)
    with pytest.raises(ModelError, match="no such folder"):
        read_results(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ModelError, match="results folder"):
        read_results(tmp_path / "a.txt")


def test_a_whole_disk_is_not_searched(tmp_path, monkeypatch):
    monkeypatch.setattr("umamba.models.locate._MAX_FOLDERS", 10)
    for index in range(20):
        (tmp_path / str(index)).mkdir()
    with pytest.raises(ModelError, match="too many folders"):
        read_results(tmp_path)


def test_a_loop_of_links_ends(copy):
    (copy.parent / "loop").symlink_to(copy.parents[1])
    assert list(read_results(copy.parent).checkpoints) == ["0", "1"]


def without(key):
    return lambda content: content.pop(key)


def settings_of(**changes):
    return lambda plans: plans["configurations"]["3d_fullres"].update(changes)


def arguments_of(**changes):
    return lambda plans: plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"].update(changes)


def rename_2d(plans):
    plans["configurations"]["3d_fullres"] = plans["configurations"].pop("2d")


CHANGES = {
    "no labels": ("dataset.json", without("labels"), "labels"),
    "no channels": ("dataset.json", without("channel_names"), "channel_names"),
    "another channel": ("dataset.json", lambda d: d["channel_names"].update({"1": "PET"}), "2 channels"),
    "a further class": ("dataset.json", lambda d: d["labels"].update(e=5), "does not fit"),
    "no class": ("dataset.json", lambda d: d.update(labels={"background": 0}), "background"),
    "70,000 classes": (
        "dataset.json",
        lambda d: d.update(labels={"background": 0} | {f"l{n}": n for n in range(1, 70_001)}),
        "65535",
    ),
    "labels with a gap": ("dataset.json", lambda d: d["labels"].update(e=7), "gap"),
    "no configurations": ("plans.json", without("configurations"), "configurations"),
    "no such configuration": (
        "plans.json",
        lambda p: p["configurations"].update(other=p["configurations"].pop("3d_fullres")),
        "3d_fullres",
    ),
    "huge patch": ("plans.json", settings_of(patch_size=[4096, 4096, 4096]), "patch"),
    "patch not divisible": ("plans.json", settings_of(patch_size=[12, 33, 32]), "divisible"),
    "2D patch": ("plans.json", settings_of(patch_size=[32, 32], spacing=[1, 1]), "plans.json"),
    "other features": ("plans.json", arguments_of(features_per_stage=[8, 16, 24]), "does not fit"),
    "endless network": ("plans.json", arguments_of(features_per_stage=[8192] * 3), "does not fit|parameters"),
    "foreign network": (
        "plans.json",
        lambda p: p["configurations"]["3d_fullres"]["architecture"].update(network_class_name="os.system"),
        "os.system",
    ),
    "another network": (
        "plans.json",
        lambda p: p["configurations"]["3d_fullres"]["architecture"].update(
            network_class_name="umamba.nn.UMambaBot"
        ),
        "weights are of a PlainConvUNet",
    ),
    "foreign convolution": ("plans.json", arguments_of(conv_op="subprocess.Popen"), "subprocess.Popen"),
}


@pytest.mark.parametrize("case", CHANGES, ids=str)
@pytest.mark.usefixtures("nothing_happens")
def test_plans_and_dataset_that_do_not_fit(copy, case):
    file, change, said = CHANGES[case]
    edit(copy / file, change)
    with pytest.raises(ModelError, match=said) as refusal:
        read_results(copy)
    assert "\n" not in str(refusal.value)


NO_JSON = {
    "empty": b"",
    "cut off": b"{",
    "a list": b"[]",
    "NaN": b'{"a": NaN}',
    "infinite": b'{"a": 1e999}',
    "half a character": b'{"a": "\\ud800"}',
    "a key twice": b'{"a": 1, "a": 2}',
    "bottomless": b'{"a":' * 100_000,
    "UTF-16": b"\xff\xfe",
}


@pytest.mark.parametrize("content", NO_JSON.values(), ids=NO_JSON)
@pytest.mark.parametrize("file", ["plans.json", "dataset.json"])
def test_files_that_are_no_json(copy, file, content):
    (copy / file).write_bytes(content)
    with pytest.raises(ModelError, match=file):
        read_results(copy)


@pytest.mark.usefixtures("nothing_happens")
def test_hostile_plans_are_refused(copy, oracle):
    shutil.copy(oracle / "malicious" / "plans_class_path_os_system.json", copy / "plans.json")
    with pytest.raises(ModelError, match=r"plans\.json"):
        read_results(copy)
    edit(copy / "plans.json", rename_2d)
    with pytest.raises(ModelError, match=r"os\.system"):
        read_results(copy)


def test_folds_of_different_trainings(copy, oracle):
    other = next((oracle / "e2e_801").glob("*/fold_0")) / FINAL
    (copy / "fold_1" / FINAL).unlink()
    shutil.copy(other, copy / "fold_1" / FINAL)
    with pytest.raises(ModelError, match="different trainings"):
        read_results(copy)


def test_a_foreign_trainer(copy):
    save_checkpoint(
        copy / "fold_0" / FINAL,
        {"conv.weight": torch.ones(1)},
        trainer_name="nnUNetTrainerSegResNet",
        init_args={"configuration": "3d_fullres", "fold": 0},
    )
    shutil.rmtree(copy / "fold_1")
    with pytest.raises(ModelError, match="nnUNetTrainerSegResNet"):
        read_results(copy)
