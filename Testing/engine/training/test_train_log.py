"""The figures of epochs: their line, their file, their picture."""

import numpy as np
import pytest
from PIL import Image

from umamba.training.curves import BLUE, PAPER, _epoch_ticks, _ticks, draw_curves
from umamba.training.log import EpochRecord, read_progress, write_progress

EMPTY_SHARE = 0.5  # of the picture, at least: curves are thin
NEAR = 40  # of 255: reducing the picture mixes colours a little


def record(epoch: int, **figures) -> EpochRecord:
    values = {
        "training_loss": 1 / epoch,
        "validation_loss": 1.1 / epoch,
        "dice": {"liver": 1 - 1 / epoch, "spleen": None},
        "mean_dice": 1 - 1 / epoch,
        "smooth_dice": 1 - 1 / epoch,
        "learning_rate": 0.01,
        "seconds": 12.0,
    }
    return EpochRecord(epoch=epoch, epochs=100, **{**values, **figures})


def test_the_line_of_an_epoch() -> None:
    assert record(4).line() == (
        "epoch 4 of 100: training loss 0.2500, validation loss 0.2750, validation Dice 0.7500 "
        "(liver 0.7500, spleen -), learning rate 0.01, 12.0 s"
    )


def test_figures_are_read_as_they_were_written(tmp_path) -> None:
    records = [record(1), record(2, training_loss=None)]
    write_progress(tmp_path, records)
    assert read_progress(tmp_path) == records


def test_a_folder_without_figures_has_none(tmp_path) -> None:
    assert read_progress(tmp_path) == []


@pytest.mark.parametrize("epochs", [1, 2, 40, 1000])
def test_curves_are_drawn(tmp_path, epochs) -> None:
    draw_curves(tmp_path / "progress.png", [record(epoch) for epoch in range(1, epochs + 1)])
    pixels = np.asarray(Image.open(tmp_path / "progress.png"))
    assert (np.abs(pixels.astype(int) - BLUE).max(-1) < NEAR).any()
    assert (pixels == PAPER).all(-1).mean() > EMPTY_SHARE


def test_curves_without_any_figure_are_drawn(tmp_path) -> None:
    nothing = record(1, training_loss=None, validation_loss=None, mean_dice=None, smooth_dice=None)
    draw_curves(tmp_path / "progress.png", [nothing])
    assert (tmp_path / "progress.png").is_file()


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 1.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([-0.9, 0.3], [-1.0, -0.5, 0.0, 0.5]),
        ([12.0], [0.0, 5.0, 10.0, 15.0]),
        ([0.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([-3.0], [-3.0, -2.0, -1.0, 0.0]),
        ([], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks_are_round_and_around_all_values(values, ticks) -> None:
    assert _ticks(values) == ticks


def test_epoch_ticks_have_the_first_and_the_last() -> None:
    assert _epoch_ticks(3) == [1, 2, 3]
    assert _epoch_ticks(1000) == [1, 200, 400, 600, 800, 1000]
