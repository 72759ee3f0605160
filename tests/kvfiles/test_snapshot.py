"""Snapshots: what is saved is what is read, and a file that is sound but wrong is refused by name."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations import mutate_json
from tiny_gguf import TinySpec, write_model
from workbench import PROFILE, Workbench

from kvfiles.codecs import DEFAULT_CODEC
from kvfiles.container import Container, write_container
from kvfiles.errors import (
    BeyondragError,
    DecodeError,
    SnapshotCorrupt,
    SnapshotError,
    SnapshotMismatch,
    SnapshotVersion,
    StorageError,
)
from kvfiles.runtime import Context, Model, ModelShape
from kvfiles.snapshot import SCHEMA, Snapshot
from kvfiles.state_blob import StateView

PREFIX = np.arange(3, 13, dtype=np.int32)
DOCUMENT = np.arange(20, 110, dtype=np.int32)
CODECS = ["exact", DEFAULT_CODEC, "k8v2"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    spec = TinySpec("qwen2", 64, n_head=4, n_kv_head=2, n_layer=3)
    model = Model(write_model(tmp_path_factory.mktemp("model") / "tiny.gguf", spec))
    bench = Workbench(model)
    yield bench
    bench.close()
    model.close()


@pytest.fixture(scope="module")
def context(bench: Workbench) -> Iterator[Context]:
    with bench.context(512) as context:
        yield context


@pytest.fixture(scope="module")
def read_state(bench: Workbench, context: Context) -> StateView:
    """Prefix and document as llama.cpp holds them."""
    context.clear()
    context.decode(np.concatenate([PREFIX, DOCUMENT]), 0, logits="none", slice_tokens=512)
    return bench.state(context)


@pytest.fixture(params=CODECS)
def kv(request: pytest.FixtureRequest, bench: Workbench, read_state: StateView, tmp_path: Path) -> Path:
    return bench.save(tmp_path / "doc.kv", read_state, DOCUMENT, len(PREFIX), request.param)


def test_the_header_says_what_was_saved(bench: Workbench, kv: Path) -> None:
    with Snapshot(kv, bench.kernels) as snapshot:
        header = snapshot.header
        assert (header.profile, header.n_tokens, header.position) == (PROFILE, len(DOCUMENT), len(PREFIX))
        assert header.shape == bench.model.shape
        assert header.rope == bench.model.rope.describe()
        assert header.about == {"document": "doc", "volume": 0}
        np.testing.assert_array_equal(snapshot.tokens, DOCUMENT)
        assert snapshot.n_tokens == len(DOCUMENT)
        assert snapshot.size_bytes == kv.stat().st_size
        snapshot.container.verify()
        snapshot.require(profile=PROFILE, shape=bench.model.shape, rope=bench.model.rope.describe())


def test_the_codec_is_made_again_from_the_file(bench: Workbench, kv: Path) -> None:
    with Snapshot(kv, bench.kernels) as snapshot:
        assert snapshot.codec.name == snapshot.header.codec
        assert snapshot.codec.params() == snapshot.header.codec_params


def test_bits_per_value_is_what_the_file_takes(bench: Workbench, kv: Path) -> None:
    """The accounting may differ from the file by the header, the token ids and the alignment of sections."""
    shape = bench.model.shape
    with Snapshot(kv, bench.kernels) as snapshot:
        bits = snapshot.codec.bits_per_value(len(DOCUMENT), shape.k_width, shape.v_width)
        sections = snapshot.container.sections
        tensors = sum(section.n_bytes for section in sections.values()) - sections["tokens"].n_bytes
    assert tensors == pytest.approx(bits * len(DOCUMENT) * shape.values_per_token / 8, abs=1)
    padding = 64 * (len(sections) + 1)
    assert 0 < kv.stat().st_size - tensors - 4 * len(DOCUMENT) < padding + 4096


@pytest.mark.parametrize("codec", CODECS)
def test_saving_twice_gives_the_same_bytes(
    bench: Workbench, read_state: StateView, tmp_path: Path, codec: str
) -> None:
    """However the threads take turns."""
    about = {"document": "doc"}
    first, second = (
        bench.save(tmp_path / name, read_state, DOCUMENT, len(PREFIX), codec, about=about)
        for name in ("a.kv", "b.kv")
    )
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("n", [1, 2, 4, 5])
@pytest.mark.parametrize("codec", CODECS)
def test_documents_of_a_few_tokens(
    bench: Workbench, context: Context, read_state: StateView, tmp_path: Path, codec: str, n: int
) -> None:
    """Shorter than, equal to and just beyond the exact first tokens."""
    path = bench.save(tmp_path / "short.kv", read_state, PREFIX[:n], 0, codec)
    assert bench.attach(context, [path])[0].stop == n
    got = bench.state(context)
    exact = min(n, 4) if codec != "exact" else n
    for layer in range(3):
        np.testing.assert_array_equal(got.k[layer][:exact], read_state.k[layer][:exact])
        np.testing.assert_array_equal(got.v[layer][:exact], read_state.v[layer][:exact])


# ----------------------------------------------------------------- what cannot be saved


def test_a_state_that_lacks_the_tokens(bench: Workbench, read_state: StateView, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="consecutive"):
        bench.save(tmp_path / "x.kv", read_state, DOCUMENT, len(PREFIX) + 1, "exact")


def test_a_state_with_a_gap(bench: Workbench, context: Context, tmp_path: Path) -> None:
    context.clear()
    context.decode(PREFIX, 0, logits="none")
    context.remove(0, 3, 5)
    with pytest.raises(ValueError, match="consecutive"):
        bench.save(tmp_path / "x.kv", bench.state(context), PREFIX[:8], 0, "exact")


def damaged(state: StateView, tensor: str, value: float, row: int) -> StateView:
    """A copy of the state with one number of layer 1 changed."""
    k, v = [rows.copy() for rows in state.k], [rows.copy() for rows in state.v]
    {"k": k, "v": v}[tensor][1][row, 17] = value
    return StateView(state.positions, tuple(k), tuple(v))


@pytest.mark.parametrize("row", [len(PREFIX) + 1, len(PREFIX) + 50])
@pytest.mark.parametrize("tensor", ["k", "v"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_when_saving(
    bench: Workbench, read_state: StateView, tmp_path: Path, tensor: str, value: float, row: int
) -> None:
    """Otherwise the file would be written, and refused only when somebody asks."""
    with pytest.raises(DecodeError, match="not finite"):
        bench.save(
            tmp_path / "x.kv", damaged(read_state, tensor, value, row), DOCUMENT, len(PREFIX), DEFAULT_CODEC
        )
    assert not (tmp_path / "x.kv").exists()


def test_a_full_disk(
    bench: Workbench, read_state: StateView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        bench.save(tmp_path / "x.kv", read_state, DOCUMENT, len(PREFIX), DEFAULT_CODEC)
    assert not list(tmp_path.glob("*.kv"))


# ------------------------------------------------------------------ sound but not ours


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"profile": "another prompt"}, "prompt"),
        ({"shape": ModelShape(3, 2, 64, 32)}, "another model"),
        ({"shape": ModelShape(4, 2, 64, 64)}, "another model"),
        ({"rope": {"base": 5e5}}, "another model"),
    ],
)
def test_made_for_something_else(bench: Workbench, kv: Path, change: dict[str, Any], why: str) -> None:
    wanted = {"profile": PROFILE, "shape": bench.model.shape, "rope": bench.model.rope.describe(), **change}
    with Snapshot(kv, bench.kernels) as snapshot, pytest.raises(SnapshotMismatch, match=why) as caught:
        snapshot.require(**wanted)
    assert "ingest" in caught.value.remedy


# ----------------------------------------------- valid checksums around wrong contents


def rewritten(
    path: Path, meta: Callable[[dict[str, Any]], Any] = dict, arrays: Callable[[dict[str, Any]], Any] = dict
) -> Path:
    """The same file with other contents and checksums that fit."""
    with Container(path) as container:
        old_meta = container.meta
        old_arrays = {name: container.array(name).copy() for name in container.sections}
    write_container(path, meta(old_meta), arrays(old_arrays))
    return path


def refused(bench: Workbench, context: Context, path: Path, error: type[BeyondragError]) -> str:
    with pytest.raises(error) as caught:
        bench.attach(context, [path])
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_rewriting_without_a_change_is_accepted(bench: Workbench, context: Context, kv: Path) -> None:
    before = kv.read_bytes()
    assert rewritten(kv).read_bytes() == before
    bench.attach(context, [kv])


@pytest.mark.parametrize("schema", [SCHEMA + 1, 0, None, "1", [], "\x1b[31m" * 1000])
def test_another_schema(bench: Workbench, context: Context, kv: Path, schema: Any) -> None:
    text = refused(bench, context, rewritten(kv, lambda m: {**m, "schema": schema}), SnapshotVersion)
    assert "\x1b" not in text
    assert len(text) < 1000


def test_an_unknown_codec(bench: Workbench, context: Context, kv: Path) -> None:
    refused(bench, context, rewritten(kv, lambda m: {**m, "codec": "klt-2"}), SnapshotVersion)


WRONG_META: dict[str, Any] = {
    "shape": [None, [], [3, 2, 64], ["a", 2, 64, 64], [3, 2, 64, 64, 1], [3, 2, 32, 64], [2, 2, 64, 64],
              [0, 2, 64, 64],
              [3, -2, 64, 64], [1e308, 2, 64, 64]],
    "rope": [None, 3, ["a"]],
    "n_tokens": [None, 0, -1, 89, 91, 2**40, 2**63, "many", 1e308],
    "position": [None, -1, 2**40, 2**63, "x", 1e308, 1 << 22],
    "codec_params": [None, [1], {"unknown": 1}, {"kernels": 3}, {"k_bits": 1e308}],
    "about": [None, 7],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in WRONG_META.items() for v in values])
def test_wrong_header_fields(
    bench: Workbench, context: Context, read_state: StateView, tmp_path: Path, key: str, value: Any
) -> None:
    path = bench.save(tmp_path / "doc.kv", read_state, DOCUMENT, len(PREFIX), DEFAULT_CODEC)
    refused(bench, context, rewritten(path, lambda m: {**m, key: value}), SnapshotError)


@pytest.mark.parametrize(
    "key", ["profile", "shape", "rope", "n_tokens", "position", "codec", "codec_params", "about"]
)
def test_missing_header_fields(
    bench: Workbench, context: Context, read_state: StateView, tmp_path: Path, key: str
) -> None:
    path = bench.save(tmp_path / "doc.kv", read_state, DOCUMENT, len(PREFIX), DEFAULT_CODEC)
    refused(
        bench, context, rewritten(path, lambda m: {k: v for k, v in m.items() if k != key}), SnapshotCorrupt
    )


@pytest.mark.parametrize(
    "params",
    [
        {"k_bits": 9}, {"k_bits": 1}, {"v_bits": 0}, {"k_bits": 5}, {"n_sink": -1}, {"n_sink": 5},
        {"n_sink": 10**6}, {"k_head_dim": 0}, {"k_head_dim": 32}, {"v_head_dim": 128}, {"k_head_dim": -64},
        {"v_head_dim": 7},
    ],
)  # fmt: skip
def test_wrong_codec_parameters(
    bench: Workbench, context: Context, read_state: StateView, tmp_path: Path, params: dict[str, int]
) -> None:
    path = bench.save(tmp_path / "doc.kv", read_state, DOCUMENT, len(PREFIX), DEFAULT_CODEC)
    wrong = rewritten(path, lambda m: {**m, "codec_params": {**m["codec_params"], **params}})
    refused(bench, context, wrong, SnapshotCorrupt)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "another dtype": lambda a: a.astype(np.uint8 if a.dtype != np.uint8 else np.int32),
    "one more dimension": lambda a: a[None],
    "flattened": lambda a: a.reshape(-1) if a.ndim > 1 else a.reshape(1, -1),
    "one row less": lambda a: a[1:],
    "last axis shorter": lambda a: a[..., 1:],
    "empty": lambda a: a[:0],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("codec", CODECS)
def test_arrays_of_another_shape_or_dtype(
    bench: Workbench, context: Context, read_state: StateView, tmp_path: Path, codec: str, change: str
) -> None:
    path = bench.save(tmp_path / "doc.kv", read_state, DOCUMENT, len(PREFIX), codec)
    good = path.read_bytes()
    with Container(path) as container:
        names = list(container.sections)
    for name in names:
        path.write_bytes(good)
        refused(
            bench,
            context,
            rewritten(path, arrays=lambda a, n=name: {**a, n: CHANGES[change](a[n])}),
            SnapshotCorrupt,
        )
        path.write_bytes(good)
        refused(
            bench,
            context,
            rewritten(path, arrays=lambda a, n=name: {k: v for k, v in a.items() if k != n}),
            SnapshotCorrupt,
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(
    bench: Workbench, context: Context, read_state: StateView, tmp_path: Path, value: float
) -> None:
    """Means, references and first tokens: each would poison every later token."""
    path = bench.save(tmp_path / "doc.kv", read_state, DOCUMENT, len(PREFIX), DEFAULT_CODEC)
    good = path.read_bytes()

    def poison(array: np.ndarray) -> np.ndarray:
        array.reshape(-1)[-1] = value
        return array

    with Container(path) as container:
        floats = [name for name, section in container.sections.items() if section.dtype in ("f16", "f32")]
    assert len(floats) >= 6
    for name in floats:
        path.write_bytes(good)
        refused(
            bench, context, rewritten(path, arrays=lambda a, n=name: {**a, n: poison(a[n])}), SnapshotCorrupt
        )


def test_a_context_is_usable_after_all_that(bench: Workbench, context: Context, kv: Path) -> None:
    kv_bytes = kv.read_bytes()
    want_end = bench.attach(context, [kv])[0].stop
    want = bench.next_logits(context, PREFIX)
    kv.write_bytes(kv_bytes[:-70] + bytes(70))
    with pytest.raises(SnapshotCorrupt):
        bench.attach(context, [kv])
    kv.write_bytes(kv_bytes)
    assert bench.attach(context, [kv])[0].stop == want_end
    np.testing.assert_array_equal(bench.next_logits(context, PREFIX), want)


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_mutations_behind_valid_checksums(
    bench: Workbench,
    context: Context,
    read_state: StateView,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    codec: str,
) -> None:
    """Header fields and whole arrays changed at random: a typed error, or a file that decodes without one."""
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    rng = np.random.default_rng(7)
    path = bench.save(tmp_path / "doc.kv", read_state, DOCUMENT[:30], len(PREFIX), codec)
    with Container(path) as container:
        meta = container.meta
        arrays = {name: container.array(name).copy() for name in container.sections}
    decoded = 0
    for _ in range(4000):
        changed = dict(arrays)
        name = list(arrays)[int(rng.integers(len(arrays)))]
        fate = rng.random()
        if fate < 0.3:
            changed[name] = list(CHANGES.values())[int(rng.integers(len(CHANGES)))](arrays[name])
        elif fate < 0.6:
            raw = arrays[name].copy()
            flat = raw.reshape(-1).view(np.uint8)
            if flat.size:
                flat[rng.integers(flat.size, size=3)] = rng.integers(256, size=3)
            changed[name] = raw
        other = mutate_json(rng, meta) if fate > 0.5 else meta
        write_container(path, other if isinstance(other, dict) else {}, changed)
        try:
            stop = bench.attach(context, [path])[0].stop
        except SnapshotError:
            continue
        decoded += 1
        assert context.end() == stop
    assert decoded > 100, "the mutations must also reach the codec"
