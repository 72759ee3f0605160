"""The kinds of cache that are compared, each with one way to put a text's K and V into a context."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np

from beyondrag.errors import UsageError
from eval.compression.arms import Arm, coded_state
from eval.compression.plan import Plan
from eval.compression.rows import Family
from eval.rig import F32, Rig, forced_logprobs, score_forced
from eval.scores import TokenScores, skip_first
from kvfiles.codecs import RotatedCodec
from kvfiles.runtime import Context
from kvfiles.runtime.context import CacheType
from kvfiles.runtime.model import ModelShape, Tokens
from kvfiles.state_blob import StateView, read_state

MOVED = "f16 moved"
MOVED_BY = 64
"""Tokens that stand before the moved snapshot."""

LLAMA_BITS = {"f16": 16.0, "q8_0": 8.5, "q5_0": 5.5, "q4_0": 4.5}
"""Bits a value of ggml's types: blocks of 32 values with an f16 scale."""

_ONE_SIDED = re.compile(r"([kv])([2-8])")


@dataclass(frozen=True, slots=True)
class Case:
    """The tokens read, and those that follow; only what comes after the first `n_given` of these counts."""

    body: Tokens
    tail: Tokens
    n_given: int = 1

    def scored(self, scores: TokenScores) -> TokenScores:
        """Without the predictions of tokens that were given."""
        return skip_first(scores, self.n_given - 1)


@dataclass(frozen=True, slots=True)
class Bench:
    """A case that an f16 context has read: its state, and the log-probabilities along its tail."""

    rig: Rig
    context: Context
    case: Case
    state: StateView
    reference: F32
    folder: Path

    def score(self, context: Context | None = None) -> TokenScores:
        """Score what the context, this one if none is given, predicts now."""
        found = score_forced(context or self.context, self.case.tail, self.reference)
        return self.case.scored(found)


class Cache(Protocol):
    """A kind of cache.  `identity` says exactly how K and V are coded; it is part of a row's key."""

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> Family: ...

    @property
    def identity(self) -> str: ...

    def measure(self, bench: Bench) -> tuple[float, TokenScores]:
        """Bits a value, and the scores; the bench's context may be left in any state."""


@dataclass(frozen=True, slots=True)
class CodecCache:
    """The product: saved to a file, attached from it into an empty sequence at its own position.

    `coded` is `Rig.codec_identity` of the codec `name`.
    """

    name: str
    coded: str
    family: Family = "codec"

    @property
    def identity(self) -> str:
        return f"codec {self.coded}"

    def measure(self, bench: Bench) -> tuple[float, TokenScores]:
        n_bytes = _through_file(bench, self.name)
        return bench.rig.bits_per_value(n_bytes, len(bench.case.body)), bench.score()


@dataclass(frozen=True, slots=True)
class OneSidedCache:
    """Only K or only V through the product's codec; the other side is the f16 cache's own, bit for bit."""

    side: Literal["k", "v"]
    bits: int
    family: Family = "one side"

    @property
    def name(self) -> str:
        other = "V" if self.side == "k" else "K"
        return f"{self.side}{self.bits}, {other} exact"

    @property
    def identity(self) -> str:
        return f"one side {self.side}{self.bits}"

    def measure(self, bench: Bench) -> tuple[float, TokenScores]:
        context, codec_name = bench.context, f"k{self.bits}v{self.bits}"
        _through_file(bench, codec_name)
        blob = context.state()
        coded = read_state(blob, bench.rig.model.architecture)
        exact = (coded.v, bench.state.v) if self.side == "k" else (coded.k, bench.state.k)
        for to, rows in zip(*exact, strict=True):
            to[:] = rows
        context.clear()
        context.set_state(blob)
        return self.bits_per_value(bench.rig, len(bench.case.body)), bench.score()

    def bits_per_value(self, rig: Rig, n_tokens: int) -> float:
        """The coded side's bits and 16 for the other, over all values."""
        shape = rig.model.shape
        coded, exact = shape.k_width, shape.v_width
        widths = (coded, 0) if self.side == "k" else (0, exact)
        if self.side == "v":
            coded, exact = exact, coded
        codec = rig.codec(f"k{self.bits}v{self.bits}")
        if not isinstance(codec, RotatedCodec):
            raise TypeError("a codec of this name is the rotated one")
        return (codec.bits_per_value(n_tokens, *widths) * coded + 16 * exact) / (coded + exact)


@dataclass(frozen=True, slots=True)
class LlamaCache:
    """llama.cpp's own quantised cache, with the text read into it."""

    k: CacheType
    v: CacheType
    family: Family = "llama.cpp"

    @property
    def name(self) -> str:
        return f"llama.cpp {self.k}" + ("" if self.k == self.v else f"/{self.v}")

    @property
    def identity(self) -> str:
        return self.name

    def measure(self, bench: Bench) -> tuple[float, TokenScores]:
        case = bench.case
        with bench.rig.context(len(case.body) + len(case.tail), self.k, self.v) as context:
            context.decode(case.body, 0, logits="none")
            return self.bits_per_value(bench.rig.model.shape), bench.score(context)

    def bits_per_value(self, shape: ModelShape) -> float:
        k, v = LLAMA_BITS[self.k], LLAMA_BITS[self.v]
        return (k * shape.k_width + v * shape.v_width) / (shape.k_width + shape.v_width)


@dataclass(frozen=True, slots=True)
class ArmCache:
    """A method that is not in the product, coded and decoded in NumPy and set into the context."""

    arm: Arm
    family: Family = "literature"

    @property
    def name(self) -> str:
        return self.arm.name

    @property
    def identity(self) -> str:
        arm = self.arm
        how = (arm.k, arm.v, arm.before_rope, arm.n_sink, arm.window, arm.outer_bits)
        return f"arm {how!r}"

    def measure(self, bench: Bench) -> tuple[float, TokenScores]:
        rig, n = bench.rig, len(bench.case.body)
        blob = coded_state(bench.state, rig.tables.at(0, n), self.arm, rig.model.shape)
        bench.context.clear()
        bench.context.set_state(blob)
        return self.arm.bits_per_value(n, rig.model.shape), bench.score()


@dataclass(frozen=True, slots=True)
class MovedCache:
    """Exact snapshots against a fresh prefill, both alone in the sequence from position MOVED_BY on.

    Nothing but rounding differs, so this is the noise floor.
    """

    name: str = MOVED
    family: Family = "noise floor"

    @property
    def identity(self) -> str:
        return f"exact moved by {MOVED_BY}"

    def measure(self, bench: Bench) -> tuple[float, TokenScores]:
        rig, context, case = bench.rig, bench.context, bench.case
        filler, path = bench.folder / "filler.kv", bench.folder / "moved.kv"
        exact = rig.codec("exact")
        before = np.resize(case.body, MOVED_BY)
        context.clear()
        context.decode(before, 0, logits="none")
        rig.save(filler, rig.state(context), before, 0, exact)
        rig.save(path, bench.state, case.body, 0, exact)
        context.clear()
        context.decode(case.body, MOVED_BY, logits="none")
        reference = forced_logprobs(context, case.tail)
        context.clear()
        rig.attach(context, [filler, path])
        context.remove(0, 0, MOVED_BY)
        return 16.0, case.scored(score_forced(context, case.tail, reference))


def caches_of(rig: Rig, plan: Plan) -> list[Cache]:
    """The kinds that `plan` asks for; raises UsageError for an unknown codec or cache, CalibrationError for a
    codec that needs a calibration which the model lacks."""
    for name in plan.codecs:
        rig.codec(name)
    found: list[Cache] = [CodecCache(name, rig.codec_identity(name)) for name in plan.codecs]
    found += [parse_one_sided(name) for name in plan.one_sided]
    found += [LlamaCache(*parse_cache(name)) for name in plan.llama]
    found += [ArmCache(arm) for arm in plan.arms]
    return [*found, MovedCache()] if plan.moved else found


def parse_cache(name: str) -> tuple[CacheType, CacheType]:
    """The types of K and V that `q8_0` or `q8_0/q4_0` means; raises UsageError."""
    k, slash, v = name.partition("/")
    known: Sequence[CacheType] = get_args(CacheType)
    kinds = [kind for wanted in (k, v if slash else k) for kind in known if kind == wanted]
    if len(kinds) != 2:
        raise UsageError(f"unknown cache {name!r}", remedy=f"use one of {', '.join(known)}, or two as K/V")
    return kinds[0], kinds[1]


def parse_one_sided(name: str) -> OneSidedCache:
    """Only K with 4 bits from `k4`, only V with 3 from `v3`; raises UsageError."""
    match = _ONE_SIDED.fullmatch(name)
    if match is None:
        raise UsageError(f"no one-sided cache {name!r}", remedy="use kX or vX with X from 2 to 8")
    return OneSidedCache("k" if match[1] == "k" else "v", int(match[2]))


def _through_file(bench: Bench, codec: str) -> int:
    """Save and attach the case's body with `codec`; returns the bytes of the file."""
    rig, path = bench.rig, bench.folder / "text.kv"
    n_bytes = rig.save(path, bench.state, bench.case.body, 0, rig.codec(codec))
    bench.context.clear()
    rig.attach(bench.context, [path])
    return n_bytes
