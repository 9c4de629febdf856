"""The published training of Mamba-UNet, piece by piece: loss, steps, augmentation, order, cases, Dice."""

import json
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from umamba.nn import MambaUNet
from umamba.training.mamba_unet.augment import Change, bring_to, draw
from umamba.training.mamba_unet.loss import PaperLoss, RateByStep, learning_rate, make_optimizer

# Sums over pixels in another order.
ROUNDING = 1e-6
STEPS = 10_000
SIDE = (224, 224)
# Of 4000 draws, five standard deviations of the share of a half.
DRAWS, SPREAD = 4000, 0.04


@pytest.fixture(scope="module")
def net(oracle) -> Path:
    return oracle / "mambaunet_net"


@pytest.mark.parametrize("name", ["loss_4cls", "loss_4cls_class3_absent", "loss_9cls"])
def test_the_published_loss_and_its_gradient(net, name) -> None:
    stored = np.load(net / "loss.npz")
    logits = torch.from_numpy(stored[f"{name}.logits"]).requires_grad_()
    loss = PaperLoss()(logits, torch.from_numpy(stored[f"{name}.label"])[:, None])
    loss.backward()
    wanted = json.loads((net / "loss.json").read_text())
    total = next(case for case in wanted["cases"] if case["name"] == name)["total"]
    assert loss.item() == pytest.approx(total, rel=ROUNDING)
    np.testing.assert_allclose(logits.grad, stored[f"{name}.grad_logits"], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", ["net_d8_64x64", "net_d6_asym_64x96"])
def test_three_published_steps(net, name) -> None:
    manifest = json.loads((net / "manifest.json").read_text())
    entry = next(case for case in manifest["cases"] if case["name"] == name)
    stored = np.load(net / f"{name}.npz")
    sizes = {key: entry[key] for key in ("dims", "depths", "d_state")}
    network = MambaUNet(1, entry["classes"], patch_size=[4, 4], drop_path_rate=0.0, **sizes)
    network.load_state_dict({k[2:]: torch.from_numpy(stored[k]) for k in stored.files if k[:2] == "w."})
    optimizer = make_optimizer(network.parameters())
    rate, loss, losses = RateByStep(optimizer, 1, STEPS), PaperLoss(), []
    images, labels = torch.from_numpy(stored["x"]), torch.from_numpy(stored["label"])[:, None]
    for step in range(3):
        rate.at(step)
        optimizer.zero_grad()
        value = loss(network(images), labels)
        losses.append(value.item())
        value.backward()
        optimizer.step()
    tolerance = entry["tolerance"]
    np.testing.assert_allclose(losses, entry["loss_of_3_sgd_steps"], rtol=tolerance["rtol"])
    np.testing.assert_allclose(
        network(images).detach(), stored["y_after_3_steps"], tolerance["rtol"], tolerance["atol"]
    )


def test_the_rate_lags_by_a_step(net) -> None:
    """By hand, of 4 steps: 1, 1, then (3/4)^0.9 and (2/4)^0.9 of 0.01."""
    rates = [learning_rate(step, 4) for step in range(4)]
    assert rates == pytest.approx([0.01, 0.01, 0.01 * 0.75**0.9, 0.01 * 0.5**0.9])
    published = json.loads((net / "loss.json").read_text())["learning_rate_used_in_step"]["supervised_10000"]
    assert {step: learning_rate(int(step), STEPS) for step in published} == pytest.approx(published)


@pytest.fixture(scope="module")
def augmented(oracle) -> tuple[Any, list[dict[str, Any]]]:
    folder = oracle / "mambaunet_acdc_pipeline"
    manifest = json.loads((folder / "manifest.json").read_text())
    return np.load(folder / "augment.npz"), manifest["augmentation"]["cases"]


def change_of(case: dict[str, Any]) -> Change:
    if case["kind"] == "rot90_flip":
        return Change(turns=case["k"], axis=case["axis"])
    return Change(degrees=case["angle"]) if case["kind"] == "rotate" else Change()


def test_the_published_augmentation_pixel_by_pixel(augmented) -> None:
    stored, cases = augmented
    assert {case["kind"] for case in cases} == {"rot90_flip", "rotate", "none"}
    for case in cases:
        for what in ("image", "label"):
            found = bring_to(change_of(case)(stored[what][None]), SIDE)
            wanted = stored[f"seed{case['seed']}.{what}"].reshape(1, *SIDE)
            np.testing.assert_array_equal(found, wanted, err_msg=f"{case} {what}")


@pytest.mark.parametrize("degrees", [-20, -7, 0, 13, 19])
def test_the_published_rotation_pixel_by_pixel(augmented, degrees) -> None:
    stored, _ = augmented
    for what in ("image", "label"):
        found = Change(degrees=degrees)(stored[what][None])[0]
        np.testing.assert_array_equal(found, stored[f"rotate{degrees}.{what}"])


def test_changes_come_with_the_published_chances() -> None:
    generator = np.random.default_rng(0)
    drawn = [draw(generator) for _ in range(DRAWS)]
    turned = [change for change in drawn if change.turns is not None]
    rotated = [change.degrees for change in drawn if change.degrees is not None]
    assert len(turned) / DRAWS == pytest.approx(0.5, abs=SPREAD)
    assert len(rotated) / DRAWS == pytest.approx(0.25, abs=SPREAD)
    assert {(change.turns, change.axis) for change in turned} == {(k, a) for k in range(4) for a in range(2)}
    assert (min(rotated), max(rotated)) == (-20, 19)
    assert len(set(rotated)) == 40


class Stored:
    """nnU-Net's dataset of two cases; every slice holds its own number."""

    identifiers = ("b", "a")

    def load_case(self, name: str) -> tuple[np.ndarray, np.ndarray, None, dict]:
        first, count = {"a": (0, 3), "b": (3, 4)}[name]
        numbers = np.arange(first, first + count, dtype=np.float32)
        images = np.broadcast_to(numbers[None, :, None, None], (1, count, 40, 32)).copy()
        return images, (images % 2).astype(np.int16), None, {}


@pytest.fixture
def batches():
    """Two of a batch, four batches a pass over the seven slices."""
    module = pytest.importorskip("umamba.training.mamba_unet.batches")
    return module.SliceBatches(module.cases_of(Stored()), 2, (32, 32), seed=3)


def numbers(batch: dict[str, torch.Tensor]) -> list[int]:
    return [int(image.max()) for image in batch["data"]]


def test_every_pass_takes_every_slice_once_and_ends_short(batches) -> None:
    steps = [batches[step] for step in range(8)]
    assert batches.steps_of_pass == 4
    assert [len(step["data"]) for step in steps] == [2, 2, 2, 1] * 2
    first, second = (list(chain(*map(numbers, part))) for part in (steps[:4], steps[4:]))
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second
    assert steps[0]["data"].shape == (2, 1, 32, 32)
    assert steps[0]["data"].dtype == torch.float32
    for step in steps:
        assert [int(label.max()) for label in step["target"]] == [number % 2 for number in numbers(step)]


@pytest.mark.parametrize("processes", [0, 2])
def test_a_step_s_batch_is_the_same_wherever_one_begins(batches, processes) -> None:
    found = list(batches.from_step(3, 6, processes))
    assert len(found) == 3
    for step, batch in enumerate(found, start=3):
        assert all(torch.equal(batch[key], batches[step][key]) for key in ("data", "target"))


def test_another_seed_gives_another_order(batches) -> None:
    module = pytest.importorskip("umamba.training.mamba_unet.batches")
    other = module.SliceBatches(module.cases_of(Stored()), 2, (32, 32), seed=4)
    assert [numbers(other[step]) for step in range(4)] != [numbers(batches[step]) for step in range(4)]


def test_cases_are_stored_whole_from_0_to_1(oracle) -> None:
    """The published conversion of a volume of 216 x 256 pixels, every slice of it."""
    pytest.importorskip("nnunetv2", reason="training needs the extra `train`")
    from umamba.training.mamba_unet.cases import WholeVolumeTo01

    stored = np.load(oracle / "mambaunet_acdc_pipeline" / "vol_a_216x256_224.npz")
    raw, label = stored["raw"][None].astype(np.float32), stored["label"][None]
    plans = SimpleNamespace(transpose_forward=[0, 1, 2])
    images, labels, _ = WholeVolumeTo01(verbose=False).run_case_npy(
        raw, label, {"spacing": [10.0, 1.0, 1.0]}, plans, None, None
    )
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[0, 0], stored["image_slice0"])
    np.testing.assert_array_equal(labels, label)


@pytest.mark.parametrize(
    ("found", "truth", "wanted"),
    [([1, 1, 0, 0], [0, 1, 1, 0], 0.5), ([0, 0], [0, 1], 0.0), ([0, 0], [0, 0], 0.0), ([1, 0], [0, 0], 0.0)],
)
def test_an_empty_prediction_has_dice_0(found, truth, wanted) -> None:
    pytest.importorskip("nnunetv2", reason="training needs the extra `train`")
    from umamba.training.mamba_unet.trainer import dice

    assert dice(np.array(found, bool), np.array(truth, bool)) == wanted
