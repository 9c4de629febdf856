"""Where compiled kernels are kept, and that nothing depends on their being kept."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from umamba.ops import numba_jit

TWICE = """
from umamba.ops.numba_jit import kernel

@kernel("f4(f4)")
def twice(x):
    return x + x

print(twice(21))
"""


def _twice(folder: Path, **environment: str) -> str:
    """Compile and call a kernel in a process of its own; its output, and what it complained of."""
    script = folder / "twice.py"
    if not script.exists():
        script.write_text(TWICE)
    result = subprocess.run(
        [sys.executable, "-B", str(script)],
        env={"PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1", **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return result.stdout.strip() + result.stderr.strip()


def _kernels(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.nb[ci]")}


def test_kernels_are_compiled_once(tmp_path: Path) -> None:
    environment = {"UMAMBA_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path / "home")}
    assert _twice(tmp_path, **environment) == "42.0"
    kept = _kernels(tmp_path / "cache")
    assert kept
    assert _kernels(tmp_path) == kept  # nothing beside the source, nothing at home
    assert _twice(tmp_path, **environment) == "42.0"
    assert _kernels(tmp_path) == kept


@pytest.mark.parametrize("folder", ["/proc/nowhere", "somewhere/relative"])
def test_without_a_cache_folder_kernels_run_and_nothing_is_written(folder: str, tmp_path: Path) -> None:
    assert _twice(tmp_path, UMAMBA_CACHE=folder, HOME=str(tmp_path)) == "42.0"
    assert [path.name for path in tmp_path.iterdir()] == ["twice.py"]


def test_a_damaged_cache_costs_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_jit, "cache_folder", lambda: tmp_path)

    def half(x):
        return x / 2

    assert numba_jit.kernel("f4(f4)")(half)(3.0) == 1.5
    damaged = list(tmp_path.rglob("*.nbi")) + list(tmp_path.rglob("*.nbc"))
    assert damaged
    for path in damaged:
        path.write_bytes(b"damaged")
    assert numba_jit.kernel("f4(f4)")(half)(3.0) == 1.5


def test_no_home_means_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UMAMBA_CACHE", raising=False)
    monkeypatch.setattr(
        "platformdirs.user_cache_dir", lambda *_, **__: "~/.cache/umamba"
    )  # as without a home
    assert numba_jit.cache_folder.__wrapped__() is None


def test_numbas_settings_are_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, threads = numba.config.CACHE_DIR, numba.get_num_threads()
    monkeypatch.setattr(numba_jit, "cache_folder", lambda: tmp_path)

    @numba_jit.kernel("f4(f4)")
    def twice(x):
        return x + x

    assert twice(1.5) == 3
    assert _kernels(tmp_path)
    assert (numba.config.CACHE_DIR, numba.get_num_threads()) == (folder, threads)


def test_a_full_disk_costs_the_cache_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba_jit, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", no_space)

    @numba_jit.kernel("f4(f4)")
    def thrice(x):
        return x + x + x

    assert thrice(1.0) == 3
    assert "No space left on device" in caplog.text
