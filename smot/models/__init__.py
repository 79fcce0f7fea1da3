"""Learned trackers: families, what they share, their checkpoints."""
