"""Compiling numba kernels once per computer: `kernel`, for every room that has some.

Compiled code is kept in `$UMAMBA_CACHE`, else the user's cache folder; where neither can be written it is
compiled anew in each process. Kernels are sequential and release the GIL; `umamba.ops.threads` runs them on
several threads, so numba's own threading layers (one of which is neither thread-safe nor fork-safe) and its
global settings are never touched.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

from umamba.ops.caches import cache_root, usable
from umamba.version import __version__

_LOG = logging.getLogger(__name__)
_LOCK = threading.Lock()

# Multiply and add may fuse. Nothing that assumes away NaN, infinities or signed zeros.
CONTRACT = frozenset({"contract"})
# Sums may besides be split over vector lanes. Never for code that rounds by adding a large constant.
REASSOCIATE = frozenset({"contract", "reassoc"})


def kernel(
    signature: str, fastmath: frozenset[str] = CONTRACT
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile the decorated function for one signature (numba's notation), at once, through the cache."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        options: dict[str, Any] = {"nogil": True, "fastmath": set(fastmath), "error_model": "numpy"}
        folder = cache_folder()
        if folder is not None:
            try:
                return _compile_cached(function, signature, folder, options)
            except Exception as error:  # a full disk; a damaged file, whose unpickling may raise anything
                _LOG.warning(
                    "The kernel cache in %s cannot be used (%s); compiling without it", folder, error
                )
        compiled: Callable[..., Any] = numba.njit(signature, **options)(function)
        return compiled

    return decorate


def inlined(fastmath: frozenset[str] = CONTRACT) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let kernels inline the decorated function, which keeps its own `fastmath` there."""
    decorate: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
        fastmath=set(fastmath), error_model="numpy", forceinline=True
    )
    return decorate


def _compile_cached(
    function: Callable[..., Any], signature: str, folder: Path, options: dict[str, Any]
) -> Callable[..., Any]:
    # numba reads its cache folder from a global when a function is decorated: lent for that moment.
    with _LOCK:
        settings: Any = numba.config
        before = settings.CACHE_DIR
        settings.CACHE_DIR = str(folder)
        try:
            compiled: Callable[..., Any] = numba.njit(signature, cache=True, **options)(function)
        finally:
            settings.CACHE_DIR = before
    return compiled


@cache
def cache_folder() -> Path | None:
    """The folder for compiled kernels of this very code, made if need be; None when it cannot be written.

    numba notices a change in a kernel's own file only, not in what the kernel inlines: hence the digest of
    all files of the package that hold kernels.
    """
    root = cache_root()
    if root is None:
        return None
    digest = hashlib.sha256(__version__.encode())
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        if "numba" in source.stem or "kernels" in source.stem:
            digest.update(source.read_bytes())
    folder = root / "kernels" / digest.hexdigest()[:16]
    return folder if usable(folder) else None
