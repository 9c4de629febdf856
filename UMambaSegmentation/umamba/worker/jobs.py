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
from umamba.messages import Event, log_event, plan_event, progress_event
from umamba.version import __version__
from umamba.worker.requests import Request, load_sources

if TYPE_CHECKING:
    from umamba.inference.result import Result
    from umamba.inference.session import LoadedModel

# Raised when a message or an event changes so that an older panel would misread it.
PROTOCOL = 1

Send = Callable[[Mapping[str, Any]], None]


class Jobs:
    """Carries out requests one at a time. Leaving it removes the folders that it made."""

    def __init__(self) -> None:
        self._loaded: tuple[tuple[str, ...], LoadedModel] | None = None
        self._folders: list[Path] = []

    def run(self, request: Request, send: Send, cancelled: Callable[[], bool]) -> Event:
        """Carry out a request; `send` takes the events on the way, the last event is returned.

        Raises:
            InputError: The request is wrong.
            Cancelled: `cancelled` said so.
        """
        if request.do == "hello":
            python = ".".join(str(part) for part in sys.version_info[:3])
            return {"event": "ready", "version": __version__, "protocol": PROTOCOL, "python": python}
        if request.do == "models":
            return {"event": "result", "models": _models()}
        if request.do == "plan":
            return self._plan(request)
        return self._segment(request, send, cancelled)

    def _plan(self, request: Request) -> Event:
        from umamba.inference.api import plan

        return plan_event(plan(load_sources(request.images), self.model(request.model), **request.options))

    def _segment(self, request: Request, send: Send, cancelled: Callable[[], bool]) -> Event:
        from umamba.inference.api import segment

        result = segment(
            load_sources(request.images),
            self.model(request.model),
            **request.options,
            progress=lambda progress: send(progress_event(progress)),
            cancel=cancelled,
            on_plan=lambda plan: send(plan_event(plan)),
        )
        for warning in result.warnings:
            send(log_event(warning))
        return self._result(result, request.folder)

    def _result(self, result: Result, folder: Path | None) -> Event:
        import numpy as np

        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="umamba-run-"))
            self._folders.append(folder)
        arrays = {"labels": result.labels, "classes": result.classes, "uncertainty": result.uncertainty}
        files = {}
        for name, array in arrays.items():
            if array is not None:
                files[name] = str(folder / f"{name}.npy")
                try:
                    np.save(files[name], array, allow_pickle=False)
                except OSError as error:
                    raise InputError(f"cannot write {files[name]}: {error.strerror or error}") from None
        return {
            "event": "result",
            "arrays": files,
            "model": result.model.as_dict(),
            "volumes": [vars(volume) for volume in result.volumes()],
            "warnings": list(result.warnings),
            "provenance": dict(result.provenance),
            "seconds": dict(result.stage_seconds),
        }

    def model(self, name: str) -> LoadedModel:
        """The model, with the networks that the last run left in memory if it is the same."""
        from umamba import models
        from umamba.inference.session import LoadedModel

        model = models.get(name)
        same = (str(model.folder), model.configuration.name, *sorted(model.card.files.values()))
        if self._loaded is None or self._loaded[0] != same:
            self._loaded = (same, LoadedModel(model))
        return self._loaded[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)


def _models() -> list[dict[str, Any]]:
    from umamba import models

    return [card.as_dict() for card in models.list()]
