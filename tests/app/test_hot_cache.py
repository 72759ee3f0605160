"""Which file is attached and which copies are made: without a model, on real small files."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_kv import HEAD_DIM, PROFILE, write_kv

from beyondrag import hot_cache as hot_cache_module
from beyondrag.hot_cache import HotCache
from kvfiles.codecs import ExactCodec
from kvfiles.container import Container, write_container
from kvfiles.errors import CalibrationMissing, SnapshotCorrupt, StorageError
from kvfiles.kernels import best
from kvfiles.positions import RopeTables
from kvfiles.rope import RopeSpec
from kvfiles.snapshot import Snapshot
from library.hot import HotTotals
from library.records import DocumentText, SnapshotRecord, SourceFile
from library.store import Library

BOUND = 1_000_000


def never() -> bool:
    return False


def open_file(path: Path) -> Snapshot:
    return Snapshot(path, best())


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as opened:
        yield opened


@pytest.fixture
def cache(library: Library, pool: ThreadPoolExecutor) -> HotCache:
    return made(library, pool)


def made(library: Library, pool: ThreadPoolExecutor, bound: int = BOUND) -> HotCache:
    tables = RopeTables(RopeSpec("norm", HEAD_DIM, HEAD_DIM, 10_000.0), 1)
    return HotCache(library, bound, ExactCodec(), tables, best(), pool)


def record(library: Library, name: str, codec: str = "archive", n_tokens: int = 7) -> SnapshotRecord:
    """A read document; what the catalogue calls an archive is coded exactly here, which recodes as well."""
    document_id = f"{ord(name):02x}" * 32
    source = SourceFile(f"/{name}", 1, 1)
    library.add(document_id, source, name, "text/plain", DocumentText(name, ()))
    library.put_profile(PROFILE)
    file = library.snapshot_scratch()
    write_kv(file, document_id, n_tokens)
    return library.put_snapshot(document_id, 0, PROFILE.id, file, n_tokens, codec)


def attach(cache: HotCache, *records: SnapshotRecord) -> list[bool]:
    """As an answer does; whether each was hot."""
    paths = []
    for one in records:
        with cache.open(one, open_file) as snapshot:
            assert snapshot.header.about["document"] == one.document_id, "never another document"
            paths.append(snapshot.path)
    cache.note_attached(records, paths)
    return [path != one.path for path, one in zip(paths, records, strict=True)]


def hot_path(library: Library, one: SnapshotRecord) -> Path:
    return library.hot.path(one.path.stem)


def scratch_files(library: Library) -> list[Path]:
    return list((library.root / "kv" / "scratch").iterdir())


# ---------------------------------------------------------------------------- in general


def test_the_second_time_the_copy_is_attached(library: Library, cache: HotCache) -> None:
    one, two = record(library, "a"), record(library, "b")
    assert attach(cache, one, two) == [False, False]
    assert cache.n_wanted == 2
    assert cache.make(open_file, never) == ""
    assert cache.n_wanted == 0
    assert attach(cache, two, one) == [True, True]
    assert cache.n_wanted == 0
    totals = library.hot.totals()
    assert (totals.n_copies, totals.n_hits, totals.n_misses) == (2, 2, 2)
    assert scratch_files(library) == []
    with Container(one.path) as archive, Container(hot_path(library, one)) as copy:
        assert copy.meta["about"].pop("copy_of") == one.path.stem
        assert copy.meta == archive.meta
        for name in archive.sections:
            np.testing.assert_array_equal(copy.array(name), archive.array(name))


@pytest.mark.parametrize("codec", ["k4v4", "exact", "rotated"])
def test_only_archives_get_copies(library: Library, cache: HotCache, codec: str) -> None:
    one = record(library, "a", codec)
    assert attach(cache, one) == [False]
    assert cache.n_wanted == 0
    assert library.hot.totals() == HotTotals()


def test_without_a_bound_there_are_none(library: Library, cache: HotCache, pool: ThreadPoolExecutor) -> None:
    one = record(library, "a")
    attach(cache, one)
    cache.make(open_file, never)
    none = made(library, pool, bound=0)
    assert attach(none, one) == [False]
    assert none.n_wanted == 0
    none.fit()
    assert library.hot.copies() == []


def test_an_answer_that_had_its_copies_ends_the_wish_of_the_one_before(
    library: Library, cache: HotCache
) -> None:
    """Bounded work: questions that come fast do not pile it up."""
    one, two = record(library, "a"), record(library, "b")
    attach(cache, one)
    attach(cache, two)
    assert cache.n_wanted == 1
    cache.make(open_file, never)
    assert [copy.content for copy in library.hot.copies()] == [two.path.stem]


def test_the_best_document_comes_first_and_none_pushes_out_another_of_its_answer(
    library: Library, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    best_one, second, older = (record(library, name, n_tokens=200) for name in "abc")
    small = made(library, pool, bound=int(best_one.size_bytes * 1.5))
    attach(small, older)
    small.make(open_file, never)
    attach(small, best_one, second)
    assert small.make(open_file, never) == ""
    assert [copy.content for copy in library.hot.copies()] == [best_one.path.stem]
    monkeypatch.setattr(hot_cache_module, "recode", lambda *_a, **_k: pytest.fail("it was made for nothing"))
    for _ in range(2):
        assert attach(small, best_one, second) == [True, False]
        assert small.make(open_file, never) == ""


def test_what_can_never_fit_is_not_even_made(
    library: Library, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot_cache_module, "recode", lambda *_a, **_k: pytest.fail("it was made"))
    one = record(library, "a")
    small = made(library, pool, bound=100)
    attach(small, one)
    assert small.make(open_file, never) == ""
    full = made(library, pool)
    attach(full, one)
    usage = shutil.disk_usage(library.root)
    monkeypatch.setattr(hot_cache_module.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    assert full.make(open_file, never) == ""
    assert library.hot.copies() == []


def test_stopping_keeps_the_wish(library: Library, cache: HotCache) -> None:
    one = record(library, "a")
    attach(cache, one)
    answers = iter([False, True])
    assert cache.make(open_file, lambda: next(answers)) == ""
    assert cache.n_wanted == 1
    assert (library.hot.copies(), scratch_files(library)) == ([], [])
    cache.make(open_file, never)
    assert attach(cache, one) == [True]


# -------------------------------------------------------------------- what can go wrong


def test_a_copy_that_vanishes_between_choice_and_opening(library: Library, cache: HotCache) -> None:
    one = record(library, "a")
    attach(cache, one)
    cache.make(open_file, never)

    def opened_late(path: Path) -> Snapshot:
        if path != one.path:
            path.unlink()
        return open_file(path)

    with cache.open(one, opened_late) as snapshot:
        assert snapshot.path == one.path
    assert attach(cache, one) == [False], "it is wanted again"
    cache.make(open_file, never)
    assert attach(cache, one) == [True]


@pytest.mark.parametrize("harm", ["header", "empty", "no kv", "tokens"])
def test_a_damaged_copy_is_dropped(library: Library, cache: HotCache, harm: str) -> None:
    one = record(library, "a")
    attach(cache, one)
    cache.make(open_file, never)
    path = hot_path(library, one)
    data = bytearray(path.read_bytes())
    if harm == "tokens":
        with Container(path) as container:
            meta, arrays = dict(container.meta), container.arrays(list(container.sections))
        write_container(path, meta, {**arrays, "tokens": arrays["tokens"][:3]})
    elif harm == "header":
        data[40] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(b"" if harm == "empty" else b"no snapshot" * 100)
    assert attach(cache, one) == [False]
    assert not path.exists()
    cache.make(open_file, never)
    assert attach(cache, one) == [True]


def test_a_copy_that_names_tables_which_are_not_here_is_dropped(library: Library, cache: HotCache) -> None:
    one = record(library, "a")
    attach(cache, one)
    cache.make(open_file, never)

    def opened(path: Path) -> Snapshot:
        if path != one.path:
            raise CalibrationMissing("its calibration is not here", subject=str(path))
        return open_file(path)

    with cache.open(one, opened) as snapshot:
        assert snapshot.path == one.path
    assert library.hot.copies() == []


@pytest.mark.parametrize("what", ["another document", "an earlier state", "a copy that says nothing"])
def test_a_copy_of_something_else_is_never_served(library: Library, cache: HotCache, what: str) -> None:
    one = record(library, "a")
    other = record(library, "b") if what == "another document" else one
    attach(cache, other)
    cache.make(open_file, never)
    stolen = hot_path(library, other).read_bytes()
    if what == "an earlier state":
        one = record(library, "a", n_tokens=9)
        assert not hot_path(library, other).exists(), "it went with its snapshot"
    if what == "a copy that says nothing":
        stolen = one.path.read_bytes()
    hot_path(library, one).write_bytes(stolen)
    assert attach(cache, one) == [False]
    assert not hot_path(library, one).exists()


def test_damage_that_attaching_finds(library: Library, cache: HotCache) -> None:
    """In a section that is read later than the header: the caller asks again then."""
    one = record(library, "a")
    attach(cache, one)
    cache.make(open_file, never)
    path = hot_path(library, one)
    assert not cache.distrust(SnapshotCorrupt("damaged", subject=str(one.path)))
    assert not cache.distrust(StorageError("no subject"))
    assert cache.distrust(SnapshotCorrupt("damaged", subject=str(path)))
    assert not path.exists()
    assert attach(cache, one) == [False]


def test_a_damaged_copy_that_cannot_be_removed_is_passed_over(
    library: Library, cache: HotCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = record(library, "a")
    attach(cache, one)
    cache.make(open_file, never)
    hot_path(library, one).write_bytes(b"no snapshot")

    def denied(self: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", denied)
    assert attach(cache, one) == [False]
    assert hot_path(library, one).exists()
    assert attach(cache, one) == [False]


def test_a_damaged_archive_is_the_callers_business(library: Library, cache: HotCache) -> None:
    one = record(library, "a")
    one.path.write_bytes(b"no snapshot")
    with pytest.raises(SnapshotCorrupt):
        cache.open(one, open_file)
    cache.note_attached([one], [one.path])
    assert "no hot copy" in cache.make(open_file, never)


@pytest.mark.parametrize(
    "error", [StorageError("the disk is full"), OSError(errno.EIO, "Input/output error"), MemoryError()]
)
def test_failures_are_told_once_and_cost_nothing(
    library: Library, cache: HotCache, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(source: Snapshot, path: Path, *_args: object, **_named: object) -> int:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(hot_cache_module, "recode", fails)
    one, two = record(library, "a"), record(library, "b")
    attach(cache, one, two)
    told = cache.make(open_file, never)
    assert told.startswith("no hot copy was made")
    assert cache.n_wanted == 0, "a full disk is not tried for every document"
    assert (library.hot.copies(), scratch_files(library)) == ([], [])
    assert attach(cache, one) == [False]
    assert cache.make(open_file, never) == ""
    monkeypatch.undo()
    attach(cache, one)
    cache.make(open_file, never)
    assert attach(cache, one) == [True]


def test_a_snapshot_that_was_removed_before_it_is_copied(library: Library, cache: HotCache) -> None:
    one, two = record(library, "a"), record(library, "b")
    attach(cache, one, two)
    library.remove(one.document_id)
    assert cache.make(open_file, never) == "", "nothing that a person has to know"
    assert [copy.content for copy in library.hot.copies()] == [two.path.stem]


def test_a_snapshot_that_is_removed_while_it_is_copied(
    library: Library, cache: HotCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = record(library, "a")
    attach(cache, one)
    recode = hot_cache_module.recode

    def slow(*args: object, **named: object) -> int:
        size = recode(*args, **named)  # type: ignore[arg-type]  # handed through
        library.remove(one.document_id)
        return size

    monkeypatch.setattr(hot_cache_module, "recode", slow)
    assert cache.make(open_file, never) == ""
    assert (library.hot.copies(), scratch_files(library)) == ([], [])
