"""Row 31: computers with a decimal comma, a wrong clock, no network, no home, one core, little memory."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import SimpleITK as sitk

from engine.bad_input.desk import finish, labels_of, start

SPACING = (1.25, 0.75, 1.5)  # exact in every format
LITTLE_MEMORY_BYTES = 4_000_000_000
COMMA = "de_DE.UTF-8"
DAY_S = 86_400
# Another number of threads adds in another order: the last digits of an uncertainty between 0 and 1.
THREADS = 1e-6

# A host program sets the user's locale; Python by itself does not.
WITH_LOCALE = """
import locale, sys
locale.setlocale(locale.LC_ALL, "")
assert locale.localeconv()["decimal_point"] == ",", locale.localeconv()
from umamba.cli.main import main
status = 0
for call in " ".join(sys.argv[1:]).split(" ++ "):
    status = status or main(call.split(" "))
sys.exit(status)
"""


@pytest.fixture
def fractional(desk, image) -> dict[str, Path]:
    """The image with fractions of millimetres, in each format that writes them as text or as numbers."""
    volume = sitk.GetImageFromArray(image)
    volume.SetSpacing(SPACING)
    volume.SetOrigin((-3.5, 2.25, 0.125))
    found = {}
    for suffix in (".nrrd", ".mha", ".nii.gz"):
        found[suffix] = desk.inputs / f"scan{suffix}"
        sitk.WriteImage(volume, found[suffix])
    return found


@pytest.fixture(scope="module")
def comma_locale(tmp_path_factory) -> dict[str, str]:
    """Environment of a locale with a decimal comma: the system's, or one compiled for this test."""
    have = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout
    if "de_DE.utf8" in have:
        return {"LC_ALL": COMMA}
    folder = tmp_path_factory.mktemp("locale")
    if shutil.which("localedef") is None:
        pytest.skip("no locale with a decimal comma here, and no localedef to make one")
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / COMMA)]
    subprocess.run(command, capture_output=True, check=False)
    if not (folder / COMMA).is_dir():
        pytest.skip("no locale with a decimal comma here, and localedef cannot make one")
    return {"LC_ALL": COMMA, "LOCPATH": str(folder)}


def test_row_31_decimal_comma(desk, mr, fractional, comma_locale):
    """Images read, options understood and files written as everywhere else."""
    common = ["--model", str(mr), "--device", "cpu", "--no-mirror", "--quiet"]
    common += ["--roi", "-3.5,20.5,2.25,12.75,0.125,10.5", "--step", "0.5", "--max-memory", "8.5"]
    calls = []
    for suffix, path in fractional.items():
        name = f"{desk.outputs}/{{}}{suffix.replace('.', '')}"
        sides = ["--volumes", f"{name}.csv", "--uncertainty", f"{name}u.nrrd"]
        calls.append(["segment", str(path), "-o", f"{name}{suffix}", *common, *sides])
    for call in calls:
        assert desk.run(*[word.format("plain") for word in call]).status == 0
    words = " ++ ".join(" ".join(word.format("comma") for word in call) for call in calls)
    environment = dict(os.environ) | comma_locale
    answer = finish(start(words.split(" "), environment, command=[sys.executable, "-c", WITH_LOCALE]))
    assert (answer.status, answer.out, answer.err) == (0, [], [])
    for path in desk.outputs.glob("plain*"):
        other = path.with_name(path.name.replace("plain", "comma"))
        if path.suffix == ".csv":
            assert other.read_text() == path.read_text()
        elif path.suffix != ".json":
            found, wanted = sitk.ReadImage(other), sitk.ReadImage(path)
            assert (found.GetSpacing(), found.GetOrigin()) == (wanted.GetSpacing(), wanted.GetOrigin())
            np.testing.assert_allclose(labels_of(other), labels_of(path), atol=THREADS)
    assert len(list(desk.outputs.glob("comma*"))) == len(list(desk.outputs.glob("plain*")))


def test_row_31_clock_that_is_set_back(desk, mr, scan, expected, monkeypatch):
    """A day back at every look, from the year 1970 on."""
    now = iter(range(DAY_S * 10_000, -DAY_S * 10_000, -DAY_S))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    monkeypatch.setattr(time, "time_ns", lambda: next(now) * 10**9)
    np.testing.assert_array_equal(desk.good(scan, mr), expected)
    answer = desk.run("models", "import", mr, "--id", "tiny")
    assert answer.status == 0
    assert desk.run("models", "export", "tiny", desk.outputs / "tiny.zip").status == 0
    assert desk.run("models", "remove", "tiny").status == 0
    assert desk.run("models", "install", desk.outputs / "tiny.zip").status == 0


def test_row_31_files_from_before_1980(desk, mr, scan, expected):
    """A zip file holds no date before that year."""
    assert desk.run("models", "import", mr, "--id", "tiny").status == 0
    for path in (scan, *(desk.home / "models" / "tiny").iterdir()):
        os.utime(path, (0, 0))
    assert desk.run("models", "export", "tiny", desk.outputs / "tiny.zip").status == 0
    np.testing.assert_array_equal(desk.good(scan, "tiny"), expected)


def test_row_31_no_network(desk, mr, scan, expected, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("the network was asked for")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    np.testing.assert_array_equal(desk.good(scan, mr), expected)
    for call in (
        ["import", mr, "--id", "tiny"],
        ["list"],
        ["show", "tiny"],
        ["verify", "tiny"],
        ["remove", "tiny"],
    ):
        assert desk.run("models", *call).status == 0


@pytest.fixture
def no_home(monkeypatch):
    """A user whom the system does not know: "~" stays as it is."""
    for name in ("HOME", "UMAMBA_HOME", "UMAMBA_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)


def test_row_31_user_without_home(desk, mr, scan, expected, no_home, monkeypatch):
    work = desk.inputs / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    np.testing.assert_array_equal(desk.good(scan, mr), expected)
    assert desk.run("models", "list").status == 0
    desk.refuses(["models", "import", mr], "no home folder for the model store", "set UMAMBA_HOME")
    desk.refuses(["models", "show", "nobody"], "there is no model 'nobody'", "umamba models list")
    assert not list(work.iterdir())


def test_row_31_bare_computer(desk, mr, scan, expected):
    """One core, 4 GB, no HOME, nothing of the environment; a process of its own."""

    def bare() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (LITTLE_MEMORY_BYTES, LITTLE_MEMORY_BYTES))
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    output = desk.outputs / "labels.nrrd"
    words = ["segment", scan, "-o", output, "--model", mr, "--no-mirror", "--json", "--max-memory", "4"]
    answer = finish(start(words, {"TMPDIR": str(desk.temporary)}, preexec_fn=bare))
    assert (answer.status, answer.err) == (0, [])
    np.testing.assert_array_equal(labels_of(output), expected)
    assert not list(desk.temporary.iterdir())


def test_row_31_plan_for_little_memory(desk, mr, scan, monkeypatch):
    """The plan of a small run fits a computer of 4 GB; what does not fit is refused beforehand."""
    usage, swap = psutil.virtual_memory(), psutil.swap_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: usage._replace(total=LITTLE_MEMORY_BYTES))
    monkeypatch.setattr(psutil, "swap_memory", lambda: swap._replace(total=0))
    answer = desk.run("plan", scan, "--model", mr, "--json")
    assert answer.status == 0
    assert json.loads(answer.out[0])["peak_ram_bytes"] < LITTLE_MEMORY_BYTES
    monkeypatch.setattr(psutil, "virtual_memory", lambda: usage._replace(total=10_000_000))
    desk.refuses_image(scan, mr, "this computer has 0.01 GB", "region of interest")
