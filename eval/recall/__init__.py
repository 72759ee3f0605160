"""Recall from a compressed cache: copying, look-up, following names and counting, over a grid of bits."""
