"""Model cards as plain JSON: the same models as the engine's, and no stranger's card in anybody's way."""

import copy
import json
import shutil
import struct
import subprocess
import sys
import zipfile

import pytest

from umamba import models
from umamba.models import store
from umamba.models.card import parse_card as engine_parse
from UMambaSegmentationLib import card_text, card_zips, cards, paths

BUNDLED = paths.bundled_models_folder() / "hippocampus-mr"


@pytest.fixture
def raw():
    return json.loads((BUNDLED / "card.json").read_text("utf-8"))


@pytest.fixture
def installed():
    folder = paths.installed_models_folder()
    folder.mkdir(parents=True)
    return folder


def _put(folder, raw, name=None):
    target = folder / (name or raw["id"])
    target.mkdir()
    (target / "card.json").write_text(json.dumps(raw), "utf-8")
    return target


def _zip(file, members):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return file


def _ids(found):
    return [card.id for card in found]


# --- reading ------------------------------------------------------------


def test_the_bundled_card_says_what_the_engine_reads(raw):
    (card,) = cards.read_models()
    theirs = engine_parse(raw)
    for name in ("id", "name", "version", "anatomy", "modality", "orientation", "field_of_view", "licence"):
        assert getattr(card, name) == getattr(theirs, name), name
    for name in (
        "commercial_use",
        "citation",
        "limits",
        "description",
        "mirror",
        "mirror_axes",
        "grey_repeat",
    ):
        assert getattr(card, name) == getattr(theirs, name), name
    assert [(label.value, label.key, label.name, label.color) for label in card.labels] == [
        (label.value, label.key, label.name, label.color) for label in theirs.labels
    ]
    assert card.labels[0].terminology["type"] == ["SCT", "5366008", "Hippocampus"]
    assert [(channel.name, channel.description) for channel in card.channels] == [
        (channel.name, channel.description) for channel in theirs.channels
    ]
    assert card.network["class"] == "UMambaBot"
    assert (card.source, card.folder.resolve(), card.instances) == ("bundled", BUNDLED, None)
    assert card.bytes == sum(file.stat().st_size for file in BUNDLED.iterdir())


@pytest.fixture
def one_in_the_engine(only_hippocampus, monkeypatch):
    """The engine sees the same single bundled model as the panel does in these tests."""
    monkeypatch.setattr(store, "bundled_folder", lambda: only_hippocampus)


@pytest.mark.usefixtures("one_in_the_engine")
def test_models_of_all_places_come_in_the_engines_order(installed, tmp_path, raw):
    for model_id in ("a-liver", "z-spleen"):
        _put(installed, raw | {"id": model_id})
    _zip(tmp_path / "kidney.zip", {"kidney/card.json": json.dumps(raw | {"id": "kidney"})})
    found = cards.read_models(available_folder=tmp_path)
    assert [(card.id, card.source) for card in found] == [
        ("hippocampus-mr", "bundled"),
        ("a-liver", "installed"),
        ("z-spleen", "installed"),
        ("kidney", "available"),
    ]
    assert _ids(found[:3]) == [entry.id for entry in store.list_models()]
    assert found[3].folder == tmp_path / "kidney.zip"
    assert found[3].bytes == (tmp_path / "kidney.zip").stat().st_size


@pytest.mark.usefixtures("one_in_the_engine")
def test_a_bundled_model_is_not_replaced_as_in_the_engine(installed, tmp_path, raw):
    _put(installed, raw | {"name": "Mine"})
    _zip(tmp_path / "again.zip", {"card.json": json.dumps(raw | {"name": "Theirs"})})
    (card,) = cards.read_models(available_folder=tmp_path)
    assert card.name == raw["name"]
    assert [entry.name for entry in store.list_models()] == [raw["name"]]


def test_a_real_export_of_the_engine_is_available_elsewhere(tmp_path, monkeypatch):
    models.export("hippocampus-mr", tmp_path / "file.zip")
    monkeypatch.setattr(cards, "bundled_models_folder", lambda: None)
    (card,) = cards.read_models(available_folder=tmp_path)
    assert (card.id, card.source) == ("hippocampus-mr", "available")
    assert card.labels[1].name == "Posterior hippocampus"


def test_of_a_cascade_the_second_stage_is_shown(tmp_path, raw):
    second = copy.deepcopy(raw) | {"id": "fine"}
    second["network"]["previous_stage"] = "coarse"
    members = {"coarse/card.json": json.dumps(raw | {"id": "coarse"}), "fine/card.json": json.dumps(second)}
    _zip(tmp_path / "cascade.zip", members)
    assert _ids(cards.read_models(available_folder=tmp_path)) == ["hippocampus-mr", "fine"]
    assert not cards.read_problems(available_folder=tmp_path)


def test_a_folder_that_is_away_holds_nothing(tmp_path):
    assert _ids(cards.read_models(available_folder=tmp_path / "share")) == ["hippocampus-mr"]


def test_reading_needs_neither_engine_nor_slicer():
    code = (
        "import sys; from UMambaSegmentationLib.cards import read_models; assert read_models()[0].id\n"
        "assert not {'torch', 'umamba', 'numpy', 'slicer', 'jsonschema'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=paths.module_folder(), check=True)


# --- damaged and hostile ------------------------------------------------------------


def _without(key):
    return lambda raw: raw.pop(key)


def _with(key, value):
    return lambda raw: raw.update({key: value})


def _label(key, value):
    return lambda raw: raw["labels"][0].update({key: value})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_with("schema", "umamba-card/2"), "schema"),
        (_with("id", "Liver CT"), "id"),
        (_with("id", "x" * 101), "id"),
        (_without("name"), "name"),
        (_with("name", "two\nlines"), "name"),
        (_with("name", ["liver"]), "name"),
        (_with("name", "\ud800"), "JSON"),
        (_with("version", 3), "version"),
        (_without("network"), "network"),
        (lambda raw: raw["network"].update(previous_stage=["x"]), "previous_stage"),
        (_with("channels", []), "channels"),
        (_with("channels", [{"description": "T1"}]), "name"),
        (_with("labels", {}), "labels"),
        (_label("value", 0), "labels"),
        (_label("value", 1.5), "labels"),
        (_label("value", True), "labels"),
        (_label("value", 2), "labels"),
        (_label("key", "posterior"), "labels"),
        (_label("color", [0, 0, 256]), "colour"),
        (_label("color", "red"), "colour"),
        (_label("terminology", {"category": ["SCT", "1"]}), "terminology"),
        (_with("orientation", "RAX"), "orientation"),
        (_with("field_of_view", [35, 50]), "field_of_view"),
        (_with("field_of_view", [35, 50, 10**400]), "field_of_view"),
        (_with("accuracy", [{"label": "a", "metric": "Dice"}]), "accuracy"),
        (_with("accuracy", [{"label": "a", "metric": "Dice", "mean": float("nan")}]), "JSON"),
        (_with("instances", {"boundary": 1}), "instances"),
        (_with("commercial_use", "no"), "commercial_use"),
    ],
)
def test_a_damaged_card_is_named_and_hides_no_other(installed, raw, change, named):
    good = _put(installed, copy.deepcopy(raw) | {"id": "good"})
    broken = copy.deepcopy(raw) | {"id": "broken"}
    change(broken)
    _put(installed, broken, "broken")
    assert _ids(cards.read_models()) == ["hippocampus-mr", good.name]
    assert list(cards.read_problems()) == ["broken"]
    assert named in cards.read_problems()["broken"]
    assert store.problems().keys() == {"broken"}  # the engine refuses it too


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"[" * 100_000, b'{"schema": ' + b"9" * 10_000 + b"}"]
)
def test_what_is_no_card_at_all_is_a_problem(installed, text):
    (installed / "foreign").mkdir()
    (installed / "foreign" / "card.json").write_bytes(text)
    (installed / "empty").mkdir()
    (installed / "note.txt").write_text("not a folder")
    (installed / ".staging-1").mkdir()
    assert _ids(cards.read_models()) == ["hippocampus-mr"]
    assert sorted(cards.read_problems()) == ["empty", "foreign"]


def test_a_folder_must_have_the_name_of_its_card(installed, raw):
    _put(installed, raw | {"id": "liver"}, "liver-copy")
    assert "liver" in cards.read_problems()["liver-copy"]


def test_a_card_of_absurd_size_is_not_read(installed, raw, monkeypatch):
    monkeypatch.setattr(cards, "MAX_CARD_BYTES", 2_000)
    _put(installed, raw | {"id": "huge"})
    assert "too large" in cards.read_problems()["huge"]


def test_zip_files_of_strangers_are_listed_and_cost_nothing(tmp_path, raw, monkeypatch):
    text = json.dumps(raw | {"id": "other"})
    _zip(tmp_path / "good.zip", {"other/card.json": text})
    _zip(tmp_path / "bomb.zip", {"card.json": b" " * 50_000_000})
    _zip(tmp_path / "results.zip", {"fold_0/checkpoint_final.pth": b"x"})
    _zip(tmp_path / "deep.zip", {"a/b/card.json": text})
    _zip(tmp_path / "two.zip", {f"{name}/card.json": json.dumps(raw | {"id": name}) for name in "ab"})
    _zip(tmp_path / "many.zip", {f"f{number:06d}": b"" for number in range(20_000)})
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "none.zip").write_bytes(b"")
    (tmp_path / "folder.zip").mkdir()
    whole = (tmp_path / "good.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    damaged = bytearray(whole)
    damaged[60:90] = bytes(30)
    (tmp_path / "damaged.zip").write_bytes(damaged)
    (tmp_path / "encrypted.zip").write_bytes(_encrypted(whole))

    read = []
    real = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: read.append(n) or real(self, n))
    assert _ids(cards.read_models(available_folder=tmp_path)) == ["hippocampus-mr", "other"]
    problems = cards.read_problems(available_folder=tmp_path)
    assert sorted(problems) == sorted(file.name for file in tmp_path.iterdir() if file.name != "good.zip")
    assert "too large" in problems["bomb.zip"]
    assert "import" in problems["results.zip"]
    assert "2 models" in problems["two.zip"]
    assert all("\n" not in fault for fault in problems.values())
    assert read, "cards are read through the watched function"
    assert all(0 < amount <= card_zips.MAX_CARD_BYTES + 1 for amount in read)


def test_a_bomb_that_lies_about_its_size_is_stopped(tmp_path):
    file = _zip(tmp_path / "liar.zip", {"card.json": b" " * 50_000_000})
    data = file.read_bytes()
    data = data.replace(struct.pack("<L", 50_000_000), struct.pack("<L", 1_000))
    file.write_bytes(data)
    assert "damaged" in cards.read_problems(available_folder=tmp_path)["liar.zip"]


def test_a_model_file_is_read_again_only_when_it_changed(tmp_path, raw, monkeypatch):
    file = _zip(tmp_path / "m.zip", {"m/card.json": json.dumps(raw | {"id": "m", "name": "One"})})
    assert cards.read_models(available_folder=tmp_path)[-1].name == "One"
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZipFile", None)  # the share would be asked again
        assert cards.read_models(available_folder=tmp_path)[-1].name == "One"
    _zip(file, {"m/card.json": json.dumps(raw | {"id": "m", "name": "Two, longer"})})
    assert cards.read_models(available_folder=tmp_path)[-1].name == "Two, longer"


def _encrypted(data):
    found = bytearray(data)
    found[6] |= 1
    at = found.index(b"PK\x01\x02")
    found[at + 8] |= 1
    return bytes(found)


# --- words ------------------------------------------------------------


def _card(raw, installed, **changes):
    shutil.rmtree(installed / "changed", ignore_errors=True)
    _put(installed, raw | {"id": "changed", **changes})
    return cards.read_models()[-1]


def test_searching_takes_words_in_any_order_and_case():
    (card,) = cards.read_models()
    assert card.matches("")
    assert card.matches("mr HIPPO")
    assert card.matches("hippocampus-mr")
    assert not card.matches("hippo liver")


def test_lines_of_the_bundled_card():
    (card,) = cards.read_models()
    found = dict(card_text.lines(card))
    assert card.sentence() == "Hippocampus, anterior and posterior (T1 MR): 2 structures"
    assert found["Segments"] == "Anterior hippocampus, Posterior hippocampus"
    assert found["Needs"] == "MRI: T1-weighted MR of about 1 mm; any intensity scale"
    assert found["Accuracy"].splitlines() == [
        "Anterior hippocampus: Dice 0.895 ± 0.037 (40 cases)",
        "Posterior hippocampus: Dice 0.879 ± 0.036 (40 cases)",
        "mean of all labels: Dice 0.887 ± 0.035 (40 cases)",
    ]
    assert found["Measured on"].startswith("40 of 200 cases")
    assert found["Field of view"] == "35 x 50 x 36 mm"
    assert found["Licence"] == "CC-BY-SA-4.0"
    assert found["Size"] == "3.9 MB"
    assert "Research use only" in found["Limits"]
    assert found["Cite"].count("\n") == 3


def test_what_a_card_does_not_say_is_not_invented(raw, installed):
    bare = {
        key: raw[key] for key in ("schema", "network", "channels", "labels", "orientation", "origin", "files")
    }
    card = _card(bare, installed, name="Bare")
    found = dict(card_text.lines(card))
    assert set(found) == {"Segments", "Needs", "Accuracy", "Licence", "Size"}
    assert found["Accuracy"] == "not measured"
    assert found["Licence"] == "licence not stated"


def test_a_licence_without_commercial_use_says_so(raw, installed):
    card = _card(raw, installed, licence="CC-BY-NC-4.0", commercial_use=False)
    assert card_text.licence(card) == "CC-BY-NC-4.0, no commercial use"


def test_many_structures_are_counted(raw, installed):
    labels = [raw["labels"][0] | {"value": n, "key": f"k{n}", "name": f"Name {n}"} for n in range(1, 118)]
    card = _card(raw, installed, labels=labels, accuracy=[])
    assert card_text.structures(card) == "Name 1, Name 2, Name 3, Name 4, Name 5 and 112 more"
    assert card.sentence().endswith("117 structures")
