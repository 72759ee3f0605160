"""Composition: what is attached stands where a fresh prefill would have put it, at the cost of the codec."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_gguf import TinySpec, write_model
from workbench import Tokens, Workbench, divergence

from kvfiles.codecs import DEFAULT_CODEC
from kvfiles.codecs.reference import NumpyKernels
from kvfiles.compose import Composer, Span, cache_kind
from kvfiles.errors import ContextOverflow, DecodeError, SnapshotCorrupt, SnapshotMismatch
from kvfiles.kernels import Kernels, NativeKernels, available
from kvfiles.placing import PlainPlacer
from kvfiles.runtime import Context, Model
from kvfiles.snapshot import Snapshot
from kvfiles.state_blob import GGML_TYPE_F16, GGML_TYPE_Q8_0, read_layout

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "documents"

PREFIX = np.arange(3, 13, dtype=np.int32)
DOCUMENTS = [
    np.arange(a, b, dtype=np.int32) for a, b in ((20, 90), (100, 131), (140, 146), (150, 250), (7, 15))
]
QUESTION = np.arange(60, 72, dtype=np.int32)


@dataclass(frozen=True)
class Shelf:
    """A tiny model with a prefix and five documents read by it."""

    bench: Workbench
    context: Context
    prefix: Path
    documents: list[Path]

    def tokens(self, *which: int) -> Tokens:
        return np.concatenate([PREFIX, *(DOCUMENTS[i] for i in which)])


@pytest.fixture(
    scope="module",
    params=[
        TinySpec("qwen2", 64, n_head=4, n_kv_head=2, n_layer=3),
        TinySpec("llama", 128, n_head=2, n_kv_head=2, factors=True),
        TinySpec("gptneox", 80, n_rot=20, n_head=2, n_kv_head=2),
    ],
    ids=lambda spec: spec.arch,
)
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("shelf")
    model = Model(write_model(folder / "tiny.gguf", request.param))
    bench = Workbench(model)
    with bench.context(1024) as context:
        prefix, *documents = bench.read(context, folder, PREFIX, DOCUMENTS, "exact")
        yield Shelf(bench, context, prefix, documents)
    bench.close()
    model.close()


# --------------------------------------------------------------------------- exactness


def test_the_first_document_is_the_full_prefill_bit_for_bit(shelf: Shelf) -> None:
    context = shelf.context
    context.clear()
    context.decode(PREFIX, 0, logits="none")
    context.decode(DOCUMENTS[0], len(PREFIX), logits="none")
    want_state, want = context.state(), shelf.bench.next_logits(context, QUESTION)
    shelf.bench.attach(context, [shelf.prefix, shelf.documents[0]])
    np.testing.assert_array_equal(context.state(), want_state)
    np.testing.assert_array_equal(shelf.bench.next_logits(context, QUESTION), want)


@pytest.mark.parametrize("order", [*itertools.permutations(range(3)), (4, 0, 2, 1, 3), (1,), (3, 3)], ids=str)
def test_any_order_stands_end_to_end(shelf: Shelf, order: tuple[int, ...]) -> None:
    """The first layer sees nothing but its own token: its K and V are those of a prefill of all of it."""
    context, bench = shelf.context, shelf.bench
    spans = bench.attach(context, [shelf.prefix, *(shelf.documents[i] for i in order)])
    lengths = [len(PREFIX), *(len(DOCUMENTS[i]) for i in order)]
    ends = np.cumsum(lengths).tolist()
    assert spans == [Span(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    state = bench.state(context)
    np.testing.assert_array_equal(state.positions, np.arange(ends[-1]))
    assert context.end(1) == 0, "the scratch sequence is empty again"
    context.clear()
    context.decode(shelf.tokens(*order), 0, logits="none", slice_tokens=512)
    fresh = bench.state(context)
    np.testing.assert_allclose(state.v[0].astype(np.float32), fresh.v[0], atol=2e-2)
    ours, theirs = state.k[0].astype(np.float32), fresh.k[0].astype(np.float32)
    assert np.abs(ours - theirs).max() < 4 * 2.0**-11 * np.abs(theirs).max()
    assert np.isfinite(bench.next_logits(context, QUESTION)).all()


def test_moving_equals_a_fresh_prefill_at_that_position(shelf: Shelf) -> None:
    """Document 1 behind document 0, against the same document read at that offset after the same prefix."""
    context, bench = shelf.context, shelf.bench
    bench.attach(context, [shelf.documents[0], shelf.documents[1]])
    context.remove(0, 0, len(DOCUMENTS[0]))
    moved = bench.next_logits(context, QUESTION)
    offset = len(DOCUMENTS[0]) - len(PREFIX)
    context.clear()
    context.decode(np.concatenate([PREFIX, DOCUMENTS[1]]), offset, logits="none", slice_tokens=512)
    context.remove(0, 0, len(DOCUMENTS[0]))
    fresh = bench.next_logits(context, QUESTION)
    assert abs(divergence(fresh, moved)) < 1e-4


def test_a_long_document_is_attached_in_several_chunks(shelf: Shelf, tmp_path: Path) -> None:
    """600 tokens are more than two chunks; the seams must not show."""
    context, bench = shelf.context, shelf.bench
    document = np.resize(np.arange(20, 260, dtype=np.int32), 600)
    for codec in ("exact", DEFAULT_CODEC):
        prefix, path = bench.read(context, tmp_path, PREFIX, [document], codec)
        bench.attach(context, [prefix, path])
        in_place = bench.state(context)
        bench.attach(context, [prefix, shelf.documents[0], path])
        first = len(PREFIX) + len(DOCUMENTS[0])
        moved = bench.state(context)
        np.testing.assert_array_equal(moved.positions, np.arange(first + 600))
        for layer in range(bench.model.shape.n_layer):
            np.testing.assert_array_equal(moved.v[layer][first:], in_place.v[layer][len(PREFIX) :])
        context.clear()
        context.decode(PREFIX, 0, logits="none")
        context.decode(document, len(PREFIX), logits="none", slice_tokens=128)
        fresh = bench.state(context)
        if codec == "exact":
            for layer in range(bench.model.shape.n_layer):
                np.testing.assert_array_equal(in_place.k[layer], fresh.k[layer])
        else:
            error = np.abs(in_place.k[1].astype(np.float32) - fresh.k[1]).mean(1)
            assert error[len(PREFIX) + 4 :].max() < 8 * error[len(PREFIX) + 4 :].mean(), (
                "one chunk is much worse"
            )


def test_every_kernel_variant_composes_the_same(shelf: Shelf, tmp_path: Path) -> None:
    bench, context = shelf.bench, shelf.context
    prefix, *paths = bench.read(context, tmp_path, PREFIX, DOCUMENTS[:2], DEFAULT_CODEC)
    states = []
    for kernels in (bench.kernels, NumpyKernels()):
        with (
            Snapshot(prefix, kernels) as first,
            Snapshot(paths[0], kernels) as second,
            Snapshot(paths[1], kernels) as third,
        ):
            bench.composer.attach(context, [first, third, second])
        states.append(bench.state(context))
    for layer in range(bench.model.shape.n_layer):
        np.testing.assert_allclose(states[0].k[layer], states[1].k[layer], rtol=2e-3, atol=2e-2)
        np.testing.assert_allclose(states[0].v[layer], states[1].v[layer], rtol=2e-3, atol=1e-2)


# ------------------------------------------------------------------------ q8_0 contexts


def dequantised(blob: NDArray[np.uint8], offset: int, n: int, width: int) -> tuple[NDArray[np.float64], ...]:
    """(n, width) values of a q8_0 tensor and the step of each."""
    row_bytes = width // 32 * 34
    groups = blob[offset : offset + n * row_bytes].reshape(n, width // 32, 34)
    step = groups[..., :2].copy().view(np.float16).astype(np.float64)
    values = (groups[..., 2:].view(np.int8) * step).reshape(n, width)
    return values, np.repeat(step[..., 0], 32, axis=1)


@pytest.mark.parametrize(
    ("head_dim", "k_rotation", "v_rotation"),
    [(32, 0, 0), (64, 64, 64), (96, 0, 0), (128, 128, 64), (192, 64, 64), (256, 256, 64)],
)
def test_a_q8_cache_is_written_as_llama_cpp_writes_it(
    tmp_path: Path, head_dim: int, k_rotation: int, v_rotation: int
) -> None:
    """The cache's own rotation is nowhere in the blob, so a wrong one would only show as nonsense."""
    model = Model(write_model(tmp_path / "tiny.gguf", TinySpec("llama", head_dim, n_head=2, n_kv_head=2)))
    bench = Workbench(model)
    try:
        with bench.context(256) as f16:
            paths = bench.read(f16, tmp_path, PREFIX, DOCUMENTS[:1], "exact")
        tokens = np.concatenate([PREFIX, DOCUMENTS[0]])
        with bench.context(256, "q8_0") as context:
            kind = cache_kind(context, model.shape)
            assert (kind.ggml_type, kind.k_rotation, kind.v_rotation) == (
                GGML_TYPE_Q8_0,
                k_rotation,
                v_rotation,
            )
            context.decode(tokens, 0, logits="none", slice_tokens=512)
            theirs, want = context.state(), bench.next_logits(context, QUESTION)
            bench.attach(context, paths)
            ours, got = context.state(), bench.next_logits(context, QUESTION)
        layout, _ = read_layout(ours, "llama")
        assert layout == read_layout(theirs, "llama")[0]
        for offset in (layout.k_offset(0), layout.v_offset(0)):
            a, step = dequantised(theirs, offset, len(tokens), layout.k_width)
            b, _ = dequantised(ours, offset, len(tokens), layout.k_width)
            # f16 rounding before ours: a value on the edge falls to the other side
            assert (np.abs(a - b) <= 1.05 * step + 2.0**-9 * np.abs(a)).all()
            assert (np.abs(a - b) <= 0.1 * step + 2.0**-9 * np.abs(a)).mean() > 0.9
        assert abs(divergence(want, got)) < 2e-3
    finally:
        bench.close()
        model.close()


def test_an_f16_cache_is_not_rotated(shelf: Shelf) -> None:
    kind = cache_kind(shelf.context, shelf.bench.model.shape)
    assert (kind.ggml_type, kind.k_rotation, kind.v_rotation) == (GGML_TYPE_F16, 0, 0)


# ------------------------------------------------------------------- limits and damage


def test_overflow_is_typed_and_leaves_what_was_there(shelf: Shelf) -> None:
    with shelf.bench.context(256) as small:
        small.decode(PREFIX, 0, logits="none")
        with pytest.raises(ContextOverflow, match="256") as caught:
            shelf.bench.attach(small, [shelf.prefix, *shelf.documents, *shelf.documents])
        assert caught.value.remedy
        assert small.end() == len(PREFIX)
        shelf.bench.attach(small, [shelf.prefix, shelf.documents[1]])
        assert small.end() == len(PREFIX) + len(DOCUMENTS[1])


def test_cells_taken_by_another_sequence_are_a_typed_error(shelf: Shelf) -> None:
    """The parts would fit, were it not for sequence 2; afterwards the context works as before."""
    with shelf.bench.context(256) as small:
        small.decode(np.resize(DOCUMENTS[3], 200), 0, seq=2, logits="none")
        with pytest.raises((DecodeError, ContextOverflow)):
            shelf.bench.attach(small, [shelf.prefix, shelf.documents[0]])
        assert small.end(0) == 0
        assert small.end(1) == 0
        small.remove(2)
        shelf.bench.attach(small, [shelf.prefix, shelf.documents[0]])
        got = shelf.bench.next_logits(small, QUESTION)
    shelf.bench.attach(shelf.context, [shelf.prefix, shelf.documents[0]])
    np.testing.assert_allclose(got, shelf.bench.next_logits(shelf.context, QUESTION), atol=1e-3)


def test_a_damaged_file_leaves_context_and_composer_usable(shelf: Shelf, tmp_path: Path) -> None:
    context, bench = shelf.context, shelf.bench
    bench.attach(context, [shelf.prefix, shelf.documents[3]])
    want = bench.next_logits(context, QUESTION)
    data = bytearray(shelf.documents[0].read_bytes())
    for at in (len(data) // 3, len(data) // 2, len(data) - 65):
        data[at] ^= 0x10
        broken = tmp_path / "broken.kv"
        broken.write_bytes(data)
        data[at] ^= 0x10
        with pytest.raises(SnapshotCorrupt, match=r"broken\.kv"):
            bench.attach(context, [shelf.prefix, shelf.documents[1], broken])
        bench.attach(context, [shelf.prefix, shelf.documents[3]])
        np.testing.assert_array_equal(bench.next_logits(context, QUESTION), want)


@pytest.mark.parametrize("name", [kernels.name for kernels in available()])
@pytest.mark.parametrize(
    ("n_threads", "piece_bytes"), [(1, 4 << 20), (2, 4 << 20), (5, 4 << 20), (2, 1), (3, 1)]
)
def test_however_many_work_the_state_is_the_same(
    shelf: Shelf, name: str, n_threads: int, piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python alone on one thread is the oracle for the compiled way, bit for bit with the same kernels."""
    monkeypatch.setattr("kvfiles.placing.PIECE_BYTES", piece_bytes)
    kernels = next(k for k in available() if k.name == name)
    parts = [shelf.prefix, *shelf.documents]
    with ExitStack() as opened:
        snapshots = [opened.enter_context(Snapshot(path, kernels)) for path in parts]
        oracle = Composer(shelf.bench.model.shape, shelf.bench.tables, kernels, 1)
        oracle._placer = PlainPlacer(kernels)
        spans = oracle.attach(shelf.context, snapshots)
        want = shelf.context.state()
        composer = Composer(shelf.bench.model.shape, shelf.bench.tables, kernels, n_threads)
        for _ in range(5):
            assert composer.attach(shelf.context, snapshots) == spans
            np.testing.assert_array_equal(shelf.context.state(), want)


@pytest.mark.parametrize("kernels", [k for k in available() if isinstance(k, NativeKernels)][:1])
def test_coded_chunks_cut_into_pieces_are_the_same(
    shelf: Shelf, tmp_path: Path, kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvfiles.placing.PIECE_BYTES", 1)  # the fewest tokens
    paths = shelf.bench.read(shelf.context, tmp_path, PREFIX, DOCUMENTS[:2], "k5v4")
    with ExitStack() as opened:
        parts = [opened.enter_context(Snapshot(path, kernels)) for path in paths]
        oracle = Composer(shelf.bench.model.shape, shelf.bench.tables, kernels, 1)
        oracle._placer = PlainPlacer(kernels)
        oracle.attach(shelf.context, parts)
        want = shelf.context.state()
        Composer(shelf.bench.model.shape, shelf.bench.tables, kernels, 2).attach(shelf.context, parts)
        np.testing.assert_array_equal(shelf.context.state(), want)


@pytest.mark.parametrize("damaged", range(6))
def test_wherever_it_fails_nobody_is_left_waiting(shelf: Shelf, tmp_path: Path, damaged: int) -> None:
    parts = [shelf.prefix, *shelf.documents]
    raw = bytearray(parts[damaged].read_bytes())
    raw[-70] ^= 0xFF  # the last section of the file
    parts[damaged] = tmp_path / "damaged.kv"
    parts[damaged].write_bytes(raw)
    with pytest.raises(SnapshotCorrupt):
        shelf.bench.attach(shelf.context, parts)
    assert shelf.context.end() == 0


def test_the_target_sequence_is_replaced(shelf: Shelf) -> None:
    shelf.context.clear()
    shelf.context.decode(np.arange(200, 260, dtype=np.int32), 0, logits="none")
    shelf.bench.attach(shelf.context, [shelf.prefix])
    assert shelf.context.end() == len(PREFIX)


def test_nothing_to_attach(shelf: Shelf) -> None:
    with pytest.raises(ValueError, match="snapshots"):
        shelf.bench.attach(shelf.context, [])


def test_a_snapshot_of_another_shape_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    """`require` is the rule; this is the guard behind it."""
    model = Model(write_model(tmp_path / "other.gguf", TinySpec("llama", 32)))
    other = Workbench(model)
    try:
        with other.context(256) as context:
            paths = other.read(context, tmp_path, PREFIX, DOCUMENTS[:1], DEFAULT_CODEC)
        with pytest.raises(SnapshotMismatch, match="another model"):
            shelf.bench.attach(shelf.context, paths)
    finally:
        other.close()
        model.close()


# -------------------------------------------------------------------- the real small model


@dataclass(frozen=True)
class RealShelf:
    bench: Workbench
    context: Context
    folder: Path
    prefix: Tokens
    documents: list[Tokens]
    question: Tokens
    exact: list[Path]


@pytest.fixture(scope="module")
def real(small_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealShelf]:
    model, folder = small_model, tmp_path_factory.mktemp("real")
    tokens = model.tokenize((EXAMPLES / "employee-handbook.md").read_text())
    prefix = model.tokenize("<|im_start|>user\nAnswer from the documents.\n", special=True)
    documents = [tokens[a : a + 80] for a in (0, 400, 800)]
    question = model.tokenize("\nWhat does the handbook say about holidays and who must approve them?")
    bench = Workbench(model)
    with bench.context(512) as context:
        exact = bench.read(context, folder, prefix, documents, "exact")
        yield RealShelf(bench, context, folder, prefix, documents, question, exact)
    bench.close()


@pytest.mark.model
def test_smollm2_first_document_is_exact(real: RealShelf) -> None:
    """Two more documents stand behind it and are taken away again: they must not have changed what it is."""
    context, bench = real.context, real.bench
    context.clear()
    context.decode(real.prefix, 0, logits="none")
    context.decode(real.documents[0], len(real.prefix), logits="none")
    want = bench.next_logits(context, real.question)
    spans = bench.attach(context, real.exact)
    context.remove(0, spans[1].stop)
    assert abs(divergence(want, bench.next_logits(context, real.question))) < 1e-6


@pytest.mark.model
def test_smollm2_moved_is_a_prefill_at_that_position(real: RealShelf) -> None:
    """The noise floor is what llama.cpp itself makes of the same document at two positions."""
    context, bench = real.context, real.bench
    before = len(real.documents[0]) + len(real.documents[1])

    def fresh(position: int) -> NDArray[np.float32]:
        context.clear()
        context.decode(real.prefix, position - len(real.prefix), logits="none")
        context.decode(real.documents[2], position, logits="none")
        context.remove(0, 0, position)
        return bench.next_logits(context, real.question)

    bench.attach(context, real.exact[1:])
    context.remove(0, 0, before)
    moved = bench.next_logits(context, real.question)
    want, shifted = fresh(before), fresh(before + 37)
    assert divergence(want, moved) < 2 * divergence(want, shifted) + 1e-3
    context.clear()
    context.decode(
        real.documents[2], before, logits="none"
    )  # without the prefix: what a difference looks like
    assert divergence(want, bench.next_logits(context, real.question)) > 0.02


@pytest.mark.model
def test_smollm2_codecs_cost_little(real: RealShelf) -> None:
    context, bench = real.context, real.bench
    bench.attach(context, real.exact)
    want = bench.next_logits(context, real.question)
    exact_bytes = sum(path.stat().st_size for path in real.exact[1:])
    for codec, bound, size in (("k8v8", 0.01, 0.62), (DEFAULT_CODEC, 0.06, 0.40)):
        paths = []
        for index, document in enumerate(real.documents):
            context.clear()
            with Snapshot(real.exact[1 + index], bench.kernels) as snapshot:
                bench.composer.attach(context, [snapshot])
            first = bench.state(context)  # stands at 0 now, which a snapshot may
            paths.append(bench.save(real.folder / f"{index}-{codec}.kv", first, document, 0, codec))
        bench.attach(context, [real.exact[0], *paths])
        assert 0 < divergence(want, bench.next_logits(context, real.question)) < bound, codec
        assert sum(path.stat().st_size for path in paths) < size * exact_bytes


@pytest.mark.model
def test_smollm2_in_a_q8_cache(real: RealShelf) -> None:
    bench = real.bench
    bench.attach(real.context, real.exact)
    want = bench.next_logits(real.context, real.question)
    with bench.context(512, "q8_0") as context:
        bench.attach(context, real.exact)
        assert divergence(want, bench.next_logits(context, real.question)) < 0.02
