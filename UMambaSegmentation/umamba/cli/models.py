"""`umamba models`: list, show, import, export, install, remove and verify models."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.cli.parser import HELP, Parser, split_command
from umamba.cli.run_options import add_common_options
from umamba.cli.stop import Stop
from umamba.cli.streams import error_line, write_line
from umamba.errors import InputError
from umamba.messages import json_line

if TYPE_CHECKING:
    from umamba.models.card import Card
    from umamba.models.importer import ImportReport

MEGABYTE = 1e6


@dataclass(frozen=True)
class Action:
    """One sub-command: what it does, its own arguments, and the function that carries it out.

    The function returns the lines for a person and the object for --json.
    """

    about: str
    arguments: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], tuple[list[str], Any]]


def run(words: list[str], stop: Stop) -> int:
    """Find the sub-command, carry it out, print what it gives."""
    name, rest = split_command(words, tuple(ACTIONS))
    if name is None:
        if any(word in HELP for word in words):
            write_line("\n".join(_overview()))
            return 0
        raise InputError(f"umamba models: one of {', '.join(ACTIONS)} is wanted (see umamba models --help)")
    action = ACTIONS[name]
    parser = Parser(f"umamba models {name}", f"{action.about[:1].upper()}{action.about[1:]}.")
    action.arguments(parser)
    add_common_options(parser)
    options = parser.parse_intermixed_args(rest)
    lines, found = action.run(options)
    if options.json:
        write_line(json_line(found))
    elif lines:
        write_line("\n".join(lines))
    return 0


def _overview() -> Iterator[str]:
    yield "usage: umamba models ACTION ...      (umamba models ACTION --help says more)"
    yield ""
    for name, action in ACTIONS.items():
        yield f"  {name:<9}{action.about}"


def _list(options: argparse.Namespace) -> tuple[list[str], Any]:
    from umamba import models

    found, broken = models.list(), models.problems()
    for name, fault in broken.items():
        error_line(f"warning: {name}: {fault}")
    width = max((len(model.id) for model in found), default=0)
    lines = [f"{model.id:<{width}}  {_in_brief(model.card)}" for model in found]
    if not lines:
        lines = ["no models yet; see umamba models import --help"]
    return lines, {
        "models": [model.as_dict() for model in found],
        "problems": broken,
    }


def _in_brief(card: Card) -> str:
    kind = " ".join(part for part in (card.modality, card.anatomy) if part)
    labels = f"{len(card.labels)} label{'s' if len(card.labels) != 1 else ''}"
    return ", ".join(part for part in (card.name, kind, labels) if part)


def _show(options: argparse.Namespace) -> tuple[list[str], Any]:
    card = _open_card(options.model)
    return list(_card_lines(card)), card.as_dict()


def _open_card(model: str) -> Card:
    """The card of a stored model; of a folder, the one that a run would go by."""
    from umamba import models

    if Path(model).name == model and not Path(model).exists():
        return models.find(model).card
    return models.get(model).card


def _card_lines(card: Card) -> Iterator[str]:
    network = card.network
    generation = f", {network.generation} generation" if network.generation else ""
    yield f"{card.id}: {card.name}"
    for title, text in (
        ("version", card.version),
        ("about", card.description),
        ("modality", card.modality),
        ("anatomy", card.anatomy),
        ("network", f"{network.class_}{generation}, {network.configuration}; trained with {card.origin}"),
        ("first stage", network.previous_stage),
        ("channels", ", ".join(channel.name for channel in card.channels)),
        ("orientation", card.orientation),
        ("mirroring", "on" if card.mirror else "off"),
        ("view", card.field_of_view and " x ".join(f"{length:g}" for length in card.field_of_view) + " mm"),
        ("licence", card.licence),
        ("commercial", None if card.commercial_use is None else "yes" if card.commercial_use else "no"),
        ("limits", card.limits),
    ):
        if text:
            yield f"  {title:<12}{text}"
    for label in card.labels:
        yield f"  {f'label {label.value}':<12}{label.key}: {label.name}"
    for entry in card.accuracy:
        spread = "" if entry.sd is None else f" ± {entry.sd:.3g}"
        on = [f"{entry.cases} cases" if entry.cases else "", entry.data or ""]
        where = ", ".join(part for part in on if part)
        yield f"  {'accuracy':<12}{entry.label}: {entry.metric} {entry.mean:.3g}{spread} {where}".rstrip()
    for title, text in card.training.items():
        yield f"  {'training':<12}{title}: {text}"
    for text in card.citation:
        yield f"  {'cite':<12}{text}"


def _import(options: argparse.Namespace) -> tuple[list[str], Any]:
    from umamba import models

    report = models.import_results(
        options.path,
        id=options.id,
        name=options.name,
        orientation=options.orientation,
        labels=None if options.labels is None else options.labels.split(","),
        image_size=options.image_size,
        dry_run=options.dry_run,
    )
    for line in _import_notes(report, options.dry_run):
        error_line(line)
    return [report.id], report.as_dict()


def _import_notes(report: ImportReport, dry_run: bool) -> Iterator[str]:
    for stage in (report.previous_stage, report):
        if stage is None:
            continue
        fate = "would be stored" if dry_run else "stored" if stage.stored else "lies in the store already"
        generation = f" ({stage.generation} generation)" if stage.generation else ""
        yield (
            f"{stage.id}: {stage.network}{generation}, {stage.configuration}, trained by {stage.trainer}, "
            f"fold {', '.join(stage.folds)}, {stage.size_bytes / MEGABYTE:.1f} MB; {fate}"
        )
        for note in stage.notes:
            yield f"{stage.id}: {note}"


def _export(options: argparse.Namespace) -> tuple[list[str], Any]:
    from umamba import models

    models.export(options.id, options.file, overwrite=options.overwrite)
    return [str(options.file)], {"id": options.id, "file": options.file}


def _install(options: argparse.Namespace) -> tuple[list[str], Any]:
    from umamba import models

    model_id = models.install(options.file)
    return [model_id], {"id": model_id}


def _remove(options: argparse.Namespace) -> tuple[list[str], Any]:
    from umamba import models

    models.remove(options.id)
    return [f"removed {options.id}"], {"id": options.id}


def _verify(options: argparse.Namespace) -> tuple[list[str], Any]:
    from umamba import models

    found = models.verify(options.id)
    files, size = len(found.files), found.size_bytes / MEGABYTE
    line = f"{found.id}: {files} files, {size:.1f} MB: all as the card says, the weights fit and are finite"
    return [line], {**vars(found), "intact": True}


def _takes_nothing(parser: Parser) -> None:
    """Only the options that every command has."""


def _takes_id(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="as umamba models list shows it")


def _takes_model(parser: Parser) -> None:
    parser.add_argument("model", metavar="ID", help="as umamba models list shows it, or a folder")


def _takes_results(parser: Parser) -> None:
    parser.add_argument(
        "path",
        metavar="PATH",
        type=Path,
        help="a results folder of any level, a zip of one, a checkpoint, or a state dict of Mamba-UNet",
    )
    parser.add_argument("--id", help="its id: lower case, dashes (default: dataset and configuration)")
    parser.add_argument("--name", help="its name for people (default: the id's words)")
    parser.add_argument(
        "--orientation",
        default="native",
        metavar="RAS|native",
        help="how all training images lay, three letters, or native (default): images are taken as they are",
    )
    parser.add_argument(
        "--labels",
        metavar="a,b,...",
        help="of a bare state dict: names of its labels 1, 2, ... (default: numbers)",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="of a bare state dict: side to which slices are brought (default: 224)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be taken, and store nothing")


def _takes_id_and_file(parser: Parser) -> None:
    _takes_id(parser)
    parser.add_argument("file", metavar="FILE.zip", type=Path, help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")


def _takes_file(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="made by umamba models export")


ACTIONS = {
    "list": Action("list the models that can be used", _takes_nothing, _list),
    "show": Action("print a model's card", _takes_model, _show),
    "import": Action("store a model from a results folder of nnU-Net or U-Mamba", _takes_results, _import),
    "export": Action("write a model to one file", _takes_id_and_file, _export),
    "install": Action("store a model from such a file", _takes_file, _install),
    "remove": Action("remove a model from the store", _takes_id, _remove),
    "verify": Action("compare a model's files with its card and load its weights", _takes_id, _verify),
}
