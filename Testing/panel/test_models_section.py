"""The list of models by clicking and typing: cards, search, install, export, remove, a group's folder."""

import json

import pytest
import qt
import slicer

from section_cases import (
    BUNDLED,
    MODELS,
    PATIENCE_S,
    answers,
    drop,
    items,
    keys,
    model_file,
    pictures,
    store_copy,
    write_card,
)

HOSTILE = '<img src="x"><a href="file:///etc/passwd">click</a> & <b>bold</b>'


@pytest.fixture
def chosen(monkeypatch):
    """`chosen(path)`: what the next file dialogs answer."""
    from UMambaSegmentationLib.panel import dialogs

    def choose(path):
        for name in ("choose_folder", "choose_file", "save_file"):
            monkeypatch.setattr(dialogs, name, lambda *_: path)

    return choose


@pytest.fixture
def opened(monkeypatch):
    """Addresses that went to the person's browser or file manager."""
    addresses = []
    monkeypatch.setattr(
        qt.QDesktopServices, "openUrl", staticmethod(lambda url: not addresses.append(url.toString()))
    )
    return addresses


def menu(button, text):
    """Choose from a button's menu."""
    (action,) = [action for action in button.menu().actions() if action.text == text]
    action.trigger()


def finish(panel, spin):
    """Wait for the request that the section has made."""
    spin(lambda: not panel.ui.modelBusy.visible, PATIENCE_S)


def ids(panel):
    return [data for _text, data, _enabled in items(panel.ui.modelSelector) if data]


def test_groups_under_head_lines(engine_home, tmp_path, request, shot, app):
    store_copy(engine_home, "brain-ct", name="Brain (CT)", anatomy="Brain", modality="CT")
    model_file(tmp_path / "a.zip", "heart-mr", name="Left ventricle and myocardium", modality="MR")
    from UMambaSegmentationLib import settings

    settings.set_model_folder(tmp_path)
    panel = request.getfixturevalue("panel")
    listed = items(panel.ui.modelSelector)
    assert listed == [
        ("Came with this extension", None, False),
        ("Hippocampus, anterior and posterior (T1 MR)", BUNDLED, True),
        ("Installed on this computer", None, False),
        ("Brain (CT)", "brain-ct", True),
        ("In the shared folder", None, False),
        ("Left ventricle and myocardium", "heart-mr", True),
    ]
    assert panel.panel.models.card.id == BUNDLED
    pictures(panel, shot, app, "models_several")
    panel.ui.modelSelector.showPopup()
    shot("models_list", panel.ui.modelSelector.view().window())
    panel.ui.modelSelector.hidePopup()


def test_choosing_and_the_scene_agree(engine_home, request):
    store_copy(engine_home, "brain-ct", name="Brain (CT)")
    panel = request.getfixturevalue("panel")
    models, state = panel.panel.models, panel.panel.services.state
    told = []
    models.on_change(lambda: told.append(models.card.id))
    panel.ui.modelSelector.setCurrentIndex(panel.ui.modelSelector.findData("brain-ct"))
    assert (models.card.id, state.state.model, told) == ("brain-ct", "brain-ct", ["brain-ct"])
    state.write(model=BUNDLED)
    assert models.card.id == panel.ui.modelSelector.currentData == BUNDLED
    assert told == ["brain-ct", BUNDLED]
    assert not models.select("nowhere")
    assert models.card.id == BUNDLED
    state.write(model="nowhere")
    assert "nowhere" in panel.ui.modelStatusLabel.text
    assert models.card.id == BUNDLED


def test_search_by_words(engine_home, request, spin):
    store_copy(engine_home, "brain-ct", name="Brain (CT)", anatomy="Brain", modality="CT")
    store_copy(engine_home, "heart-mr", name="Left ventricle", anatomy="Heart", modality="MR")
    panel = request.getfixturevalue("panel")
    selector, models = panel.ui.modelSelector, panel.panel.models
    line, completer = selector.lineEdit(), selector.lineEdit().completer()
    line.setFocus()
    keys(line, "\bheart")
    assert completer.completionPrefix == "heart"
    assert completer.completionCount() == 1
    keys(line, "\n")
    assert (models.card.id, line.text) == ("heart-mr", "Left ventricle")
    keys(line, "\bmr hippo\n")  # words in any order
    assert models.card.id == BUNDLED
    for text in (
        "spleen\n",
        "MR\n",
        "\n",
        "installed on this computer\n",
    ):  # none, several, nothing, a head line
        keys(line, "\b" + text)
        assert models.card.id == BUNDLED
        assert line.text == selector.itemText(1)
    completer.activated.emit("Left ventricle: Heart, MR, 2 structures")
    assert models.card.id == "heart-mr"
    spin(lambda: line.text == "Left ventricle")
    assert line.cursorPosition == 0


def test_card_in_short_and_in_full(panel, opened, shot, app):
    label = panel.ui.modelCardLabel
    assert "Dice 0.89 in 40 cases" in label.text
    assert "doi.org" not in label.text
    label.linkActivated.emit("#more")
    assert "Trained on" in label.text
    assert 'href="https://doi.org/10.1038/s41592-020-01008-z"' in label.text
    pictures(panel, shot, app, "models_card_in_full", 1900)
    label.linkActivated.emit("https://arxiv.org/abs/2401.04722")
    assert opened == ["https://arxiv.org/abs/2401.04722"]
    label.linkActivated.emit("#less")
    assert "Trained on" not in label.text


def test_a_strangers_card_is_text_and_nothing_else(engine_home, request, opened, shot):
    licence = {"licence": "CC-BY-NC-4.0", "commercial_use": False}
    words = dict.fromkeys(("name", "description", "anatomy", "limits"), HOSTILE)
    cite = ["http://plain.example/x", 'https://fine.example/a"b onmouseover=x', f"doi:10.1/x {HOSTILE}"]
    store_copy(engine_home, "hostile", **words, **licence, citation=cite, channels=[{"name": HOSTILE}])
    panel = request.getfixturevalue("panel")
    panel.panel.models.select("hostile")
    label = panel.ui.modelCardLabel
    assert "<b>not for commercial use</b>" in label.text
    for link in ("#more", "#less"):
        shown = label.text
        assert "<img" not in shown
        assert "<b>bold" not in shown
        assert "file:///etc/passwd&quot;" in shown
        links = [part.split('"')[0] for part in shown.split('href="')[1:]]
        assert all(one.startswith(("https://", "#")) for one in links)
        label.linkActivated.emit(link)
    assert "fine.example/a&quot;" not in "".join(links)
    for link in ("http://plain.example/x", "file:///etc/passwd", "javascript:alert(1)", ""):
        label.linkActivated.emit(link)
    assert opened == []
    tip = panel.ui.modelSelector.model().item(panel.ui.modelSelector.currentIndex).toolTip()
    assert "<img" not in tip
    assert "&lt;img" in tip
    shot("models_hostile")


def test_a_broken_card_hides_no_other(engine_home, request):
    folder = store_copy(engine_home, "broken")
    (folder / "card.json").write_text("{")
    panel = request.getfixturevalue("panel")
    assert ids(panel) == [BUNDLED]
    assert "broken" in panel.ui.modelStatusLabel.text


def test_no_model_at_all(monkeypatch, tmp_path, request, shot, app):
    from UMambaSegmentationLib import cards

    monkeypatch.setattr(cards, "bundled_models_folder", lambda: None)
    panel = request.getfixturevalue("panel")
    assert panel.panel.models.card is None
    assert not panel.ui.exportModelButton.enabled
    assert "import one" in panel.ui.modelSelector.lineEdit().placeholderText
    assert not panel.ui.segmentButton.enabled
    pictures(panel, shot, app, "models_none")


def test_export_remove_and_drop_it_in_again(engine_home, request, chosen, tmp_path, spin, shot, app):
    folder = store_copy(engine_home, "brain-ct", name="Brain (CT)")
    panel = request.getfixturevalue("panel")
    ui, models = panel.ui, panel.panel.models
    assert not ui.removeModelButton.enabled  # it came with the extension
    models.select("brain-ct")
    file = tmp_path / "brain.zip"
    file.write_text("an older file, which the dialog has asked about")
    chosen(file)
    ui.exportModelButton.click()
    assert ui.modelBusy.visible
    assert not ui.exportModelButton.enabled
    finish(panel, spin)
    assert str(file) in ui.modelStatusLabel.text
    assert file.stat().st_size > 1_000_000

    ui.removeModelButton.click()
    pictures(panel, shot, app, "models_remove")
    answers(ui.modelQuestion)["Keep"].click()
    assert folder.is_dir()
    ui.removeModelButton.click()
    answers(ui.modelQuestion)["Remove"].click()
    finish(panel, spin)
    assert not folder.exists()
    assert ids(panel) == [BUNDLED]
    assert models.card.id == BUNDLED
    assert ui.modelStatusLabel.text == "Brain (CT) was removed."

    assert drop(ui.UMambaSegmentation, file)
    spin(lambda: models.card.id == "brain-ct", PATIENCE_S)
    assert folder.is_dir()
    assert "was installed" in ui.modelStatusLabel.text


def test_only_what_can_be_a_model_is_taken_by_a_drop(panel, tmp_path):
    for name in ("scan.nii.gz", "notes.txt"):
        (tmp_path / name).write_text("x")
        assert not drop(panel.ui.UMambaSegmentation, tmp_path / name)
    assert not panel.ui.modelSelector.lineEdit().acceptDrops  # else a file's name would be typed into it


def test_a_groups_folder(panel, chosen, tmp_path, spin, engine_home, shot, app):
    ui, models = panel.ui, panel.panel.models
    chosen(tmp_path)
    menu(ui.modelFolderButton, "Choose a shared folder...")
    assert "no further model" in ui.modelStatusLabel.text
    model_file(tmp_path / "heart.zip", "heart-mr", name="Heart (MR)")
    menu(ui.modelFolderButton, "Choose a shared folder...")
    assert "One more model" in ui.modelStatusLabel.text
    models.select("heart-mr")
    assert models.card.source == "available"
    assert ui.installModelButton.visible
    assert not ui.exportModelButton.visible
    assert not ui.removeModelButton.visible
    assert not ui.segmentButton.enabled
    assert "Install the model" in ui.statusLabel.text
    pictures(panel, shot, app, "models_shared")
    ui.installModelButton.click()
    finish(panel, spin)
    assert models.card.source == "installed"
    assert (engine_home / "models" / "heart-mr").is_dir()
    assert not ui.installModelButton.visible
    menu(ui.modelFolderButton, "Forget the shared folder")
    assert ids(panel) == [BUNDLED, "heart-mr"]


def test_folders_are_opened(engine_home, request, opened):
    folder = store_copy(engine_home, "brain-ct")
    panel = request.getfixturevalue("panel")
    panel.panel.models.select("brain-ct")
    menu(panel.ui.modelFolderButton, "Open the folder of this model")
    assert opened == [f"file://{folder}"]


@pytest.mark.parametrize("kind", ["damaged", "text", "empty folder", "the bundled model's id"])
def test_what_cannot_be_installed_is_one_sentence(panel, tmp_path, spin, kind, shot, app):
    path = tmp_path / "x.zip"
    if kind == "damaged":
        path.write_bytes(model_file(tmp_path / "y.zip", "heart-mr").read_bytes()[:-5000])
    elif kind == "text":
        path.write_text("no zip at all")
    elif kind == "empty folder":
        path = tmp_path / "empty"
        path.mkdir()
    else:
        model_file(path, BUNDLED, name="Another hippocampus")
    panel.panel.models.take(path)
    finish(panel, spin)
    said = panel.ui.modelStatusLabel.text
    assert said
    assert "\n" not in said
    assert "Traceback" not in said
    assert ids(panel) == [BUNDLED]
    assert not panel.ui.importFormPlace.visible
    assert panel.ui.importModelButton.enabled
    if kind == "damaged":
        pictures(panel, shot, app, "models_error")


def test_cancel_leaves_the_models_alone(panel, tmp_path, spin, engine_home, shot, app):
    ui, engine = panel.ui, panel.panel.services.engine
    panel.panel.models.take(model_file(tmp_path / "x.zip", "heart-mr"))
    pictures(panel, shot, app, "models_installing")
    ui.modelCancelButton.click()
    assert not ui.modelBusy.visible
    assert ui.importModelButton.enabled
    assert "Cancelled" in ui.modelStatusLabel.text
    spin(lambda: not engine.busy, PATIENCE_S)
    panel.panel.models.refresh()
    assert ids(panel) == [BUNDLED]


def test_one_thing_at_a_time(panel, tmp_path):
    models, ui = panel.panel.models, panel.ui
    models.take(model_file(tmp_path / "x.zip", "heart-mr"))
    models.take(model_file(tmp_path / "y.zip", "brain-ct"))
    assert "busy" in ui.modelStatusLabel.text
    assert ui.modelBusy.visible


def test_without_an_engine_the_reason_is_said(panel, monkeypatch, tmp_path, spin):
    from UMambaSegmentationLib.client import packages

    monkeypatch.setattr(packages.Requirement, "accepts", lambda *_: False)
    panel.panel.models.take(model_file(tmp_path / "x.zip", "heart-mr"))
    finish(panel, spin)
    assert "press Install under Set-up" in panel.ui.modelStatusLabel.text


def test_what_others_installed_is_seen_when_the_panel_is_opened(panel, engine_home):
    folder = store_copy(engine_home, "brain-ct", name="Brain (CT)")
    panel.parent.enter()
    assert ids(panel) == [BUNDLED, "brain-ct"]
    panel.panel.models.select("brain-ct")
    write_card(folder / "card.json", "brain-ct", {"name": "Brain, second version"})
    panel.parent.enter()
    assert panel.ui.modelSelector.currentText == "Brain, second version"


def test_the_scenes_model_comes_back_with_the_scene(engine_home, request, tmp_path):
    store_copy(engine_home, "brain-ct")
    panel = request.getfixturevalue("panel")
    panel.panel.models.select("brain-ct")
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "s.mrb"), None)
    panel.panel.models.select(BUNDLED)
    slicer.mrmlScene.ReadFromMRB(str(tmp_path / "s.mrb"))
    assert panel.panel.models.card.id == "brain-ct"


def test_a_closed_panel_is_left_alone(panel, tmp_path, spin):
    widget, label = panel.ui.UMambaSegmentation, panel.ui.modelStatusLabel
    panel.panel.models.take(model_file(tmp_path / "x.zip", "heart-mr"))
    panel.cleanup()
    before = label.text
    (tmp_path / "results").mkdir()
    assert not drop(widget, tmp_path / "results")
    label.linkActivated.emit("#more")
    assert label.text == before


def test_the_bundled_card_says_what_it_is():
    """What the tests above build on."""
    card = json.loads((MODELS / BUNDLED / "card.json").read_text(encoding="utf-8"))
    assert card["name"] == "Hippocampus, anterior and posterior (T1 MR)"
