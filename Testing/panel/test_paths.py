"""Folders: the same as the engine's, in a source tree and in an installed extension."""

import importlib.util
import shutil
import sys
from pathlib import Path

import platformdirs.macos
import pytest

from umamba.models import store
from UMambaSegmentationLib import paths


def test_the_store_is_the_engines_wherever_umamba_home_points(monkeypatch, tmp_path):
    monkeypatch.setenv("UMAMBA_HOME", str(tmp_path / "ü home"))
    assert paths.installed_models_folder() == store.store_folder() == tmp_path / "ü home" / "models"
    assert paths.logs_folder() == tmp_path / "ü home" / "logs"


@pytest.mark.parametrize("xdg", [None, "", "relative/folder", "/somewhere/else"])
def test_without_umamba_home_the_store_is_the_engines(monkeypatch, tmp_path, xdg):
    monkeypatch.delenv("UMAMBA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    if xdg is None:
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_DATA_HOME", xdg)
    assert paths.installed_models_folder() == store.store_folder()


def test_on_macos_it_is_the_folder_of_platformdirs(monkeypatch, tmp_path):
    monkeypatch.delenv("UMAMBA_HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = platformdirs.macos.MacOS("umamba", appauthor=False).user_data_dir
    monkeypatch.setattr(sys, "platform", "darwin")
    assert str(paths.user_data_folder()) == expected


def test_on_windows_it_is_local_application_data(monkeypatch, tmp_path):
    monkeypatch.delenv("UMAMBA_HOME")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    assert paths.user_data_folder() == tmp_path / "Local" / "umamba"
    monkeypatch.delenv("LOCALAPPDATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.user_data_folder() == tmp_path / "AppData" / "Local" / "umamba"


def test_in_the_source_tree_the_bundled_models_are_the_engines():
    assert (paths.module_folder() / "umamba").is_dir()
    assert (paths.resources() / "UI").is_dir()
    assert paths.bundled_models_folder() == store.bundled_folder()
    assert (paths.shared_resources("SampleData") / "MNI152_T1_1mm").is_dir()


def test_in_an_installed_extension_resources_lie_inside_the_module(tmp_path):
    module = tmp_path / "qt-scripted-modules"
    (module / "UMambaSegmentationLib").mkdir(parents=True)
    (module / "Resources" / "Models").mkdir(parents=True)
    (tmp_path / "Resources" / "Models").mkdir(parents=True)  # another's: the module's own come first
    installed = _copy_of_paths(module)
    assert installed.module_folder() == module
    assert installed.bundled_models_folder() == module / "Resources" / "Models"
    assert installed.shared_resources("SampleData") is None


def _copy_of_paths(module: Path):
    file = module / "UMambaSegmentationLib" / "paths.py"
    shutil.copy(paths.__file__, file)
    spec = importlib.util.spec_from_file_location("installed_paths", file)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
