"""SILOT, which discovers objects on a grid and propagates them through time."""
