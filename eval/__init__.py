"""Measurements: what compression costs (fidelity, grid_arms), what attaching buys (bench)."""
