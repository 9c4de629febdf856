"""Reading a command line: options anywhere, values that begin with a minus sign, one line for each error."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from typing import NoReturn

from umamba.errors import InputError

# Options whose value may begin with a minus sign; argparse alone would take it for another option.
SIGNED_OPTIONS = ("--roi", "--around")
# Options that stand alone: every other one is followed by its value, so that word is never the command.
FLAGS = (
    *("--json", "--quiet", "--debug", "--overwrite", "--mirror", "--no-mirror", "--dry-run"),
    *("--instances", "--allow-missing", "--resume"),
    *("--measure", "--no-measure", "--allow-unfinished"),
)
HELP = ("-h", "--help")
BYTES_PER_GB = 1_000_000_000

_NUMBER_WITH_MINUS = re.compile(r"-[\d.]")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises instead of leaving the process, and knows no abbreviations."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print over several lines as one InputError."""
        raise InputError(f"{message} (see {self.prog} --help)")


def bind_signed_values(words: Sequence[str]) -> list[str]:
    """Join `--around -28,20,-14` to `--around=-28,20,-14`, which argparse reads as meant."""
    bound: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            return [*bound, word, *waiting]
        if word in SIGNED_OPTIONS and waiting and _NUMBER_WITH_MINUS.match(waiting[0]):
            word = f"{word}={waiting.pop(0)}"
        bound.append(word)
    return bound


def split_command(words: Sequence[str], commands: Sequence[str]) -> tuple[str | None, list[str]]:
    """Find the command among the words, wherever it stands; give it and the other words in their order.

    Raises:
        InputError: There is a word where a command should be, and it is none of `commands`.
    """
    after_option = False
    for index, word in enumerate(words):
        if word == "--":
            break
        if word.startswith("-") and len(word) > 1:
            after_option = word not in (*FLAGS, *HELP) and "=" not in word
        elif after_option:
            after_option = False
        elif word in commands:
            return word, [*words[:index], *words[index + 1 :]]
        else:
            raise InputError(f"unknown command {word!r}; choose {', '.join(commands)}")
    return None, list(words)


def numbers(text: str, count: int, wanted: str) -> tuple[float, ...]:
    """`count` finite numbers between commas.

    Raises:
        argparse.ArgumentTypeError: Another count, or something that is no finite number.
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count or not all(math.isfinite(value) for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} found, {wanted} wanted")
    return values


def box(text: str) -> tuple[float, ...]:
    """X0,X1,Y0,Y1,Z0,Z1 in mm, LPS."""
    return numbers(text, 6, "six numbers X0,X1,Y0,Y1,Z0,Z1 in mm (LPS)")


def point(text: str) -> tuple[float, ...]:
    """X,Y,Z in mm, LPS."""
    return numbers(text, 3, "three numbers X,Y,Z in mm (LPS)")


def names(text: str) -> list[str]:
    """Words between commas."""
    found = [part.strip() for part in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} found, names between commas wanted")
    return found


def folds(text: str) -> str | list[str]:
    """`all`, or fold names between commas."""
    return "all" if text == "all" else names(text)


def positive_integer(text: str) -> int:
    """An integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} found, a whole number of at least 1 wanted")
    return int(text)


def gigabytes(text: str) -> float:
    """A positive number of GB (1e9 bytes)."""
    (value,) = numbers(text, 1, "a number of gigabytes, such as 8 or 3.5,")
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} found, more than 0 GB wanted")
    return value


def step_size(text: str) -> float:
    """The distance between tiles as a fraction of the patch, above 0 and at most 1."""
    (value,) = numbers(text, 1, "a number above 0 and at most 1")
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} found, a number above 0 and at most 1 wanted")
    return value
