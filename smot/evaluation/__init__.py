"""Metrics, protocols and reports. The scores of arrays of your own: smot.evaluation.scores."""
