"""Opening a model: stored or as a results folder, the same network with the same weights."""

import os
import shutil
from pathlib import Path

import pytest
import torch

import umamba
from umamba import models
from umamba.errors import ModelError
from umamba.models.checkpoint import read_arrays, read_checkpoint

CASES = ("e2e_801", "e2e_802", "e2e_803", "e2e_804")
FINAL = "checkpoint_final.pth"
FIRST = "dataset803-oraclecascade-3d-lowres"
SECOND = "dataset803-oraclecascade-3d-cascade-fullres"


def genuine(folder: Path, fold: str) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(folder / f"fold_{fold}" / FINAL)
    return {key: torch.from_numpy(array) for key, array in read_arrays(checkpoint)}


@pytest.mark.parametrize("case", CASES)
def test_stored_or_not_the_network_is_the_same(oracle, case):
    from_results = models.get(oracle / case)
    stored = models.get(models.import_(oracle / case))
    assert stored.id == from_results.id
    assert stored.folds == from_results.folds
    assert stored.mirror_axes == from_results.mirror_axes
    assert stored.configuration == from_results.configuration
    assert stored.dataset == from_results.dataset
    for fold in stored.folds:
        wanted = genuine(from_results.folder, fold)
        for model in (stored, from_results):
            assert model.weights(fold).keys() == wanted.keys()
            network = model.network(fold)
            assert not network.training
            state = network.state_dict()
            assert state.keys() == wanted.keys()
            for key, tensor in state.items():
                assert tensor.dtype == torch.float32
                assert torch.equal(tensor, wanted[key])


def test_the_network_answers(oracle):
    model = models.get(oracle / "e2e_804")
    x = torch.randn(1, 1, *model.configuration.patch_size)
    with torch.no_grad():
        one = model.network("0")(x)
        several = model.network("0", deep_supervision=True)(x)
    assert one.shape == (1, 5, *model.configuration.patch_size)
    assert torch.equal(several[0], one)


def test_load_network(oracle):
    model_id = models.import_(oracle / "e2e_804")
    wanted = genuine(models.get(oracle / "e2e_804").folder, "1")
    for fold in (1, "1"):
        for key, tensor in umamba.models.load_network(model_id, fold).state_dict().items():
            assert torch.equal(tensor, wanted[key])
    first = umamba.models.load_network(oracle / "e2e_804").state_dict()
    assert not torch.equal(first["decoder.seg_layers.0.weight"], wanted["decoder.seg_layers.0.weight"])
    with pytest.raises(ModelError, match="no fold '7'; it has 0, 1"):
        umamba.models.load_network(model_id, 7)


def test_reading_results_stores_nothing(oracle, home):
    model = models.get(oracle / "e2e_803")
    assert model.previous is not None
    assert model.card.network.previous_stage == model.previous.id
    assert list(model.card.files) == ["fold_0/checkpoint_final.pth", "plans.json", "dataset.json"]
    assert not (home / "models").exists()


def test_ways_to_name_a_model(oracle, tmp_path, monkeypatch):
    model_id = models.import_(oracle / "e2e_804", id="my-ct")
    folder = models.find(model_id).folder
    monkeypatch.chdir(folder.parent)
    for name in ("my-ct", folder, str(folder), "./my-ct"):
        assert models.get(name).id == "my-ct"
    elsewhere = tmp_path / "my copy"
    shutil.copytree(folder, elsewhere)
    monkeypatch.chdir(tmp_path)
    assert models.get("my copy").folder == Path("my copy")
    assert models.get("my-ct").folder == folder


def test_names_of_no_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("no-such", "", "./no-such", tmp_path / "x" / "y", "a\0b"):
        with pytest.raises(ModelError):
            models.get(name)
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(ModelError, match="umamba models install"):
        models.get(tmp_path / "a.zip")
    with pytest.raises(ModelError, match="no trained model"):
        models.get(tmp_path)


def test_changed_files_are_not_run(oracle):
    stored = models.find(models.import_(oracle / "e2e_804"))
    path = stored.folder / "fold_1.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    model = models.get(stored.id)
    model.network("0")
    with pytest.raises(ModelError, match=r"fold_1\.safetensors has SHA-256"):
        model.network("1")
    (stored.folder / "dataset.json").write_text("{}")
    with pytest.raises(ModelError, match=r"dataset\.json has SHA-256"):
        models.get(stored.id)


def test_the_first_stage_is_found_beside_or_in_the_store(oracle, tmp_path):
    models.import_(oracle / "e2e_803")
    away = tmp_path / "models"
    shutil.copytree(models.store_folder(), away)
    assert models.get(away / SECOND).previous.folder.parent == away
    shutil.rmtree(models.get(away / SECOND).previous.folder)
    assert models.get(away / SECOND).previous.folder.parent == models.store_folder()
    models.remove(SECOND)
    models.remove(FIRST)
    with pytest.raises(ModelError, match="is not here"):
        models.get(away / SECOND)


def test_a_model_that_is_its_own_second_stage_ends(oracle, tmp_path):
    models.import_(oracle / "e2e_803")
    folder = models.find(SECOND).folder
    first = models.get(SECOND).previous.folder
    shutil.rmtree(first)
    shutil.copytree(folder, first)
    with pytest.raises(ModelError, match="no first stage"):
        models.get(SECOND)


def test_paths_that_cannot_be_followed(oracle, tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path / ("a" * 300), loop, loop / "x", pipe, tmp_path / "🧠" / "没有"):
        for opened in (models.get, models.import_, models.install):
            with pytest.raises(ModelError) as refusal:
                opened(path)
            assert "\n" not in str(refusal.value)
    stored = models.find(models.import_(oracle / "e2e_804")).folder
    (stored / "plans.json").unlink()
    os.mkfifo(stored / "plans.json")  # reading it would wait for ever
    with pytest.raises(ModelError, match="neither a file"):
        models.get(stored)


def test_paths_with_strange_names(oracle, tmp_path):
    folder = tmp_path / "Ordner mit Ümläut 模型 🧠"
    shutil.copytree(oracle / "e2e_804", folder)
    assert models.get(folder).folds == ("0", "1")
    model_id = models.import_(folder)
    file = models.export(model_id, folder / "ein 模型.zip")
    models.remove(model_id)
    assert models.install(file) == model_id


def test_public_names():
    assert models.__all__ == sorted(models.__all__)
    for name in models.__all__:
        assert getattr(models, name) is not None
    with pytest.raises(AttributeError, match="no_such"):
        models.no_such  # noqa: B018
    assert umamba.Model is models.Model
