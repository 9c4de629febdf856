"""Model folders: card, safe checkpoint reader, store, import and export.

Each name is resolved when first used: listing models and reading cards loads neither torch nor jsonschema's
schema before it must.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umamba.models.card import Card
    from umamba.models.edits import CardEdits
    from umamba.models.exchange import export, install
    from umamba.models.folder import get
    from umamba.models.importer import ImportReport, Inspection, import_, import_results, inspect_results
    from umamba.models.load import load_network
    from umamba.models.model import Model
    from umamba.models.store import StoredModel, find, problems, remove, store_folder
    from umamba.models.store import list_models as list
    from umamba.models.verification import verify

_LAZY = {
    "Card": "card",
    "CardEdits": "edits",
    "ImportReport": "importer",
    "Inspection": "importer",
    "Model": "model",
    "StoredModel": "store",
    "export": "exchange",
    "find": "store",
    "get": "folder",
    "import_": "importer",
    "import_results": "importer",
    "inspect_results": "importer",
    "install": "exchange",
    "list": "store",
    "load_network": "load",
    "problems": "store",
    "remove": "store",
    "store_folder": "store",
    "verify": "verification",
}
_OWN_NAMES = {"list": "list_models"}

__all__ = [
    "Card",
    "CardEdits",
    "ImportReport",
    "Inspection",
    "Model",
    "StoredModel",
    "export",
    "find",
    "get",
    "import_",
    "import_results",
    "inspect_results",
    "install",
    "list",
    "load_network",
    "problems",
    "remove",
    "store_folder",
    "verify",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _LAZY:
        raise AttributeError(f"module 'umamba.models' has no attribute {name!r}")
    module = importlib.import_module(f"umamba.models.{_LAZY[name]}")
    return getattr(module, _OWN_NAMES.get(name, name))
