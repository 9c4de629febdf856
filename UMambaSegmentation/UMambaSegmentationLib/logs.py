"""The panel's log: one file for a person to send, rotated, without patient data.

Callers keep names of nodes, patients and image files out of messages; the person's home folder, whose name
often is the person's, is written as "~" here.
"""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from UMambaSegmentationLib.paths import logs_folder

LOGGER_NAME = "UMambaSegmentation"
LOG_FILE = "panel.log"
MAX_BYTES = 1_000_000
OLD_FILES = 3


class _QuietRotatingHandler(RotatingFileHandler):
    """A log that cannot be written or rotated never disturbs the panel."""

    def doRollover(self) -> None:  # noqa: N802  (logging's name)
        """Rotate, or go on in the same file where another Slicer holds it open (Windows)."""
        try:
            super().doRollover()
        except OSError:
            if self.stream is None:
                self.stream = self._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Drop the line: a full disk is no reason to print into Slicer's console at every step."""


def log(message: str, level: int = logging.INFO) -> None:
    """Write a message to the log; further lines of it are indented. Never raises for the file's sake.

    Args:
        message: Without names of patients, nodes or image files.
        level: As of `logging`.
    """
    _logger().log(level, "%s", _without_home(message).rstrip().replace("\n", "\n    "))


def log_file() -> Path:
    """The file that is being written. It may not exist yet."""
    return logs_folder() / LOG_FILE


def close_log() -> None:
    """Close the file; the next message opens it again."""
    logger = logging.getLogger(LOGGER_NAME)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def _logger() -> logging.Logger:
    logger = logging.getLogger(LOGGER_NAME)
    if logger.handlers and getattr(logger.handlers[0], "baseFilename", None) != str(log_file().absolute()):
        close_log()  # the person's folder is another one now, or could not be written the last time
    if not logger.handlers:
        logger.setLevel(logging.INFO)
        logger.propagate = False  # the application's own log and error window are not ours to fill
        logger.addHandler(_handler())
    return logger


def _handler() -> logging.Handler:
    try:
        log_file().parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = _QuietRotatingHandler(
            log_file(), maxBytes=MAX_BYTES, backupCount=OLD_FILES, encoding="utf-8", errors="backslashreplace"
        )
    except OSError:
        return logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


def _without_home(message: str) -> str:
    try:
        home = str(Path.home())
    except RuntimeError:  # nobody can say where home lies
        return message
    return message.replace(home, "~") if len(home) > 1 else message
