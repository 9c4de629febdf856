"""The engine's process as 3D Slicer sees it: installing it, starting it, asking it."""
