"""Heatmaps: which parts of an image speak for a class, by class activation maps and by masks."""
