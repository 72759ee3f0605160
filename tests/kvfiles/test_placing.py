"""The compiled way into a context: its frames are the reference's, and no failure leaves anybody waiting."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from kvfiles.kernels import NativeKernels, available
from kvfiles.placing import CacheKind, NativePlacer, row_targets
from kvfiles.state_blob import (
    GGML_TYPE_F16,
    GGML_TYPE_Q8_0,
    BlobLayout,
    frame_template,
    read_state,
    write_frame,
)

NATIVE = [kernels for kernels in available() if isinstance(kernels, NativeKernels)]
pytestmark = pytest.mark.skipif(not NATIVE, reason="nothing was compiled on this machine")

SetData = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32)
SeqCp = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int32] * 4)


class Receiver:
    """In llama.cpp's place: keeps what it is given, and refuses the state number `refuse`."""

    def __init__(self, refuse: int = -1) -> None:
        self.blobs: list[bytes] = []
        self.copies: list[tuple[int, ...]] = []
        self._refuse = refuse
        self.set_data = SetData(self._set_data)
        self.seq_cp = SeqCp(self._seq_cp)

    def _set_data(self, _context: int, blob: int, size: int, seq: int) -> int:
        assert seq == 5
        if len(self.blobs) == self._refuse:
            return 0
        self.blobs.append(ctypes.string_at(blob, size))
        return size

    def _seq_cp(self, _memory: int, *where: int) -> None:
        self.copies.append(where)


def address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


LAYOUT = BlobLayout(7, 2, 64, 32)
PIECES = (replace(LAYOUT, n_cells=4), replace(LAYOUT, n_cells=3))


@contextmanager
def job(receiver: Receiver, n_threads: int, blobs: list[Any] | None = None) -> Iterator[Any]:
    kernels = NATIVE[0]
    blobs = blobs or [np.full(LAYOUT.size, i, np.uint8) for i in range(2)]
    yield kernels.module.PlacingJob(
        kernels.name, n_threads, blobs, address(receiver.set_data), address(receiver.seq_cp), 1, 2, 3, 5
    )


def frame(layout: BlobLayout) -> Any:
    return NativePlacer(NATIVE[0], 1)._frame_of(layout)


def chunks(
    path: Path, n: int, *, damaged: int = -1, pieces: Sequence[BlobLayout] = (LAYOUT,)
) -> tuple[int, list[Any]]:
    """`n` chunks without anything to decode: 100 bytes of the file each, in two checked sections."""
    kernels = NATIVE[0]
    data = np.random.default_rng(1).integers(0, 256, 100 * n, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    buffers = [np.empty(100, np.uint8) for _ in range(kernels.module.PlacingJob.N_STORED)]
    whole, parts = frame(LAYOUT), [frame(piece) for piece in pieces]
    planned = []
    for i in range(n):
        sections = []
        for at, size in ((0, 40), (64, 36)):
            raw = data[100 * i + at : 100 * i + at + size]
            sections.append((at, size, xxhash.xxh3_64_intdigest(raw) ^ (i == damaged)))
        stored = buffers[i % len(buffers)]
        planned.append(kernels.module.Chunk(fd, 100 * i, stored, sections, whole, parts, 10 * i))
    return fd, planned


@settings(deadline=None)  # the first example opens the compiled module
@given(
    n_cells=st.integers(1, 300),
    n_layer=st.integers(1, 40),
    width=st.sampled_from([32, 64, 128, 1024]),
    q8=st.booleans(),
    first=st.integers(0, 1 << 20),
)
def test_frames_are_those_of_the_reference(
    n_cells: int, n_layer: int, width: int, q8: bool, first: int
) -> None:
    layout = BlobLayout(n_cells, n_layer, width, width, GGML_TYPE_Q8_0 if q8 else GGML_TYPE_F16)
    want = np.full(layout.size, 0xA5, np.uint8)
    write_frame(layout, np.arange(first, first + n_cells, dtype=np.int32), want)
    blob = np.full(layout.size, 0xA5, np.uint8)
    one = frame(layout)
    chunk = NATIVE[0].module.Chunk(0, 0, np.empty(0, np.uint8), [], one, [one], first)
    receiver = Receiver()
    with job(receiver, 1, [blob]) as placing:
        placing.add(chunk)
        assert placing.finish() == (-1, "")
    assert receiver.blobs == [want.tobytes()]


@pytest.mark.parametrize("pieces", [(LAYOUT,), PIECES])
@pytest.mark.parametrize("n_threads", [1, 2, 7])
@pytest.mark.parametrize("n_blobs", [1, 2, 3])
def test_pieces_arrive_in_order_whoever_made_them(
    tmp_path: Path, n_threads: int, n_blobs: int, pieces: tuple[BlobLayout, ...]
) -> None:
    fd, planned = chunks(tmp_path / "f", 40, pieces=pieces)
    receiver = Receiver()
    with job(receiver, n_threads, [np.empty(LAYOUT.size, np.uint8) for _ in range(n_blobs)]) as placing:
        for chunk in planned:
            placing.add(chunk)
        assert placing.finish() == (-1, "")
    os.close(fd)
    found = [
        np.frombuffer(blob, "<i4", 4, 12)[[0, 1]].tolist() for blob in receiver.blobs
    ]  # cells, first one
    starts = np.cumsum([0, *(piece.n_cells for piece in pieces)])
    assert found == [
        [piece.n_cells, 10 * i + start]
        for i in range(40)
        for piece, start in zip(pieces, starts, strict=False)
    ]
    assert [len(blob) for blob in receiver.blobs] == [piece.size for piece in pieces] * 40
    assert receiver.copies == [(5, 3, -1, -1)] * len(found)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("row", [0, 1, 4, 5])
@pytest.mark.parametrize("value", ["k", "v"])
def test_rows_are_cut_where_the_pieces_are(n_threads: int, row: int, value: str) -> None:
    """Exact rows of one tensor from `row` on, set in pieces, are those rows of the whole blob."""
    kernels = NATIVE[0]
    width = LAYOUT.k_width if value == "k" else LAYOUT.v_width
    rows = np.random.default_rng(row).standard_normal((2, LAYOUT.n_cells - row, width)).astype(np.float16)
    blob = np.zeros(LAYOUT.size, np.uint8)
    k, v = row_targets(blob, LAYOUT, CacheKind(GGML_TYPE_F16))
    target = k if value == "k" else v
    target = replace(target, first=target.first + row * width * 2)
    whole = frame(LAYOUT)
    chunk = kernels.module.Chunk(0, 0, np.empty(0, np.uint8), [], whole, [frame(p) for p in PIECES], 0)
    chunk.relocate(kernels.relocate_call(rows, None, None, target))
    receiver = Receiver()
    with job(receiver, n_threads, [np.zeros(LAYOUT.size, np.uint8) for _ in range(2)]) as placing:
        placing.add(chunk)
        assert placing.finish() == (-1, "")
    states = [read_state(np.frombuffer(got, np.uint8), "test") for got in receiver.blobs]
    for layer in range(2):
        found = np.concatenate([getattr(state, value)[layer] for state in states])
        np.testing.assert_array_equal(found[row:], rows[layer])
        assert not found[:row].any()


def test_rows_that_do_not_fit_the_frame_are_refused() -> None:
    kernels = NATIVE[0]
    blob = np.zeros(4 * LAYOUT.size, np.uint8)
    k, _ = row_targets(blob, LAYOUT, CacheKind(GGML_TYPE_F16))
    whole = frame(LAYOUT)
    for n, change in (
        (7, {"first": k.first - 2}),
        (7, {"first": k.first + 128}),
        (6, {"first": k.first + 2}),
        (7, {"stride": k.stride + 128}),
        (8, {}),
    ):
        chunk = kernels.module.Chunk(0, 0, np.empty(0, np.uint8), [], whole, [whole], 0)
        call = kernels.relocate_call(np.zeros((2, n, 64), np.float16), None, None, replace(k, **change))
        with pytest.raises(ValueError, match="frame"):
            chunk.relocate(call)


def test_a_blob_that_is_too_small_is_refused(tmp_path: Path) -> None:
    fd, planned = chunks(tmp_path / "f", 1)
    with job(
        Receiver(), 1, [np.empty(LAYOUT.size, np.uint8), np.empty(LAYOUT.size - 1, np.uint8)]
    ) as placing:
        with pytest.raises(ValueError, match="too small"):
            placing.add(planned[0])
        assert placing.finish() == (-1, "")
    os.close(fd)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("at", [0, 1, 6, 11])
def test_a_damaged_section_stops_everybody(tmp_path: Path, n_threads: int, at: int) -> None:
    fd, planned = chunks(tmp_path / "f", 12, damaged=at)
    receiver = Receiver()
    with job(receiver, n_threads) as placing:
        for chunk in planned:
            placing.add(chunk)
        assert placing.finish() == (at, "damaged")
    os.close(fd)
    assert len(receiver.blobs) <= at


def test_a_file_that_ends_early_is_unreadable(tmp_path: Path) -> None:
    fd, planned = chunks(tmp_path / "f", 6)
    os.truncate(tmp_path / "f", 550)
    with job(Receiver(), 2) as placing:
        for chunk in planned:
            placing.add(chunk)
        assert placing.finish() == (5, "unreadable")
    os.close(fd)


def test_what_llama_refuses_is_told(tmp_path: Path) -> None:
    fd, planned = chunks(tmp_path / "f", 6)
    with job(Receiver(refuse=2), 3) as placing:
        for chunk in planned:
            placing.add(chunk)
        assert placing.finish() == (2, "refused")
    os.close(fd)


@pytest.mark.parametrize("n_added", [0, 1, 5])
def test_an_abandoned_job_ends(tmp_path: Path, n_added: int) -> None:
    fd, planned = chunks(tmp_path / "f", 6)
    with job(Receiver(), 2) as placing:
        for chunk in planned[:n_added]:
            placing.add(chunk)
        placing.abandon()
    os.close(fd)


def test_an_unfinished_job_ends_with_its_object(tmp_path: Path) -> None:
    fd, planned = chunks(tmp_path / "f", 3)
    with job(Receiver(), 2) as placing:
        for chunk in planned:
            placing.add(chunk)
        del placing
    os.close(fd)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"sections": [(0, 200, 1)]}, "section"),
        ({"sections": [(-1, 5, 1)]}, "section"),
        ({"sections": [(2**62, 2**62, 1)]}, "section"),
        ({"pieces": [1]}, "pieces"),
        ({"pieces": [0, 0]}, "pieces"),
        ({"pieces": []}, "pieces"),
        ({"pieces": [2]}, "layers"),
        ({"offset": -1}, "offset"),
        ({"offset": 2**63 - 50}, "offset"),
    ],
)
def test_plans_that_do_not_fit_are_refused(change: dict[str, Any], match: str) -> None:
    kernels = NATIVE[0]
    good: dict[str, Any] = {
        "fd": 0,
        "offset": 0,
        "stored": np.empty(100, np.uint8),
        "sections": [(0, 100, 1)],
        "whole": frame(LAYOUT),
        "pieces": [0],
        "first_position": 0,
    }
    layouts = (LAYOUT, PIECES[0], replace(LAYOUT, n_layer=3))

    def make(plan: dict[str, Any]) -> None:
        kernels.module.Chunk(**plan | {"pieces": [frame(layouts[i]) for i in plan["pieces"]]})

    make(good)
    with pytest.raises(ValueError, match=match):
        make(good | change)


def test_frames_that_do_not_fit_are_refused() -> None:
    template = frame_template(LAYOUT)
    good = [
        *(template.head, template.k_header, template.v_header),
        *(template.cells_at, template.cell_bytes, LAYOUT.n_cells),
        *(LAYOUT.k_offset(0) - 12, LAYOUT.k_stride, LAYOUT.v_offset(0) - 12, LAYOUT.v_stride),
        *(LAYOUT.n_layer, LAYOUT.size),
    ]
    make = NATIVE[0].module.Frame
    make(*good)
    for index, bad in (
        (3, -1),
        (3, 200),
        (5, 10**6),
        (6, -1),
        (7, 2**62),
        (8, LAYOUT.size),
        (10, 99),
        (11, 50),
    ):
        with pytest.raises(ValueError, match=r"outside|implausible"):
            make(*good[:index], bad, *good[index + 1 :])


def test_debug_lines_of_llama_never_reach_python() -> None:
    seen: list[tuple[int, bytes]] = []
    callback_type = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    callback = callback_type(lambda level, text, _user: seen.append((level, text)))
    log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
        NATIVE[0].module.LOG_WITHOUT_DEBUG
    )
    for level, text in (
        (1, b"debug"),
        (5, b" goes on"),
        (3, b"warning"),
        (5, b" goes on"),
        (4, b"error"),
        (1, b"d"),
    ):
        log(level, text, address(callback))
    assert seen == [(3, b"warning"), (5, b" goes on"), (4, b"error")]
