"""What all stand-ins share: registration by class name, properties whose setters C++ may call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

STAND_INS: dict[str, type] = {}  # by the C++ class's name
PROBLEMS: list[BaseException] = []  # what went wrong in a setter while the loader was at work
_loading = 0


def stand_in(cls: type) -> type:
    """Register a class under its own name, and close it: no attributes can be added to its objects."""
    cls.CXX_CLASS = True
    STAND_INS[cls.__name__] = cls
    return cls


def prop(
    kind: type | str, read: Callable[[Any], Any], write: Callable[[Any, Any], Any] | None = None
) -> QtCore.Property:
    """A Qt property. An error in a setter that Qt's loader called would end the process: it is kept."""
    return QtCore.Property(kind, read, None if write is None else _kept(write))


def stored(kind: type | str, name: str, changed: Callable[[Any], None] | None = None) -> QtCore.Property:
    """A Qt property that is a value of the object, in attribute `_name`, and may tell when it is changed."""

    def write(self: Any, value: Any) -> None:
        setattr(self, f"_{name}", value)
        if changed is not None:
            changed(self)

    return prop(kind, lambda self: getattr(self, f"_{name}"), write)


class Loading:
    """While a `.ui` is read: setters keep their errors in PROBLEMS."""

    def __enter__(self) -> Loading:
        global _loading
        _loading += 1
        PROBLEMS.clear()
        return self

    def __exit__(self, *error: object) -> None:
        global _loading
        _loading -= 1


def _kept(write: Callable[[Any, Any], Any]) -> Callable[[Any, Any], None]:
    def call(self: Any, value: Any) -> None:
        try:
            write(self, value)
        except Exception as error:
            if not _loading:
                raise
            PROBLEMS.append(error)

    return call
