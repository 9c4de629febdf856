"""The set-up by clicking: what is missing, installing from wheels with the real pip, the way back."""

import os
from importlib import metadata
from pathlib import Path

import pytest

from section_cases import PATIENCE_S, answers, bare_python, pictures, wheels


@pytest.fixture(autouse=True)
def _pip_as_it_comes(monkeypatch):
    """No settings of this computer's pip: they may name other folders of wheels."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture(scope="session")
def empty_python(tmp_path_factory):
    return bare_python(tmp_path_factory.mktemp("python") / "bare")


@pytest.fixture(scope="session")
def all_wheels(tmp_path_factory):
    from UMambaSegmentationLib.client.packages import requirements

    versions = {}
    for needed in requirements():
        try:
            versions[needed.name] = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            versions[needed.name] = needed.clauses[0][1]  # the oldest that does
    return wheels(tmp_path_factory.mktemp("wheels") / "all", versions)


@pytest.fixture
def first_start(scene, empty_python, request):
    """The panel where nothing is installed yet."""
    from UMambaSegmentationLib.client import interpreter

    interpreter.choose(str(empty_python))
    return request.getfixturevalue("panel")


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
    """Folders that the panel has shown in the file manager."""
    from UMambaSegmentationLib.panel import dialogs

    folders = []
    monkeypatch.setattr(dialogs, "open_folder", lambda folder: not folders.append(folder))
    return folders


def install_from(panel, chosen, folder):
    """Click through an installation from a folder."""
    chosen(folder)
    panel.ui.installFolderButton.click()
    answers(panel.ui.setupQuestion)["Install"].click()


def own_packages():
    from UMambaSegmentationLib.client import packages

    return packages.packages_in_use().folder


def leftovers():
    """What lies beside the engine's packages, but for folders on their way out."""
    place = own_packages().parent
    return [path.name for path in place.iterdir()] if place.is_dir() else []


def test_closed_where_all_is_there(panel, shot, app):
    ui = panel.ui
    assert ui.setupSection.collapsed
    assert panel.panel.setup.ready
    ui.setupSection.collapsed = False
    assert "The engine is installed" in ui.setupStatusLabel.text
    assert "PyTorch 2." in ui.setupStatusLabel.text
    assert not ui.uninstallButton.visible  # nothing of ours is there
    pictures(panel, shot, app, "setup_installed")


def test_first_start(first_start, shot, app):
    panel = first_start
    ui = panel.ui
    assert not ui.setupSection.collapsed
    assert "Not installed yet: PyTorch" in ui.setupStatusLabel.text
    assert not ui.segmentButton.enabled
    assert "not installed" in ui.statusLabel.text
    assert "Anterior hippocampus" in ui.modelCardLabel.text  # cards need no engine
    assert ui.modelSelector.count == 2
    assert [ui.buildSelector.itemData(row) for row in range(ui.buildSelector.count)] == ["cpu", "cuda"]
    pictures(panel, shot, app, "setup_first_start")


def test_install_asks_with_sizes_and_takes_no_for_an_answer(monkeypatch, first_start, shot, app):
    monkeypatch.delenv("UMAMBA_OFFLINE")
    panel = first_start
    ui = panel.ui
    panel.panel.refresh()
    ui.installButton.click()
    question = ui.setupQuestion.findChildren(type(ui.setupStatusLabel))[0].text
    assert "0.5 GB to download" in question
    assert "1.8 GB on the disk" in question
    assert "Slicer's own packages are not changed" in question
    assert str(own_packages().parent) in question.replace("\u200b", "")
    pictures(panel, shot, app, "setup_question")
    answers(ui.setupQuestion)["Not now"].click()
    assert not ui.setupQuestion.visible
    assert not ui.installOutput.visible
    assert leftovers() == []


def test_offline_leaves_the_folder_alone(first_start):
    ui = first_start.ui
    assert not ui.installButton.enabled
    assert ui.installFolderButton.enabled
    assert "UMAMBA_OFFLINE" in ui.setupStatusLabel.text


def test_no_folder_chosen_is_no_question(first_start, chosen):
    chosen(None)
    first_start.ui.installFolderButton.click()
    assert not first_start.ui.setupQuestion.visible


def test_install_and_the_way_back(first_start, chosen, all_wheels, spin, shot, app):
    panel = first_start
    ui = panel.ui
    chosen(all_wheels)
    ui.installFolderButton.click()
    pictures(panel, shot, app, "setup_question_folder")
    answers(ui.setupQuestion)["Install"].click()
    assert ui.installBusy.visible
    assert not ui.installFolderButton.enabled
    spin(lambda: "Checking" in ui.installOutput.plainText, PATIENCE_S)
    pictures(panel, shot, app, "setup_installing", 1000)
    spin(lambda: not ui.installBusy.visible, PATIENCE_S)
    assert "The engine is installed: PyTorch" in ui.setupResultLabel.text
    assert panel.panel.setup.ready
    assert ui.setupSection.collapsed
    assert "not installed" not in ui.statusLabel.text  # the panel is ready, without a restart
    assert own_packages().is_dir()
    assert panel.panel.services.engine.submit("models").wait(PATIENCE_S)

    ui.setupSection.collapsed = False
    assert "in the engine's own folder" in ui.setupStatusLabel.text
    assert ui.installButton.text == "Upgrade..."
    pictures(panel, shot, app, "setup_own_packages")
    ui.uninstallButton.click()
    answers(ui.setupQuestion)["Keep"].click()
    assert own_packages().is_dir()
    ui.uninstallButton.click()
    answers(ui.setupQuestion)["Uninstall"].click()
    spin(lambda: not panel.panel.setup.ready, PATIENCE_S)
    assert not own_packages().exists()
    assert not ui.setupSection.collapsed
    assert not ui.uninstallButton.visible
    assert "not installed" in ui.statusLabel.text
    assert not ui.segmentButton.enabled


def test_a_folder_that_lacks_something_changes_nothing(first_start, chosen, tmp_path, spin, shot, app):
    panel = first_start
    ui = panel.ui
    install_from(panel, chosen, tmp_path)
    assert "no wheels" in ui.setupResultLabel.text
    install_from(panel, chosen, wheels(tmp_path / "one", {"rich": "13.9.0"}))
    spin(lambda: not ui.installBusy.visible, PATIENCE_S)
    assert ui.setupResultLabel.text
    assert "\n" not in ui.setupResultLabel.text
    assert "ERROR" in ui.installOutput.plainText
    assert not panel.panel.setup.ready
    assert not own_packages().exists()
    pictures(panel, shot, app, "setup_failed", 1000)


def test_cancel_an_installation(first_start, chosen, all_wheels, spin):
    ui = first_start.ui
    install_from(first_start, chosen, all_wheels)
    spin(lambda: "pip install" in ui.installOutput.plainText, PATIENCE_S)
    ui.cancelInstallButton.click()
    assert not ui.installBusy.visible
    assert ui.installFolderButton.enabled
    assert "nothing was changed" in ui.setupResultLabel.text
    spin(lambda: leftovers() == [], PATIENCE_S)
    assert not first_start.panel.setup.ready


def test_the_panel_is_closed_during_an_installation(module, scene, empty_python, chosen, all_wheels, spin):
    from UMambaSegmentationLib.client import interpreter

    interpreter.choose(str(empty_python))
    panel = module.widgetRepresentation().self()
    install_from(panel, chosen, all_wheels)
    panel.cleanup()
    spin(lambda: leftovers() == [], PATIENCE_S)


def test_report_of_the_engine(panel, app, spin, engine_home):
    ui = panel.ui
    ui.copyReportButton.click()
    spin(lambda: "clipboard" in ui.setupResultLabel.text, PATIENCE_S)
    text = app.clipboard().text()
    assert "Slicer: 5.10" in text
    assert "Missing: nothing" in text
    assert text.count("\n") > 12  # what the engine says of itself
    assert str(Path.home()) not in text
    assert ui.copyReportButton.enabled


def test_report_where_nothing_is_installed(first_start, app):
    first_start.ui.copyReportButton.click()
    text = app.clipboard().text()
    assert "Missing: torch, numpy" in text
    assert "has nothing to say" in text


def test_logs_are_shown(panel, opened, engine_home):
    panel.ui.openLogsButton.click()
    assert opened == [engine_home / "logs"]
    assert opened[0].is_dir()


def test_another_python(first_start, chosen, tmp_path, shot, app):
    ui = first_start.ui
    assert ui.pythonButton.visible  # for one is chosen
    ui.pythonButton.click()
    pictures(first_start, shot, app, "setup_python")
    wrong = tmp_path / "python3"
    wrong.write_text("#!/bin/sh\nexit 3\n")
    wrong.chmod(0o755)
    chosen(wrong)
    answers(ui.setupQuestion)["Choose..."].click()
    assert "not a Python program" in ui.setupResultLabel.text
    ui.pythonButton.click()
    answers(ui.setupQuestion)["Slicer's own"].click()
    assert first_start.panel.setup.ready
    assert not ui.pythonButton.visible


def test_an_engine_of_another_version_is_named(panel):
    panel.panel.services.engine.version = "99.0"
    panel.panel.setup.refresh()
    assert "99.0" in panel.ui.setupStatusLabel.text
    assert "restart" in panel.ui.setupStatusLabel.text


def test_a_run_is_not_disturbed(first_start, chosen, all_wheels, monkeypatch):
    import dataclasses

    panel = first_start.panel
    busy = dataclasses.replace(panel.services, busy=lambda: True)
    monkeypatch.setattr(panel.setup, "_services", busy)
    install_from(first_start, chosen, all_wheels)
    assert "A run goes on" in first_start.ui.setupResultLabel.text
    assert not first_start.ui.installBusy.visible
