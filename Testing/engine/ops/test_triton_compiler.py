"""The Triton kernels through Triton's compiler, which takes less than its interpreter; no GPU is needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTING = Path(__file__).resolve().parents[2]
KERNELS = {
    *("convolve_blocks", "convolve_blocks_backward"),
    *("sum_up_tiles", "hand_on", "scan_tiles", "sum_up_tiles_backward", "scan_tiles_backward"),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("umamba-cache")


def _compiled(cache: Path, capability: int, dtype: str) -> dict[str, str]:
    """The PTX of the kernels by name."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    result = subprocess.run(
        [sys.executable, "-m", "peers.triton_compiler", str(capability), dtype],
        env=environment | {"UMAMBA_CACHE": str(cache)},
        cwd=TESTING,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return {kernel["name"]: kernel["ptx"] for kernel in json.loads(result.stdout)}


@pytest.mark.usefixtures("triton")
@pytest.mark.parametrize(
    ("capability", "dtype", "four_tokens"),
    [(75, "float16", ".v2.b32"), (90, "float32", ".v4.b32")],
)
def test_all_kernels_compile(cache: Path, capability: int, dtype: str, four_tokens: str) -> None:
    """For an old and a new GPU. One load brings four tokens at least; nothing is in double precision."""
    kernels = _compiled(cache, capability, dtype)
    assert kernels.keys() == KERNELS
    for name in ("sum_up_tiles", "scan_tiles", "sum_up_tiles_backward", "scan_tiles_backward"):
        loads = [line for line in kernels[name].splitlines() if "ld.global" in line]
        assert any(four_tokens in line or ".v4.b32" in line for line in loads), name
    assert not [name for name, ptx in kernels.items() if ".f64" in ptx]


@pytest.mark.usefixtures("triton")
def test_compiled_kernels_are_kept_in_our_cache(cache: Path) -> None:
    _compiled(cache, 90, "float32")
    kept = {path: path.stat().st_mtime_ns for path in (cache / "triton").rglob("*.cubin")}
    assert kept
    _compiled(cache, 90, "float32")
    assert {path: path.stat().st_mtime_ns for path in (cache / "triton").rglob("*.cubin")} == kept
