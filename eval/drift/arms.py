"""The kinds of cache that the probes are asked behind, and opening llama.cpp's own ones.

llama.cpp rotates the rows of a quantised cache by a Hadamard matrix.  The environment variable
LLAMA_ATTN_ROT_DISABLE turns that off.  It is read whenever a context is made (llama-cpp-python 0.3.36,
llama_kv_cache's constructor), so that both kinds can be measured in one process; what llama.cpp says
about it in its log is checked, so that an arm is what its name says.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from beyondrag.errors import UsageError
from beyondrag.settings import KNOWN_CODECS
from eval.compression.caches import LlamaCache, parse_cache
from eval.rig import Rig
from kvfiles.codecs import is_codec_name
from kvfiles.errors import ModelError
from kvfiles.runtime import Context
from kvfiles.runtime.llama import logger

BASE = "f16"
FLOOR = "f16 again"
FLOOR_SLICE = 57
"""Tokens that the floor reads at a time, instead of 128."""

CODECS = ("k8v8", "k5v4", "k4v4", "k4v3", "k3v3")
LLAMA_CACHES = ("q8_0", "q4_0", "q4_0:unrotated")
_UNROTATED = ":unrotated"
_VARIABLE = "LLAMA_ATTN_ROT_DISABLE"


@dataclass(frozen=True, slots=True)
class LlamaArm:
    """llama.cpp's own quantised cache, with the document read into it; `rotated` is llama.cpp's default."""

    cache: LlamaCache
    rotated: bool = True

    @property
    def name(self) -> str:
        return self.cache.name + ("" if self.rotated else ", not rotated")


@dataclass(frozen=True, slots=True)
class Arms:
    """What is compared with the f16 cache that was read once.

    `codecs` are saved to a file and attached.  `floor` reads the document into f16 again, in other batches:
    nothing but rounding differs, so no arm can be expected to agree more.
    """

    codecs: tuple[str, ...] = CODECS
    llama: tuple[LlamaArm, ...] = ()
    floor: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """All arms in the order of the tables, f16 first."""
        floor = (FLOOR,) if self.floor else ()
        return (BASE, *floor, *self.codecs, *(arm.name for arm in self.llama))


def parse_arms(codecs: Sequence[str], llama: Sequence[str], *, floor: bool) -> Arms:
    """Arms from codec names (`k4v4`, `exact`) and caches (`q8_0`, `q8_0/q4_0`, `q4_0:unrotated`).

    Raises UsageError for what is neither.
    """
    for name in codecs:
        if not is_codec_name(name):
            raise UsageError(f"unknown codec {name!r}", remedy=KNOWN_CODECS)
    arms = []
    for name in dict.fromkeys(llama):
        cache = LlamaCache(*parse_cache(name.removesuffix(_UNROTATED)))
        arms.append(LlamaArm(cache, rotated=not name.endswith(_UNROTATED)))
    return Arms(tuple(dict.fromkeys(codecs)), tuple(arms), floor)


@contextmanager
def opened(rig: Rig, arm: LlamaArm, n_tokens: int) -> Iterator[tuple[Context, bool]]:
    """A context with the arm's cache, and whether llama.cpp rotates it (it cannot for every head size).

    Raises ModelError when llama.cpp does not do what the arm's name says.
    """
    witness = _Witness()
    with ExitStack() as stack:
        with _variable("0" if arm.rotated else "1"), witness.listening():
            context = stack.enter_context(rig.context(n_tokens, arm.cache.k, arm.cache.v))
        if witness.disabled == arm.rotated:
            raise ModelError(
                f"this llama.cpp does not obey {_VARIABLE}",
                subject=arm.name,
                remedy="leave this cache out, or install llama-cpp-python 0.3.36",
            )
        yield context, witness.rotates


@contextmanager
def _variable(value: str) -> Iterator[None]:
    """Set the variable and put back what was there."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


class _Witness(logging.Handler):
    """Hears what llama.cpp says about its rotation while a context is made."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.disabled = False
        self.rotates = False

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self.disabled |= "attention rotation force disabled" in message
        self.rotates |= "attn_rot_k = 1" in message or "attn_rot_v = 1" in message

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = logger.level
        logger.addHandler(self)
        logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
        try:
            yield
        finally:
            logger.setLevel(before)
            logger.removeHandler(self)
