"""From finished planes of logits to labels on the image's grid, plane by plane."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from umamba.errors import ModelError
from umamba.imaging.axis_operator import AxisOperator
from umamba.imaging.resampling import axis_operators
from umamba.inference import export_kernels as kernels
from umamba.inference.instances import certain_interior
from umamba.inference.preprocessing import Layout
from umamba.inference.regions import labels_of_regions
from umamba.models.card import Instances
from umamba.plans import Configuration, LabelRules


@dataclass(frozen=True)
class Sinks:
    """Where an exporter writes. All arrays have the crop's shape, axes in the network's order.

    Attributes:
        labels: (Z, Y, X) uint8 or uint16, written everywhere.
        uncertainty: (Z, Y, X) float32, entropy of the softmax over ln(classes), or None.
        probabilities: (K, Z, Y, X) float32, or None.
        regions: (Z, Y, X) unsigned integers, one bit a region, for a model with regions; else None.
    """

    labels: np.ndarray
    uncertainty: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    regions: np.ndarray | None = None


class PlaneExporter:
    """Resamples logits plane by plane to the cropped image's grid and decides the labels.

    Only those finished planes are held that a plane of the image still needs: two, for nnU-Net's linear
    resampling. Resampling is the product of one small operator per axis; the largest logit wins, the lowest
    label in a tie; with regions every positive logit writes its value in the order of
    `regions_class_order`. With `instances`, which must have a certainty, doubtful interior becomes boundary.
    """

    def __init__(
        self,
        layout: Layout,
        configuration: Configuration,
        rules: LabelRules,
        sinks: Sinks,
        instances: Instances | None = None,
    ) -> None:
        self._operators = axis_operators(
            layout.shape, layout.crop_shape, configuration.logits, layout.export_from, layout.export_to
        )
        self._rules = rules
        self._sinks = sinks
        self._instances = instances
        self._held: deque[np.ndarray] = deque()
        self._first_held = 0
        self._next_out = 0
        self._last_taps: tuple[int, bytes] | None = None

    @property
    def planes_held(self) -> int:
        """How many finished planes may be held at once."""
        return max(taps_of(self._operators[0]), 1) + 1

    def add(self, planes: np.ndarray) -> None:
        """Take the next finished planes, (K, n, Y, X) float32, in order.

        Raises:
            ModelError: A logit is NaN or infinite.
        """
        for index in range(planes.shape[1]):
            self._held.append(checked_plane(planes[:, index]))
            self._emit()

    def _emit(self) -> None:
        """Write every plane of the image whose taps are all here; drop planes that none needs any more."""
        along = self._operators[0]
        while self._next_out < len(along.start):
            start = int(along.start[self._next_out])
            taps = along.weights[self._next_out]
            if start + len(taps) > self._first_held + len(self._held):
                break
            self._write(self._next_out, start, taps)
            self._next_out += 1
        needed = int(along.start[self._next_out]) if self._next_out < len(along.start) else None
        while self._held and (needed is None or self._first_held < needed):
            self._held.popleft()
            self._first_held += 1

    def _write(self, out: int, start: int, taps: np.ndarray) -> None:
        key = (start, taps.tobytes())
        sinks = self._sinks
        if key == self._last_taps:  # order 0 along this axis repeats whole planes
            for sink in (sinks.labels, sinks.uncertainty, sinks.regions):
                if sink is not None:
                    sink[out] = sink[out - 1]
            if sinks.probabilities is not None:
                sinks.probabilities[:, out] = sinks.probabilities[:, out - 1]
            return
        self._last_taps = key
        first = start - self._first_held
        mixed = kernels.mix_planes([self._held[first + tap] for tap in range(len(taps))], taps)
        rows, columns = self._operators[1], self._operators[2]
        if self._rules.has_regions:
            bits = kernels.region_plane(mixed, rows, columns)
            sinks.labels[out] = labels_of_regions(bits, self._rules.regions_class_order)
            if sinks.regions is not None:
                sinks.regions[out] = bits
        else:
            sinks.labels[out] = kernels.label_plane(mixed, rows, columns)
            if self._instances is not None:
                logits = kernels.resample_plane(mixed, rows, columns)
                certain_interior(sinks.labels[out], logits, self._instances)
        if sinks.uncertainty is not None or sinks.probabilities is not None:
            self._write_soft(out, mixed)

    def _write_soft(self, out: int, mixed: np.ndarray) -> None:
        """Probabilities and their entropy for one plane."""
        rows, columns = self._operators[1], self._operators[2]
        logits = kernels.resample_plane(mixed, rows, columns)
        probabilities, entropy = soft_labels(logits, self._rules.has_regions)
        if self._sinks.probabilities is not None:
            self._sinks.probabilities[:, out] = probabilities
        if self._sinks.uncertainty is not None:
            self._sinks.uncertainty[out] = entropy


# Keeps 0 ln 0 at 0 without a branch; the smallest normal float32.
_TINY = np.float32(np.finfo(np.float32).tiny)


def checked_plane(logits: np.ndarray) -> np.ndarray:
    """A plane of logits (K, Y, X) float32 as a contiguous array.

    Raises:
        ModelError: A logit is NaN or infinite.
    """
    plane = np.ascontiguousarray(logits)
    if not kernels.all_finite(plane):
        raise ModelError(
            "the network's output holds NaN or infinite values; the model does not fit this image or its "
            "weights are damaged"
        )
    return plane


def soft_labels(logits: np.ndarray, regions: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (K, Y, X) and their entropy (Y, X) from 0 to 1, for a plane of logits (K, Y, X) float32.

    With regions every one has a probability of its own, and the entropy is their mean.
    """
    if regions:
        probabilities = 1 / (1 + np.exp(-logits))
        entropy = _binary_entropy(probabilities).mean(axis=0)
    else:
        probabilities = np.exp(logits - logits.max(axis=0))
        probabilities /= probabilities.sum(axis=0)
        entropy = -(probabilities * np.log(np.maximum(probabilities, _TINY))).sum(axis=0)
        entropy /= np.log(len(probabilities))
    return probabilities, np.clip(entropy, 0, 1)


def taps_of(operator: AxisOperator) -> int:
    """How many input samples one output sample of an operator needs."""
    return int(operator.weights.shape[1])


def _binary_entropy(p: np.ndarray) -> np.ndarray:
    q = 1 - p
    entropy: np.ndarray = -(p * np.log(np.maximum(p, _TINY)) + q * np.log(np.maximum(q, _TINY)))
    return entropy / np.float32(np.log(2))
