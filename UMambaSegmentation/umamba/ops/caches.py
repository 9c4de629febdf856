"""Where compiled code is kept: ours, and what PyTorch's compiler would else lay among temporary files."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

_TORCH_CACHE = "TORCHINDUCTOR_CACHE_DIR"


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
    that stays behind in the folder of temporary files. Someone else's choice is kept.
    """
    root = cache_root()
    if _TORCH_CACHE not in os.environ and root is not None and usable(root / "torch"):
        os.environ[_TORCH_CACHE] = str(root / "torch")
