"""The panel of UMambaSegmentation: everything that runs inside 3D Slicer."""
