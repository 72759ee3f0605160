"""Calibrate a model for the archive codec: from its K, V and query moments to `ArchiveTables`.

Two stages: transforms fitted closed loop at quality 1 (`calibrate_fit`), then the statistics of the
entropy coder at every level of quality, in two rounds (`calibrate_classes`).  Memory: the observed tensors,
which are f16, and a few layers of f32.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.calibrate_classes import Counts, Pass, TextSums, cheapest_class, code_tokens
from kvfiles.codecs.archive.calibrate_fit import Tensors, Transforms, fit_transforms
from kvfiles.codecs.archive.calibrate_rates import ClassModel, geometric_model
from kvfiles.codecs.archive.importance import Attended, Fitted, fit_importance, views_of
from kvfiles.codecs.archive.tables import ArchiveTables, GroupTables, group_heads
from kvfiles.runtime.model import ModelShape

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I16 = NDArray[np.int16]
I64 = NDArray[np.int64]

LEVELS = (0.125, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
"""Qualities g at which statistics are taken; the first one is that of the finest steps of other tokens."""
ROUND_TOKENS = (1500, 5000)
"""Tokens that are coded in each round at each level; more say little."""
SHRINK = 0.0
"""Restored values are nearer to zero by this, in steps.  Small coefficients are more frequent in a cell, so
that 0.05 or more have less squared error; but what is rounded to 0 takes contrast from attention already, and
shrinking the rest costs more divergence than it saves bits.  -0.05 and -0.1 are worse again.
"""
ADAPTING_LEVEL = 1.0
MIN_TOKENS = 64

OnStep = Callable[[int, int], None]
"""`on_step(done, total)`, from any thread, one call at a time; may raise to stop."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a model made of the calibration texts.

    `k` (n_layer, n, k_width) f16 without rotation, `v` (n_layer, n, v_width) f16, `moments`
    (n_layer, n_kv_head, k_head_dim, k_head_dim) f64 of the queries, `lengths` the tokens of each text, which
    sum to n.  The first tokens of a text, which attention uses as sinks, are left out.  `attended` is what
    these tokens received.
    """

    k: F16
    v: F16
    moments: F64
    lengths: tuple[int, ...]
    attended: Attended


@dataclass(frozen=True, slots=True)
class Origin:
    """What tables say about where they come from: the model's fingerprint and a hash of the texts."""

    model: str
    texts: str


def calibrate(
    observed: Observed,
    shape: ModelShape,
    origin: Origin,
    *,
    n_threads: int = 1,
    on_step: OnStep = lambda _done, _total: None,
) -> ArchiveTables:
    """The tables of a model of this `shape`.  Deterministic, up to the order of sums in the BLAS.

    `n_threads` work on the statistics beside what the BLAS uses.
    Raises ValueError when the data do not fit the shape or are too few.
    """
    _check(observed, shape)
    groups = _groups(observed, shape)
    n = sum(observed.lengths)
    work = _Work(on_step, shape.n_layer, len(groups), observed.lengths)
    fitted = [
        fit_transforms(part.data, part.moments, observed.lengths, on_layer=lambda _: work.layers(1, n))
        for part in groups
    ]
    attend = [
        _attend(part, transforms, observed.attended) for part, transforms in zip(groups, fitted, strict=True)
    ]
    with ThreadPoolExecutor(n_threads, thread_name_prefix="calibrate") as pool:
        statistics = _statistics(groups, fitted, observed.lengths, pool, work)
    return ArchiveTables(
        model=origin.model,
        shape=shape,
        groups=tuple(
            _tables(part, transforms, bases, found.weights)
            for part, transforms, bases, found in zip(groups, fitted, statistics.bases, attend, strict=True)
        ),
        levels=np.rint(256 * np.log2(LEVELS)).astype(np.int16),
        freq=statistics.model.freq,
        expected=statistics.model.expected,
        delta_class=cheapest_class(statistics.deltas, statistics.model),
        fineness_class=cheapest_class(
            np.concatenate([found.fineness for found in attend], axis=None), statistics.model
        ),
        shrink=SHRINK,
        n_tokens=n,
        texts=origin.texts,
    )


@dataclass(frozen=True, slots=True)
class _Group:
    data: Tensors
    moments: F64
    heads: slice


@dataclass(frozen=True, slots=True)
class _Statistics:
    """`bases` of each group: (n_level, n_layer, w) i16 for K and for V."""

    bases: list[tuple[I16, I16]]
    model: ClassModel
    deltas: I64


class _Work:
    """Progress in layers times tokens, whatever is done with them.  Thread-safe."""

    def __init__(self, on_step: OnStep, n_layer: int, n_group: int, lengths: Sequence[int]) -> None:
        self._on_step = on_step
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._done = 0.0
        coded = len(LEVELS) * sum(sum(_kept(lengths, wanted)[1]) for wanted in ROUND_TOKENS)
        self._total = n_group * n_layer * (sum(lengths) + coded)

    def layers(self, n_layer: float, n_tokens: int) -> None:
        """So many layers of so many tokens are done; raises what stopped it, in every thread."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._done += n_layer * n_tokens
            try:
                self._on_step(min(round(self._done), self._total), self._total)
            except BaseException as failure:
                self._failure = failure
                raise

    def stop(self, failure: BaseException) -> None:
        """Let every thread that works end at its next layer."""
        with self._lock:
            self._failure = self._failure or failure


def _check(observed: Observed, shape: ModelShape) -> None:
    n = sum(observed.lengths)
    head = (shape.n_layer, shape.n_kv_head, shape.k_head_dim, shape.k_head_dim)
    if n < MIN_TOKENS or min(observed.lengths) < 1:
        raise ValueError(f"{n} tokens are too few to calibrate with")
    if observed.k.shape != (shape.n_layer, n, shape.k_width) or observed.moments.shape != head:
        raise ValueError("the observed tensors are not the model's")
    if observed.v.shape != (shape.n_layer, n, shape.v_width):
        raise ValueError("the observed tensors are not the model's")
    attended = observed.attended
    m = len(attended.rows)
    if attended.received.shape != (shape.n_layer, shape.n_kv_head, m) or attended.ahead.shape != (m,):
        raise ValueError("the attention is not the model's")
    if m and not (attended.rows.min() >= 0 and attended.rows.max() < n and attended.ahead.min() >= 1):
        raise ValueError("the attention is not that of the observed tokens")


def _groups(observed: Observed, shape: ModelShape) -> list[_Group]:
    groups, head = [], 0
    for n_head in group_heads(shape):
        stop = head + n_head
        data = Tensors(
            observed.k[:, :, head * shape.k_head_dim : stop * shape.k_head_dim],
            observed.v[:, :, head * shape.v_head_dim : stop * shape.v_head_dim],
        )
        groups.append(_Group(data, observed.moments[:, head:stop], slice(head, stop)))
        head = stop
    return groups


def _statistics(
    groups: Sequence[_Group],
    fitted: Sequence[Transforms],
    lengths: Sequence[int],
    pool: Executor,
    work: _Work,
) -> _Statistics:
    """Code a part of the tokens at every level, twice: the second round knows what a class has to expect."""
    model = geometric_model()
    bases: list[tuple[I16, I16]] = []
    deltas: list[I64] = []
    for n_wanted in ROUND_TOKENS:
        counts, bases, deltas = Counts(), [], []
        for part, transforms in zip(groups, fitted, strict=True):
            data, texts = _part(part.data, lengths, n_wanted)
            tell = partial(work.layers, 0.5, sum(texts))
            jobs = [
                pool.submit(code_tokens, data, transforms, texts, Pass(g, model, SHRINK), tell)
                for g in LEVELS
            ]
            coded = _results(jobs, work)
            for own, _ in coded:
                counts.add(own)
            bases.append(_stacked([sums for _, sums in coded]))
            deltas.append(coded[LEVELS.index(ADAPTING_LEVEL)][1].deltas())
        model = counts.model()
    return _Statistics(bases, model, np.concatenate(deltas))


def _results(jobs: Sequence[Future[tuple[Counts, TextSums]]], work: _Work) -> list[tuple[Counts, TextSums]]:
    """What the jobs give, in their order; whatever one of them raises stops the others."""
    try:
        return [job.result() for job in jobs]
    except BaseException as failure:
        work.stop(failure)
        for job in jobs:
            job.cancel()
        raise


def _stacked(of_levels: Sequence[TextSums]) -> tuple[I16, I16]:
    bases = [sums.bases() for sums in of_levels]
    return np.stack([k for k, _ in bases]), np.stack([v for _, v in bases])


def _part(data: Tensors, lengths: Sequence[int], n_wanted: int) -> tuple[Tensors, list[int]]:
    """About `n_wanted` tokens, consecutive ones of every text, and how many of each."""
    rows, found = _kept(lengths, n_wanted)
    return Tensors(data.k[:, rows], data.v[:, rows]), found


def _kept(lengths: Sequence[int], n_wanted: int) -> tuple[I64, list[int]]:
    """The rows of the first tokens of every text, about `n_wanted` in all, and how many each text has."""
    share = min(1.0, n_wanted / sum(lengths))
    found = [max(1, round(share * length)) for length in lengths]
    starts = np.cumsum(lengths) - np.asarray(lengths)
    rows = [np.arange(start, start + n, dtype=np.int64) for start, n in zip(starts, found, strict=True)]
    return np.concatenate(rows), found


def _attend(part: _Group, fitted: Transforms, attended: Attended) -> Fitted:
    views = views_of(fitted.mean_k, fitted.decode_k, fitted.step_k)
    return fit_importance(part.data.k, part.data.v, views, attended, part.heads)


def _tables(part: _Group, fitted: Transforms, bases: tuple[I16, I16], attend: F32) -> GroupTables:
    return GroupTables(
        k_width=part.data.k.shape[2],
        v_width=part.data.v.shape[2],
        mean_k=fitted.mean_k,
        mean_v=fitted.mean_v,
        predict_k=fitted.predict_k,
        predict_v0=fitted.predict_v0,
        predict_v=fitted.predict_v,
        decode_k=fitted.decode_k,
        decode_v=fitted.decode_v,
        rho_k=fitted.rho_k,
        rho_v=fitted.rho_v,
        step_k=fitted.step_k,
        step_v=fitted.step_v,
        base_k=bases[0],
        base_v=bases[1],
        attend=attend,
    )
