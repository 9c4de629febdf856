"""What Slicer's Extensions Index checks on the catalogue file and on a clone, before it builds anything."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft7Validator
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
NAME = "UMambaSegmentation"
REPOSITORY = "SlicerUMambaSegmentation"
CATALOGUE = ROOT / f"{NAME}.json"
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")

METADATA = ("HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS")

# The catalogue's schema 1.0.1 in short.
SCHEMA_URL = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/"
    "slicer-extension-catalog-entry-schema-v1.0.1.json#"
)
TEXT = {"type": "string", "minLength": 1}
SCHEMA = {
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": SCHEMA_URL},
        "category": TEXT,
        "scm_url": TEXT,
        "scm_revision": TEXT,
        "scm_type": {"const": "git"},
        "build_dependencies": {"type": "array", "items": TEXT},
        "build_subdirectory": TEXT,
        "enabled": {"type": "boolean"},
        "tier": {"enum": [1, 3, 5]},
    },
}

ICON_PIXELS = 128
LARGEST_SCREENSHOT_BYTES = 1_000_000  # it is fetched whenever somebody looks through the extensions


@pytest.fixture(scope="module")
def entry() -> dict[str, object]:
    return json.loads(CATALOGUE.read_text(encoding="utf-8"))


def _metadata(name: str) -> str:
    """The value of EXTENSION_<name>, found as the index finds it: one call, one text in plain quotes."""
    found = re.findall(rf'^set\(EXTENSION_{name} "([^"]+)"\)$', CMAKE, re.MULTILINE)
    assert len(found) == 1, f"EXTENSION_{name} stands {len(found)} times in CMakeLists.txt"
    return found[0]


def _own_file(url: str, entry: dict[str, object]) -> Path:
    """The file of this repository that a raw URL serves, on the branch that the index takes."""
    owner = urlsplit(str(entry["scm_url"])).path.split("/")[1]
    start = f"https://raw.githubusercontent.com/{owner}/{REPOSITORY}/{entry['scm_revision']}/"
    assert url.startswith(start), f"{url} is no raw address of this repository"
    return ROOT / url.removeprefix(start)


def test_catalogue_fits_its_schema(entry: dict[str, object]) -> None:
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(entry)] == []


def test_one_name_everywhere(entry: dict[str, object]) -> None:
    assert re.findall(r"project\s*\(\s*([^\s)]+)", CMAKE, re.IGNORECASE) == [NAME]
    assert CATALOGUE.is_file()
    assert (ROOT / NAME / "CMakeLists.txt").is_file()
    assert f"add_subdirectory({NAME})" in CMAKE
    assert not NAME.startswith("Slicer")


def test_repository_is_named_as_the_index_wants_it(entry: dict[str, object]) -> None:
    url = urlsplit(str(entry["scm_url"]))
    assert (url.scheme, url.netloc) == ("https", "github.com")
    assert url.path.split("/")[2] == REPOSITORY
    assert REPOSITORY.startswith("Slicer")
    assert _metadata("HOMEPAGE") == entry["scm_url"]


def test_no_page_names_another_repository(entry: dict[str, object]) -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CITATION.cff",
        ROOT / "pyproject.toml",
        *(ROOT / "docs").glob("*.md"),
    ]
    for page in pages:
        named = re.findall(rf"https://github\.com/[\w.-]+/{REPOSITORY}", page.read_text(encoding="utf-8"))
        assert set(named) <= {entry["scm_url"]}, page.name


def test_category_and_dependencies_agree_with_cmake(entry: dict[str, object]) -> None:
    assert entry["category"] == _metadata("CATEGORY") == "Segmentation"
    depends = _metadata("DEPENDS")
    assert entry["build_dependencies"] == ([] if depends == "NA" else depends.split())


@pytest.mark.parametrize("name", METADATA)
def test_metadata_is_plain_text(name: str) -> None:
    value = _metadata(name)
    assert "$" not in value, "a computed value is not found by the index"
    assert ";" not in value, "CMake cuts the value at a semicolon"
    assert value == value.strip()
    assert value.isascii()


def test_description_says_what_it_is_for_and_what_not() -> None:
    description = _metadata("DESCRIPTION")
    assert re.search(r"research use only", description, re.IGNORECASE)
    assert len(description) < 400  # shown in a tile of the Extensions Manager


def test_contributors_are_named_with_their_place() -> None:
    assert re.fullmatch(r"[^(),]+ \([^()]+\)(, [^(),]+ \([^()]+\))*", _metadata("CONTRIBUTORS"))


def test_icon_is_a_png_of_the_wanted_size(entry: dict[str, object]) -> None:
    with Image.open(_own_file(_metadata("ICONURL"), entry)) as icon:
        assert (icon.format, icon.size) == ("PNG", (ICON_PIXELS, ICON_PIXELS))


def test_screenshots_are_pictures_of_this_repository(entry: dict[str, object]) -> None:
    for url in _metadata("SCREENSHOTURLS").split():
        path = _own_file(url, entry)
        assert path.stat().st_size < LARGEST_SCREENSHOT_BYTES
        with Image.open(path) as picture:
            assert picture.format in ("PNG", "JPEG", "GIF")
            picture.verify()


def test_licence_lies_where_the_index_looks() -> None:
    assert "Apache License" in (ROOT / "LICENSE.txt").read_text(encoding="utf-8")
