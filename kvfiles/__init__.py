"""Snapshots of a model's KV cache: container, codecs, kernels, RoPE, composition, runtime."""
