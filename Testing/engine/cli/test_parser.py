"""How a command line is read, before anything runs."""

import argparse

import pytest

from umamba.cli import parser
from umamba.errors import InputError

COMMANDS = ("segment", "plan", "models")


def test_a_value_with_a_minus_sign_is_bound_to_its_option():
    words = ["segment", "--around", "-28,20,-14", "a.nii.gz", "--roi", "-1.5,2,3,4,5,6"]
    assert parser.bind_signed_values(words) == [
        "segment",
        "--around=-28,20,-14",
        "a.nii.gz",
        "--roi=-1.5,2,3,4,5,6",
    ]


def test_an_option_after_a_signed_option_stays_an_option():
    words = ["--around", "--model", "m", "--roi", "-x"]
    assert parser.bind_signed_values(words) == words


def test_nothing_is_bound_after_two_dashes():
    words = ["--", "--around", "-1,2,3"]
    assert parser.bind_signed_values(words) == words


@pytest.mark.parametrize(
    "words",
    [
        ["segment", "plan", "--json"],
        ["--json", "segment", "plan"],
        ["--debug", "--json", "segment", "plan"],
    ],
)
def test_the_command_is_the_first_word_that_is_no_option(words):
    command, rest = parser.split_command(words, COMMANDS)
    assert command == "segment"
    assert sorted(rest) == sorted(word for word in words if word != "segment")


def test_the_value_of_an_option_is_not_taken_for_the_command():
    assert parser.split_command(["--model", "plan", "segment", "a"], COMMANDS) == (
        "segment",
        ["--model", "plan", "a"],
    )


def test_an_unknown_command_names_the_known_ones():
    with pytest.raises(InputError, match=r"'segmnt'.*segment, plan, models"):
        parser.split_command(["segmnt"], COMMANDS)


def test_no_command_at_all():
    assert parser.split_command(["--json"], COMMANDS) == (None, ["--json"])


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (parser.box, "-90,90,-126,90,-72,108", (-90.0, 90.0, -126.0, 90.0, -72.0, 108.0)),
        (parser.point, "-28,20.5,-14", (-28.0, 20.5, -14.0)),
        (parser.names, "liver, spleen", ["liver", "spleen"]),
        (parser.folds, "all", "all"),
        (parser.folds, "0,2", ["0", "2"]),
        (parser.positive_integer, "3", 3),
        (parser.gigabytes, "3.5", 3.5),
        (parser.step_size, "1", 1.0),
    ],
)
def test_values(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (parser.box, "1,2,3,4,5"),
        (parser.box, "1,2,3,4,5,nan"),
        (parser.point, "1,2"),
        (parser.point, "1,2,inf"),
        (parser.point, "left"),
        (parser.names, "liver,,spleen"),
        (parser.positive_integer, "0"),
        (parser.positive_integer, "-1"),
        (parser.positive_integer, "two"),
        (parser.gigabytes, "0"),
        (parser.gigabytes, "8GB"),
        (parser.step_size, "0"),
        (parser.step_size, "1.01"),
    ],
)
def test_wrong_values_are_named(read, text):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        read(text)
    assert repr(text) in str(error.value) or "0 GB" in str(error.value)
