"""Tiny random GGUF models that llama.cpp accepts, and hand-made GGUF headers that it never sees.

`write_model` makes whole models of the shapes under test (weights from a seeded normal distribution);
`gguf_bytes` lays out a header by hand, so that damage can be put exactly where a test wants it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import gguf
import numpy as np
from numpy.typing import NDArray

Architecture = Literal["llama", "qwen2", "qwen3", "stablelm", "phi2", "gptneox", "glm4", "smollm3"]

CONTROL_TEXTS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
N_FF = 64
LONG_PIECE = "-" * 300
"""A token longer than any buffer one would guess."""


@dataclass(frozen=True, slots=True)
class TinySpec:
    """The shape of a tiny model; `n_rot` 0 means the whole head, `scaling_factor` 0 means no such key."""

    arch: Architecture = "llama"
    head_dim: int = 32
    n_head: int = 4
    n_kv_head: int = 2
    n_layer: int = 2
    n_rot: int = 0
    base: float = 10000.0
    scaling: str = ""
    scaling_factor: float = 0.0
    original_context: int = 0
    factors: bool = False
    f16: bool = False
    context: int = 32768
    add_bos: bool = False
    extra: dict[str, int | float | str] = field(default_factory=dict)

    @property
    def n_embd(self) -> int:
        return self.n_head * self.head_dim


def vocabulary() -> tuple[list[str], list[float], list[int]]:
    """SentencePiece-style texts, scores and types: three specials, 256 bytes, control tokens, a few words."""
    kind = gguf.TokenType
    texts, types = ["<unk>", "<s>", "</s>"], [kind.UNKNOWN, kind.CONTROL, kind.CONTROL]
    texts += [f"<0x{byte:02X}>" for byte in range(256)]
    types += [kind.BYTE] * 256
    texts += CONTROL_TEXTS
    types += [kind.CONTROL] * len(CONTROL_TEXTS)
    words = ["a", "b", "c", "ab", "the", "▁", "▁the", "<", "|", ">", LONG_PIECE]
    return (
        texts + words,
        [-float(i) for i in range(len(texts) + len(words))],
        [int(t) for t in types] + [int(kind.NORMAL)] * len(words),
    )


def write_model(path: Path, spec: TinySpec, seed: int = 0) -> Path:
    """Write the model to `path`; the same seed gives the same weights."""
    writer = gguf.GGUFWriter(path, spec.arch)
    _metadata(writer, spec)
    for name, tensor in _tensors(spec, seed).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _metadata(writer: gguf.GGUFWriter, spec: TinySpec) -> None:
    texts, scores, types = vocabulary()
    writer.add_context_length(spec.context)
    writer.add_embedding_length(spec.n_embd)
    writer.add_block_count(spec.n_layer)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(spec.n_head)
    writer.add_head_count_kv(spec.n_kv_head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_layer_norm_eps(1e-5)
    writer.add_rope_dimension_count(spec.n_rot or spec.head_dim)
    writer.add_rope_freq_base(spec.base)
    writer.add_vocab_size(len(texts))
    if spec.arch == "gptneox":
        writer.add_parallel_residual(True)
    if spec.scaling:
        writer.add_string(f"{spec.arch}.rope.scaling.type", spec.scaling)
    if spec.scaling_factor:
        writer.add_float32(f"{spec.arch}.rope.scaling.factor", spec.scaling_factor)
    if spec.original_context:
        writer.add_uint32(f"{spec.arch}.rope.scaling.original_context_length", spec.original_context)
    for key, value in spec.extra.items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(key, value)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(spec.add_bos)
    writer.add_add_space_prefix(False)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}")


def llama3_factors(n_rot: int) -> NDArray[np.float32]:
    """(n_rot/2,) f32 that rises from 1 to 8 as Llama 3's `rope_freqs.weight` does."""
    ramp = np.clip(np.linspace(-1.0, 2.0, n_rot // 2), 0.0, 1.0)
    return (1.0 / ((1.0 - ramp) + ramp / 8.0)).astype(np.float32)


Tensors = dict[str, NDArray[np.float32] | NDArray[np.float16]]

WITH_BIAS = ("phi2", "gptneox")
LAYER_NORM = ("stablelm", "phi2", "gptneox")
GATED = ("llama", "qwen2", "qwen3", "stablelm", "smollm3")


class _Weights:
    """Collects random tensors under llama.cpp's names."""

    def __init__(self, spec: TinySpec, seed: int) -> None:
        self.spec = spec
        self.tensors: Tensors = {}
        self._rng = np.random.default_rng(seed)

    def matrix(self, name: str, n_out: int, n_in: int) -> None:
        weight = (self._rng.standard_normal((n_out, n_in)) / np.sqrt(n_in)).astype(np.float32)
        self.tensors[f"{name}.weight"] = weight.astype(np.float16) if self.spec.f16 else weight

    def vector(self, name: str, n: int, centre: float = 0.0) -> None:
        self.tensors[name] = (centre + 0.1 * self._rng.standard_normal(n)).astype(np.float32)

    def norm(self, name: str) -> None:
        self.vector(f"{name}.weight", self.spec.n_embd, 1.0)
        if self.spec.arch in LAYER_NORM:
            self.vector(f"{name}.bias", self.spec.n_embd)


def _tensors(spec: TinySpec, seed: int) -> Tensors:
    weights, n_vocab = _Weights(spec, seed), len(vocabulary()[0])
    weights.matrix("token_embd", n_vocab, spec.n_embd)
    weights.matrix("output", n_vocab, spec.n_embd)
    weights.norm("output_norm")
    if spec.arch == "phi2":
        weights.vector("output.bias", n_vocab)
    if spec.factors:
        weights.tensors["rope_freqs.weight"] = llama3_factors(spec.n_rot or spec.head_dim)
    for i in range(spec.n_layer):
        _attention(weights, f"blk.{i}")
        _feed_forward(weights, f"blk.{i}")
    return weights.tensors


def _attention(weights: _Weights, block: str) -> None:
    spec, n_embd = weights.spec, weights.spec.n_embd
    kv = spec.n_kv_head * spec.head_dim
    weights.norm(f"{block}.attn_norm")
    if spec.arch == "gptneox":
        weights.matrix(f"{block}.attn_qkv", n_embd + 2 * kv, n_embd)
        weights.vector(f"{block}.attn_qkv.bias", n_embd + 2 * kv)
    else:
        for name, n_out in (("q", n_embd), ("k", kv), ("v", kv)):
            weights.matrix(f"{block}.attn_{name}", n_out, n_embd)
    if spec.arch == "qwen2":
        weights.vector(f"{block}.attn_q.bias", n_embd)
        weights.vector(f"{block}.attn_k.bias", kv, 20.0)  # as large as Qwen2's own
        weights.vector(f"{block}.attn_v.bias", kv)
    if spec.arch == "qwen3":
        weights.vector(f"{block}.attn_q_norm.weight", spec.head_dim, 1.0)
        weights.vector(f"{block}.attn_k_norm.weight", spec.head_dim, 1.0)
    weights.matrix(f"{block}.attn_output", n_embd, n_embd)
    if spec.arch in WITH_BIAS:
        weights.vector(f"{block}.attn_output.bias", n_embd)


def _feed_forward(weights: _Weights, block: str) -> None:
    spec, n_embd = weights.spec, weights.spec.n_embd
    if spec.arch == "glm4":
        weights.norm(f"{block}.post_attention_norm")
        weights.norm(f"{block}.post_ffw_norm")
    if spec.arch != "phi2":
        weights.norm(f"{block}.ffn_norm")
    if spec.arch in GATED:
        weights.matrix(f"{block}.ffn_gate", N_FF, n_embd)
    weights.matrix(f"{block}.ffn_up", 2 * N_FF if spec.arch == "glm4" else N_FF, n_embd)
    weights.matrix(f"{block}.ffn_down", n_embd, N_FF)
    if spec.arch in WITH_BIAS:
        weights.vector(f"{block}.ffn_up.bias", N_FF)
        weights.vector(f"{block}.ffn_down.bias", n_embd)


# --------------------------------------------------------------- headers by hand

GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_U64 = 4, 5, 6, 7, 8, 9, 10


def gguf_string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def gguf_pair(key: str, value: int | float | bool | str | list[str] | list[int]) -> bytes:
    """One metadata pair in its natural type (int: u32, list: array of strings or of i32)."""
    head = gguf_string(key)
    if isinstance(value, bool):
        return head + struct.pack("<I?", GGUF_BOOL, value)
    if isinstance(value, int):
        return head + struct.pack("<II", GGUF_U32, value)
    if isinstance(value, float):
        return head + struct.pack("<If", GGUF_F32, value)
    if isinstance(value, str):
        return head + struct.pack("<I", GGUF_STRING) + gguf_string(value)
    if value and isinstance(value[0], int):
        return head + struct.pack(f"<IIQ{len(value)}i", GGUF_ARRAY, GGUF_I32, len(value), *value)
    items = b"".join(gguf_string(str(item)) for item in value)
    return head + struct.pack("<IIQ", GGUF_ARRAY, GGUF_STRING, len(value)) + items


def gguf_tensor(name: str, shape: tuple[int, ...], ggml_type: int, offset: int) -> bytes:
    return gguf_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, ggml_type, offset)


def gguf_bytes(
    pairs: list[bytes],
    tensors: list[bytes] | None = None,
    data: bytes = b"",
    *,
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    """A GGUF file from `gguf_pair` and `gguf_tensor` parts, `data` after the aligned header."""
    rows = tensors or []
    head = b"GGUF" + struct.pack("<IQQ", version, len(rows), len(pairs)) + b"".join(pairs) + b"".join(rows)
    return head + bytes(-len(head) % alignment) + data
