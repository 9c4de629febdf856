"""What pip is told, and in which environment: a folder of ours, nothing built, no questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from UMambaSegmentationLib.client.requirements import Requirement
from UMambaSegmentationLib.client.torch_builds import BUILDS, TorchBuild

TORCH = "torch"
# What Slicer's other packages would need of ours is no concern: they never meet.
_QUIET = (
    *("--no-input", "--progress-bar", "off", "--disable-pip-version-check"),
    *("--no-warn-script-location", "--no-warn-conflicts"),
)
# Compiling takes longer than the packages' first use; a copy of gigabytes in pip's cache is of no use.
_LEAN = ("--no-compile", "--no-cache-dir", "--only-binary", ":all:", "--retries", "2")
# Settings of a person's pip that would send the packages elsewhere, or refuse to install them.
_ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIREMENT", "PIP_EDITABLE")
_PLAIN = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}


def install_words(
    target: Path,
    needs: Sequence[Requirement],
    *,
    platform: str,
    with_torch: bool,
    build: TorchBuild | None = None,
    wheels: Path | None = None,
) -> list[str]:
    """Arguments of pip.

    Args:
        target: The folder to install into.
        needs: What the engine needs.
        platform: Of the Python, as `sysconfig.get_platform()` has it.
        with_torch: False where Slicer has PyTorch.
        build: The build of PyTorch to take from the network.
        wheels: Take everything from this folder, without the network.
    """
    words = ["install", "--target", str(target), *_QUIET, *_LEAN]
    if wheels is not None:
        words += ["--no-index", "--find-links", str(wheels)]
    elif build is not None and not _usual_index_has(build, platform):
        words += ["--extra-index-url", build.index]
    for needed in needs:
        if needed.name != TORCH:
            words.append(needed.text)
        elif with_torch:
            words.append(TORCH + build.bounds if build is not None else needed.text)
    return words


def pip_environment(variables: dict[str, str], temporary: Path | None) -> dict[str, str]:
    """The environment for pip: proxies, indexes and certificates of the person's stay.

    Args:
        variables: That of its Python.
        temporary: Where to unpack; None leaves it to the system.
    """
    kept = {name: text for name, text in variables.items() if name not in _ELSEWHERE}
    place = {} if temporary is None else {"TMPDIR": str(temporary)}
    return {**kept, **_PLAIN, **place}


def _usual_index_has(build: TorchBuild, platform: str) -> bool:
    """On a Mac every build is the usual index's; on Windows that one is the CPU build."""
    return platform.startswith("macosx") or (platform.startswith("win") and build is BUILDS["cpu"])
