"""A bench for the panel: PySide6 in PythonQt's place, Slicer's real MRML, stand-ins for its widgets.

Nothing in the product and nothing in a test of the product names this package; fixtures hand out what it makes.
"""
