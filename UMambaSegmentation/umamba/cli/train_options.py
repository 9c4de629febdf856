"""The options of `umamba train`, and what they mean for its engine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.cli.parser import Parser, names, positive_integer
from umamba.cli.run_options import add_common_options
from umamba.training.planning.networks import CONFIGURATIONS, NETWORKS
from umamba.training.planning.presets import PRESETS
from umamba.training.schedule import PRECISIONS
from umamba.training.settings import Settings

if TYPE_CHECKING:
    from umamba.training.planning.options import PlanOptions

OUTPUT_OPTION = "-o"
# Those that make a training what it is; they are kept with it, so that --resume needs none of them.
SETTINGS = (
    *("network", "configuration", "fold", "epochs", "steps", "seed", "precision"),
    *("batch_size", "features", "labels", "channels", "pretrained", "preset"),
)


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line; an option of `SETTINGS` that was not given is None.

    Raises:
        InputError: It cannot be understood.
    """
    parser = Parser(
        "umamba train",
        "Train a network on images and labels, in nnU-Net's way: dataset checked, planned and preprocessed, "
        "network\ntrained epoch by epoch, validation cases segmented and measured.",
    )
    parser.add_argument(
        "dataset",
        type=Path,
        metavar="DATASET",
        help="raw dataset of nnU-Net, or folder with images/ and labels/",
    )
    parser.add_argument(
        OUTPUT_OPTION,
        "--output",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="for all that comes of it; several trainings of a dataset share it",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the training begun in FOLDER")
    _add_what(parser)
    _add_how(parser)
    add_common_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    return parser.parse_intermixed_args(words)


def _add_what(parser: Parser) -> None:
    what = parser.add_argument_group("what to train")
    what.add_argument("--network", choices=tuple(NETWORKS), help=f"default {Settings.network}")
    what.add_argument(
        "--configuration",
        choices=CONFIGURATIONS,
        help=f"default {Settings.configuration}, of mamba-unet {NETWORKS['mamba-unet'].configuration}",
    )
    what.add_argument(
        "--preset", choices=tuple(PRESETS), help="a published training, with all of its numbers"
    )
    what.add_argument(
        "--fold",
        type=fold_name,
        metavar="FOLD",
        help="validate on this fifth of the cases, 0 to 4 (default 0), or all",
    )
    what.add_argument("--epochs", type=positive_integer, metavar="N", help="default 1000")
    what.add_argument("--steps", type=positive_integer, metavar="N", help="of an epoch (default 250)")
    what.add_argument(
        "--batch-size", type=positive_integer, metavar="N", help="patches of a step (default: as planned)"
    )
    what.add_argument(
        "--features",
        type=feature_range,
        metavar="N[-MAX]",
        help="channels of the first stage, doubled stage by stage up to MAX (default: as planned)",
    )
    what.add_argument(
        "--pretrained",
        metavar="MODEL",
        help="begin with the weights of this model: id or folder; for mamba-unet also a checkpoint of VMamba",
    )
    what.add_argument("--seed", type=seed_number, metavar="N", help="of weights and augmentation (default 0)")
    what.add_argument("--split", type=Path, metavar="FILE", help="JSON file with folds of your own")
    what.add_argument(
        "--labels",
        type=label_text,
        metavar="A,B",
        help="names of the values 1, 2, ... or A=1,B=3 (a plain folder)",
    )
    what.add_argument(
        "--channels", metavar="A,B", help="names of the channels (a plain folder); CT is normalised as CT"
    )


def _add_how(parser: Parser) -> None:
    how = parser.add_argument_group("how to run")
    how.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    how.add_argument(
        "--devices",
        type=positive_integer,
        default=1,
        metavar="N",
        help="GPUs that share each batch (default 1)",
    )
    how.add_argument("--threads", type=positive_integer, metavar="N", help="CPU threads")
    how.add_argument(
        "--workers",
        type=whole_number,
        metavar="N",
        help="processes that augment, for each device; 0 repeats a training to the last bit",
    )
    how.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of convolutions (auto: float16 on an NVIDIA GPU, else float32)",
    )


def asked_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were typed."""
    typed = {name: getattr(options, name) for name in SETTINGS}
    return {name: value for name, value in typed.items() if value is not None}


def fold_name(text: str) -> str:
    """A number, or "all"."""
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} found, 0 to 4 or all wanted")
    return text if text == "all" else str(int(text))


def fold_number(name: str) -> int | str:
    """A fold as nnU-Net takes it."""
    return name if name == "all" else int(name)


def whole_number(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} found, a whole number wanted")
    return int(text)


def seed_number(text: str) -> int:
    """A seed of 32 bits."""
    value = whole_number(text)
    if value >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} found, less than 2**32 wanted")
    return value


def feature_range(text: str) -> str:
    """ "16" or "16-128"."""
    parts = text.split("-")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} found, channels as 16 or 16-128 wanted")
    return text


def plan_options(batch_size: int | None, features: str | None) -> PlanOptions:
    """What is planned otherwise than nnU-Net would.

    Raises:
        InputError: A number that no plan can have.
    """
    from umamba.training.planning.options import PlanOptions

    base, _, most = (features or "").partition("-")
    return PlanOptions(batch_size, int(base) if base else None, int(most) if most else None)


def label_text(text: str) -> str:
    """Names of labels, checked."""
    label_values(text)
    return text


def label_values(text: str) -> dict[str, int]:
    """`liver,spleen` as {"liver": 1, "spleen": 2}; `liver=1,spleen=3` as it says."""
    found: dict[str, int] = {}
    for number, part in enumerate(names(text), start=1):
        name, equals, value = part.rpartition("=")
        name = (name if equals else part).strip()
        if not name or name in found or (equals and not value.strip().isdecimal()):
            raise argparse.ArgumentTypeError(
                f"{text!r} found, names as liver,spleen or liver=1,spleen=3 wanted"
            )
        found[name] = int(value) if equals else number
    return found
