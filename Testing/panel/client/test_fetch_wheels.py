"""Filling a folder with wheels for another computer."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from .conftest import FETCH


def test_markers_are_those_of_the_other_computer(tmp_path):
    """fetch_wheels.py takes what a package needs there only."""

    def wheel(name, *needs):
        with zipfile.ZipFile(tmp_path / f"{name}-1-py3-none-any.whl", "w") as file:
            lines = [
                "Metadata-Version: 2.1",
                f"Name: {name}",
                "Version: 1",
                *(f"Requires-Dist: {n}" for n in needs),
            ]
            file.writestr(f"{name}-1.dist-info/METADATA", "\n".join(lines))
            file.writestr(
                f"{name}-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            file.writestr(f"{name}-1.dist-info/RECORD", "")

    wheel(
        "top",
        'onlywindows; sys_platform == "win32"',
        'onlylinux; platform_system == "Linux"',
        'late; python_version >= "3.13"',
    )
    for name in ("onlywindows", "onlylinux", "late"):
        wheel(name)
    target = "sys_platform=win32\nplatform_system=Windows\npython_version=3.13\npython_full_version=3.13.0"
    words = [
        "download",
        "--no-index",
        "--find-links",
        str(tmp_path),
        "-d",
        str(tmp_path / "out"),
        "--only-binary",
        ":all:",
    ]
    words += ["--platform", "win_amd64", "--python-version", "3.13", "top"]
    environment = {**os.environ, "FETCH_WHEELS_TARGET": target}
    subprocess.run([sys.executable, FETCH, *words], env=environment, check=True, capture_output=True)
    names = {path.name.partition("-")[0] for path in (tmp_path / "out").iterdir()}
    assert names == {"top", "onlywindows", "late"}


@pytest.mark.parametrize(
    ("arguments", "torch", "index"),
    [
        (("linux", "3.12", "cpu"), "torch>=2.6,<3", "https://download.pytorch.org/whl/cpu"),
        (("windows", "3.12", "cpu"), "torch>=2.6,<3", None),
        (("windows", "3.12", "cu126"), "torch>=2.6,<2.15", "https://download.pytorch.org/whl/cu126"),
        (("linux", "3.12", "cuda"), "torch>=2.9,<2.16", "https://download.pytorch.org/whl/cu130"),
        (("macos", "3.12", "cpu"), "torch>=2.6,<3", None),
        (("linux", "3.12", "slicer"), None, None),
    ],
)
def test_the_words_for_pip_download(arguments, torch, index, tmp_path):
    from UMambaSegmentationLib.client.fetch_wheels import download_words

    words = download_words(tmp_path, *arguments)
    assert [word for word in words if word.startswith("torch")] == ([torch] if torch else [])
    assert [word for word in words if word.startswith("https:")] == ([index] if index else [])
    assert ("win_amd64" in words) is (arguments[0] == "windows")
    assert json.dumps(words).count("--python-version") == 1
