"""The panel's process: JSON lines over pipes."""
