"""docs/slicer.md tells what is so; its lines for the Python console work as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import slicer

from UMambaSegmentationLib.scene import sample_data

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "slicer.md").read_text(encoding="utf-8")
VOLUME = ROOT / "Resources" / "SampleData" / sample_data.FILE


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def console(module: Any, scene: Any) -> Iterator[dict[str, Any]]:
    """The console's names, with the sample volume in the scene."""
    from UMambaSegmentationLib.client.engine import shared_engine

    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(VOLUME))
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", sample_data.NODE_NAME)
    assert storage.ReadData(volume)
    yield {"slicer": slicer}
    shared_engine().close()


def test_every_file_it_names_is_there() -> None:
    named = re.findall(r"(?<![\w/.-])(?:UMambaSegmentation|Testing|Resources)(?:/[\w.-]+)+", PAGE)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_option_of_a_run_is_explained() -> None:
    from UMambaSegmentationLib.run_options import RunOptions

    console = PAGE[PAGE.index("## Python console") :]
    assert [field.name for field in fields(RunOptions) if f"`{field.name}`" not in console] == []


def test_command_that_fetches_wheels_is_understood() -> None:
    from UMambaSegmentationLib.client import fetch_wheels

    (command,) = [block for block in _blocks("") if "fetch_wheels.py" in block]
    _python, script, _folder, *words = command.split()
    options = dict(zip(words[::2], words[1::2], strict=True))
    run = subprocess.run(
        [sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(f"  {name} " in run.stdout for name in options)
    assert options["--platform"] in fetch_wheels.PLATFORMS
    assert options["--build"] in run.stdout


def test_sizes_are_those_that_the_panel_tells() -> None:
    from UMambaSegmentationLib.client.torch_builds import BUILDS, REST_DISK_BYTES, REST_DOWNLOAD_BYTES

    cpu, *cuda = (BUILDS[name] for name in ("cpu", "cu126", "cu128", "cu130"))
    told = {
        "(CPU)": ([cpu.download_bytes], [cpu.disk_bytes]),
        "(CUDA)": ([build.download_bytes for build in cuda], [build.disk_bytes for build in cuda]),
        "of Slicer": ([REST_DOWNLOAD_BYTES], [REST_DISK_BYTES]),
    }
    for name, columns in told.items():
        (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and name in line.split("|")[1]]
        for cell, sizes in zip(row.split("|")[3:5], columns, strict=True):
            numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cell)]
            assert (numbers[0], numbers[-1]) == (min(sizes) / 1e9, max(sizes) / 1e9), row


def test_lines_for_the_console_work(console: dict[str, Any], capsys: Any, tmp_path: Path) -> None:
    process, without_waiting, batch = _blocks("python")

    exec(process, console)
    found = console["table"].GetTable()
    assert found.GetNumberOfRows() == 2
    assert "hippocampus-mr" in capsys.readouterr().out

    exec(without_waiting, console)
    assert console["run"].wait(60)
    assert console["run"].state == "cancelled"
    assert re.search(r"CPU, \d+ thread", capsys.readouterr().out)

    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "broken.nii.gz").write_bytes(b"no image")
    exec(batch.replace("/data/scans", str(scans)).replace("/data/results", str(tmp_path / "out")), console)
    assert [result.state for result in console["report"].results] == ["failed"]
    assert "1 failed" in capsys.readouterr().out
