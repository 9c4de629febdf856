"""Installing with the real pip into a Python that has PyTorch and pip only, as Slicer with "PyTorch" has.

The wheels come from the package index through fetch_wheels.py, as a person fills a folder for a computer
without the network.
"""

import os
import site
import subprocess
import sys
import venv
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import psutil
import pytest

from .conftest import FETCH, PATIENCE_S

# PyTorch's and pip's packages, and what PyTorch loads.
WITH_TORCH = (
    "torch",
    "filelock",
    "typing_extensions",
    "sympy",
    "mpmath",
    "networkx",
    "jinja2",
    "markupsafe",
    "fsspec",
    "pip",
)


def listing(folder):
    """Every entry of a folder of packages, with its size and time."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in Path(folder).glob("*")
        if path.name != "__pycache__"
    }


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """A folder that fetch_wheels.py filled for this computer."""
    folder = tmp_path_factory.mktemp("wheels é")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    done = subprocess.run(
        [sys.executable, FETCH, folder, "--platform", "linux", "--python", version, "--build", "slicer"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = f"the package index cannot be used: {done.stderr.strip().splitlines()[-1]}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    assert " wheels for linux, Python " in done.stdout
    return folder


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory):
    """A Python with PyTorch and pip only; its program."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for found in distributions():
        if found.metadata["Name"].lower().replace("-", "_") in WITH_TORCH:
            for top in {file.parts[0] for file in found.files if file.parts[0] not in ("..", "__pycache__")}:
                (packages / top).symlink_to(found.locate_file(top))
    return folder / "bin" / "python"


@pytest.fixture
def chosen(app, bare_python):
    """Let it run the engine."""
    from UMambaSegmentationLib.client import interpreter

    return interpreter.choose(str(bare_python))


class Seen:
    """What an installation said."""

    def __init__(self):
        self.lines, self.ends = [], []

    def installation(self):
        from UMambaSegmentationLib.client.installation import Installation

        return Installation(
            on_line=self.lines.append, on_end=lambda ok, message: self.ends.append((ok, message))
        )


@pytest.fixture
def seen():
    return Seen()


def test_install_from_a_folder_run_and_uninstall(
    chosen, bare_python, wheels, seen, spin, engine, ask, tmp_path
):
    from UMambaSegmentationLib.client import packages

    before = packages.status()
    assert (before.ready, before.torch_place, before.folder.exists(), before.bytes) == (
        False,
        "slicer",
        False,
        0,
    )
    assert before.missing[0] == "numpy"
    untouched = [site.getsitepackages()[0], next(bare_python.parents[1].glob("lib/python*/site-packages"))]
    contents = [listing(folder) for folder in untouched]
    seen.installation().start("slicer", wheels=wheels)
    spin(lambda: seen.ends, PATIENCE_S)
    ok, message = seen.ends[0]
    assert ok, message
    assert message.startswith(f"The engine is installed: PyTorch {before.torch}, on ")
    assert any(line.startswith("Successfully installed") for line in seen.lines)
    after = packages.status()
    assert (after.ready, after.missing, after.torch_place, after.python) == (
        True,
        (),
        "slicer",
        f"{sys.version_info[0]}.{sys.version_info[1]}",
    )
    assert 0.4e9 < after.bytes < 0.9e9
    fetched = sum(file.stat().st_size for file in wheels.iterdir())
    print(f"without PyTorch: {fetched / 1e9:.2f} GB to download, {after.bytes / 1e9:.2f} GB on the disk")
    assert [listing(folder) for folder in untouched] == contents
    spin(lambda: [entry.name for entry in after.folder.parent.iterdir()] == [after.folder.name], 20)

    job = engine.submit("segment", folder=tmp_path, **ask)
    spin(lambda: job.ended, PATIENCE_S)
    assert set(np.unique(np.load(job.check()["arrays"]["labels"]))) == {0, 1, 2}
    files = {Path(file.path) for file in psutil.Process(engine._worker.pid).memory_maps()}
    assert any(after.folder in file.parents and "numpy" in file.parts for file in files), (
        "numpy is not the engine's own"
    )
    engine.close()

    failing = Seen()
    (tmp_path / "torch-2.6.0-py3-none-any.whl").write_bytes(b"")
    failing.installation().start("slicer", wheels=tmp_path)
    spin(lambda: failing.ends, PATIENCE_S)
    assert "The folder holds no numpy for linux-x86_64-cp" in failing.ends[0][1]
    assert packages.status() == after  # the old one stays

    removing = Seen()
    removing.installation().uninstall()
    assert removing.ends == [(True, "The engine's packages were removed.")]
    assert packages.status().missing == before.missing
    spin(lambda: list(after.folder.parent.iterdir()) == [], 30)
    assert [listing(folder) for folder in untouched] == contents


def test_cancel_in_the_middle_of_a_download(chosen, wheels, seen, spin, monkeypatch):
    """Nothing is left, and pip has ended."""
    from UMambaSegmentationLib.client import packages

    monkeypatch.delenv("UMAMBA_OFFLINE")
    installation = seen.installation()
    installation.start("slicer")
    spin(lambda: any(line.startswith("Collecting") for line in seen.lines), PATIENCE_S)
    pid = installation._child.pid
    assert psutil.pid_exists(pid)
    installation.cancel()
    assert seen.ends == [(False, "Cancelled; nothing was changed.")]
    installation.cancel()
    from .test_engine import gone

    spin(lambda: gone(pid), 10)
    parent = packages.status().folder.parent
    spin(lambda: not parent.exists() or not list(parent.iterdir()), 20)
    assert len(seen.ends) == 1


def test_packages_that_do_not_work_never_replace_others(chosen, wheels, seen, spin, monkeypatch):
    from UMambaSegmentationLib.client import installation as module
    from UMambaSegmentationLib.client import packages

    target = packages.status().folder
    (target / "old").mkdir(parents=True)
    needs = [needed for needed in packages.requirements() if needed.name in ("rich", "platformdirs")]
    monkeypatch.setattr(module, "requirements", lambda: needs)  # pip succeeds, and the engine lacks the rest
    seen.installation().start("slicer", wheels=wheels)
    spin(lambda: seen.ends, PATIENCE_S)
    ok, message = seen.ends[0]
    assert (ok, message.startswith("The engine does not run with what was installed, so nothing")) == (
        False,
        True,
    )
    assert "numpy" in message
    assert (target / "old").is_dir()
    spin(lambda: [entry.name for entry in target.parent.iterdir()] == [target.name], 20)


def test_an_index_out_of_reach(chosen, seen, spin, monkeypatch):
    monkeypatch.delenv("UMAMBA_OFFLINE")
    for name, value in (
        ("INDEX_URL", "http://127.0.0.1:9/simple"),
        ("EXTRA_INDEX_URL", ""),
        ("FIND_LINKS", ""),
        ("RETRIES", "0"),
    ):
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    seen.installation().start("slicer")
    spin(lambda: seen.ends, PATIENCE_S)
    assert seen.ends == [
        (
            False,
            "The package index cannot be reached; check the network and the proxy, or install from a folder.",
        )
    ]


def test_what_is_refused_before_anything_begins(chosen, bare_python, seen, spin, tmp_path, monkeypatch):
    from UMambaSegmentationLib.client import folders, torch_builds

    def refusal(build, **more):
        said = Seen()
        said.installation().start(build, **more)
        spin(lambda: said.ends)
        assert [ok for ok, _ in said.ends] == [False]
        assert said.lines == []
        return said.ends[0][1]

    assert "UMAMBA_OFFLINE" in refusal("cpu")
    assert "no wheels" in refusal("cpu", wheels=tmp_path)
    monkeypatch.delenv("UMAMBA_OFFLINE")
    with monkeypatch.context() as full_disk:
        full_disk.setattr(folders, "free_bytes", lambda _folder: 1_000_000_000)
        assert refusal("cuda").startswith("11.6 GB are needed in ")
        assert refusal("cuda").endswith(", and only 1.0 GB are free.")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "NVIDIA driver" in refusal("cuda")
    monkeypatch.setattr(torch_builds, "has_torch", lambda _platform: False)
    assert "Intel Mac" in refusal("cpu")


def test_slicer_without_torch_is_told_so(app, seen, monkeypatch, tmp_path):
    from UMambaSegmentationLib.client import installation as module
    from UMambaSegmentationLib.client.interpreter import Interpreter
    from UMambaSegmentationLib.client.packages import Packages

    monkeypatch.delenv("UMAMBA_OFFLINE")
    bare = Interpreter((sys.executable,), (3, 12), "linux-x86_64", (), own=True)
    monkeypatch.setattr(module, "packages_in_use", lambda: Packages(bare, tmp_path / "e"))
    seen.installation().start("slicer")
    assert "no suitable PyTorch in Slicer" in seen.ends[0][1]


@pytest.fixture
def fake_pip(monkeypatch):
    """`fake_pip(program, *words)`: what is started in pip's place. For faults only."""
    from UMambaSegmentationLib.client import installation as module
    from UMambaSegmentationLib.client.interpreter import Launch

    monkeypatch.delenv("UMAMBA_OFFLINE")

    def use(program, *words):
        monkeypatch.setattr(module, "launch", lambda *_: Launch(program, words, dict(os.environ)))

    return use


def test_gigabytes_for_nvidia_are_not_fetched_for_the_cpu(app, seen, spin, fake_pip):
    """Where PyTorch's own index is out of reach, the usual one brings its CUDA build on Linux."""
    from .test_engine import gone

    said = "print('Collecting torch', 'Collecting nvidia-cublas>=13', sep=chr(10), flush=True)"
    fake_pip(
        sys.executable, "-c", f"import os, time; print(os.getpid(), flush=True); {said}; time.sleep(100)"
    )
    seen.installation().start("cpu")
    spin(lambda: seen.ends)
    assert "PyTorch's index of CPU builds (download.pytorch.org) cannot be reached" in seen.ends[0][1]
    spin(lambda: gone(int(seen.lines[1])))


def test_a_python_that_does_not_start(app, seen, spin, fake_pip):
    fake_pip("/no/such/python")
    seen.installation().start("cpu")
    spin(lambda: seen.ends)
    assert "could not be started" in seen.ends[0][1]


def test_a_long_download_is_heard_of(app, seen, spin, fake_pip, monkeypatch):
    """pip itself says nothing between "Downloading" and the end."""
    from UMambaSegmentationLib.client import installation as module

    monkeypatch.setattr(module, "_FETCHED_MS", 50)
    fetch = (
        "import os, time; place = os.environ['TMPDIR'] + '/pip-unpack-abc'; os.mkdir(place); "
        "open(place + '/torch.whl', 'wb').truncate(150_500_000); time.sleep(100)"
    )
    fake_pip(sys.executable, "-c", fetch)
    installation = seen.installation()
    installation.start("cpu")
    spin(lambda: "... 150 MB fetched" in seen.lines)
    installation.cancel()


@pytest.mark.parametrize(
    ("torch", "knows"), [("2.14.0+cu126", True), ("2.15.0", sys.platform == "linux"), ("2.15.0+cpu", False)]
)
def test_a_build_without_cuda_is_noticed(app, torch, knows):
    from UMambaSegmentationLib.client.installation import _knows_cuda

    assert _knows_cuda({"torch": torch}) is knows


def test_a_folder_in_use_is_tried_again_and_then_left(app, seen, spin, monkeypatch):
    """As on Windows, where another Slicer holds the files."""
    from UMambaSegmentationLib.client import folders, packages
    from UMambaSegmentationLib.client import installation as module

    target = packages.status().folder
    (target / "old").mkdir(parents=True)
    tries = []

    def refuse(*names):
        tries.append(names)
        raise PermissionError(13, "used by another process")

    monkeypatch.setattr(module, "_SWAP_MS", 10)
    monkeypatch.setattr(folders, "replace", refuse)
    seen.installation().uninstall()
    spin(lambda: seen.ends)
    assert seen.ends == [(False, "The engine's files are in use; close other Slicer windows and try again.")]
    assert len(tries) == 6
    assert (target / "old").is_dir()


def test_a_rename_that_fails_half_way_is_undone(app, tmp_path):
    from UMambaSegmentationLib.client import folders

    (tmp_path / "now" / "old").mkdir(parents=True)
    with pytest.raises(OSError, match="No such file"):
        folders.replace(tmp_path / "now", tmp_path / "not there")
    assert (tmp_path / "now" / "old").is_dir()
    assert folders.removed(tmp_path) == []


def test_leftovers_of_a_killed_slicer_are_cleared_when_old(app, spin, tmp_path):
    from UMambaSegmentationLib.client import folders
    from UMambaSegmentationLib.client.interpreter import slicer_interpreter

    for name in ("s-000001", "s-000002", "r-000003", "linux-x86_64-cp312"):
        (tmp_path / name / "deep").mkdir(parents=True)
    os.utime(tmp_path / "s-000001", (0, 0))
    folders.clear_leftovers(slicer_interpreter(), tmp_path)
    spin(lambda: sorted(entry.name for entry in tmp_path.iterdir()) == ["linux-x86_64-cp312", "s-000002"])


def test_it_ends_with_slicer(chosen, wheels, seen, spin, app):
    installation = seen.installation()
    installation.start("slicer", wheels=wheels)
    spin(lambda: installation._child and installation._child.pid)
    pid = installation._child.pid
    app.aboutToQuit.emit()
    assert seen.ends == [(False, "Cancelled; nothing was changed.")]
    from .test_engine import gone

    assert gone(pid)
    assert not installation._staging.exists()
