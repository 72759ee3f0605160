"""Drift: does a model behave the same behind a compressed cache?  Run `python -m eval.drift --help`.

Fixed probes (facts, constraints, formats, numbers, buried instructions, conversations) are asked over the
same documents behind the f16 cache, every codec, and llama.cpp's own quantised caches.
"""
