"""What an import says of a model: ids, keys, names and colours."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umamba.errors import ModelError
from umamba.models.card import Card, CardChannel, CardNetwork, card_bytes
from umamba.models.describe import card_labels, default_id, label_key
from umamba.plans import parse_dataset

# Two colours of one picture, both among the first of a table, differ by this much (sum over the channels).
LEAST_DIFFERENCE = 40
PICTURE_LABELS = 20


def dataset(labels: dict, **further):
    return parse_dataset({"channel_names": {"0": "CT"}, "labels": {"background": 0} | labels} | further)


@pytest.mark.parametrize(
    ("name", "configuration", "wanted"),
    [
        ("Dataset804_OracleCT", "3d_fullres", "dataset804-oraclect-3d-fullres"),
        ("Dataset001_Größe  der Leber!", "2d", "dataset001-gro-e-der-leber-2d"),
        ("__a__", "-", "a"),
        ("x" * 300, "2d", "x" * 100),
    ],
)
def test_default_id(name, configuration, wanted):
    assert default_id(name, configuration) == wanted


def test_names_without_a_letter_need_an_id_from_the_person():
    with pytest.raises(ModelError, match="id"):
        default_id("左腎", "___")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Left Kidney", "left_kidney"),
        ("left-kidney", "left-kidney"),
        ("3", "label_3"),
        ("1st rib", "label_1st_rib"),
        ("-1", "label_1"),
        ("左腎", "label_7"),
        ("  ", "label_7"),
        ("Öhr, rechts", "ohr_rechts"),
        ("a" * 200, "a" * 94),
    ],
)
def test_label_keys(name, wanted):
    assert label_key(name, 7) == wanted


@given(
    st.dictionaries(
        st.text().filter(lambda name: name not in ("background", "ignore")), st.none(), min_size=1
    )
)
def test_any_label_names_make_a_valid_card(names):
    found = card_labels(dataset({name: value for value, name in enumerate(names, 1)}))
    assert [label.value for label in found] == list(range(1, len(names) + 1))
    card_bytes(
        Card(
            id="a",
            name="A",
            network=CardNetwork("UMambaBot", "current", "2d"),
            channels=(CardChannel("CT"),),
            labels=found,
            orientation="native",
            origin="umamba",
            files={"plans.json": "0" * 64},
        )
    )


def test_names_that_fall_together_get_keys_of_their_own():
    found = card_labels(dataset({"A b": 1, "a B": 2, "a_b_2": 3, "a_b": 4}))
    keys = [label.key for label in found]
    assert keys[0] == "a_b"
    assert len(set(keys)) == 4


def test_regions_are_named_by_their_values():
    regions = {"whole": [1, 2, 3], "core": [2, 3], "node": 3, "ignore": 4}
    found = card_labels(dataset(regions, regions_class_order=[1, 2, 3]))
    assert [(label.value, label.key) for label in found] == [(1, "whole"), (2, "core"), (3, "node")]


@pytest.mark.parametrize("order", [[1, 1, 3], [0, 2, 3]])
def test_regions_need_values_of_their_own(order):
    regions = {"whole": [1, 2, 3], "core": [2, 3], "node": 3}
    with pytest.raises(ModelError, match="regions_class_order"):
        card_labels(dataset(regions, regions_class_order=order))


def test_of_two_names_for_one_value_the_first_is_taken():
    assert [label.name for label in card_labels(dataset({"liver": 1, "hepar": 1}))] == ["liver"]


def test_colours_differ():
    colors = [label.color for label in card_labels(dataset({f"l{n}": n for n in range(1, 5_001)}))]
    assert len(set(colors)) == len(colors)
    pairs = itertools.combinations(colors[:PICTURE_LABELS], 2)
    assert min(sum(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in pairs) >= LEAST_DIFFERENCE


def test_a_name_with_control_characters_is_cleaned():
    assert card_labels(dataset({"a\x1b[31m\nb": 1}))[0].name == "a [31m b"
