"""Stand-ins for C++ widgets of CTK and Slicer: names, properties, signals, slots, behaviour in small.

Only what Python sees of the C++ class is there: properties, slots and invokable functions, no plain setters.
"""

from . import (
    ctk_boxes,
    ctk_buttons,
    ctk_inputs,
    ctk_paths,
    qmrml_node_combo_box,
    qmrml_segments,
    qmrml_show_3d,
    qmrml_widget,
)
from .base import STAND_INS

__all__ = ["STAND_INS", "ctk_boxes", "ctk_buttons", "ctk_inputs", "ctk_paths"]
__all__ += ["qmrml_node_combo_box", "qmrml_segments", "qmrml_show_3d", "qmrml_widget"]
