"""What the sections of the panel share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from UMambaSegmentation import UMambaSegmentationLogic
    from UMambaSegmentationLib.client.engine import Engine
    from UMambaSegmentationLib.state import StateNode


@dataclass(frozen=True)
class Services:
    """Handed to every section of the panel.

    Attributes:
        engine: The engine's process; starts when it is first asked something.
        logic: What the console uses too.
        state: The case's choices, kept in the scene.
        say: Shows one sentence below the Segment button.
        busy: Whether a run goes on; models and packages are left alone meanwhile.
        show_setup: Opens Set-up and scrolls to it.
    """

    engine: Engine
    logic: UMambaSegmentationLogic
    state: StateNode
    say: Callable[[str], None]
    busy: Callable[[], bool]
    show_setup: Callable[[], None]
