"""What calibration measures once per model, and its file.

A group is a run of whole KV heads, at most 256 values of K and of V wide.  For layer l of a group, with
decoded values marked by ^ and all K before RoPE, everything without its mean:

    K^[l] = [K^[l-1] V^[l-1]] @ predict_k[l-1] + c^k[l] @ decode_k[l]
    V^[l] = [K^[l] V^[l-1] K^[l-1]] @ predict_v[l-1] + c^v[l] @ decode_v[l]

Layer 0 has no prediction of K, and predicts V by K^[0] @ predict_v0.  The coefficients of token t continue
those of the token before, each its own (0 at the first token of a section), K and V alike:

    c^[l, t] = rho[l] * c^[l, t-1] + rec(q[l, t]) * step[l] * g * 2^(-fineness[l, t] / 2)

g is the quality of a file, and rec(q) = sign(q) * (|q| - shrink) for q != 0.  Tokens
that attention is likely to look at have finer steps (`importance`).

The file is a container (`kvfiles.container`) whose every section is checksummed; `ArchiveTables.id` names
the content in the header of each `.kv` file that was coded with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from kvfiles.container import Container, write_container
from kvfiles.errors import CalibrationCorrupt, CalibrationMissing, SnapshotError
from kvfiles.runtime.model import ModelShape

VERSION = 3
KIND = "archive-tables"
MAX_GROUP_WIDTH = 256
MAX_LAYERS = 1024
MAX_WIDTH = 16384
MAX_LEVELS = 64
MAX_RHO = 0.9
"""Largest |rho|: an error in a coefficient, as of rounding in f32, fades from token to token."""

N_CLASS = 64
N_SYMBOL = 32
"""0, +1, -1, ... +15, -15 and ESCAPE."""
ESCAPE = N_SYMBOL - 1
FREQUENCY_BITS = 12
"""The frequencies of a class sum to 2**FREQUENCY_BITS."""
MAX_MAGNITUDE = 12
"""Magnitudes count at most this much in contexts."""
N_SCALAR = 7
"""Features of a token beside its K that tell how much attention it gets (`importance`)."""
MAX_ATTEND = 1e4

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
I16 = NDArray[np.int16]
U16 = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class GroupTables:
    """The transforms of one group; L layers, widths wk and wv.

    mean_k (L, wk), mean_v (L, wv) f32, K before RoPE; predict_k (L-1, wk+wv, wk), predict_v0 (wk, wv),
    predict_v (L-1, wk+wv+wk, wv), decode_k (L, wk, wk), decode_v (L, wv, wv), rho_k (L, wk), rho_v (L, wv)
    f16; step_k, step_v (L,) f32; base_k (n_level, L, wk), base_v (n_level, L, wv) i16: 512 * log2 of the mean
    magnitude of the quantised coefficients at each of the `levels` of quality; attend (L, 7 + wk) f32: the
    weights of `importance`.
    """

    k_width: int
    v_width: int
    mean_k: F32
    mean_v: F32
    predict_k: F16
    predict_v0: F16
    predict_v: F16
    decode_k: F16
    decode_v: F16
    rho_k: F16
    rho_v: F16
    step_k: F32
    step_v: F32
    base_k: I16
    base_v: I16
    attend: F32

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every array under its field's name."""
        return {name: getattr(self, name) for name in _forms(1, self.k_width, self.v_width, 1)}


def _forms(n_layer: int, wk: int, wv: int, n_level: int) -> dict[str, tuple[type, tuple[int, ...]]]:
    """dtype and shape of every array of a group."""
    return {
        "mean_k": (np.float32, (n_layer, wk)),
        "mean_v": (np.float32, (n_layer, wv)),
        "predict_k": (np.float16, (n_layer - 1, wk + wv, wk)),
        "predict_v0": (np.float16, (wk, wv)),
        "predict_v": (np.float16, (n_layer - 1, wk + wv + wk, wv)),
        "decode_k": (np.float16, (n_layer, wk, wk)),
        "decode_v": (np.float16, (n_layer, wv, wv)),
        "rho_k": (np.float16, (n_layer, wk)),
        "rho_v": (np.float16, (n_layer, wv)),
        "step_k": (np.float32, (n_layer,)),
        "step_v": (np.float32, (n_layer,)),
        "base_k": (np.int16, (n_level, n_layer, wk)),
        "base_v": (np.int16, (n_level, n_layer, wv)),
        "attend": (np.float32, (n_layer, N_SCALAR + wk)),
    }


@dataclass(frozen=True, slots=True)
class ArchiveTables:
    """Everything that coding with one model needs; raises ValueError unless all of it makes sense.

    `model` is the fingerprint of the GGUF; `levels` (n_level,) i16 are log2 of the qualities that were
    measured, in 1/256, ascending; `freq` (64, 32) u16 the frequencies of the symbols of every class, each
    sums to 4096 and ESCAPE has at least 1; `expected` (64,) u16 the mean of min(|q|, 12) in a class, in
    1/256; `delta_class` the class that codes a document's class corrections, `fineness_class` that of the
    fineness of its tokens; `shrink` how much nearer to zero a value is restored; `texts` a hash of what was
    read, `n_tokens` tokens of it.  `id` is a hash of it all.
    """

    model: str
    shape: ModelShape
    groups: tuple[GroupTables, ...]
    levels: I16
    freq: U16
    expected: U16
    delta_class: int
    fineness_class: int
    shrink: float
    n_tokens: int
    texts: str
    id: str = field(init=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "id", _content_hash(self))

    def require(self, shape: ModelShape, subject: str = "") -> None:
        """Raise CalibrationCorrupt unless made for a model of this `shape`."""
        if self.shape != shape:
            raise CalibrationCorrupt(
                "the calibration was made for another model",
                subject=subject,
                remedy="run beyondrag models calibrate again",
            )


class TablesSource(Protocol):
    """Where tables are found by their id."""

    def find(self, tables_id: str) -> ArchiveTables:
        """Raises CalibrationMissing, CalibrationCorrupt or StorageError."""


@dataclass(frozen=True, slots=True)
class OneTables:
    """A source that knows one calibration."""

    tables: ArchiveTables

    def find(self, tables_id: str) -> ArchiveTables:
        if tables_id != self.tables.id:
            raise missing(tables_id)
        return self.tables


def missing(tables_id: str) -> CalibrationMissing:
    """The error for tables that are not there."""
    return CalibrationMissing(
        "the calibration that the file was coded with is not here",
        subject=tables_id[:16],
        remedy="bring the calibration with the library, or run beyondrag models calibrate and ingest again",
    )


def group_heads(shape: ModelShape) -> list[int]:
    """How many KV heads each group gets: as many as fit into 256 values of K and of V, evenly spread.

    Raises ValueError for heads wider than that.
    """
    most = MAX_GROUP_WIDTH // max(shape.k_head_dim, shape.v_head_dim)
    if most == 0:
        raise ValueError(f"heads of more than {MAX_GROUP_WIDTH} values")
    n_group = -(-shape.n_kv_head // most)
    return [shape.n_kv_head * (i + 1) // n_group - shape.n_kv_head * i // n_group for i in range(n_group)]


def save_tables(path: Path, tables: ArchiveTables) -> int:
    """Write atomically; returns the file's size in bytes.  Raises StorageError."""
    arrays: dict[str, NDArray[Any]] = {
        "levels": tables.levels.astype(np.int32),
        "freq": tables.freq.astype(np.int32),
        "expected": tables.expected.astype(np.int32),
    }
    for i, group in enumerate(tables.groups):
        for name, array in group.arrays().items():
            arrays[f"{i}/{name}"] = array.astype(np.int32) if array.dtype == np.int16 else array
    return write_container(path, {**_meta(tables), "id": tables.id}, arrays)


def load_tables(path: Path) -> ArchiveTables:
    """Read and check; raises CalibrationMissing, CalibrationCorrupt or StorageError."""
    if not path.exists():
        raise CalibrationMissing(
            "the model is not calibrated", subject=str(path), remedy="run beyondrag models calibrate"
        )
    try:
        with Container(path) as container:
            return _read(container)
    except (SnapshotError, ValueError, TypeError, KeyError, OverflowError) as error:
        why = error.message if isinstance(error, SnapshotError) else str(error)
        raise CalibrationCorrupt(
            f"the calibration cannot be used ({why:.200})",
            subject=str(path),
            remedy="run beyondrag models calibrate --force",
        ) from error


def _read(container: Container) -> ArchiveTables:
    meta = container.meta
    if meta.get("kind") != KIND or meta.get("version") != VERSION:
        raise ValueError("another kind or version of file")
    shape = ModelShape(*(int(n) for n in meta["shape"]))
    widths = [(int(wk), int(wv)) for wk, wv in meta["groups"]]
    _check_shape(shape, widths)
    n_level = container.sections["levels"].shape[0]
    if not 1 <= n_level <= MAX_LEVELS:
        raise ValueError("implausible number of levels")
    groups = []
    for i, (wk, wv) in enumerate(widths):
        forms = _forms(shape.n_layer, wk, wv, n_level)
        groups.append(
            GroupTables(wk, wv, **{name: _array(container, f"{i}/{name}", *forms[name]) for name in forms})
        )
    tables = ArchiveTables(
        model=str(meta["model"]),
        shape=shape,
        groups=tuple(groups),
        levels=_array(container, "levels", np.int16, (n_level,)),
        freq=_array(container, "freq", np.uint16, (N_CLASS, N_SYMBOL)),
        expected=_array(container, "expected", np.uint16, (N_CLASS,)),
        delta_class=int(meta["delta_class"]),
        fineness_class=int(meta["fineness_class"]),
        shrink=float(meta["shrink"]),
        n_tokens=int(meta["n_tokens"]),
        texts=str(meta["texts"]),
    )
    if tables.id != meta["id"]:
        raise ValueError("the content is not what its name says")
    return tables


def _array(container: Container, name: str, dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
    """A section, its form checked before it is read; integers are stored as i32."""
    section = container.sections[name]
    stored = np.dtype(np.int32 if np.issubdtype(dtype, np.integer) else dtype)
    if section.shape != shape or section.n_bytes != stored.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"{name} has the wrong form")
    array = container.array(name)
    if array.dtype != stored:
        raise ValueError(f"{name} has the wrong type")
    if stored == dtype:
        return array
    limits = np.iinfo(dtype)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise ValueError(f"{name} has numbers out of range")
    return array.astype(dtype)


def _meta(tables: ArchiveTables) -> dict[str, Any]:
    shape = tables.shape
    return {
        "kind": KIND,
        "version": VERSION,
        "model": tables.model,
        "shape": [shape.n_layer, shape.n_kv_head, shape.k_head_dim, shape.v_head_dim],
        "groups": [[group.k_width, group.v_width] for group in tables.groups],
        "delta_class": tables.delta_class,
        "fineness_class": tables.fineness_class,
        "shrink": tables.shrink,
        "n_tokens": tables.n_tokens,
        "texts": tables.texts,
    }


def _content_hash(tables: ArchiveTables) -> str:
    """SHA-256 (hex) of the numbers in a fixed order, little endian."""
    digest = hashlib.sha256(orjson.dumps(_meta(tables), option=orjson.OPT_SORT_KEYS))
    arrays = [tables.levels, tables.freq, tables.expected]
    for group in tables.groups:
        arrays += group.arrays().values()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _check_shape(shape: ModelShape, widths: list[tuple[int, int]]) -> None:
    if not (1 <= shape.n_layer <= MAX_LAYERS and shape.k_width <= MAX_WIDTH and shape.v_width <= MAX_WIDTH):
        raise ValueError("implausible shape")
    if min(shape.n_kv_head, shape.k_head_dim, shape.v_head_dim) < 1:
        raise ValueError("implausible shape")
    heads = 0
    for wk, wv in widths:
        n_head = wk // shape.k_head_dim
        fits = 0 < wk <= MAX_GROUP_WIDTH and 0 < wv <= MAX_GROUP_WIDTH
        if not fits or (wk, wv) != (n_head * shape.k_head_dim, n_head * shape.v_head_dim):
            raise ValueError("a group is not made of whole heads")
        heads += n_head
    if heads != shape.n_kv_head:
        raise ValueError("the groups are not all heads")


def _check(tables: ArchiveTables) -> None:
    _check_shape(tables.shape, [(group.k_width, group.v_width) for group in tables.groups])
    levels = tables.levels
    if levels.dtype != np.int16 or levels.ndim != 1 or not 1 <= len(levels) <= MAX_LEVELS:
        raise ValueError("levels have the wrong form")
    if (np.diff(levels.astype(np.int32)) <= 0).any():
        raise ValueError("levels do not ascend")
    for group in tables.groups:
        _check_group(group, tables.shape.n_layer, len(levels))
    freq, expected = tables.freq, tables.expected
    if freq.dtype != np.uint16 or freq.shape != (N_CLASS, N_SYMBOL):
        raise ValueError("frequencies have the wrong form")
    if (freq.sum(1, dtype=np.int64) != 1 << FREQUENCY_BITS).any() or (freq[:, ESCAPE] < 1).any():
        raise ValueError("frequencies do not add up")
    if (freq == 1 << FREQUENCY_BITS).any():
        raise ValueError("a frequency leaves no room")
    if expected.dtype != np.uint16 or expected.shape != (N_CLASS,) or expected.max() > 256 * MAX_MAGNITUDE:
        raise ValueError("expected magnitudes make no sense")
    if not (0 <= tables.delta_class < N_CLASS and 0 <= tables.fineness_class < N_CLASS):
        raise ValueError("parameters make no sense")
    if not 0.0 <= tables.shrink <= 0.5:
        raise ValueError("parameters make no sense")


def _check_group(group: GroupTables, n_layer: int, n_level: int) -> None:
    forms = _forms(n_layer, group.k_width, group.v_width, n_level)
    arrays: Mapping[str, NDArray[Any]] = group.arrays()
    for name, (dtype, shape) in forms.items():
        array = arrays[name]
        if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
            raise ValueError(f"{name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{shape}")
        if np.issubdtype(dtype, np.floating) and not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite")
    for step in (group.step_k, group.step_v):
        if not ((step > 1e-9) & (step < 1e9)).all():
            raise ValueError("steps out of range")
    for rho in (group.rho_k, group.rho_v):
        if not (np.abs(rho.astype(np.float32)) <= MAX_RHO).all():
            raise ValueError("rho out of range")
    if not (np.abs(group.attend) <= MAX_ATTEND).all():
        raise ValueError("weights of attention out of range")
