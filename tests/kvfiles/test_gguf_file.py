"""GGUF headers: read, refused with a typed error when damaged, and never believed about their sizes."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from guards import step_limit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import overwrite
from tiny_gguf import TinySpec, gguf_bytes, gguf_pair, gguf_string, gguf_tensor, llama3_factors, write_model

from kvfiles.errors import ModelError, ModelFileError, UnsupportedModel
from kvfiles.gguf_file import GgufHeader, read_gguf
from kvfiles.rope import magnitude, rope_from_gguf, table
from kvfiles.runtime import Model

PAIRS = [
    gguf_pair("general.architecture", "llama"),
    gguf_pair("llama.block_count", 2),
    gguf_pair("llama.rope.freq_base", 10000.0),
    gguf_pair("tokenizer.ggml.tokens", ["a", "b", "c"]),
    gguf_pair("tokenizer.ggml.token_type", [1, 1, 3]),
    gguf_pair("tokenizer.ggml.add_bos_token", True),
]
FACTORS = np.array([1.0, 2.0, 4.0], "<f4")
TENSORS = [gguf_tensor("rope_freqs.weight", (3,), 0, 0), gguf_tensor("token_embd.weight", (8, 3), 1, 32)]
GOOD = gguf_bytes(PAIRS, TENSORS, FACTORS.tobytes().ljust(32, b"\0") + bytes(48))


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "m.gguf"
    overwrite(path, data)
    return path


def refused(path: Path, match: str = ".") -> None:
    with pytest.raises(ModelFileError, match=match) as caught:
        read_gguf(path)
    assert str(path) in str(caught.value)
    assert caught.value.remedy


# ------------------------------------------------------------------------- reading


def test_values_lengths_and_tensors(tmp_path: Path) -> None:
    header = read_gguf(written(tmp_path, GOOD))
    assert header.architecture == "llama"
    assert header.arch("block_count") == 2
    assert header.arch("rope.freq_base") == 10000.0
    assert header.arch("missing") is None
    assert header.metadata["tokenizer.ggml.add_bos_token"] is True
    assert header.array_lengths == {"tokenizer.ggml.tokens": 3, "tokenizer.ggml.token_type": 3}
    assert header.tensors["token_embd.weight"].shape == (8, 3)
    factors = header.read_f32("rope_freqs.weight")
    assert factors is not None
    np.testing.assert_array_equal(factors, FACTORS)
    assert header.read_f32("absent.weight") is None


def test_agrees_with_the_reference_reader(tmp_path: Path) -> None:
    path = write_model(tmp_path / "tiny.gguf", TinySpec("llama", 64, factors=True, context=4096))
    ours, theirs = read_gguf(path), gguf.GGUFReader(path)
    for name, pair in theirs.fields.items():
        if name.startswith("GGUF."):
            continue
        if name in ours.array_lengths:
            assert ours.array_lengths[name] == len(pair.data)
        else:
            assert ours.metadata[name] == pytest.approx(pair.contents())
    assert {t.name: (tuple(t.shape), t.data_offset) for t in theirs.tensors} == {
        name: (info.shape, info.offset) for name, info in ours.tensors.items()
    }
    np.testing.assert_array_equal(ours.read_f32("rope_freqs.weight"), llama3_factors(64))


def test_every_scalar_type(tmp_path: Path) -> None:
    values: dict[str, tuple[int, str, Any]] = {
        "u8": (0, "<B", 200), "i8": (1, "<b", -7), "u16": (2, "<H", 60000), "i16": (3, "<h", -3000),
        "u32": (4, "<I", 2**32 - 1), "i32": (5, "<i", -(2**31)), "f32": (6, "<f", 0.5),
        "bool": (7, "<?", True),
        "u64": (10, "<Q", 2**64 - 1), "i64": (11, "<q", -(2**63)), "f64": (12, "<d", 1e300),
    }  # fmt: skip
    pairs = [
        gguf_string(name) + struct.pack("<I", kind) + struct.pack(fmt, value)
        for name, (kind, fmt, value) in values.items()
    ]
    header = read_gguf(written(tmp_path, gguf_bytes(pairs)))
    assert header.metadata == {name: value for name, (_, _, value) in values.items()}
    assert header.architecture == "unknown"


@pytest.mark.parametrize("alignment", [8, 64])
def test_alignment_places_the_tensors(tmp_path: Path, alignment: int) -> None:
    pairs = [*PAIRS, gguf_pair("general.alignment", alignment)]
    path = written(tmp_path, gguf_bytes(pairs, TENSORS, FACTORS.tobytes(), alignment=alignment))
    np.testing.assert_array_equal(read_gguf(path).read_f32("rope_freqs.weight"), FACTORS)


def test_version_2_is_read(tmp_path: Path) -> None:
    assert read_gguf(written(tmp_path, gguf_bytes(PAIRS, version=2))).architecture == "llama"


# -------------------------------------------------------------------------- damage


def test_every_truncation_of_the_header(tmp_path: Path) -> None:
    end = len(gguf_bytes(PAIRS, TENSORS)) - 32
    path = tmp_path / "cut.gguf"
    for length in range(end):
        overwrite(path, GOOD[:length])
        refused(path)


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=300)
def test_mutations_are_read_or_refused(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    try:
        header = read_gguf(written(tmp_path, bytes(data)))
        for name in header.tensors:
            header.read_f32(name)
        rope_from_gguf(header, 0, 64)
    except ModelError:
        pass


@pytest.mark.parametrize(
    "data", [b"", b"GGU", b"GGML" + bytes(99), b"%PDF-1.7\n", b"PK\x03\x04" + bytes(200)]
)
def test_not_a_gguf(tmp_path: Path, data: bytes) -> None:
    refused(written(tmp_path, data), "not a GGUF")


@pytest.mark.parametrize("version", [0, 1, 4, 0x03000000])
def test_unknown_versions(tmp_path: Path, version: int) -> None:
    refused(written(tmp_path, gguf_bytes(PAIRS, version=version)), "version")


BOMBS: dict[str, bytes] = {
    "tensor count": b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0),
    "pair count": b"GGUF" + struct.pack("<IQQ", 3, 0, 2**64 - 1),
    "key length": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**64 - 1),
    "key length within the limit": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 23),
    "string length": gguf_bytes([gguf_string("a") + struct.pack("<IQ", 8, 2**62)]),
    "array length": gguf_bytes([gguf_string("a") + struct.pack("<IIQ", 9, 4, 2**62)]),
    "array length that wraps": gguf_bytes([gguf_string("a") + struct.pack("<IIQ", 9, 10, 2**61)]),
    "string array length": gguf_bytes([gguf_string("a") + struct.pack("<IIQ", 9, 8, 2**64 - 1)]),
    "nested array": gguf_bytes([gguf_string("a") + struct.pack("<IIQIQ", 9, 9, 1, 4, 1)]),
    "unknown type": gguf_bytes([gguf_string("a") + struct.pack("<I", 99)]),
    "dimensions": gguf_bytes([], [gguf_string("t") + struct.pack("<I", 2**31)]),
    "alignment zero": gguf_bytes([gguf_pair("general.alignment", 0)]),
    "alignment huge": gguf_bytes([gguf_pair("general.alignment", 2**31)]),
    "alignment infinite": gguf_bytes([gguf_pair("general.alignment", float("inf"))]),
    "alignment no number": gguf_bytes([gguf_pair("general.alignment", float("nan"))]),
    "alignment a text": gguf_bytes([gguf_pair("general.alignment", "wide")]),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, BOMBS[name] + bytes(4096))
    with step_limit(20_000):  # what the sizes announce is 2^23 and more
        refused(path, "GGUF header")


@pytest.mark.parametrize(
    ("shape", "ggml_type", "offset"),
    [
        ((3,), 1, 0),  # f16
        ((1 << 20,), 0, 0),  # too many values
        ((2**63, 2), 0, 0),
        ((2**32, 2**32), 0, 0),  # 2**64 wraps to 0
        ((2**64 - 1,), 0, 0),
        ((0,), 0, 0),
        ((3,), 0, 1 << 40),
        ((3,), 0, 2**64 - 1),
        ((60000,), 0, 0),  # plausible, but not in the file
    ],
)
def test_tensors_that_cannot_be_read(
    tmp_path: Path, shape: tuple[int, ...], ggml_type: int, offset: int
) -> None:
    path = written(tmp_path, gguf_bytes(PAIRS, [gguf_tensor("t", shape, ggml_type, offset)], bytes(64)))
    with pytest.raises(ModelFileError, match="tensor t"):
        read_gguf(path).read_f32("t")


def test_missing(tmp_path: Path) -> None:
    refused(tmp_path / "none.gguf", "No such file")


def test_a_folder(tmp_path: Path) -> None:
    refused(tmp_path)


def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.gguf")
    refused(tmp_path / "m.gguf", "regular file")


# ------------------------------------------------- architectures that are refused by name


def base(arch: str) -> dict[str, Any]:
    return {"general.architecture": arch, f"{arch}.block_count": 2, "tokenizer.ggml.tokens": ["a"]}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "gemma3": ({**base("gemma3"), "gemma3.attention.sliding_window": 1024}, "sliding-window"),
    "deepseek2": ({**base("deepseek2"), "deepseek2.attention.kv_lora_rank": 512}, "MLA"),
    "mamba": ({**base("mamba"), "mamba.ssm.state_size": 16}, "recurrent"),
    "rwkv7": ({**base("rwkv7"), "rwkv7.wkv.head_size": 64}, "recurrent"),
    "qwen2vl": ({**base("qwen2vl"), "qwen2vl.rope.dimension_sections": [16, 24, 24, 0]}, "M-RoPE"),
    "openelm": ({**base("openelm"), "openelm.attention.head_count_kv": [2, 3]}, "different number"),
    "bert": ({**base("bert"), "bert.attention.causal": False}, "encoder"),
    "t5": ({**base("t5"), "t5.attention.relative_buckets_count": 32}, "encoder"),
    "clip": ({"general.architecture": "clip", "clip.block_count": 2}, "no tokenizer"),
}


@pytest.mark.parametrize("arch", REFUSED)
def test_refused_before_loading(tmp_path: Path, arch: str) -> None:
    """The files hold no tensors at all, so llama.cpp cannot have been asked."""
    pairs, why = REFUSED[arch]
    path = written(tmp_path, gguf_bytes([gguf_pair(key, value) for key, value in pairs.items()]))
    with pytest.raises(UnsupportedModel, match=why) as caught:
        Model(path)
    assert f"architecture {arch}" in str(caught.value)
    assert "Qwen2.5" in caught.value.remedy


def header_with(tmp_path: Path, pairs: dict[str, Any], tensors: list[bytes] | None = None) -> GgufHeader:
    rows = [gguf_pair(key, value) for key, value in {**base("llama"), **pairs}.items()]
    return read_gguf(written(tmp_path, gguf_bytes(rows, tensors, bytes(64))))


@pytest.mark.parametrize(
    ("pairs", "tensors", "rope_type", "why"),
    [
        ({"llama.rope.scaling.type": "longrope"}, None, 2, "LongRoPE"),
        ({}, [gguf_tensor("rope_factors_long.weight", (4,), 0, 0)], 2, "LongRoPE"),
        ({}, None, 8, "M-RoPE"),  # LLAMA_ROPE_TYPE_MROPE
        ({}, None, 40, "M-RoPE"),  # interleaved M-RoPE
        ({}, None, 24, "M-RoPE"),  # vision
        ({}, None, -1, "no rotary positions"),
    ],
)
def test_rotations_that_cannot_be_redone(
    tmp_path: Path, pairs: dict[str, Any], tensors: list[bytes] | None, rope_type: int, why: str
) -> None:
    with pytest.raises(UnsupportedModel, match=why):
        rope_from_gguf(header_with(tmp_path, pairs, tensors), rope_type, 64)


def test_defaults_are_llama_cpps(tmp_path: Path) -> None:
    spec = rope_from_gguf(header_with(tmp_path, {}), 0, 64)
    assert (spec.base, spec.n_rot, spec.freq_scale, spec.ext_factor) == (10000.0, 64, 1.0, 0.0)


@pytest.mark.parametrize("key", ["llama.rope.scaling.factor", "llama.rope.scale_linear"])
def test_both_names_of_linear_scaling(tmp_path: Path, key: str) -> None:
    assert rope_from_gguf(header_with(tmp_path, {key: 8.0}), 0, 64).freq_scale == 0.125


@pytest.mark.parametrize(
    "pairs",
    [
        {"llama.rope.dimension_count": 7},
        {"llama.rope.dimension_count": 128},
        {"llama.rope.freq_base": -1.0},
        {"llama.rope.freq_base": float("nan")},
        {"llama.rope.freq_base": 1.0},
        {"llama.rope.scaling.factor": float("nan")},
        {"llama.rope.scaling.factor": -4.0},
        {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0},  # no context length at all
        {"llama.rope.scaling.type": "yarn", "llama.context_length": 64, "llama.rope.freq_base": 1.0},
        {
            "llama.rope.scaling.type": "yarn",
            "llama.context_length": 64,
            "llama.rope.scaling.yarn_beta_fast": -1.0,
        },
        {"llama.rope.scaling.type": "yarn", "llama.context_length": 64, "llama.rope.scaling.factor": 0.0},
        {"llama.rope.scaling.attn_factor": -1.0},
        {"llama.rope.dimension_count": 1 << 31},
    ],
)
def test_a_rotation_that_makes_no_sense_is_a_typed_error_or_harmless(
    tmp_path: Path, pairs: dict[str, Any]
) -> None:
    try:
        spec = rope_from_gguf(header_with(tmp_path, pairs), 0, 64)
    except ModelError:
        return
    turn = table(spec, np.arange(4, dtype=np.int32))
    assert np.isfinite(turn.cos).all()
    assert magnitude(spec) > 0


def test_llama_cpp_refusing_a_file_is_typed(tmp_path: Path) -> None:
    """A header that reads well around missing tensors."""
    pairs = [gguf_pair(key, value) for key, value in base("llama").items()]
    with pytest.raises(ModelFileError, match="cannot load"):
        Model(written(tmp_path, gguf_bytes(pairs)))


def test_a_truncated_model_is_typed(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "whole.gguf", TinySpec()).read_bytes()
    with pytest.raises(ModelFileError, match="cannot load"):
        Model(written(tmp_path, whole[: len(whole) // 2]))
