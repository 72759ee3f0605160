"""How many bits a value takes in a cache that llama.cpp prefilled."""

from __future__ import annotations

from beyondrag.placing import cache_bits


def test_bits_of_a_prefilled_value() -> None:
    """A block of 32 values: their bits and one f16 scale (q5_0 keeps the fifth bits apart)."""
    assert cache_bits("f16") == 16
    assert cache_bits("q8_0") == (32 * 8 + 16) / 32
    assert cache_bits("q5_0") == (32 * 5 + 16) / 32
    assert cache_bits("q4_0") == (32 * 4 + 16) / 32
