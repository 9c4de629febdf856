"""Weights of another model as a start: taken where they fit, never the heads, refused for another network."""

import json
from pathlib import Path

import pytest
import torch

import umamba.models
from umamba import InputError
from umamba.nn.keys import canonical_key
from umamba.training import Schedule
from umamba.training.pretrained import check_pretrained, lasting_name, take_weights

SCHEDULE = Schedule(epochs=1, steps=1, validation_steps=1, seed=5)
OTHER_SEED = Schedule(epochs=1, steps=1, validation_steps=1, seed=6)
HEADS = ".seg_layers."


@pytest.fixture(scope="module")
def source(prepared, tmp_path_factory) -> Path:
    """A checkpoint to begin with."""
    return prepared.copy(tmp_path_factory.mktemp("source") / "training").train(SCHEDULE)


def same(made, checkpoint: dict) -> dict[str, bool]:
    """Whether each tensor of the network is that of the checkpoint, by the name of the tensor."""
    weights = {canonical_key(key): value for key, value in checkpoint["network_weights"].items()}
    own = {canonical_key(key): value for key, value in made.network.state_dict().items()}
    return {key: torch.equal(value, weights[key]) for key, value in own.items()}


@pytest.mark.parametrize("form", ["checkpoint", "results", "model"])
def test_all_but_the_heads_is_taken(trainer, source, checkpoint_of, form) -> None:
    made = trainer(OTHER_SEED)
    before = same(made, checkpoint_of(source))
    assert not before["encoder.stem.0.conv1.weight"]
    model = {"checkpoint": source, "results": source.parents[1], "model": None}[form]
    said = take_weights(made, str(model) if model else umamba.models.import_(source.parents[1], id="balls"))
    after = same(made, checkpoint_of(source))
    heads = [key for key in after if HEADS in key]
    assert heads
    assert not all(after[key] for key in heads)
    # Imported weights are float32 as trained, so the very bits arrive.
    assert all(equal for key, equal in after.items() if key not in heads)
    assert said.startswith(f"took {len(after) - len(heads)} tensors of ")
    assert said.endswith(f"but not the {len(heads)} of its heads")


def test_a_tensor_of_another_shape_is_left_and_named(trainer, source) -> None:
    made = trainer(OTHER_SEED)
    stem = made.network.encoder.stem[0].conv1
    stem.weight = torch.nn.Parameter(torch.zeros(stem.weight.shape[0], 2, *stem.weight.shape[2:]))
    said = take_weights(made, str(source))
    assert not stem.weight.any()
    assert said.endswith("and 1 of another shape (encoder.stem.0.conv1.weight)")


def test_a_training_begins_with_them_once(tiny, source, checkpoint_of) -> None:
    final = tiny.train(OTHER_SEED, pretrained=str(source))
    log = (final.parent / "training.log").read_text()
    assert "1 epoch of 1 step; took " in log
    tiny.train(OTHER_SEED, pretrained=str(source))
    assert (final.parent / "training.log").read_text().count("took ") == 1


def changed_plans(prepared, **architecture) -> dict:
    home = prepared.folders.preprocessed / prepared.dataset
    plans = json.loads((home / f"{prepared.plans}.json").read_text())
    entry = plans["configurations"][prepared.configuration]["architecture"]
    entry["arch_kwargs"].update(architecture.pop("arch_kwargs", {}))
    entry.update(architecture)
    return plans


def test_another_width_is_refused(prepared, source) -> None:
    features = changed_plans(prepared)["configurations"][prepared.configuration]["architecture"][
        "arch_kwargs"
    ]["features_per_stage"]
    wider = changed_plans(prepared, arch_kwargs={"features_per_stage": [2 * n for n in features]})
    with pytest.raises(InputError, match=r"its width by stage is 4, 8.*, this training's 8, 16"):
        check_pretrained(str(source), wider, prepared.configuration)


def test_another_network_is_refused(prepared, source) -> None:
    plain = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
    other = changed_plans(prepared, network_class_name=plain)
    with pytest.raises(InputError, match=r"its network is UMambaBot, this training's ResidualEncoderUNet"):
        check_pretrained(str(source), other, prepared.configuration)


def test_what_is_no_model_is_refused(prepared) -> None:
    with pytest.raises(InputError, match=r"no model 'nothing-of-the-kind'"):
        check_pretrained("nothing-of-the-kind", changed_plans(prepared), prepared.configuration)


def test_a_model_is_found_again_from_any_folder(source, tmp_path, monkeypatch) -> None:
    umamba.models.import_(source.parents[1], id="balls")
    monkeypatch.chdir(source.parent)
    assert lasting_name(source.name) == str(source)
    assert lasting_name(str(source)) == str(source)
    assert lasting_name("balls") == "balls"
