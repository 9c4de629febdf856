"""What the worker does for each kind of request; the model of the last run stays in memory."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from umamba.errors import InputError
from umamba.events import Monitor
from umamba.messages import Event, log_event, plan_event, progress_event
from umamba.version import __version__
from umamba.worker import files, library
from umamba.worker.images import load_sources
from umamba.worker.requests import Request

if TYPE_CHECKING:
    from umamba.inference.result import Result
    from umamba.inference.session import LoadedModel
    from umamba.models.model import Model

# Raised when a message or an event changes so that an older panel would misread it.
PROTOCOL = 1

Send = Callable[[Mapping[str, Any]], None]


def greet() -> Event:
    """Who the worker is."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    return {"event": "ready", "version": __version__, "protocol": PROTOCOL, "python": python}


class Jobs:
    """Carries out requests one at a time. Leaving it removes the folders that it made."""

    def __init__(self) -> None:
        self._loaded: LoadedModel | None = None
        self._folders: list[Path] = []

    def run(self, request: Request, send: Send, cancelled: Callable[[], bool]) -> Event:
        """Carry out a request; `send` takes the events on the way, the last event is returned.

        Raises:
            InputError: The request is wrong.
            Cancelled: `cancelled` said so.
        """
        monitor = Monitor(lambda progress: send(progress_event(progress)), cancelled)
        match request.do:
            case "models":
                return library.list_models()
            case "doctor":
                return _doctor()
            case "plan":
                return self._plan(request, cancelled)
            case "segment":
                return self._segment(request, send, cancelled)
            case "preview":
                from umamba.worker.picture import preview

                return preview(request)
            case "inspect":
                return library.inspect_results(request, monitor)
            case "import":
                return library.import_results(request, monitor)
            case "install":
                return library.install(request, monitor)
            case "export":
                return library.export(request, monitor)
            case "remove":
                self._loaded = None  # it may be that model's, and is not worth keeping then
                return library.remove(request)
        raise AssertionError(request.do)

    def _plan(self, request: Request, cancelled: Callable[[], bool]) -> Event:
        from umamba.inference.api import plan

        images = load_sources(request.values["images"])
        loaded = self.model(request.values["model"])
        return plan_event(plan(images, loaded, **request.options, cancel=cancelled))

    def _segment(self, request: Request, send: Send, cancelled: Callable[[], bool]) -> Event:
        from umamba.inference.api import segment

        if request.output is not None:
            files.check(request.output, request.overwrite)
        result = segment(
            load_sources(request.values["images"]),
            self.model(request.values["model"]),
            **request.options,
            progress=lambda progress: send(progress_event(progress)),
            cancel=cancelled,
            on_plan=lambda plan: send(plan_event(plan)),
        )
        for warning in result.warnings:
            send(log_event(warning))
        where: Event
        if request.output is not None:
            where = {"files": files.write(result, request.output, request.overwrite)}
        else:
            where = {"arrays": self._write_arrays(result, request.folder)}
        return {
            "event": "result",
            **where,
            "model": result.model.as_dict(),
            "volumes": [vars(volume) for volume in result.volumes()],
            "warnings": list(result.warnings),
            "provenance": dict(result.provenance),
            "seconds": dict(result.stage_seconds),
        }

    def _write_arrays(self, result: Result, folder: Path | None) -> dict[str, str]:
        import numpy as np

        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="umamba-run-"))
            self._folders.append(folder)
        arrays = {"labels": result.labels, "classes": result.classes, "uncertainty": result.uncertainty}
        written = {}
        for name, array in arrays.items():
            if array is not None:
                written[name] = str(folder / f"{name}.npy")
                try:
                    np.save(written[name], array, allow_pickle=False)
                except OSError as error:
                    raise InputError(f"cannot write {written[name]}: {error.strerror or error}") from None
        return written

    def model(self, name: str) -> LoadedModel:
        """The model, with the networks that the last run left in memory if it is the same."""
        from umamba import models
        from umamba.inference.session import LoadedModel

        model = models.get(name)
        if self._loaded is None or not _same(self._loaded.model, model):
            self._loaded = LoadedModel(model)
        return self._loaded

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)


def _same(one: Model, other: Model) -> bool:
    """Whether two models are one and the same; a card holds the hashes of all files."""
    if one.folder != other.folder or one.card != other.card:
        return False
    if one.previous is None or other.previous is None:
        return one.previous is other.previous
    return _same(one.previous, other.previous)


def _doctor() -> Event:
    from umamba.doctor import examine

    report = examine()
    return {"event": "result", "report": report.as_dict(), "text": "\n".join(report.lines())}
