"""Fill a folder with everything that the engine needs, for a computer without the network.

On a connected computer, with any Python that has pip:

    python fetch_wheels.py FOLDER --platform windows --python 3.12 --build cpu

Then carry the folder over and press "Install from a folder" in the panel's Set-up there. The Python to
name is that of Slicer (5.10 and later: 3.12), the platform that of the computer without the network.
"""

from __future__ import annotations

import argparse
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from UMambaSegmentationLib.client.requirements import read_requirements
from UMambaSegmentationLib.client.torch_builds import BUILDS

REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "engine-requirements.txt"
_TARGET = "FETCH_WHEELS_TARGET"
_MANYLINUX_MINORS = (28, 27, 26, 24, 17, 12, 5)
# For each platform: the tags of wheels that run there, and what its Python would say in a marker.
PLATFORMS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "linux": (
        (
            *(f"manylinux_2_{minor}_x86_64" for minor in _MANYLINUX_MINORS),
            *(f"manylinux{year}_x86_64" for year in ("2014", "2010", "1")),
            "linux_x86_64",
        ),
        {
            "os_name": "posix",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": "x86_64",
        },
    ),
    "windows": (
        ("win_amd64",),
        {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
    ),
    "macos": (
        tuple(
            f"macosx_{version}_0_{arch}" for version in (14, 13, 12, 11) for arch in ("arm64", "universal2")
        ),
        {
            "os_name": "posix",
            "sys_platform": "darwin",
            "platform_system": "Darwin",
            "platform_machine": "arm64",
        },
    ),
}
# "cuda" is for cards since Turing with a driver of version 580 or later; cu126 for older ones.
_CUDA = "cu130"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch; returns pip's exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where to put the wheels; made if it is not there")
    parser.add_argument("--platform", choices=tuple(PLATFORMS), default="linux")
    parser.add_argument("--python", default="3.12", help="version of Slicer's Python, such as 3.12")
    parser.add_argument(
        "--build",
        choices=("cpu", "cuda", "cu126", "cu128", "cu130", "slicer"),
        default="cpu",
        help="of PyTorch; slicer: none, Slicer has it already; cu126: for a driver older than 580",
    )
    chosen = parser.parse_args(arguments)
    if chosen.platform == "macos" and chosen.build.startswith("cu"):
        parser.error("there is no CUDA on a Mac; the build cpu also uses Apple's GPU")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    words = download_words(chosen.folder, chosen.platform, chosen.python, chosen.build)
    # pip evaluates markers such as `platform_system == "Linux"` for the Python that runs it: `_as_target`.
    markers = {**PLATFORMS[chosen.platform][1], **_python_markers(chosen.python)}
    pairs = "\n".join(f"{name}={value}" for name, value in markers.items())
    command = [sys.executable, str(Path(__file__).resolve()), *words]
    status = subprocess.run(command, env={**os.environ, _TARGET: pairs}, check=False).returncode
    if status == 0:
        count = len(list(chosen.folder.glob("*.whl")))
        print(f"{count} wheels for {chosen.platform}, Python {chosen.python}, in {chosen.folder}")
    return status


def download_words(folder: Path, platform: str, python: str, build: str) -> list[str]:
    """Arguments for pip."""
    words = ["download", "--dest", str(folder), "--only-binary", ":all:", "--disable-pip-version-check"]
    words += ["--implementation", "cp", "--python-version", python, "--retries", "2", "--no-input"]
    words += [word for tag in PLATFORMS[platform][0] for word in ("--platform", tag)]
    chosen = BUILDS.get(_CUDA if build == "cuda" else build)
    # On a Mac every build is the usual index's; on Windows that one is the CPU build.
    if chosen is not None and platform != "macos" and (platform, build) != ("windows", "cpu"):
        words += ["--extra-index-url", chosen.index]
    for needed in read_requirements(REQUIREMENTS):
        if needed.name != "torch":
            words.append(needed.text)
        elif chosen is not None:
            words.append(f"torch{chosen.bounds}")
    return words


def _python_markers(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def _as_target(markers: dict[str, str]) -> None:
    """Run pip in this process, with the other computer's answers in the place of this one's.

    pip has options for the wheels of another computer, but none for what its packages need only there.
    """
    from pip._vendor.packaging import markers as pip_markers

    own = pip_markers.default_environment
    pip_markers.default_environment = lambda: {**own(), **markers}
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    if _TARGET in os.environ:
        _as_target(dict(pair.split("=", 1) for pair in os.environ[_TARGET].splitlines()))
    else:
        sys.exit(main())
