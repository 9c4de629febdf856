"""Datasets that others published, to datasets that can be trained on."""
