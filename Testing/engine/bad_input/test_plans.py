"""Row 29: plans.json and dataset.json that are wrong, absurd or malformed; regions and an ignore label."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.bad_input.samples import Change, change_json, make_model, only_configuration
from image_builders import nifti_bytes

ADVICE = "give a model as U-Mamba or nnU-Net v2 wrote it"
DEPTH = 200_000
TOO_MANY_CLASSES = 70_000


@pytest.fixture
def results(desk, mr) -> Path:
    """A results folder to be changed."""
    folder = desk.inputs / mr.name
    shutil.copytree(mr, folder)
    return folder


def refuses_results(desk, folder: Path, scan: Path, found: str, advice: str = ADVICE) -> None:
    """Neither imported nor run."""
    (desk.home / "models").mkdir(exist_ok=True)
    desk.refuses(["models", "import", folder], found, advice)
    desk.refuses_image(scan, folder, found, advice)


def architecture(plans: dict[str, Any]) -> dict[str, Any]:
    return only_configuration(plans)["architecture"]


def kwargs(plans: dict[str, Any]) -> dict[str, Any]:
    return architecture(plans)["arch_kwargs"]


PLANS_KEYS = ("dataset_name", "transpose_forward", "transpose_backward", "configurations")
CONFIGURATION_KEYS = ("patch_size", "spacing", "normalization_schemes", "use_mask_for_norm")
ARCHITECTURE_KEYS = ("network_class_name", "arch_kwargs")
NETWORK_KEYS = (
    *("n_stages", "features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage"),
    *("n_conv_per_stage_decoder", "conv_op", "norm_op", "nonlin"),
)


@pytest.mark.parametrize(
    ("place", "key"),
    [
        *((lambda plans: plans, key) for key in PLANS_KEYS),
        *((only_configuration, key) for key in CONFIGURATION_KEYS),
        *((architecture, key) for key in ARCHITECTURE_KEYS),
        *((kwargs, key) for key in NETWORK_KEYS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_row_29_missing_key_of_plans(desk, results, scan, place, key):
    change_json(results, "plans.json", lambda plans: place(plans).pop(key))
    # Of two spellings of one key the message names the second.
    found = "n_blocks_per_stage" if key == "n_conv_per_stage" else key
    refuses_results(desk, results, scan, found)


@pytest.mark.parametrize("key", ["channel_names", "labels"])
def test_row_29_missing_key_of_dataset(desk, results, scan, key):
    change_json(results, "dataset.json", lambda dataset: dataset.pop(key))
    refuses_results(desk, results, scan, f"the key '{key}' is missing")


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_row_29_file_that_is_missing_is_taken_from_the_checkpoint(desk, results, scan, expected, name):
    (results / name).unlink()
    np.testing.assert_array_equal(desk.good(scan, results), expected)


def setting(key: str, value: object) -> Change:
    """Change a key of the configuration."""
    return lambda plans: only_configuration(plans).update({key: value})


def network_setting(key: str, value: object) -> Change:
    """Change a key of the network's arguments."""
    return lambda plans: kwargs(plans).update({key: value})


def of_plans(key: str, value: object) -> Change:
    return lambda plans: plans.update({key: value})


WRONG_PLANS: dict[str, tuple[Change, str]] = {
    "huge patch": (setting("patch_size", [4096, 4096, 4096]), "beyond any real model"),
    "patch beyond any number": (setting("patch_size", [10**30, 16, 16]), "an integer from 1 to 4096 wanted"),
    "patch not divisible": (setting("patch_size", [8, 16, 15]), "15 of axis 2 is not divisible"),
    "patch of 0": (setting("patch_size", [0, 16, 16]), "0 found"),
    "patch below 0": (setting("patch_size", [-8, 16, 16]), "-8 found"),
    "patch of halves": (setting("patch_size", [8.5, 16, 16]), "8.5 found"),
    "patch of one axis": (setting("patch_size", [16]), "patch_size has 1 entries"),
    "patch of four axes": (setting("patch_size", [8, 16, 16, 16]), "patch_size has 4 entries"),
    "patch as text": (setting("patch_size", "8x16x16"), "'8x16x16' found, a list wanted"),
    "spacing 0": (setting("spacing", [0, 1, 1]), "must be above 0"),
    "spacing below 0": (setting("spacing", [1, -1, 1]), "must be above 0"),
    "spacing of two axes": (setting("spacing", [1, 1]), "2 entries found, 3 wanted"),
    "unknown normalisation": (setting("normalization_schemes", ["Magic"]), "'Magic' is not known here"),
    "no normalisation": (setting("normalization_schemes", []), "use_mask_for_norm: 1 entries found"),
    "unknown resampling": (setting("resampling_fn_data", "os.system"), "'os.system' is not known here"),
    "unknown network": (
        lambda plans: architecture(plans).update(network_class_name="os.system"),
        "'os.system' is not known here",
    ),
    "unknown convolution": (network_setting("conv_op", "subprocess.Popen"), "'subprocess.Popen'"),
    "a million features": (network_setting("features_per_stage", [4, 10**6]), "1000000 found"),
    "other features": (network_setting("features_per_stage", [4, 16]), "does not fit"),
    "no stages": (network_setting("n_stages", 0), "0 found"),
    "a thousand stages": (network_setting("n_stages", 1000), "1000 found"),
    "fewer strides than stages": (network_setting("strides", [[1, 1, 1]]), "1 entries found, 2 wanted"),
    "stride 0": (network_setting("strides", [[1, 1, 1], [0, 2, 2]]), "0 found"),
    "even kernels": (network_setting("kernel_sizes", [[3, 3, 3], [2, 3, 3]]), "[2, 3, 3]"),
    "axes twice": (of_plans("transpose_forward", [0, 0, 1]), "transpose_forward"),
    "axes that do not go back": (of_plans("transpose_forward", [1, 2, 0]), "does not undo"),
    "no configuration": (of_plans("configurations", {}), "no configuration"),
    "a list": (of_plans("configurations", [1]), "an object wanted"),
    "another configuration": (
        lambda plans: plans.update(configurations={"2d": only_configuration(plans)}),
        "there is no configuration '3d_fullres'",
    ),
    "inherits from itself": (setting("inherits_from", "3d_fullres"), "3d_fullres"),
    "inherits from nobody": (setting("inherits_from", "nobody"), "nobody"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_PLANS)
def test_row_29_wrong_plans(desk, results, scan, case):
    change, found = WRONG_PLANS[case]
    change_json(results, "plans.json", change)
    refuses_results(desk, results, scan, found, "odd sizes wanted" if "kernels" in case else ADVICE)


def labels(**values: object) -> Change:
    return lambda dataset: dataset.update(labels=values)


WRONG_DATASETS: dict[str, tuple[Change, str]] = {
    "0 classes": (labels(), "labels need 'background' with value 0"),
    "background only": (labels(background=0), "no label besides the background"),
    "no background": (labels(a=1, b=2, c=3), "labels need 'background'"),
    "70,000 classes": (
        labels(background=0, **{f"s{n}": n for n in range(1, TOO_MANY_CLASSES)}),
        "65536 found, an integer from 0 to 65535 wanted",
    ),
    "one class more than the weights": (labels(background=0, a=1, b=2, c=3, d=4), "does not fit"),
    "one class less than the weights": (labels(background=0, a=1, b=2), "does not fit"),
    "not consecutive": (labels(background=0, a=1, b=2, c=4), "run from 0 without a gap, and 3 is missing"),
    "negative": (labels(background=0, a=1, b=2, c=-3), "-3 found"),
    "half": (labels(background=0, a=1, b=2, c=2.5), "2.5 found"),
    "text": (labels(background=0, a=1, b=2, c="three"), "'three' found"),
    "ignore in the middle": (labels(background=0, a=1, ignore=2, b=3, c=4), "without a gap"),
    "ignore too high": (labels(background=0, a=1, b=2, c=3, ignore=9), "the ignore label is 9"),
    "regions without order": (labels(background=0, a=[1, 2, 3], b=[2, 3], c=3), "regions_class_order"),
    "no channels": (lambda dataset: dataset.update(channel_names={}), "0 channels found"),
    "channels misnumbered": (lambda dataset: dataset.update(channel_names={"1": "T1"}), "must be numbered"),
    "more channels than schemes": (
        lambda dataset: dataset.update(channel_names={"0": "T1", "1": "T2"}), "normalization_schemes"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_DATASETS)
def test_row_29_wrong_dataset(desk, results, scan, case):
    change, found = WRONG_DATASETS[case]
    change_json(results, "dataset.json", change)
    refuses_results(desk, results, scan, found)


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not valid JSON"),
    "cut": (b'{"labels": {"background"', "not valid JSON"),
    "a list": (b"[]", "a JSON object was expected, found list"),
    "a number": (b"3", "a JSON object was expected, found int"),
    "NaN": (b'{"labels": NaN}', "NaN is not a number"),
    "infinity": (b'{"labels": -Infinity}', "-Infinity is not a number"),
    "beyond double": (b'{"labels": 1e999}', "1e999 is too large"),
    "key twice": (b'{"labels": {}, "labels": {}}', "key 'labels' stands twice"),
    "deep nesting": (b"[" * DEPTH + b"]" * DEPTH, "nested too deeply"),
    "deep objects": (b'{"a":' * DEPTH + b"1" + b"}" * DEPTH, "nested too deeply"),
    "latin-1": ('{"labels": "Schädel"}'.encode("latin-1"), "not valid JSON"),
    "zero bytes": (bytes(100), "not valid JSON"),
    "comment": (b'{"labels": {} /* all */}', "not valid JSON"),
    "long integer": (b'{"labels": ' + b"9" * 10_000 + b"}", "a number of 10000 digits"),
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_row_29_malformed(desk, results, scan, name, case):
    content, found = MALFORMED[case]
    (results / name).write_bytes(content)
    refuses_results(desk, results, scan, found)


def test_row_29_file_too_large(desk, results, scan):
    with (results / "plans.json").open("r+b") as file:
        file.truncate(40_000_000)
    refuses_results(desk, results, scan, "40000000 bytes is too large for a JSON file")


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_row_29_number_that_is_none_in_the_plans(desk, results, scan, value):
    plans = (results / "plans.json").read_text()
    (results / "plans.json").write_text(plans.replace('"spacing": [1.0,', f'"spacing": [{value},', 1))
    refuses_results(desk, results, scan, f"{value} is not a number")


def test_row_29_a_patch_that_the_memory_cannot_hold(desk, results, scan):
    """Each size is one that a model may have."""
    change_json(results, "plans.json", setting("patch_size", [512, 512, 1024]))
    change_json(results, "plans.json", network_setting("features_per_stage", [4, 8]))
    desk.refuses_image(scan, results, "GB", "", "--max-memory", "4")


def test_row_29_ignore_label(desk, results, scan, expected):
    """It has no output of its own, and never comes out."""
    change_json(results, "dataset.json", labels(background=0, a=1, b=2, c=3, ignore=4))
    np.testing.assert_array_equal(desk.good(scan, results), expected)


EVEN = 0.5  # the sigmoid of 0
REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "inner": 3}


def test_row_29_regions(desk, tmp_path, image):
    """A voxel gets the value of the last region that holds it."""
    model = make_model(tmp_path / "model", classes=3)
    rules = {"labels": REGIONS, "regions_class_order": [1, 2, 3]}
    change_json(model, "dataset.json", lambda dataset: dataset.update(rules))
    path, probabilities = desk.save("scan.nii", nifti_bytes(image)), desk.outputs / "p.npz"
    found = desk.good(path, model, "--probabilities", probabilities)
    inside = np.load(probabilities)["probabilities"] > EVEN
    wanted = np.zeros(image.shape, int)
    for value, region in enumerate(inside, start=1):
        wanted[region] = value
    np.testing.assert_array_equal(found, wanted)
    assert set(np.unique(found)) == {0, 1, 2, 3}


def test_row_29_what_the_checkpoint_says_twice(desk, results, scan, expected):
    """The files win over the checkpoint's copies, as with nnU-Net."""
    content = json.loads((results / "dataset.json").read_text())
    content["labels"] = {"background": 0, "x": 1, "y": 2, "z": 3}
    (results / "dataset.json").write_text(json.dumps(content))
    np.testing.assert_array_equal(desk.good(scan, results, "--labels", "x,y,z"), expected)
