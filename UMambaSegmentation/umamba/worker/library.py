"""Requests about models: list, look into results, import, install, export, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umamba.messages import Event
from umamba.worker.requests import Request

if TYPE_CHECKING:
    from umamba.events import Monitor


def list_models() -> Event:
    """All models that can be used, and what is wrong with the others."""
    from umamba import models

    return _result(models=[model.as_dict() for model in models.list()], problems=models.problems())


def inspect_results(request: Request, monitor: Monitor) -> Event:
    """What an import would give; nothing is stored."""
    from umamba import models

    found = models.inspect_results(request.values["path"], monitor=monitor)
    return _result(card=found.card.as_dict(), notes=found.report.all_notes, report=found.report.as_dict())


def import_results(request: Request, monitor: Monitor) -> Event:
    """Store a model from what a training wrote, with the person's changes to its card."""
    from umamba import models

    values = request.values
    report = models.import_results(
        values["path"],
        id=values.get("model"),
        name=values.get("name"),
        orientation=values.get("orientation", "native"),
        edits=models.CardEdits(values.get("channels"), values.get("labels")),
        monitor=monitor,
    )
    notes = report.all_notes
    if not report.stored:
        notes.append("the very same model lay in the store already")
    return _stored(report.id, notes=notes)


def install(request: Request, monitor: Monitor) -> Event:
    """Store a model from a file that `export` made."""
    from umamba import models

    return _stored(models.install(request.values["file"], monitor))


def export(request: Request, monitor: Monitor) -> Event:
    """Write a model to one file."""
    from umamba import models

    values = request.values
    file = models.export(values["model"], values["file"], values.get("overwrite", False), monitor)
    return _result(file=str(file))


def remove(request: Request) -> Event:
    """Take a model out of the user's store."""
    from umamba import models

    models.remove(request.values["model"])
    return _result()


def _stored(model_id: str, **further: object) -> Event:
    from umamba import models

    return _result(model=model_id, card=models.find(model_id).as_dict(), **further)


def _result(**keys: object) -> Event:
    return {"event": "result", **keys}
