"""Unsupervised multi-object tracking."""
