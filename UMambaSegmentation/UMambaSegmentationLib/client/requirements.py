"""The engine's requirements, and whether an installed version fits; Slicer's Python alone, no `packaging`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Only DICOM files need these: a run in Slicer, which reads DICOM itself, does without.
OPTIONAL = ("pydicom", "highdicom")

_LINE = re.compile(r"([A-Za-z0-9._-]+)\s*(.*)")
_CLAUSE = re.compile(r"(>=|<=|==|!=|<|>)\s*([0-9][0-9a-zA-Z.+]*)")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)([^+]*)")
_COMPARISONS: dict[str, Callable[[int], bool]] = {
    ">=": lambda order: order >= 0,
    "<=": lambda order: order <= 0,
    "==": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    ">": lambda order: order > 0,
}


@dataclass(frozen=True)
class Requirement:
    """A package and the versions that do.

    Attributes:
        name: As the index has it.
        clauses: (comparison, version) pairs, all of which must hold.
    """

    name: str
    clauses: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """As pip takes it."""
        return self.name + ",".join(comparison + version for comparison, version in self.clauses)

    def accepts(self, version: str) -> bool:
        """Whether an installed version does. What follows a "+" (a build's name) does not count."""
        return all(
            _COMPARISONS[comparison](_order(version, bound, comparison)) for comparison, bound in self.clauses
        )


def parse_requirement(line: str) -> Requirement:
    """One line such as `torch>=2.6,<3`.

    Raises:
        ValueError: It has another form.
    """
    match = _LINE.fullmatch(line.strip())
    clauses = [_CLAUSE.fullmatch(part.strip()) for part in match[2].split(",") if part] if match else []
    if match is None or not all(clauses):
        raise ValueError(f"not a requirement: {line!r}")
    return Requirement(match[1], tuple((clause[1], clause[2]) for clause in clauses if clause))


def read_requirements(file: Path) -> tuple[Requirement, ...]:
    """The lines of a requirements file; `#` begins a comment."""
    lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return tuple(parse_requirement(line) for line in lines if line)


def _order(version: str, bound: str, comparison: str) -> int:
    """-1, 0 or 1. A pre-release comes before its release, yet is not below it for "<" (2.6rc1 is no 2.5)."""
    (release, final), (other, other_final) = _key(version), _key(bound)
    if release == other and comparison != "<":
        return (final > other_final) - (final < other_final)
    return (release > other) - (release < other)


def _key(version: str) -> tuple[tuple[int, ...], bool]:
    match = _VERSION.match(version)
    if match is None:
        return (), False
    release = [int(part) for part in match[1].split(".")]
    while release and release[-1] == 0:
        release.pop()
    final = re.match(r"[._-]?(a|b|c|rc|alpha|beta|pre|preview|dev)", match[2]) is None
    return tuple(release), final
