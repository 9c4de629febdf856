"""Datasets to train on: opening, checking, splitting."""
