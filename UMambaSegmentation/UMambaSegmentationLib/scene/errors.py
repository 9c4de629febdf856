"""What is wrong with the nodes that a person chose."""

from __future__ import annotations


class SceneError(ValueError):
    """One sentence for the person: what is wrong with a node, and what to do about it."""
