"""Measure the statistics of the entropy coder: class bases, symbol frequencies, expected magnitudes.

The calibration tokens are coded closed loop as the encoder codes them, at every level of quality.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.calibrate_chain import Chains, Coded, code_chains
from kvfiles.codecs.archive.calibrate_fit import Tensors, Transforms, forward_matrix
from kvfiles.codecs.archive.calibrate_rates import N_MAGNITUDE, ClassModel, class_model
from kvfiles.codecs.archive.entropy import ADAPT_LIMIT, at_level, classes_of
from kvfiles.codecs.archive.tables import MAX_MAGNITUDE, N_CLASS

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

_LEAST_MEAN = 2e-4
_PRIOR_SUM = 0.3
_ADAPT_PRIOR = 60.0

OnTensor = Callable[[], None]


def log_mean(total: F64, n: int) -> I16:
    """round(512 log2 E|q|) from the sums of |q| over n tokens, with a prior of 0.3 in one token."""
    mean = np.maximum((total + _PRIOR_SUM) / (n + 1), _LEAST_MEAN)
    rounded: I16 = np.clip(np.rint(512 * np.log2(mean)), -32768, 32767).astype(np.int16)
    return rounded


def _classes(base: I16) -> U8:
    """The classes before any shift, as a decoder gets them where `base` is that of its level."""
    return at_level(base[None], np.zeros(1, np.int16), 0)


@dataclass(slots=True)
class Counts:
    """Sums over everything that was coded; see `calibrate_rates.class_model`."""

    symbols: F64 = field(default_factory=lambda: np.zeros((N_CLASS, N_MAGNITUDE + 1)))
    magnitudes: F64 = field(default_factory=lambda: np.zeros(N_CLASS))

    def add(self, other: Counts) -> None:
        self.symbols += other.symbols
        self.magnitudes += other.magnitudes

    def add_coefficients(self, q: I32, classes: U8) -> None:
        """Count coefficients (n, w) in their classes."""
        size, width = np.abs(q), N_MAGNITUDE + 1
        cells = classes.astype(np.int32) * width + np.minimum(size, N_MAGNITUDE)
        self.symbols += np.bincount(cells.ravel(), minlength=N_CLASS * width).reshape(N_CLASS, width)
        known = np.minimum(size, MAX_MAGNITUDE)
        self.magnitudes += np.bincount(classes.ravel(), known.ravel(), minlength=N_CLASS)

    def model(self) -> ClassModel:
        return class_model(self.symbols, self.magnitudes)


@dataclass(frozen=True, slots=True)
class TextSums:
    """Sums of |q| at one quality by text: `k` (n_text, n_layer, wk), `v` (n_text, n_layer, wv) f64, over
    `n` (n_text,) tokens each."""

    k: F64
    v: F64
    n: I64

    def bases(self) -> tuple[I16, I16]:
        """`base_k` (n_layer, wk) and `base_v` (n_layer, wv) of all texts together."""
        n = int(self.n.sum())
        return log_mean(self.k.sum(0), n), log_mean(self.v.sum(0), n)

    def deltas(self) -> I64:
        """What each text would correct its classes by, for all its components, in half octaves."""
        found = []
        for sums in (self.k, self.v):
            usual = np.maximum((sums.sum(0) + _PRIOR_SUM) / (self.n.sum() + 1), _LEAST_MEAN)
            n = self.n[:, None, None]
            own = np.maximum((sums + _ADAPT_PRIOR * usual) / (n + _ADAPT_PRIOR), _LEAST_MEAN)
            found.append(np.rint(2 * np.log2(own / usual)).ravel())
        limited: I64 = np.clip(np.concatenate(found), -ADAPT_LIMIT, ADAPT_LIMIT).astype(np.int64)
        return limited


@dataclass(frozen=True, slots=True)
class Pass:
    """How tokens are coded: quality `g`, class `model`, `shrink` of the restored values."""

    g: float
    model: ClassModel
    shrink: float


def code_tokens(
    data: Tensors,
    fitted: Transforms,
    lengths: Sequence[int],
    how: Pass,
    on_tensor: OnTensor = lambda: None,
) -> tuple[Counts, TextSums]:
    """Code texts of `lengths` consecutive tokens closed loop, in the classes that they themselves lead to.

    `on_tensor` is told after each tensor of each layer and may raise to stop.
    """
    counts = Counts()
    chains = Chains.of(lengths)
    sums = TextSums(
        np.zeros((len(lengths), *fitted.mean_k.shape)),
        np.zeros((len(lengths), *fitted.mean_v.shape)),
        np.asarray(lengths, np.int64),
    )
    prior = np.zeros(data.k.shape[1], np.int64)
    before_k = before_v = np.empty((0, 0), np.float32)
    for layer in range(len(data.k)):
        k = data.k[layer].astype(np.float32) - fitted.mean_k[layer]
        if layer == 0:
            predicted = np.zeros_like(k)
        else:
            context = np.hstack([before_k, before_v])
            predicted = context @ fitted.predict_k[layer - 1].astype(np.float32)
        coded = _coded(
            k - predicted, fitted.decode_k[layer], fitted.rho_k[layer], fitted.step_k[layer], how, chains
        )
        decoded_k = predicted + coded.decoded
        prior = _count(coded.q, prior, how.model, counts)
        sums.k[:, layer] = np.add.reduceat(np.abs(coded.q), chains.starts, axis=0)
        on_tensor()
        v = data.v[layer].astype(np.float32) - fitted.mean_v[layer]
        context = decoded_k if layer == 0 else np.hstack([decoded_k, before_v, before_k])
        predict = fitted.predict_v0 if layer == 0 else fitted.predict_v[layer - 1]
        predicted = context @ predict.astype(np.float32)
        coded = _coded(
            v - predicted, fitted.decode_v[layer], fitted.rho_v[layer], fitted.step_v[layer], how, chains
        )
        before_k, before_v = decoded_k, predicted + coded.decoded
        prior = _count(coded.q, prior, how.model, counts)
        sums.v[:, layer] = np.add.reduceat(np.abs(coded.q), chains.starts, axis=0)
        on_tensor()
    return counts, sums


def _coded(residual: F32, decode: F16, rho: F16, step: np.float32, how: Pass, chains: Chains) -> Coded:
    """The symbols of a residual (n, w), and the residual that a decoder gets."""
    coded = code_chains(
        residual @ forward_matrix(decode), rho, float(step * np.float32(how.g)), how.shrink, chains
    )
    return Coded(coded.q, coded.decoded @ decode.astype(np.float32))


def _count(q: I32, prior: I64, model: ClassModel, counts: Counts) -> I64:
    """Add to `counts` and return the next prior."""
    base = _classes(log_mean(np.abs(q).sum(0, dtype=np.float64), len(q)))
    classes, after = classes_of(q, base, model.expected, prior)
    counts.add_coefficients(q, classes)
    return after


def cheapest_class(numbers: NDArray[np.signedinteger], model: ClassModel) -> int:
    """The class that codes `numbers`, none larger than N_MAGNITUDE - 1, in the fewest bits."""
    bits = model.bits().astype(np.float64)
    share = np.bincount(np.abs(numbers).ravel())
    return int((bits[:, : len(share)] @ share).argmin())
