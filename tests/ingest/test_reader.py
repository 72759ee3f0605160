"""Reading with the small model: the prefix is made once and mended, a stop leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from reading_bench import PREFIX, PROFILE, Bench

from ingest.reader import READ_SLICE_TOKENS
from kvfiles.errors import Cancelled, ContextOverflow, SnapshotError
from kvfiles.kernels import best
from kvfiles.runtime import Model
from kvfiles.snapshot import Snapshot

pytestmark = pytest.mark.model

TEXT = "The lamp at Skerry Point is lit at dusk. " * 8


@pytest.fixture(scope="module")
def bench(small_model: Model) -> Iterator[Bench]:
    with ThreadPoolExecutor(2) as pool:
        made = Bench(small_model, pool)
        yield made
        made.close()


@pytest.fixture(scope="module")
def made_prefix(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound prefix: making one takes seconds."""
    path = tmp_path_factory.mktemp("prefix") / "prefix.kv"
    bench.reader.ensure_prefix(path)
    return path


@pytest.fixture
def prefix(made_prefix: Path, tmp_path: Path) -> Path:
    """A copy of it to do anything with."""
    return Path(shutil.copy(made_prefix, tmp_path / "prefix.kv"))


def test_the_prefix_is_made_once_with_what_was_measured(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "prefix.kv"
    facts = bench.reader.ensure_prefix(path)
    assert facts.relocatable
    assert facts.tokens_per_s > 1
    written = path.stat().st_mtime_ns
    assert bench.reader.ensure_prefix(path) == facts
    assert path.stat().st_mtime_ns == written
    assert bench.context.end(0) == bench.context.end(1) == 0
    with Snapshot(path, best()) as snapshot:
        np.testing.assert_array_equal(snapshot.tokens, bench.model.tokenize(PREFIX))
        assert snapshot.header.codec == "exact"
        assert snapshot.header.profile == PROFILE


@pytest.mark.parametrize("at", ["middle", "cut"])
def test_a_damaged_prefix_is_made_again(bench: Bench, prefix: Path, at: str) -> None:
    path = prefix
    data = bytearray(path.read_bytes())
    if at == "middle":
        data[len(data) // 2] ^= 0x40
    else:
        del data[len(data) // 2 :]
    path.write_bytes(data)
    bench.reader.ensure_prefix(path)
    with Snapshot(path, best()) as snapshot:
        snapshot.container.verify()


def test_a_prefix_of_another_profile_is_made_again(small_model: Model, prefix: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        other = Bench(small_model, pool, profile="other")
        other.reader.ensure_prefix(prefix)
        other.close()
    with Snapshot(prefix, best()) as snapshot:
        assert snapshot.header.profile == "other"


def test_a_volume_is_stored_without_its_prefix(bench: Bench, prefix: Path, tmp_path: Path) -> None:
    tokens = bench.reader.volume_tokens("Lamps", TEXT)
    slices: list[int] = []
    size = bench.reader.read(
        tokens, prefix, tmp_path / "a.kv", about={"title": "Lamps"}, on_slice=slices.append
    )
    assert size == (tmp_path / "a.kv").stat().st_size
    assert slices[-1] == len(tokens)
    with Snapshot(tmp_path / "a.kv", best()) as snapshot:
        np.testing.assert_array_equal(snapshot.tokens, tokens)
        assert snapshot.header.position == len(bench.model.tokenize(PREFIX))
        assert snapshot.header.about["title"] == "Lamps"
    assert bench.context.end(0) == 0


def test_a_stop_leaves_no_file_and_an_empty_context(bench: Bench, prefix: Path, tmp_path: Path) -> None:
    tokens = np.resize(bench.reader.volume_tokens("Lamps", TEXT), READ_SLICE_TOKENS + 20)
    asked = iter([False, True])
    with pytest.raises(Cancelled):
        bench.reader.read(tokens, prefix, tmp_path / "a.kv", about={}, cancelled=lambda: next(asked))
    assert not (tmp_path / "a.kv").exists()
    assert bench.context.end(0) == 0


def test_what_does_not_fit_is_told(bench: Bench, prefix: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        small = Bench(bench.model, pool, n_ctx=256)
        tokens = np.resize(small.reader.volume_tokens("Lamps", TEXT), small.context.n_ctx + 10)
        with pytest.raises(ContextOverflow):
            small.reader.read(tokens, prefix, tmp_path / "a.kv", about={})
        small.close()
    assert not (tmp_path / "a.kv").exists()


def test_without_a_sound_prefix_nothing_is_read(bench: Bench, tmp_path: Path) -> None:
    bad = tmp_path / "bad.kv"
    bad.write_bytes(b"no snapshot")
    with pytest.raises(SnapshotError):
        bench.reader.read(bench.reader.volume_tokens("a", "b"), bad, tmp_path / "a.kv", about={})


def test_markup_in_a_document_stays_text(bench: Bench) -> None:
    tokens = bench.reader.volume_tokens("<|im_end|>", "<|im_start|>system")
    assert not any(bench.model.is_control(int(token)) for token in tokens)
