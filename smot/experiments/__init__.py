"""The one place where training meets validation MOTA: presets, data, scores, and the run."""
