"""The person's settings: typed, kept as text, damaged values fall back."""

from pathlib import Path

import pytest
import slicer

from UMambaSegmentationLib import settings


def _store(key, value):
    slicer.app.userSettings().setValue(f"UMambaSegmentation/{key}", value)


def test_a_first_start_has_defaults():
    assert settings.device() == "auto"
    assert settings.keep_warm_minutes() == 10.0
    assert settings.model_folder() is None
    assert settings.last_folder() == Path.home()


def test_what_is_set_is_read_back_and_kept_as_text(tmp_path):
    settings.set_device("cuda:1")
    settings.set_keep_warm_minutes(2.5)
    settings.set_model_folder(tmp_path / "Modèles 模型")
    settings.set_last_folder(tmp_path)
    assert settings.device() == "cuda:1"
    assert settings.keep_warm_minutes() == 2.5
    assert settings.model_folder() == tmp_path / "Modèles 模型"
    assert settings.last_folder() == tmp_path
    stored = slicer.app.userSettings()
    assert sorted(stored.allKeys()) == [
        f"UMambaSegmentation/{key}" for key in ("device", "keepWarmMinutes", "lastFolder", "modelFolder")
    ]
    assert all(isinstance(stored.value(key), str) for key in stored.allKeys())


def test_forgetting_a_folder_takes_it_out():
    settings.set_model_folder(Path("/share"))
    settings.set_model_folder(None)
    assert settings.model_folder() is None
    assert not slicer.app.userSettings().allKeys()


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf", "1e9"])
def test_damaged_minutes_fall_back(value):
    _store("keepWarmMinutes", value)
    assert settings.keep_warm_minutes() == 10.0


def test_zero_minutes_are_a_wish():
    _store("keepWarmMinutes", "0")
    assert settings.keep_warm_minutes() == 0.0


def test_damaged_texts_fall_back():
    _store("device", " ")
    _store("modelFolder", "")
    assert settings.device() == "auto"
    assert settings.model_folder() is None


def test_a_last_folder_that_is_gone_is_not_offered(tmp_path):
    settings.set_last_folder(tmp_path / "gone")
    assert settings.last_folder() == Path.home()
