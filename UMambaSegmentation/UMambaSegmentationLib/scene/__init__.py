"""The scene's nodes, without widgets: volumes to the engine, its results back into the scene."""
