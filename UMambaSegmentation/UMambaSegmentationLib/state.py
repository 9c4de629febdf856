"""The case's choices (model, volumes, region, options), kept in the scene and saved with it.

`PanelState` is what was chosen; `StateNode` keeps it in a vtkMRMLScriptedModuleNode. Choices are single JSON
parameters and node references, so that a scene from another version or a damaged one falls back to defaults
field by field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import slicer
import vtk

from UMambaSegmentationLib.logs import log

SameName = Literal["replace", "beside"]

# One role a channel: numbered references of one role close their gaps, and channel 2 would become channel 1.
_INPUT = "Input"
_REFERENCES = {"region": "Region", "output": "Output"}
_MOST_CHANNELS = 1000


@dataclass(frozen=True)
class PanelState:
    """What a person chose for this case. Nodes are named by their IDs.

    Attributes:
        model: Id of the model, or empty.
        inputs: A volume's ID, or None while none is chosen, for each channel.
        region: ID of the ROI or the points, or None for the whole volume.
        output: ID of the segmentation, or None for a new one.
        keep: By model id the label values to keep; a model that is not in it keeps all.
        same_name: What happens to segments of the same name.
        all_frames: Whether all frames of a sequence are run.
        device: "auto", "cpu", "cuda", ...; None takes the person's setting.
        folds: The folds to average, or empty for all.
        mirror: None takes the model's default.
        step: Distance of windows as a fraction of the patch, above 0 and at most 1.
        threads: None lets the engine choose.
        max_memory: Gigabytes; None sets no limit.
        uncertainty: Whether to make an uncertainty volume.
    """

    model: str = ""
    inputs: tuple[str | None, ...] = ()
    region: str | None = None
    output: str | None = None
    keep: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    same_name: SameName = "replace"
    all_frames: bool = False
    device: str | None = None
    folds: tuple[str, ...] = ()
    mirror: bool | None = None
    step: float = 0.5
    threads: int | None = None
    max_memory: float | None = None
    uncertainty: bool = False


Listener = Callable[[PanelState, frozenset[str]], None]


class StateNode:
    """Keeps a `PanelState` in a parameter node and tells listeners of every change, its own and others'.

    A listener may write: what really differs is written and told in a further round, so that an echo of a
    widget (the same value again) ends there.
    """

    _MOST_ROUNDS = 20

    def __init__(self, node: slicer.vtkMRMLScriptedModuleNode) -> None:
        self._node = node
        self._listeners: list[Listener] = []
        self._told = self._read()
        self._telling = False
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_modified)

    @property
    def state(self) -> PanelState:
        """What the node holds now."""
        return self._read()

    def write(self, **changes: Any) -> None:  # noqa: ANN401  (what the field holds)
        """Change fields of the state; one event, none if nothing differs.

        Args:
            changes: By name of the field. IDs of nodes, not nodes.

        Raises:
            TypeError: No such field.
        """
        before = self._read()
        after = replace(before, **changes)
        if after == before:
            return
        unfinished = self._node.StartModify()
        try:
            self._write_parameters(before, after)
            self._write_references(before, after)
        finally:
            self._node.EndModify(unfinished)

    def listen(self, listener: Listener) -> None:
        """Call `listener(state, names of changed fields)` after each change, until `close`."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Let go of the node."""
        self._listeners.clear()
        self._node.RemoveObserver(self._tag)

    def _on_modified(self, _caller: object, _event: str) -> None:
        if self._telling:
            return  # the loop below sees it
        self._telling = True
        try:
            for _round in range(self._MOST_ROUNDS):
                state = self._read()
                changed = frozenset(
                    one.name
                    for one in fields(state)
                    if getattr(state, one.name) != getattr(self._told, one.name)
                )
                if not changed:
                    return
                self._told = state
                for listener in list(self._listeners):
                    listener(state, changed)
            log("the panel's choices did not settle")
        finally:
            self._telling = False

    def _read(self) -> PanelState:
        found: dict[str, Any] = {}
        for name, check in _CHECKS.items():
            text = self._node.GetParameter(name)
            if text:
                try:
                    found[name] = check(json.loads(text))
                except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
                    continue  # damaged: the default
        for name, role in _REFERENCES.items():
            found[name] = self._node.GetNodeReferenceID(role)
        inputs = [self._node.GetNodeReferenceID(f"{_INPUT}{index}") for index in range(self._channels())]
        return PanelState(inputs=tuple(inputs), **found)

    def _channels(self) -> int:
        """How many channels have a selector, chosen or not."""
        text = self._node.GetParameter("channels")
        return min(int(text), _MOST_CHANNELS) if text.isdecimal() and len(text) < 10 else 0

    def _write_parameters(self, before: PanelState, after: PanelState) -> None:
        default, old, new = asdict(PanelState()), asdict(before), asdict(after)
        for name in _CHECKS:
            if new[name] == default[name]:
                self._node.UnsetParameter(name)
            elif new[name] != old[name]:
                self._node.SetParameter(name, json.dumps(new[name]))

    def _write_references(self, before: PanelState, after: PanelState) -> None:
        for name, role in _REFERENCES.items():
            self._node.SetNodeReferenceID(role, getattr(after, name))
        self._node.SetParameter("channels", str(len(after.inputs)))
        for index in range(max(len(before.inputs), len(after.inputs))):
            chosen = after.inputs[index] if index < len(after.inputs) else None
            self._node.SetNodeReferenceID(f"{_INPUT}{index}", chosen)


def _same_name(value: object) -> object:
    if value not in ("replace", "beside"):
        raise ValueError("not an allowed value")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false wanted")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a text wanted")
    return value


def _keep(value: Mapping[str, list[int]]) -> dict[str, tuple[int, ...]]:
    return {model: tuple(_count(entry) for entry in values) for model, values in value.items()}


def _folds(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("a list wanted")
    return tuple(_text(fold) for fold in value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a number from 1 wanted")
    return value


def _positive(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("a number wanted")
    if not (math.isfinite(value) and value > 0):
        raise ValueError("a number above 0 wanted")
    return float(value)


def _step(value: object) -> float:
    if _positive(value) > 1:
        raise ValueError("at most 1 wanted")
    return _positive(value)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "model": _text,
    "keep": _keep,
    "same_name": _same_name,
    "all_frames": _flag,
    "device": _text,
    "folds": _folds,
    "mirror": _flag,
    "step": _step,
    "threads": _count,
    "max_memory": _positive,
    "uncertainty": _flag,
}
