"""Import: genuine weights arrive unchanged, what could name a patient does not; a failure leaves nothing."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models.hostile_files import files_below, save_checkpoint, write_zip
from umamba import models
from umamba.errors import InputError, ModelError
from umamba.models import archive, store
from umamba.models.checkpoint import read_arrays, read_checkpoint
from umamba.models.importer import import_, import_results
from umamba.models.safetensors_file import read_arrays as read_stored
from umamba.models.safetensors_file import sha256_of

FINAL = "checkpoint_final.pth"
PATIENT = "Mueller_Anna_19561123"
CASES = {
    "e2e_801": ("dataset801-oraclemr-3d-fullres",),
    "e2e_802": ("dataset802-oracleregions-2d",),
    "e2e_803": ("dataset803-oraclecascade-3d-lowres", "dataset803-oraclecascade-3d-cascade-fullres"),
    "e2e_804": ("dataset804-oraclect-3d-fullres",),
}


@pytest.fixture
def copy(tmp_path, results_804) -> Path:
    """A trainer's folder to be changed."""
    folder = tmp_path / "results" / "Dataset804_OracleCT" / results_804.name
    shutil.copytree(results_804, folder)
    for entry in (folder, *folder.rglob("*")):
        entry.chmod(0o755)
    return folder


def zip_of(folder: Path, file: Path) -> Path:
    members = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return write_zip(file, members, zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize("case", CASES)
def test_weights_arrive_unchanged(oracle, case):
    assert import_(oracle / case) == CASES[case][-1]
    for model_id in CASES[case]:
        stored = models.find(model_id)
        folder = next(
            entry
            for entry in (oracle / case).iterdir()
            if entry.name.endswith(f"__{stored.card.network.configuration}")
        )
        assert {path.name for path in stored.folder.iterdir()} == {"card.json", *stored.card.files}
        for fold in folder.glob("fold_*"):
            wanted = dict(read_arrays(read_checkpoint(fold / FINAL)))
            found = dict(read_stored(stored.folder / f"{fold.name}.safetensors"))
            assert list(found) == list(wanted)
            for key, array in found.items():
                assert array.dtype == np.float32
                np.testing.assert_array_equal(array, wanted[key])
        for name, digest in stored.card.files.items():
            assert sha256_of(stored.folder / name) == digest
        for name in ("plans.json", "dataset.json"):
            assert json.loads((stored.folder / name).read_text()) == json.loads((folder / name).read_text())


def test_the_card_of_the_forks_model(oracle):
    card = models.find(import_(oracle / "e2e_802")).card
    assert (card.origin, card.mirror, card.mirror_axes, card.orientation) == (
        "u-mamba",
        False,
        (0, 1),
        "native",
    )
    assert (card.network.class_, card.network.generation) == ("UMambaEnc", "current")
    assert (card.network.configuration, card.network.previous_stage) == ("2d", None)
    assert [channel.name for channel in card.channels] == ["CT", "PET"]
    assert [(label.value, label.key, label.terminology) for label in card.labels] == [
        (1, "whole", None),
        (2, "core", None),
        (3, "node", None),
    ]
    assert card.training == {
        "data": "Dataset802_OracleRegions",
        "recipe": "nnUNetTrainerUMambaEnc",
        "cases": 6,
    }
    assert (card.modality, card.licence, card.accuracy, card.instances) == (None, None, (), None)


def test_the_card_of_nnunets_model(oracle):
    model_id = import_(oracle / "e2e_804", id="my-ct", name="My CT", orientation="LPS")
    card = models.find(model_id).card
    assert (card.id, card.name, card.orientation) == ("my-ct", "My CT", "LPS")
    assert (card.origin, card.mirror, card.mirror_axes) == ("nnunetv2", True, (0, 1, 2))
    assert (card.network.class_, card.network.generation, card.modality) == ("PlainConvUNet", None, "CT")


def test_a_cascade_makes_two_models(oracle):
    report = import_results(oracle / "e2e_803", id="two")
    assert (report.id, report.previous_stage.id) == ("two", "two-3d-lowres")
    assert models.find("two").card.network.previous_stage == "two-3d-lowres"
    assert models.find("two-3d-lowres").card.network.previous_stage is None
    model = models.get("two")
    assert model.previous is not None
    assert model.previous.id == "two-3d-lowres"


def test_a_dry_run_stores_nothing(oracle, home):
    report = import_results(oracle / "e2e_804", dry_run=True)
    assert not files_below(home)
    assert (report.id, report.folds, report.stored) == (CASES["e2e_804"][0], ("0", "1"), False)
    assert report.checkpoints == {"0": FINAL, "1": FINAL}
    assert json.loads(json.dumps(report.as_dict()))["trainer"] == "nnUNetTrainer"
    stored = import_results(oracle / "e2e_804")
    sizes = [path.stat().st_size for path in models.find(stored.id).folder.glob("*.safetensors")]
    assert report.size_bytes <= sum(sizes) < 1.1 * report.size_bytes  # their headers come on top


@pytest.mark.parametrize("level", ["results", "dataset", "trainer"])
def test_a_zip_of_any_level(copy, tmp_path, home, level):
    folder = {"results": copy.parents[1], "dataset": copy.parent, "trainer": copy}[level]
    (copy / "fold_0" / "validation").mkdir()
    (copy / "fold_0" / "validation" / f"{PATIENT}.nii.gz").write_bytes(b"x")
    assert import_(zip_of(folder, tmp_path / "r.zip")) == CASES["e2e_804"][0]
    models.verify(CASES["e2e_804"][0])
    assert not [entry for entry in (home / "models").iterdir() if entry.name.startswith(".")]


def test_a_zip_of_a_cascade(oracle, tmp_path):
    assert import_(zip_of(oracle / "e2e_803", tmp_path / "r.zip")) == CASES["e2e_803"][1]
    assert models.get(CASES["e2e_803"][1]).previous is not None


def test_an_error_in_a_zip_names_the_zip(tmp_path, home):
    path = write_zip(tmp_path / "r.zip", {"a/b.txt": b"x"})
    with pytest.raises(ModelError, match=r"^r\.zip: no trained model"):
        import_(path)
    assert not files_below(home) - {home / "models"}


def test_what_could_name_a_patient_stays_behind(copy, home):
    dataset = json.loads((copy / "dataset.json").read_text())
    dataset |= {
        "training": [{"image": f"./imagesTr/{PATIENT}.nii.gz"}],
        "dataset": {PATIENT: {"images": [f"/home/{PATIENT}"]}},
        "reference": "a paper",
    }
    (copy / "dataset.json").write_text(json.dumps(dataset))
    plans = json.loads((copy / "plans.json").read_text()) | {"made_by": PATIENT}
    (copy / "plans.json").write_text(json.dumps(plans))
    for fold in ("0", "1"):
        path = copy / f"fold_{fold}" / FINAL
        content = torch.load(path, weights_only=False)
        content["init_args"]["output_folder"] = f"/data/{PATIENT}"
        content["logging"]["cases"] = [PATIENT]
        torch.save(content, path)
        (path.parent / "debug.json").write_text(PATIENT)
    report = import_results(copy)
    stored = models.find(report.id).folder
    assert json.loads((stored / "dataset.json").read_text())["reference"] == "a paper"
    for path in stored.iterdir():
        assert PATIENT.encode() not in path.read_bytes()
    (note,) = [note for note in report.notes if "left out" in note]
    assert note.endswith("plans.json: made_by, dataset.json: training, dataset.json: dataset")
    assert PATIENT not in note


def test_numbered_folds_win_and_both_are_stored(copy):
    shutil.copytree(copy / "fold_0", copy / "fold_all")
    model = models.get(import_(copy))
    assert model.folds == ("0", "1")
    assert "fold_all.safetensors" in model.card.files
    shutil.rmtree(copy / "fold_0")
    shutil.rmtree(copy / "fold_1")
    assert models.get(import_(copy, id="alone")).folds == ("all",)


def test_half_precision_stays_half(copy):
    for fold in ("0", "1"):
        path = copy / f"fold_{fold}" / FINAL
        content = torch.load(path, weights_only=False)
        content["network_weights"] = {
            key: tensor.half() if fold == "0" or "bias" in key else tensor
            for key, tensor in content["network_weights"].items()
        }
        torch.save(content, path)
    stored = models.find(import_(copy)).folder
    types = {
        fold: {array.dtype.name for _, array in read_stored(stored / f"fold_{fold}.safetensors")}
        for fold in ("0", "1")
    }
    assert types == {"0": {"float16"}, "1": {"float32"}}  # a mixture is stored whole
    models.verify(models.list()[0].id)


def test_importing_twice_changes_nothing(oracle):
    first, again = (import_results(oracle / "e2e_804") for _ in range(2))
    assert (first.stored, again.stored) == (True, False)
    assert len(models.list()) == 1


@pytest.mark.parametrize("change", [{"name": "Another"}, {"orientation": "RAS"}])
def test_an_id_that_is_taken(oracle, change):
    import_(oracle / "e2e_804")
    before = models.list()
    with pytest.raises(ModelError, match="lies in the store already"):
        import_(oracle / "e2e_804", **change)
    assert models.list() == before


def test_a_cascade_whose_second_id_is_taken_leaves_no_first(oracle, home):
    import_(oracle / "e2e_804", id="two")
    with pytest.raises(ModelError, match="'two' lies in the store already"):
        import_(oracle / "e2e_803", id="two")
    assert [entry.name for entry in (home / "models").iterdir()] == ["two"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"id": "My Model"}, "My Model"), ({"orientation": "XYZ"}, "XYZ"), ({"id": "../up"}, "up")],
)
def test_wrong_options(oracle, home, options, said):
    with pytest.raises(ModelError, match=said):
        import_(oracle / "e2e_804", **options)
    assert not files_below(home)


def test_a_bundled_id_is_not_for_users(oracle, tmp_path, monkeypatch):
    model_id = import_(oracle / "e2e_804", id="liver-ct")
    bundled = tmp_path / "Models"
    bundled.mkdir()
    shutil.move(models.find(model_id).folder, bundled / model_id)
    monkeypatch.setattr(store, "bundled_folder", lambda: bundled)
    with pytest.raises(ModelError, match="came with the product"):
        import_(oracle / "e2e_801", id="liver-ct")


@pytest.mark.usefixtures("nothing_happens")
def test_hostile_files_leave_nothing(oracle, copy):
    for file in sorted((oracle / "malicious").iterdir()):
        if file.name == "manifest.json":
            continue
        with pytest.raises(ModelError):
            import_(file)
        if file.suffix == ".pth":
            shutil.copy(file, copy / "fold_0" / FINAL)
            with pytest.raises(ModelError):
                import_(copy)


@pytest.mark.usefixtures("nothing_happens")
def test_a_checkpoint_that_diverged_leaves_nothing(copy):
    path = copy / "fold_1" / FINAL
    content = torch.load(path, weights_only=False)
    next(iter(content["network_weights"].values())).view(-1)[-1] = float("nan")
    torch.save(content, path)
    with pytest.raises(ModelError, match="NaN or infinity"):
        import_(copy)


@pytest.mark.usefixtures("nothing_happens")
def test_a_wrong_checksum_leaves_nothing(copy):
    path = copy / "fold_1" / FINAL
    content = bytearray(path.read_bytes())
    checkpoint = read_checkpoint(path)
    numbers = next(iter(read_arrays(checkpoint)))[1].tobytes()
    at = content.find(numbers)
    assert at > 0
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="CRC"):
        import_(copy)


@pytest.mark.usefixtures("nothing_happens")
def test_weights_that_lack_a_tensor_or_have_one_more(copy):
    path = copy / "fold_0" / FINAL
    content = torch.load(path, weights_only=False)
    arguments = content["init_args"]
    key = "decoder.seg_layers.0.bias"
    weights = dict(content["network_weights"])
    tensor = weights.pop(key)
    for changed, said in (
        (weights, f"1 tensors missing .{key}"),
        (weights | {key: tensor, "extra.weight": tensor}, "1 tensors unknown .extra.weight"),
        (weights | {key: tensor[:-1].clone()}, "wrong shape"),
    ):
        save_checkpoint(path, changed, init_args=arguments, inference_allowed_mirroring_axes=(0, 1, 2))
        with pytest.raises(ModelError, match=said):
            import_(copy)


@pytest.mark.usefixtures("nothing_happens")
def test_a_full_disk_is_seen_before(oracle, monkeypatch):
    class Usage:
        free = 1_000

    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(InputError, match="GB free"):
        import_(oracle / "e2e_804")


@pytest.mark.usefixtures("nothing_happens")
def test_a_disk_that_fills_up_leaves_nothing(oracle, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("umamba.models.convert.write_arrays", full)
    with pytest.raises(InputError, match="No space left"):
        import_(oracle / "e2e_804")


def test_a_store_that_is_a_file(oracle, home):
    (home / "models").write_text("in the way")
    with pytest.raises(InputError, match="model store"):
        import_(oracle / "e2e_804")
