"""A desk to work at: folders for inputs and outputs, the command line, and what it owes for each of E, W, OK.

E: exit status 2, one line that says what was found and what to do, and nothing new anywhere.
W: exit status 0, one warning line, which also stands in the result's warnings and in the provenance.
OK: exit status 0, not a word on standard error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from umamba.cli.main import main
from umamba.imaging.read import read_image

# The table wants a fault told within 5 s; four times that, for a machine that does other things as well.
PATIENCE_S = 20
PROCESS_PATIENCE_S = 120
PREFIX = "umamba: "
# How the line begins that says what a run will take, when it had begun before the fault showed.
PLAN = "CPU, "
# Several processes at once must not fight over a small machine's cores.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Answer:
    """What a command line gave.

    Attributes:
        status: Exit status.
        out, err: Lines of standard output and standard error.
        seconds: How long it took.
    """

    status: int
    out: list[str]
    err: list[str]
    seconds: float

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of standard output."""
        return [json.loads(line) for line in self.out]

    @property
    def result(self) -> dict[str, Any]:
        """The last event, which is the result."""
        assert self.events[-1]["event"] == "result"
        return self.events[-1]


def contents(*folders: Path) -> dict[str, bytes | None]:
    """Every file below the folders with its bytes, every folder and link with None."""
    entries = [entry for folder in folders for entry in (folder, *folder.rglob("*"))]
    return {
        str(entry): entry.read_bytes() if entry.is_file() and not entry.is_symlink() else None
        for entry in entries
        if os.path.lexists(entry)
    }


def start(
    words: Sequence[object],
    environment: Mapping[str, str] | None = None,
    command: Sequence[object] = (sys.executable, "-m", "umamba"),
    **options: Any,
) -> Any:
    """Begin a command line in a process of its own."""
    return subprocess.Popen(
        [str(word) for word in (*command, *words)],
        text=True,
        env=dict(os.environ if environment is None else environment) | ONE_THREAD,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )


def finish(process: Any) -> Answer:
    """Wait for such a process; the seconds are those of the wait."""
    began = time.monotonic()
    out, err = process.communicate(timeout=PROCESS_PATIENCE_S)
    return Answer(process.returncode, out.splitlines(), err.splitlines(), time.monotonic() - began)


class Desk:
    """Folders of one test, and the command line."""

    def __init__(self, root: Path, home: Path, temporary: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.inputs, self.outputs = root / "in", root / "out"
        for folder in (self.inputs, self.outputs):
            folder.mkdir()
        self.home, self.temporary = home, temporary
        self._capture = capture

    def save(self, name: str, content: bytes) -> Path:
        """A file among the inputs."""
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def run(self, *words: object) -> Answer:
        """A command line, in this process."""
        self._capture.readouterr()
        began = time.monotonic()
        status = main([str(word) for word in words])
        seconds = time.monotonic() - began
        captured = self._capture.readouterr()
        return Answer(status, captured.out.splitlines(), captured.err.splitlines(), seconds)

    def refuses(self, words: Sequence[object], found: str, advice: str) -> str:
        """Run what must be refused; gives the line."""
        watched = (self.inputs, self.outputs, self.temporary, self.home)
        before = contents(*watched)
        answer = self.run(*words)
        check_refusal(answer, found, advice)
        assert contents(*watched) == before, "something was left behind or changed"
        return answer.err[0]

    def refuses_image(self, image: object, model: Path, found: str, advice: str, *words: object) -> str:
        """Segment what must be refused."""
        images = image if isinstance(image, list) else [image]
        output = self.outputs / "labels.nii.gz"
        call = ["segment", *images, "-o", output, "--model", model, "--device", "cpu", "--no-mirror", *words]
        line = self.refuses(call, found, advice)
        assert not list(self.outputs.iterdir())
        return line

    def segment(self, image: object, model: Path, *words: object, name: str = "labels.nrrd") -> Answer:
        """Segment an image, with JSON lines; status and what is left behind are checked."""
        images = image if isinstance(image, list) else [image]
        output = self.outputs / name
        before = contents(self.temporary, self.home)
        answer = self.run(
            "segment",
            *images,
            "-o",
            output,
            "--model",
            model,
            "--device",
            "cpu",
            "--no-mirror",
            "--json",
            *words,
        )
        assert answer.status == 0, answer.err
        assert contents(self.temporary, self.home) == before
        assert not [entry for entry in self.outputs.iterdir() if entry.name.startswith(".")]
        return answer

    def good(self, image: object, model: Path, *words: object, name: str = "labels.nrrd") -> np.ndarray:
        """Labels (Z, Y, X) of an image that nothing is wrong with."""
        answer = self.segment(image, model, *words, name=name)
        assert answer.err == []
        assert answer.result["warnings"] == []
        return labels_of(self.outputs / name)

    def warns(
        self, image: object, model: Path, told: str, *words: object, name: str = "labels.nrrd"
    ) -> np.ndarray:
        """Labels (Z, Y, X) of an image with one oddity, which the warning tells."""
        record = self.outputs / "record.json"
        answer = self.segment(image, model, *words, "--provenance", record, name=name)
        check_warning(answer, told)
        assert json.loads(record.read_text())["warnings"] == answer.result["warnings"]
        return labels_of(self.outputs / name)


def check_refusal(answer: Answer, found: str, advice: str) -> None:
    """E, but for what is left behind."""
    assert answer.status == 2, (answer.out, answer.err)
    assert [line for line in answer.out if not line.startswith(PLAN)] == []
    assert len(answer.err) == 1, answer.err
    line = answer.err[0]
    assert line.startswith(f"{PREFIX}error: ")
    assert found in line, line
    assert advice in line, line
    assert answer.seconds < PATIENCE_S


def check_warning(answer: Answer, told: str) -> None:
    """One warning, the same on standard error, among the events, in the result and in the provenance."""
    assert len(answer.err) == 1, answer.err
    line = answer.err[0].removeprefix(f"{PREFIX}warning: ")
    assert line != answer.err[0]
    assert told in line, line
    assert answer.result["warnings"] == [line]
    assert answer.result["provenance"]["warnings"] == [line]
    assert [event["message"] for event in answer.events if event["event"] == "log"] == [line]


def labels_of(path: Path) -> np.ndarray:
    """(Z, Y, X), read by SimpleITK; by the engine where ITK refuses the grid."""
    try:
        return sitk.GetArrayFromImage(sitk.ReadImage(path))
    except RuntimeError:
        return read_image(path)[0].data
