"""A bench for the panel: PySide6 in PythonQt's place, Slicer's real MRML, stand-ins for its widgets.

Nothing in the product, nor in a test of it, names this package: fixtures hand out what it makes.
"""
