"""The kinds of cache that are compared, and how their names say their bits."""

from __future__ import annotations

import re
from collections.abc import Sequence

from beyondrag.errors import UsageError
from beyondrag.settings import KNOWN_CODECS
from eval.compression.caches import LlamaCache, parse_cache
from kvfiles.codecs import is_codec_name

EXACT = "exact"
"""The untouched f16 cache, saved and attached: what every other arm is compared with."""
NO_DOCUMENT = "no document"
"""The same questions without the document: what a model gets right by guessing."""

_LLAMA = "llama.cpp "
_CODEC = re.compile(r"k([2-8])v([2-8])")
_BITS = range(2, 9)


def bits_of(arm: str) -> tuple[int, int] | None:
    """The bits of K and of V in the name of one of our codecs; None for every other arm."""
    match = _CODEC.fullmatch(arm)
    return None if match is None else (int(match[1]), int(match[2]))


def grid(k_bits: Sequence[str], v_bits: Sequence[str]) -> tuple[str, ...]:
    """Every codec of these bits (2 to 8), the one with the most bits first; raises UsageError."""
    k, v = _numbers(k_bits), _numbers(v_bits)
    pairs = sorted({(a, b) for a in k for b in v}, key=lambda pair: (-sum(pair), -pair[0]))
    return tuple(f"k{a}v{b}" for a, b in pairs)


def codec_arms(names: Sequence[str]) -> tuple[str, ...]:
    """`names` without repetitions and without "exact"; raises UsageError for what is no codec."""
    for name in names:
        if not is_codec_name(name):
            raise UsageError(f"unknown codec {name!r}", remedy=KNOWN_CODECS)
    return tuple(name for name in dict.fromkeys(names) if name != EXACT)


def llama_arms(names: Sequence[str]) -> tuple[str, ...]:
    """llama.cpp's own caches, `q8_0` or `q8_0/q4_0`, as arms; raises UsageError."""
    return tuple(dict.fromkeys(LlamaCache(*parse_cache(name)).name for name in names))


def llama_cache(arm: str) -> LlamaCache | None:
    """The cache of an arm of `llama_arms`; None for every other arm."""
    return LlamaCache(*parse_cache(arm.removeprefix(_LLAMA))) if arm.startswith(_LLAMA) else None


def _numbers(words: Sequence[str]) -> list[int]:
    if not all(word.isascii() and word.isdigit() and int(word) in _BITS for word in words):
        raise UsageError(f"bits {','.join(words)!r}", remedy="give whole numbers from 2 to 8, such as 2,3,4")
    return [int(word) for word in words]
