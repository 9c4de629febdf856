"""The module's main path inside a desktop Slicer, from the repository's folder:

Slicer --no-splash --no-main-window --testing --additional-module-paths UMambaSegmentation \
    --python-script Testing/desktop/run_in_slicer.py [install=cpu|cuda|slicer] [wheels=FOLDER]

Sets up the engine first where `install=` asks for it (from a folder of wheels with `wheels=`), then runs
`UMambaSegmentationTest`: the bundled model on the bundled volume, through the panel's own classes.

Exit status: 0 passed, 1 failed, 77 the engine is not set up and nothing was segmented.
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

import qt
import slicer

PASSED, FAILED, NOT_SET_UP = 0, 1, 77
MODULE = "UMambaSegmentation"


def tell(text: str) -> None:
    """Print a line at once: Slicer's own messages come in between."""
    print(f"[{MODULE}] {text}", flush=True)


def install(build: str, wheels: Path | None) -> bool:
    """Set up the engine as the panel's Install button does, and wait for the end.

    Args:
        build: "cpu", "cuda" or "slicer".
        wheels: Folder of wheels to install from, or None for the network.
    """
    from UMambaSegmentationLib.client.installation import Installation

    ended: list[tuple[bool, str]] = []
    loop = qt.QEventLoop()

    def on_end(ok: bool, message: str) -> None:
        ended.append((ok, message))
        loop.quit()

    installation = Installation(on_line=tell, on_end=on_end)
    installation.start(build, wheels=wheels)
    if not ended:
        loop.exec_()  # lint: nested loop
    ok, message = ended[0]
    tell(message)
    return ok


def run_tests() -> bool:
    """Run the module's own test; whether it passed and Slicer's process stayed free of torch."""
    from UMambaSegmentation import UMambaSegmentationTest

    suite = unittest.defaultTestLoader.loadTestsFromTestCase(UMambaSegmentationTest)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    if "torch" in sys.modules:
        tell("torch was imported into Slicer's own process")
    return result.testsRun > 0 and result.wasSuccessful() and "torch" not in sys.modules


def main(arguments: list[str]) -> int:
    """Run what the words of the command line ask for.

    Args:
        arguments: Words as "name=value"; without dashes, which Slicer would take for its own options.
    """
    asked = dict(word.split("=", 1) for word in arguments)
    version = f"{slicer.app.majorVersion}.{slicer.app.minorVersion}"
    tell(f"Slicer {version}, Python {sys.version.split()[0]}, {sys.platform}")
    if not hasattr(slicer.modules, MODULE.lower()):
        tell("the module was not loaded: add --additional-module-paths UMambaSegmentation to the command")
        return FAILED
    wheels = Path(asked["wheels"]) if "wheels" in asked else None
    if "install" in asked and not install(asked["install"], wheels):
        return FAILED

    from UMambaSegmentationLib.client.packages import status

    found = status()
    if not found.ready:
        tell(f"the engine is not set up ({', '.join(found.missing)} missing): add install=cpu to the command")
        return NOT_SET_UP
    tell(f"engine {found.engine_version}, torch {found.torch} of {found.torch_place}")
    return PASSED if run_tests() else FAILED


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))
