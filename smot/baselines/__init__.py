"""Trackers that do not learn: connected components, and oracles that are shown the truth."""
