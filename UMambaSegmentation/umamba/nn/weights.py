"""Weights into a network: strictly, every one and no other, duplicates folded."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from umamba.errors import ModelError
from umamba.nn.keys import canonical_key, identify

_NAMED_KEYS = 3
_KEY_CHARACTERS = 100


def fold(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keep each tensor once, under the name that the networks here use.

    Raises:
        ModelError: Two duplicates of one tensor differ.
    """
    folded: dict[str, Tensor] = {}
    for key, tensor in state_dict.items():
        name = canonical_key(key)
        if name not in folded:
            folded[name] = tensor
        elif not _same(folded[name], tensor):
            raise ModelError(
                f"the weights hold two different tensors for {_quote(name)}; the file is damaged"
            )
    return folded


def load_weights(network: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load published or stored weights into `network`; float16 is widened to the network's float32.

    A network on the meta device takes the tensors over instead of copying them.

    Raises:
        ModelError: A key is missing or unknown, a shape or dtype does not fit, duplicates differ, or a
            value is not finite. The network is then as it was.
    """
    folded = fold(state_dict)
    wanted = network.state_dict()
    _check_keys(network, folded, wanted)
    ready = {name: _checked(name, folded[name], wanted[name]) for name in wanted}
    on_meta = any(tensor.is_meta for tensor in wanted.values())
    network.load_state_dict(ready, strict=True, assign=on_meta)


def _check_keys(network: nn.Module, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    missing = [key for key in wanted if key not in found]
    unknown = [key for key in found if key not in wanted]
    shapes = [
        f"{_quote(key)} is {tuple(found[key].shape)}, wanted {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in found and found[key].shape != tensor.shape
    ]
    faults = [
        f"{len(keys)} {what} ({', '.join(keys[:_NAMED_KEYS])}{', ...' if len(keys) > _NAMED_KEYS else ''})"
        for what, keys in (
            ("missing", [_quote(key) for key in missing]),
            ("unknown", [_quote(key) for key in unknown]),
            ("of a wrong shape", shapes),
        )
        if keys
    ]
    if faults:
        hint = _hint(found)
        raise ModelError(f"the weights do not fit {type(network).__name__}: {'; '.join(faults)}{hint}")


def _hint(found: Mapping[str, Tensor]) -> str:
    try:
        other = identify({key: tuple(tensor.shape) for key, tensor in found.items()})
    except ModelError:
        return ""
    generation = f", {other.generation} generation" if other.generation else ""
    return f". They are of a {other.network}, {other.axes}D{generation}"


def _checked(name: str, tensor: Tensor, wanted: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        raise ModelError(f"the weights {_quote(name)} are of dtype {tensor.dtype}; a floating one wanted")
    ready = tensor.detach().to(wanted.dtype)
    if not bool(torch.isfinite(ready).all()):
        raise ModelError(f"the weights {_quote(name)} hold NaN or infinity; the training broke down")
    return ready


def _same(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if first.data_ptr() == second.data_ptr() and first.stride() == second.stride():
        return True
    if not first.is_floating_point():
        return bool(torch.equal(first, second))
    # Two NaN in one place are the same; that they are there is told later, in plainer words.
    return bool(torch.allclose(first, second, rtol=0, atol=0, equal_nan=True))


def _quote(key: str) -> str:
    return repr(key[:_KEY_CHARACTERS])
