"""Images and grids: reading, writing, orientation, resampling."""
