"""What is installed and what is needed: read from folders, nothing imported, nothing started."""

import subprocess
import sys
import time
import tomllib

import pytest

from .conftest import ROOT


def install(folder, name, version):
    """A package's metadata, as an installer leaves it."""
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def packages(tmp_path):
    """An empty Python and an empty folder of the engine's."""
    from UMambaSegmentationLib.client.interpreter import Interpreter
    from UMambaSegmentationLib.client.packages import Packages

    sites = tmp_path / "site-packages"
    sites.mkdir()
    python = Interpreter((sys.executable,), (3, 12), "linux-x86_64", (str(sites),), own=True)
    return Packages(python, tmp_path / "engine" / python.name)


def fill(folder, **versions):
    from UMambaSegmentationLib.client.packages import requirements

    for needed in requirements():
        version = versions.get(needed.name, needed.clauses[0][1])
        if version:
            install(folder, needed.name, version)


def test_the_file_has_the_projects_own_ranges():
    from UMambaSegmentationLib.client.packages import requirements
    from UMambaSegmentationLib.client.requirements import OPTIONAL, parse_requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dicom = project["optional-dependencies"]["dicom"]
    assert requirements() == tuple(parse_requirement(line) for line in [*project["dependencies"], *dicom])
    assert tuple(parse_requirement(line).name for line in dicom) == OPTIONAL


@pytest.mark.parametrize(
    ("text", "fit", "unfit"),
    [
        (
            "torch>=2.6,<3",
            ["2.6", "2.6.0", "2.13.0+cpu", "2.7.0rc1", "2.10"],
            ["2.5.9", "3.0", "3.0.0rc1", "2.6.0rc1", ""],
        ),
        ("tifffile>=2024.5.3", ["2024.5.3", "2026.3.3"], ["2024.5", "2023.12.9", "x"]),
        ("a==1.2,!=1.2.1", ["1.2", "1.2.0+local"], ["1.2.1", "1.2.0b1"]),
        ("a>1,<=2", ["1.0.1", "2.0.0"], ["1", "1.0", "2.0.1"]),
        ("a", ["0", "anything"], []),
    ],
)
def test_versions(text, fit, unfit):
    from UMambaSegmentationLib.client.requirements import parse_requirement

    needed = parse_requirement(text)
    assert needed.text == text
    assert [version for version in fit if not needed.accepts(version)] == []
    assert [version for version in unfit if needed.accepts(version)] == []


@pytest.mark.parametrize(
    "line", ["torch~=2.6", "torch>=2.6; python_version>'3'", "torch @ https://x", "", "a>="]
)
def test_other_lines_are_errors(line):
    from UMambaSegmentationLib.client.requirements import parse_requirement

    with pytest.raises(ValueError, match="not a requirement"):
        parse_requirement(line)


def test_nothing_installed(packages):
    status = packages.status()
    assert (status.ready, status.torch, status.torch_place, status.bytes) == (False, None, None, 0)
    assert status.missing[:2] == ("torch", "numpy")
    assert "highdicom" not in status.missing  # runs do without
    assert (status.python, status.folder) == ("3.12", packages.folder)
    from umamba.version import __version__

    assert status.engine_version == __version__


def test_everything_in_the_engines_folder(packages):
    fill(packages.folder, torch="2.13.0+cpu", highdicom=None)
    status = packages.status()
    assert (status.ready, status.missing, status.torch, status.torch_place) == (
        True,
        (),
        "2.13.0+cpu",
        "engine",
    )


def test_torch_in_place_when_it_is_recent_enough(packages, tmp_path):
    fill(packages.folder, torch=None)
    assert packages.status().missing == ("torch",)
    install(tmp_path / "site-packages", "torch", "2.2.2")
    assert packages.torch_of_interpreter() is None
    assert packages.status().missing == ("torch",)
    (tmp_path / "site-packages" / "torch-2.2.2.dist-info").rename(tmp_path / "gone")
    install(tmp_path / "site-packages", "torch", "2.9.1+cu126")
    status = packages.status()
    assert (status.ready, status.torch, status.torch_place) == (True, "2.9.1+cu126", "slicer")
    assert packages.torch_of_interpreter() == "2.9.1+cu126"
    install(packages.folder, "torch", "2.10.0")
    status = packages.status()
    assert (status.torch, status.torch_place) == ("2.10.0", "engine")


def test_the_worker_finds_the_engines_folder_first_so_it_counts_first(packages, tmp_path):
    fill(tmp_path / "site-packages")
    install(packages.folder, "numpy", "1.20.0")
    assert packages.status().missing == ("numpy",)


def test_a_damaged_metadata_folder_counts_as_absent(packages):
    fill(packages.folder, numpy=None)
    (packages.folder / "numpy-2.0.0.dist-info").mkdir()
    assert packages.status().missing == ("numpy",)


def test_a_look_is_quick_and_starts_nothing(app, monkeypatch):
    """The real folders of this Python, which hold a hundred packages."""
    import qt

    from UMambaSegmentationLib.client import packages

    def forbidden(*_words):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    monkeypatch.setattr(qt.QProcess, "start", forbidden)
    before = set(sys.modules)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        status = packages.status()
        times.append(time.perf_counter() - started)
    print(f"a look at the packages: {1000 * min(times):.1f} ms, the first {1000 * times[0]:.1f} ms")
    assert status.ready
    assert min(times) < 0.05
    assert not {"torch", "numba", "scipy", "umamba"} & (set(sys.modules) - before)


@pytest.mark.parametrize(
    ("answer", "build"),
    [
        ("8.6, 560.35.03\n", "cu126"),
        ("9.0, 580.65.06\n", "cu130"),
        ("7.0, 580.65.06\n", "cu126"),
        ("12.0, 570.86\n", "cu128"),
        ("12.0, 581.29\n", "cu130"),
        ("6.1, 560.1\n8.6, 560.1\n", "cu126"),
        ("[N/A], 580.1\n8.0, 580.1\n", "cu130"),
        ("8.6, 470.199.02\n", None),
        ("", None),
        ("Failed to initialize NVML: Driver/library version mismatch\n", None),
    ],
)
def test_the_build_for_the_cards(answer, build):
    from UMambaSegmentationLib.client.torch_builds import build_for_cards

    found = build_for_cards(answer)
    assert (found.name if found else None) == build


@pytest.mark.parametrize(
    ("platform", "build", "index"),
    [
        ("linux-x86_64", "cpu", True),
        ("linux-x86_64", "cu126", True),
        ("win-amd64", "cpu", False),
        ("win-amd64", "cu130", True),
        ("macosx-11.0-arm64", "cpu", False),
    ],
)
def test_what_pip_is_told(tmp_path, platform, build, index):
    from UMambaSegmentationLib.client.packages import requirements
    from UMambaSegmentationLib.client.pip_command import install_words
    from UMambaSegmentationLib.client.torch_builds import BUILDS

    words = install_words(tmp_path, requirements(), platform=platform, with_torch=True, build=BUILDS[build])
    assert words[:3] == ["install", "--target", str(tmp_path)]
    assert (f"https://download.pytorch.org/whl/{build}" in words) is index
    assert f"torch{BUILDS[build].bounds}" in words
    offline = install_words(tmp_path, requirements(), platform=platform, with_torch=False, wheels=tmp_path)
    assert "--no-index" in offline
    assert "--extra-index-url" not in offline
    assert not [word for word in offline if word.startswith("torch")]


def test_the_persons_settings_of_pip_do_not_send_packages_elsewhere(tmp_path):
    from UMambaSegmentationLib.client.pip_command import pip_environment

    given = {
        "PIP_TARGET": "/elsewhere",
        "PIP_USER": "1",
        "PIP_CERT": "/hospital.pem",
        "HTTPS_PROXY": "http://p",
    }
    assert pip_environment(given, tmp_path) == {
        "PIP_CERT": "/hospital.pem",
        "HTTPS_PROXY": "http://p",
        "PIP_USER": "0",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "TMPDIR": str(tmp_path),
    }


def test_no_current_torch_for_intel_macs():
    from UMambaSegmentationLib.client.torch_builds import has_torch

    assert [has_torch(name) for name in ("macosx-10.13-x86_64", "macosx-11.0-arm64", "win-amd64")] == [
        False,
        True,
        True,
    ]


# What pip printed in each of these cases, shortened to the lines that differ.
PIP_SAID = {
    "/usr/bin/python3: No module named pip": "has no pip",
    "ERROR: Could not install: OSError: [Errno 28] No space left on device": "disk is full",
    "WARNING: Retrying after connection broken by 'SSLError(SSLCertVerificationError(1, '[SSL: "
    "CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate'))'\n"
    "ERROR: No matching distribution found for numpy<3,>=1.26": "PIP_CERT",
    "WARNING: Retrying after connection broken by 'ProxyError('Cannot connect to proxy.', OSError("
    "'Tunnel connection failed: 407 Proxy Authentication Required'))'": "The proxy refused",
    "WARNING: Retrying after connection broken by 'NewConnectionError('<...>: Failed to establish a new "
    "connection: [Errno -3] Temporary failure in name resolution')'\n"
    "ERROR: Could not find a version that satisfies the requirement numpy (none)": "index cannot be reached",
    "ERROR: Could not find a version that satisfies the requirement torch<3,>=2.6 (from versions: 2.2.2)\n"
    "ERROR: No matching distribution found for torch<3,>=2.6": "has no suitable torch for win-amd64-cp312",
    "ERROR: Could not install: OSError: [WinError 5] Access is denied: 'x.pyd'": "antivirus",
    "ERROR: ResolutionImpossible: for help visit ...": "do not fit together",
    "something new": "the log say why",
}


@pytest.mark.parametrize("said", PIP_SAID)
def test_pips_errors_become_sentences(said):
    from UMambaSegmentationLib.client.pip_errors import sentence

    text = sentence(said.splitlines(), from_folder=False, platform="win-amd64-cp312")
    assert PIP_SAID[said] in text
    assert text.endswith(".")


def test_sizes_for_the_question(app):
    from UMambaSegmentationLib.client.installation import sizes

    assert sizes("slicer") == "about 0.2 GB to download and 0.8 GB on the disk"
    assert sizes("cuda") == "about 3.6 GB to download and 8.0 GB on the disk"
