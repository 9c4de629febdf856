"""How a run is made: what the panel's fields and the console's keywords say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.merging import SameName


@dataclass(frozen=True)
class RunOptions:
    """Everything about a run but its nodes. None leaves the engine's default.

    Attributes:
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        folds: "all", or the folds to average, as ["0", "1"].
        mirror: Average over mirrored copies of the image.
        step: Distance of neighbouring tiles as a share of the patch size, 0.1 to 1.
        threads: Processor threads.
        max_memory: The most memory that the engine may take, in GB (1e9 bytes).
        uncertainty: Also make a volume of the prediction's entropy.
        labels: Keys or values of the structures to keep, or a single key; None keeps all.
        same_name: What happens to segments of the same name in the output: "replace" or "beside".
        overwrite_edited: Replace segments even if they were edited since the last run; what is edited while
            this one goes on is never replaced unasked.
    """

    device: str | None = None
    folds: str | Sequence[str] | None = None
    mirror: bool | None = None
    step: float | None = None
    threads: int | None = None
    max_memory: float | None = None
    uncertainty: bool = False
    labels: Sequence[str | int] | None = None
    same_name: SameName = "replace"
    overwrite_edited: bool = False

    def __post_init__(self) -> None:
        if self.same_name not in ("replace", "beside"):
            raise SceneError(_("same_name must be 'replace' or 'beside'."))
        if isinstance(self.labels, str):  # a sequence of letters, which nobody means
            object.__setattr__(self, "labels", (self.labels,))

    def for_engine(self) -> dict[str, Any]:
        """The keys of a plan's or a segment's request (docs/worker-protocol.md)."""
        return {
            "device": self.device,
            "folds": self.folds if self.folds is None or isinstance(self.folds, str) else list(self.folds),
            "mirror": self.mirror,
            "step": None if self.step is None else float(self.step),
            "threads": self.threads,
            "max_memory": None if self.max_memory is None else float(self.max_memory),
            "uncertainty": True if self.uncertainty else None,
            "labels": None if self.labels is None else list(self.labels),
        }

    def kept_values(self, card: Card) -> list[int] | None:
        """The label values to keep, in the card's order; None for all.

        Raises:
            SceneError: A structure that the model does not have, or none at all.
        """
        if self.labels is None:
            return None
        known = {name: label.value for label in card.labels for name in (label.key, label.value)}
        unknown = [str(name) for name in self.labels if name not in known]
        if unknown:
            raise SceneError(
                _("The model has no structure {unknown}; it has {known}.").format(
                    unknown=", ".join(unknown), known=", ".join(label.key for label in card.labels)
                )
            )
        if not self.labels:
            raise SceneError(_("Choose at least one structure."))
        wanted = {known[name] for name in self.labels}
        return [label.value for label in card.labels if label.value in wanted]
