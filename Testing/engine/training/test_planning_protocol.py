"""Plans from fingerprints: U-Mamba's as the paper's code makes them, nnU-Net's as nnunetv2 does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from planning_builders import description_of, planned
from umamba import InputError
from umamba.nn import build_network
from umamba.plans import parse_plans
from umamba.training.planning.networks import NETWORKS
from umamba.training.planning.options import PlanOptions

pytest.importorskip("nnunetv2", reason="planning needs the extra `train`")

NUMBERS = ("patch_size", "batch_size", "n_stages", "strides", "kernels")
FORK, NNUNET = "fork_planner", "nnunetv2_281_planner"


Plan = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """`planned`, each question asked once: the search for a low resolution takes a second."""
    answers: dict[str, dict[str, Any]] = {}

    def ask(fingerprint: dict[str, Any], network: str, **options: Any) -> dict[str, Any]:
        question = json.dumps([fingerprint, network, options])
        if question not in answers:
            folder = tmp_path_factory.mktemp("planned")
            answers[question] = planned(folder, fingerprint, network, PlanOptions(**options))
        return answers[question]

    return ask


def _numbers(plans: dict[str, Any], configuration: str) -> dict[str, Any]:
    entry = plans["configurations"][configuration]
    arguments = entry["architecture"]["arch_kwargs"]
    return {
        "patch_size": entry["patch_size"],
        "batch_size": entry["batch_size"],
        "n_stages": arguments["n_stages"],
        "strides": arguments["strides"],
        "kernels": arguments["kernel_sizes"],
    }


def _configuration(case: dict[str, Any]) -> str:
    flat = case["fingerprint"].get("dimensions", 2 if case["name"].endswith("2D") else 3) == 2
    return "2d" if flat else "3d_fullres"


@pytest.fixture(scope="module")
def published(oracle: Path) -> list[dict[str, Any]]:
    document = json.loads((oracle / "planning" / "planning.json").read_text(encoding="utf-8"))
    return [*document["cases"], *document["more"]]


@pytest.mark.parametrize("number", range(16))
@pytest.mark.parametrize(("network", "planner"), [("umamba-enc", FORK), ("nnunet", NNUNET)])
def test_the_planner_decides_as_the_published_one(
    published: list[dict[str, Any]], plan: Plan, number: int, network: str, planner: str
) -> None:
    assert len(published) == 16
    case = published[number]
    plans = plan(case["fingerprint"], network)
    found = _numbers(plans, _configuration(case))
    assert found == {key: case[planner][key] for key in NUMBERS}


@pytest.mark.parametrize("number", range(6))
def test_the_networks_of_the_paper_come_out(published: list[dict[str, Any]], plan: Plan, number: int) -> None:
    case = published[number]
    configuration, dataset = _configuration(case), description_of(case["fingerprint"])
    for network, key in (("umamba-bot", "Bot current"), ("umamba-enc", "Enc current")):
        plans = plan(case["fingerprint"], network)
        with torch.device("meta"):
            built = build_network(plans, configuration, dataset)
        assert sum(parameter.numel() for parameter in built.parameters()) == case["parameters"][key]
        blocks = {
            "encoder": [len(stage) for stage in built.encoder.stages],
            "decoder": [len(stage) for stage in built.decoder.stages],
        }
        assert blocks == case["blocks_current"]
    assert _table_2(case) is None or _table_2(case).items() <= _numbers(plans, configuration).items()


def _table_2(case: dict[str, Any]) -> dict[str, Any] | None:
    table: dict[str, Any] | None = case["paper_table_2"]
    return table


def test_today_s_planner_differs_from_the_paper_s_in_2d_alone(published: list[dict[str, Any]]) -> None:
    """Else the test of both planners could not tell them apart."""
    differing = {_configuration(case) for case in published if case[FORK] != case[NNUNET]}
    assert differing == {"2d"}


@pytest.fixture(scope="module")
def large() -> dict[str, Any]:
    """Abdominal CT: large enough for a low resolution."""
    return {
        "spacing_after_transpose": [2.5, 0.8, 0.8],
        "median_shape_after_resampling": [90, 480, 480],
        "labels": 3,
        "channels": 1,
        "numTraining": 50,
    }


@pytest.mark.parametrize("network", NETWORKS)
def test_every_configuration_is_planned_and_read_back(
    large: dict[str, Any], plan: Plan, network: str
) -> None:
    raw = plan(large, network)
    assert raw["plans_name"] == NETWORKS[network].plans_name
    plans = parse_plans(raw)
    assert set(plans.configurations) == {"2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"}
    classes = {plans.configuration(name).architecture.network_class for name in plans.configurations}
    assert classes == {NETWORKS[network].class_path.rpartition(".")[2]}
    for name in plans.configurations:
        entry = raw["configurations"][name]
        if NETWORKS[network].takes_patch_size and "architecture" in entry:
            assert entry["architecture"]["arch_kwargs"]["patch_size"] == entry["patch_size"]
    assert plans.configuration("3d_cascade_fullres").previous_stage == "3d_lowres"


def test_networks_share_cases_that_are_stored_alike(large: dict[str, Any], plan: Plan) -> None:
    stored = {
        network: {
            name: entry["data_identifier"]
            for name, entry in plan(large, network)["configurations"].items()
            if "data_identifier" in entry
        }
        for network in NETWORKS
    }
    assert stored["umamba-bot"] == stored["umamba-enc"] == stored["nnunet"]
    for name in ("2d", "3d_fullres"):
        assert stored["nnunet-resenc"][name] == stored["nnunet"][name]
    coarse = plan(large, "nnunet", spacing=(2.5, 1.0, 1.0))
    assert coarse["configurations"]["3d_fullres"]["data_identifier"] != stored["nnunet"]["3d_fullres"]


def test_width_and_batch_change_nothing_else(large: dict[str, Any], plan: Plan) -> None:
    whole = plan(large, "umamba-enc")
    narrow = plan(large, "umamba-enc", batch_size=4, base_features=8, most_features=48)
    assert narrow["plans_name"] == "UMambaEncPlans_b4_w8-48"
    for name in ("2d", "3d_fullres"):
        assert _numbers(narrow, name) == _numbers(whole, name) | {"batch_size": 4}
    arguments = narrow["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    assert arguments["features_per_stage"] == [8, 16, 32, 48, 48, 48]


@pytest.mark.parametrize("network", ["umamba-bot", "nnunet", "nnunet-resenc"])
def test_a_chosen_patch_has_stages_of_its_own(large: dict[str, Any], plan: Plan, network: str) -> None:
    """By hand: 128 halves down to 4 five times, 16 twice; 2.5 mm joins when the others reach 1.6 mm."""
    plans = plan(large, network, patch_size=(16, 128, 128))
    found = _numbers(plans, "3d_fullres")
    assert found["patch_size"] == [16, 128, 128]
    assert found["strides"] == [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2], [1, 2, 2]]
    assert found["kernels"] == [[1, 3, 3], *[[3, 3, 3]] * 5]
    assert found["batch_size"] > _numbers(plan(large, network), "3d_fullres")["batch_size"]
    with torch.device("meta"):
        build_network(plans, "3d_fullres", description_of(large))
    assert _numbers(plans, "2d") == _numbers(plan(large, network), "2d")


def test_the_planner_s_own_patch_chosen_by_hand_gives_its_own_plan(
    published: list[dict[str, Any]], plan: Plan
) -> None:
    for case in published[6:]:
        configuration = _configuration(case)
        own = _numbers(plan(case["fingerprint"], "nnunet"), configuration)
        chosen = plan(case["fingerprint"], "nnunet", patch_size=own["patch_size"])
        assert _numbers(chosen, configuration) == own


def test_a_patch_that_cannot_be_halved_is_refused_with_the_next_that_can(
    large: dict[str, Any], plan: Plan
) -> None:
    with pytest.raises(InputError, match=r"a patch of 16 x 100 x 128 cannot be halved .* 16 x 112 x 128"):
        plan(large, "nnunet", patch_size=(16, 100, 128))


def test_images_too_small_for_a_network_are_refused(large: dict[str, Any], plan: Plan) -> None:
    tiny = large | {"spacing_after_transpose": [999, 1, 1], "median_shape_after_resampling": [1, 6, 6]}
    with pytest.raises(InputError, match="images of 6 x 6 voxels are too small"):
        plan(tiny, "umamba-bot")


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"base_features": 0},
        {"base_features": 32, "most_features": 16},
        {"patch_size": (64,)},
        {"patch_size": (64, 0)},
        {"spacing": (1.0, 1.0, 0.0)},
        {"spacing": (1.0, 1.0)},
    ],
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PlanOptions(**wrong)


def test_each_choice_of_numbers_has_a_name_of_its_own() -> None:
    choices = [
        PlanOptions(),
        PlanOptions(batch_size=2),
        PlanOptions(base_features=16),
        PlanOptions(most_features=16),
        PlanOptions(base_features=16, most_features=16),
        PlanOptions(patch_size=(16, 16)),
        PlanOptions(patch_size=(16, 16, 16)),
        PlanOptions(spacing=(1.0, 1.5, 16.0)),
    ]
    names = [choice.suffix for choice in choices]
    assert len(set(names)) == len(names)
    assert names[0] == ""
    assert not any("__" in name or "/" in name for name in names)
