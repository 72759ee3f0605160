"""Encoding, saving and attaching one document, against llama.cpp's own state file and bare prefill."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from eval.bench.archive import ArchiveBench, ArchiveSpeed
from eval.bench.clock import copy_bandwidth, median, repeated, seconds
from eval.bench.memory import attach_extra_bytes
from eval.command import Progress
from eval.rig import Rig
from ingest.reader import READ_SLICE_TOKENS
from kvfiles.codecs import Codec
from kvfiles.errors import DecodeError
from kvfiles.runtime import Context
from kvfiles.runtime.llama import api
from kvfiles.runtime.model import Tokens

SEGMENT_TOKENS = 512
"""Tokens that each way of reading takes in turn, so that a slow spell of the machine hits both."""


@dataclass(frozen=True, slots=True)
class PrefillTimes:
    """Seconds of reading in slices as ingest does and of bare llama_decode in full batches.

    `ratio` is the median of the segments' own ratios: one slow spell must not decide it.
    """

    sliced_s: float
    bare_s: float
    ratio: float


@dataclass(frozen=True, slots=True)
class SpeedResult:
    """Median times in seconds and sizes in bytes, for one document of `n_tokens`.

    `encode_s` leaves the disk out, `save_s` includes it; `load_over_attach` is the median of the paired
    ratios; `attach_extra_bytes` is None where the system does not tell, `archive` where it was left out.
    """

    n_tokens: int
    file_bytes: int
    blob_bytes: int
    bits_per_value: float
    prefill: PrefillTimes
    get_state_s: float
    encode_s: float
    save_s: float
    attach_s: float
    llama_load_s: float
    load_over_attach: float
    set_data_s: float
    copy_bytes_per_s: float
    attach_extra_bytes: int | None
    archive: ArchiveSpeed | None = None

    @property
    def ingest_overhead_ratio(self) -> float:
        """Prefill in slices, taking the state, encoding and writing, over bare llama_decode."""
        return self.prefill.ratio + (self.get_state_s + self.save_s) / self.prefill.bare_s

    @property
    def set_data_floor_s(self) -> float:
        """What one thread needs to copy the f16 state."""
        return self.blob_bytes / self.copy_bytes_per_s

    @property
    def attach_peak_extra_ratio(self) -> float | None:
        """Peak memory that an attach adds, over the size of the f16 state."""
        return None if self.attach_extra_bytes is None else self.attach_extra_bytes / self.blob_bytes


def measure_speed(
    rig: Rig,
    tokens: Tokens,
    codec: Codec,
    *,
    repeats: int,
    folder: Path,
    progress: Progress,
    archive: ArchiveBench | None = None,
) -> SpeedResult:
    """Measure with `tokens` (n,), a document at position 0; files go to `folder`."""
    n = len(tokens)
    snapshot_path, raw_path = folder / "bench.kv", folder / "bench.state"
    with rig.context(n + 1) as context:
        progress(f"reading {n} tokens twice, as ingest does and bare")
        prefill = _prefill_both_ways(rig, context, tokens)
        get_state_s = median(repeated(context.state, repeats))
        blob = context.state()
        state = rig.state(context)
        stored = rig.tables.at(0, n)
        progress("encoding")
        encode_s = median(repeated(lambda: codec.encode(state.k, state.v, stored, rig.pool), repeats))
        save_s = median(repeated(lambda: rig.save(snapshot_path, state, tokens, 0, codec), repeats))
        save_llama_state(context, raw_path, tokens)
        progress("attaching and loading in turn")
        attach, load = _alternate(rig, context, snapshot_path, raw_path, n, repeats)
        set_data_s = median(repeated(lambda: context.set_state(blob), repeats))
        blob_bytes = len(blob)
        archived = None
        if archive is not None:
            progress(f"coding and attaching with {archive.name}")
            archived = archive.measure(rig, context, state, tokens, repeats=repeats, folder=folder)
    file_bytes = snapshot_path.stat().st_size
    progress("measuring memory")
    return SpeedResult(
        n_tokens=n,
        file_bytes=file_bytes,
        blob_bytes=blob_bytes,
        bits_per_value=rig.bits_per_value(file_bytes, n),
        prefill=prefill,
        get_state_s=get_state_s,
        encode_s=encode_s,
        save_s=save_s,
        attach_s=median(attach),
        llama_load_s=median(load),
        load_over_attach=median([slow / fast for slow, fast in zip(load, attach, strict=True)]),
        set_data_s=set_data_s,
        copy_bytes_per_s=copy_bandwidth(),
        attach_extra_bytes=attach_extra_bytes(rig.model.path, snapshot_path, n, rig.n_threads),
        archive=archived,
    )


def _prefill_both_ways(rig: Rig, context: Context, tokens: Tokens) -> PrefillTimes:
    """Read `tokens` as ingest does, and bare; `context` holds them afterwards.

    Each way has a context of its own: cells of another sequence would be looked at, too.
    """
    sliced: list[float] = []
    bare: list[float] = []
    with rig.context(len(tokens) + 1) as other:
        ways = [(context, READ_SLICE_TOKENS, sliced), (other, SEGMENT_TOKENS, bare)]
        for into, slice_tokens, _ in ways:  # the first batch allocates
            into.decode(tokens[:SEGMENT_TOKENS], 0, logits="none", slice_tokens=slice_tokens)
            into.clear()
        for start in range(0, len(tokens), SEGMENT_TOKENS):
            for into, slice_tokens, times in ways:
                times.append(_decode_s(into, tokens[start : start + SEGMENT_TOKENS], start, slice_tokens))
            ways.reverse()  # whoever comes second finds warmer caches, or a throttled processor
    return PrefillTimes(sum(sliced), sum(bare), median([a / b for a, b in zip(sliced, bare, strict=True)]))


def _decode_s(context: Context, tokens: Tokens, first: int, slice_tokens: int) -> float:
    return seconds(lambda: context.decode(tokens, first, logits="none", slice_tokens=slice_tokens))


def _alternate(
    rig: Rig, context: Context, snapshot: Path, raw: Path, n: int, repeats: int
) -> tuple[list[float], list[float]]:
    """Seconds of each attach and of each load of the raw state; one run of each is not counted."""
    attach, load = [], []
    for _ in range(repeats + 1):
        context.clear()
        attach.append(seconds(lambda: rig.attach(context, [snapshot])))
        _require_end(context, n)
        context.clear()
        load.append(seconds(lambda: load_llama_state(context, raw, n)))
        _require_end(context, n)
    return attach[1:], load[1:]


def _require_end(context: Context, n: int) -> None:
    if context.end() != n:
        raise DecodeError(f"the context holds {context.end()} tokens instead of {n}")


def save_llama_state(context: Context, path: Path, tokens: Tokens) -> None:
    """Write sequence 0 with llama.cpp's own llama_state_seq_save_file; raises DecodeError."""
    array = (ctypes.c_int32 * len(tokens))(*tokens.tolist())
    if api().llama_state_seq_save_file(context.handle, os.fsencode(path), 0, array, len(tokens)) == 0:
        raise DecodeError("llama.cpp could not save its state", subject=str(path), remedy="free disk space")


def load_llama_state(context: Context, path: Path, n_tokens: int) -> None:
    """Read sequence 0 with llama.cpp's own llama_state_seq_load_file; raises DecodeError."""
    array, count = (ctypes.c_int32 * n_tokens)(), ctypes.c_size_t()
    read = api().llama_state_seq_load_file(
        context.handle, os.fsencode(path), 0, array, n_tokens, ctypes.byref(count)
    )
    if read == 0 or count.value != n_tokens:
        raise DecodeError("llama.cpp could not load its state", subject=str(path))
