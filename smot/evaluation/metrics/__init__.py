"""Metrics as pure functions: arrays in, counts and numbers out."""
