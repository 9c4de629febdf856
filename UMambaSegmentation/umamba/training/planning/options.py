"""What a user may choose otherwise than the planner does."""

from __future__ import annotations

from dataclasses import dataclass

from umamba.errors import InputError
from umamba.training.words import by

_MOST_FEATURES = 4096
_LARGEST_SIZE = 4096


@dataclass(frozen=True)
class PlanOptions:
    """Choices that make other plans, under another name; None leaves a choice to the planner.

    Attributes:
        batch_size: Patches of a step.
        base_features, most_features: Channels of the first stage, doubled stage by stage, and their limit.
            The patch stays the one planned for nnU-Net's own width.
        patch_size: (Z, Y, X) or (Y, X), voxels, in the plans' order of axes (the axis of the largest spacing
            first); counts for the configurations of as many axes, whose stages are planned anew for it.
        spacing: Voxel size to train at, (Z, Y, X) mm, in the order of the array of the image file.
    """

    batch_size: int | None = None
    base_features: int | None = None
    most_features: int | None = None
    patch_size: tuple[int, ...] | None = None
    spacing: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        _within("batch size", self.batch_size, 1, _LARGEST_SIZE)
        _within("width of the first stage", self.base_features, 1, _MOST_FEATURES)
        _within("largest width", self.most_features, self.base_features or 1, _MOST_FEATURES)
        if self.patch_size is not None:
            if len(self.patch_size) not in (2, 3):
                raise InputError(f"the patch has {len(self.patch_size)} sizes; give 3, or 2 for 2d")
            for size in self.patch_size:
                _within("patch size", size, 1, _LARGEST_SIZE)
        if self.spacing is not None and (len(self.spacing) != 3 or min(self.spacing) <= 0):
            raise InputError(f"the spacing {by(self.spacing)} cannot be used; give three lengths above 0 mm")

    @property
    def suffix(self) -> str:
        """What the plans' name has more than that of plans without choices; readable in a folder's name."""
        width = (self.base_features, self.most_features)
        parts = {
            "b": None if self.batch_size is None else str(self.batch_size),
            "w": None if width == (None, None) else "-".join("" if n is None else str(n) for n in width),
            "p": None if self.patch_size is None else by(self.patch_size, "x"),
            "s": None if self.spacing is None else by(self.spacing, "x"),
        }
        return "".join(f"_{letter}{value}" for letter, value in parts.items() if value is not None)


def _within(what: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise InputError(f"the {what} is {value}; {least} to {most} can be used")
