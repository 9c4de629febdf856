"""Testing/desktop/run_in_slicer.py on the bench: what it runs in a desktop Slicer, and how it ends."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "desktop" / "run_in_slicer.py"


@pytest.fixture
def script(app: Any) -> Any:
    spec = importlib.util.spec_from_file_location("run_in_slicer", SCRIPT)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_main_path_passes(script: Any, module: Any, monkeypatch: Any, capsys: Any) -> None:
    from UMambaSegmentationLib.client.engine import shared_engine

    monkeypatch.delitem(sys.modules, "torch", raising=False)  # the engine's own tests have left it there
    try:
        assert script.main([]) == script.PASSED, capsys.readouterr().out
    finally:
        shared_engine().close()
    assert "Ran 1 test" in capsys.readouterr().out


def test_torch_in_slicers_process_is_a_failure(script: Any, module: Any, monkeypatch: Any) -> None:
    import UMambaSegmentation

    monkeypatch.setattr(UMambaSegmentation.UMambaSegmentationTest, "runTest", lambda _test: None)
    monkeypatch.setitem(sys.modules, "torch", object())
    assert script.main([]) == script.FAILED


def test_without_the_module_it_fails_and_says_why(script: Any, capsys: Any) -> None:
    assert script.main([]) == script.FAILED
    assert "--additional-module-paths" in capsys.readouterr().out


def test_without_an_engine_it_tells_so_apart_from_passing(
    script: Any, module: Any, monkeypatch: Any, capsys: Any
) -> None:
    from UMambaSegmentationLib.client import packages

    bare = replace(packages.current(), sites=())
    monkeypatch.setattr(packages, "current", lambda: bare)
    assert script.main([]) == script.NOT_SET_UP
    assert "install=cpu" in capsys.readouterr().out


def test_an_installation_that_cannot_begin_is_a_failure(
    script: Any, module: Any, tmp_path: Path, capsys: Any
) -> None:
    assert script.main(["install=cpu", f"wheels={tmp_path}"]) == script.FAILED
    assert "no wheels" in capsys.readouterr().out
