"""How long tests wait for what has to happen: a bound for what hangs, never a measure of speed.

It is far more than anything takes on a slow and busy machine, so that only what never comes fails.
"""

PATIENCE = 300.0
"""Seconds."""
