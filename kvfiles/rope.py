"""Rotary position embedding exactly as llama.cpp computes it, so that it can be undone and redone.

K is stored by llama.cpp after RoPE.  `RopeSpec` holds every parameter that fixes the rotation;
`angles` reproduces the f32 arithmetic of `ggml_rope_cache_init` and `rope_yarn`
(ggml/src/ggml-cpu/ops.cpp) and of `llama_context` (src/llama-context.cpp) for YaRN's magnitude.

Covered: NORM pairing (2i, 2i+1) and NEOX pairing (i, i + n_rot/2), partial dimensions, base,
linear scaling, frequency factors (Llama 3), YaRN.  Not covered: M-RoPE, LongRoPE, per-layer bases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kvfiles.errors import UnsupportedModel
from kvfiles.gguf_file import GgufHeader, Scalar

Pairing = Literal["norm", "neox"]
F32 = NDArray[np.float32]

LLAMA_ROPE_TYPE_NORM = 0
LLAMA_ROPE_TYPE_NEOX = 2


@dataclass(frozen=True, slots=True)
class RopeSpec:
    """Everything that fixes the rotation of a key at a position.

    `n_rot` of the `head_dim` channels are rotated; `freq_scale` is 1/factor of linear or YaRN
    scaling; `factors` divides each pair's angle (length n_rot/2) or is empty; `ext_factor` is 0
    without YaRN; `attn_factor` is llama.cpp's magnitude before YaRN's own correction.
    """

    pairing: Pairing
    head_dim: int
    n_rot: int
    base: float
    freq_scale: float = 1.0
    factors: tuple[float, ...] = ()
    ext_factor: float = 0.0
    attn_factor: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    n_ctx_orig: int = 0

    def describe(self) -> dict[str, Scalar | list[float]]:
        """A JSON-able form with stable keys, part of the reading profile."""
        return {
            "pairing": self.pairing,
            "head_dim": self.head_dim,
            "n_rot": self.n_rot,
            "base": self.base,
            "freq_scale": self.freq_scale,
            "factors": list(self.factors),
            "ext_factor": self.ext_factor,
            "attn_factor": self.attn_factor,
            "beta_fast": self.beta_fast,
            "beta_slow": self.beta_slow,
            "n_ctx_orig": self.n_ctx_orig,
        }


@dataclass(frozen=True, slots=True)
class RopeTable:
    """cos and sin for positions first .. first+n-1, each (n, n_rot/2) f32 C-contiguous, no magnitude."""

    cos: F32
    sin: F32


def magnitude(spec: RopeSpec) -> float:
    """The factor by which llama.cpp scales rotated keys (1 without YaRN); it cancels on relocation."""
    if spec.ext_factor == 0.0:
        return spec.attn_factor
    return spec.attn_factor * (1.0 + 0.1 * math.log(1.0 / spec.freq_scale))


def angles(spec: RopeSpec, positions: NDArray[np.int32]) -> F32:
    """(n, n_rot/2) f32 angles of every pair at `positions` (n,), in ggml's own order of operations."""
    half = spec.n_rot // 2
    # C's powf is rounded correctly; NumPy's f32 power can be one bit off, which a far position multiplies.
    theta_scale = np.float32(math.pow(np.float32(spec.base), np.float32(-2.0 / spec.n_rot)))
    theta = np.asarray(positions, np.float32).copy()
    out = np.empty((len(theta), half), np.float32)
    scale = np.float32(spec.freq_scale)
    ramp = _yarn_ramp(spec) if spec.ext_factor != 0.0 else None
    for i in range(half):
        extrapolated = theta / np.float32(spec.factors[i]) if spec.factors else theta
        interpolated = scale * extrapolated
        if ramp is None:
            out[:, i] = interpolated
        else:
            mix = ramp[i] * np.float32(spec.ext_factor)
            out[:, i] = interpolated * (np.float32(1) - mix) + extrapolated * mix
        theta = theta * theta_scale
    return out


def table(spec: RopeSpec, positions: NDArray[np.int32]) -> RopeTable:
    """cos and sin of `angles`."""
    angle = angles(spec, positions)
    return RopeTable(np.cos(angle), np.sin(angle))


def rotate(spec: RopeSpec, x: F32, cos_sin: RopeTable, *, inverse: bool = False) -> F32:
    """Rotate (n, n_head, head_dim) f32 by `cos_sin` (n, n_rot/2); the reference for the kernels.

    With `inverse` the rotation is undone.  The magnitude of YaRN is not applied in either direction.
    """
    half = spec.n_rot // 2
    cos = cos_sin.cos[:, None, :]
    sin = -cos_sin.sin[:, None, :] if inverse else cos_sin.sin[:, None, :]
    out = x.copy()
    first, second = pair_slices(spec)
    a, b = x[..., first], x[..., second]
    out[..., first] = a * cos - b * sin
    out[..., second] = a * sin + b * cos
    assert a.shape[-1] == half
    return out


def pair_slices(spec: RopeSpec) -> tuple[slice, slice]:
    """The channels of the first and of the second member of every pair."""
    if spec.pairing == "neox":
        half = spec.n_rot // 2
        return slice(0, half), slice(half, spec.n_rot)
    return slice(0, spec.n_rot, 2), slice(1, spec.n_rot, 2)


def _yarn_ramp(spec: RopeSpec) -> F32:
    """(n_rot/2,) f32: 1 where YaRN keeps the trained frequency, 0 where it interpolates."""

    def correction_dim(n_rotations: float) -> float:
        return (
            spec.n_rot * math.log(spec.n_ctx_orig / (n_rotations * 2 * math.pi)) / (2 * math.log(spec.base))
        )

    low = max(0.0, math.floor(correction_dim(spec.beta_fast)))
    high = min(spec.n_rot - 1.0, math.ceil(correction_dim(spec.beta_slow)))
    index = np.arange(spec.n_rot // 2, dtype=np.float32)
    y = (index - np.float32(low)) / np.float32(max(0.001, high - low))
    ramp: F32 = (np.float32(1) - np.clip(y, np.float32(0), np.float32(1))).astype(np.float32)
    return ramp


def rope_from_gguf(header: GgufHeader, rope_type: int, head_dim: int) -> RopeSpec:
    """The specification of a model from its metadata and llama.cpp's `llama_model_rope_type`.

    Raises UnsupportedModel for M-RoPE, LongRoPE, models without RoPE and per-layer bases.
    """
    name = header.architecture
    pairings: dict[int, Pairing] = {LLAMA_ROPE_TYPE_NORM: "norm", LLAMA_ROPE_TYPE_NEOX: "neox"}
    if rope_type not in pairings:
        what = "has no rotary positions" if rope_type < 0 else "uses M-RoPE"
        raise UnsupportedModel(
            f"architecture {name} {what}; its cache cannot be moved to another position",
            subject=str(header.path),
            remedy="use a model with plain RoPE such as Qwen2.5 or Llama",
        )
    scaling = str(header.arch("rope.scaling.type") or "linear")  # llama.cpp's own default
    if scaling == "longrope" or "rope_factors_long.weight" in header.tensors:
        raise UnsupportedModel(
            f"architecture {name} uses LongRoPE, whose rotation depends on the context size",
            subject=str(header.path),
            remedy="use a model with plain RoPE, linear scaling or YaRN",
        )
    factor = _number(header, "rope.scaling.factor") or _number(header, "rope.scale_linear") or 0.0
    freq_scale = 1.0 if factor == 0.0 or scaling == "none" else 1.0 / factor
    ext_factor = _number(header, "rope.scaling.yarn_ext_factor")
    if ext_factor is None or ext_factor < 0:
        ext_factor = 1.0 if scaling == "yarn" else 0.0
    factors = header.read_f32("rope_freqs.weight")
    n_ctx_train = int(_number(header, "context_length") or 0)
    spec = RopeSpec(
        pairing=pairings[rope_type],
        head_dim=head_dim,
        n_rot=int(_number(header, "rope.dimension_count") or head_dim),
        base=_number(header, "rope.freq_base") or 10000.0,
        freq_scale=freq_scale,
        factors=() if factors is None else tuple(float(f) for f in factors),
        ext_factor=ext_factor,
        attn_factor=_attn_factor(header, freq_scale, ext_factor) if freq_scale > 0 else 0.0,
        beta_fast=_number(header, "rope.scaling.yarn_beta_fast") or 32.0,
        beta_slow=_number(header, "rope.scaling.yarn_beta_slow") or 1.0,
        n_ctx_orig=int(_number(header, "rope.scaling.original_context_length") or n_ctx_train),
    )
    if not _plausible(spec):
        raise UnsupportedModel(
            f"architecture {name}: its rotary parameters make no sense",
            subject=str(header.path),
            remedy="pull the model again, or use another GGUF of it",
        )
    return spec


def _plausible(spec: RopeSpec) -> bool:
    """Whether every later formula is defined; the metadata may say anything."""
    positive = (spec.base, spec.freq_scale, spec.attn_factor, *spec.factors)
    ranges = (
        0 < spec.n_rot <= spec.head_dim and spec.n_rot % 2 == 0 and len(spec.factors) in (0, spec.n_rot // 2)
    )
    yarn = spec.ext_factor == 0.0 or (
        spec.base != 1.0
        and spec.n_ctx_orig > 0
        and 0 < spec.beta_slow < math.inf
        and 0 < spec.beta_fast < math.inf
    )
    return (
        ranges and yarn and math.isfinite(spec.ext_factor) and all(0 < value < math.inf for value in positive)
    )


def _attn_factor(header: GgufHeader, freq_scale: float, ext_factor: float) -> float:
    """As in llama_context's constructor; DeepSeek's own variant is refused earlier as MLA."""
    attn = _number(header, "rope.scaling.yarn_attn_factor")
    value = 1.0 if attn is None or attn < 0 else attn
    if ext_factor != 0.0:
        factor = 1.0 / freq_scale
        log_mul = _number(header, "rope.scaling.yarn_log_multiplier") or 0.0
        grown = 1.0 if factor <= 1.0 else 0.1 * math.log(factor) + 1.0
        value = (
            grown
            if log_mul == 0.0
            else grown / (1.0 if factor <= 1.0 else 0.1 * log_mul * math.log(factor) + 1.0)
        )
        value *= 1.0 / (1.0 + 0.1 * math.log(factor))
    return value * (_number(header, "rope.scaling.attn_factor") or 1.0)


def _number(header: GgufHeader, key: str) -> float | None:
    value = header.arch(key)
    return float(value) if isinstance(value, int | float) else None
