"""Stand-ins for the C++ widgets of CTK and Slicer: their names, properties, signals, slots, small true behaviour.

Only what Python sees of the C++ class is there: properties, slots and invokable functions, no plain setters.
"""

from . import (
    ctk_boxes,
    ctk_buttons,
    ctk_inputs,
    ctk_paths,
    qmrml_node_combo_box,
    qmrml_segments,
    qmrml_widget,
)
from .base import STAND_INS

__all__ = ["STAND_INS", "ctk_boxes", "ctk_buttons", "ctk_inputs", "ctk_paths"]
__all__ += ["qmrml_node_combo_box", "qmrml_segments", "qmrml_widget"]
