"""Where compiled code is kept: ours, and what PyTorch's and Triton's compilers would lay elsewhere."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path


def cache_root() -> Path | None:
    """`$UMAMBA_CACHE`, else the user's cache folder; None for a user without a home."""
    root = os.environ.get("UMAMBA_CACHE")
    if not root:
        import platformdirs

        try:
            root = platformdirs.user_cache_dir("umamba", appauthor=False)
        except RuntimeError:  # later versions of platformdirs say it so
            return None
    return Path(root) if Path(root).is_absolute() else None  # "~" could not be expanded


def usable(folder: Path) -> bool:
    """Whether files can be written to the folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def house_torch_cache() -> None:
    """Give PyTorch's compiler a folder in our cache.

    Shapes on the meta device make PyTorch load its compiler, which at once makes a folder: without this one
    that stays behind in the folder of temporary files.
    """
    _house("TORCHINDUCTOR_CACHE_DIR", "torch")


@cache
def house_triton_cache() -> None:
    """Give Triton's compiler a folder in our cache, where it would take one in the user's home.

    By the environment, which every version of it reads, and where its later versions write such a setting.
    """
    _house("TRITON_CACHE_DIR", "triton")


def _house(variable: str, name: str) -> None:
    """Let a compiler's environment variable name a folder of our cache; someone else's choice is kept."""
    root = cache_root()
    if variable not in os.environ and root is not None and usable(root / name):
        os.environ[variable] = str(root / name)
