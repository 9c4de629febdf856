"""`umamba models ...` on the results folders of published code."""

import json
import os
import shutil
from pathlib import Path

import pytest

BUNDLED = Path(__file__).resolve().parents[3] / "Resources" / "Models"
# The cascade of the oracle, whose import makes two models.
FIRST_STAGE = "dataset803-oraclecascade-3d-lowres"
SECOND_STAGE = "dataset803-oraclecascade-3d-cascade-fullres"


@pytest.fixture
def models(call):
    """Run `umamba models ...`; gives status, lines of standard output, lines of standard error."""

    def run(*words):
        done = call("models", *words)
        return done.status, done.out, done.err

    return run


def own(lines: list[str]) -> list[str]:
    """The lines of `models list` that are not of bundled models."""
    bundled = {folder.name for folder in BUNDLED.iterdir() if folder.is_dir()}
    return [line for line in lines if line.split()[0] not in bundled and not line.startswith("no models")]


def stored_folder(identifier: str) -> Path:
    """Where a model lies in this test's own store; tests never touch the bundled ones."""
    return Path(os.environ["UMAMBA_HOME"]) / "models" / identifier


@pytest.fixture
def results(oracle) -> Path:
    """A small results folder of nnunetv2 with two folds."""
    return oracle / "e2e_804"


def test_import_prints_the_id_alone(models, results):
    status, out, err = models("import", results, "--id", "my-ct", "--name", "My CT")
    assert (status, out) == (0, ["my-ct"])
    assert any("PlainConvUNet" in line for line in err)
    assert [line.split(maxsplit=1) for line in own(models("list")[1])] == [["my-ct", "My CT, CT, 4 labels"]]


def test_import_of_a_cascade_makes_two_models(models, oracle):
    status, out, _ = models("import", oracle / "e2e_803")
    assert (status, out) == (0, [SECOND_STAGE])
    listed = json.loads(models("list", "--json")[1][0])["models"]
    stages = {card["id"]: card["network"].get("previous_stage") for card in listed if not card["bundled"]}
    assert stages == {FIRST_STAGE: None, SECOND_STAGE: FIRST_STAGE}


def test_a_dry_run_stores_nothing(models, results):
    status, out, err = models("import", results, "--dry-run", "--orientation", "RAS", "--json")
    report = json.loads(out[0])
    assert (status, report["stored"], report["folds"]) == (0, False, ["0", "1"])
    assert any("would be stored" in line for line in err)
    assert own(models("list")[1]) == []


def test_show(models, results):
    models("import", results, "--id", "my-ct", "--orientation", "LPS")
    status, out, _ = models("show", "my-ct")
    assert status == 0
    assert any(line.split() == ["orientation", "LPS"] for line in out)
    card = json.loads(models("show", "my-ct", "--json")[1][0])
    assert (card["schema"], card["id"], card["orientation"]) == ("umamba-card/1", "my-ct", "LPS")
    assert models("show", results)[0] == 0  # a results folder has a card too, made from its files


def test_export_remove_install_verify(models, results, tmp_path):
    models("import", results, "--id", "my-ct")
    file = tmp_path / "my-ct.zip"
    assert models("export", "my-ct", file)[0] == 0
    assert models("export", "my-ct", file)[0] == 2  # it exists
    assert models("export", "my-ct", file, "--overwrite")[0] == 0
    assert models("remove", "my-ct")[0] == 0
    assert models("remove", "my-ct")[0] == 2
    status, out, _ = models("install", file)
    assert (status, out) == (0, ["my-ct"])
    status, out, _ = models("verify", "my-ct", "--json")
    assert status == 0
    assert json.loads(out[0])["intact"] is True


def test_verify_finds_a_changed_file(models, results, tmp_path):
    models("import", results, "--id", "my-ct")
    folder = stored_folder("my-ct")
    weights = folder / "fold_1.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    status, out, err = models("verify", "my-ct")
    assert (status, out, len(err)) == (2, [], 1)
    assert "fold_1.safetensors" in err[0]


def test_a_damaged_model_is_listed_as_a_problem(models, results):
    models("import", results, "--id", "my-ct")
    folder = stored_folder("my-ct")
    shutil.copytree(folder, folder.with_name("other-ct"))
    (folder / "card.json").write_text("{")
    status, _, err = models("list")
    assert (status, len(err)) == (0, 2)
    assert all(line.startswith("umamba: warning: ") for line in err)
    found = json.loads(models("list", "--json")[1][0])
    assert all(entry["bundled"] for entry in found["models"])
    assert sorted(found["problems"]) == ["my-ct", "other-ct"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("show", "no-such"), "no-such"),
        (("import", "/no/such/folder"), "folder"),
        (("import", "RESULTS", "--id", "Not An Id"), "Not An Id"),
        (("import", "RESULTS", "--orientation", "XYZ"), "XYZ"),
        (("install", "/no/such.zip"), "such.zip"),
        (("export", "no-such", "x.zip"), "no-such"),
        (("verify", "no-such"), "no-such"),
        (("verify",), "ID"),
    ],
)
def test_wrong_requests_are_one_line(models, results, tmp_path, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)
    status, out, err = models(*(results if word == "RESULTS" else word for word in words))
    assert (status, out, len(err)) == (2, [], 1)
    assert err[0].startswith("umamba: error: ")
    assert part in err[0]
    assert own(models("list")[1]) == []
    assert not list(tmp_path.iterdir())
