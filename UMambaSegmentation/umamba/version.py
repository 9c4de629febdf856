"""The engine's version, read by the build, the command line and the provenance of every result."""

__version__ = "0.1.0"
