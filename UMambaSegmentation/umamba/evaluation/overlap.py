"""Counts of voxels and the ratios made of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Voxels by what the prediction says of them and what the reference does.

    A ratio whose denominator is 0 is None: Dice and IoU if both masks are empty, precision without a
    prediction, sensitivity without a reference, specificity without background.
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def reference(self) -> int:
        """Voxels of the reference."""
        return self.true_positive + self.false_negative

    @property
    def prediction(self) -> int:
        """Voxels of the prediction."""
        return self.true_positive + self.false_positive

    @property
    def dice(self) -> float | None:
        """2 TP / (2 TP + FP + FN)."""
        return ratio(2 * self.true_positive, self.reference + self.prediction)

    def ratios(self) -> dict[str, float | None]:
        """Dice, IoU, accuracy, precision, sensitivity and specificity, by these names."""
        either = self.true_positive + self.false_positive + self.false_negative
        right = self.true_positive + self.true_negative
        return {
            "Dice": self.dice,
            "IoU": ratio(self.true_positive, either),
            "accuracy": ratio(right, either + self.true_negative),
            "precision": ratio(self.true_positive, self.prediction),
            "sensitivity": ratio(self.true_positive, self.reference),
            "specificity": ratio(self.true_negative, self.true_negative + self.false_positive),
        }


def ratio(part: int, whole: int) -> float | None:
    """part / whole, None of nothing."""
    return part / whole if whole else None
