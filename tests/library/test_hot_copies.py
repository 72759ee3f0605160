"""Hot copies on the disk: bounded, replaced with their snapshots, safe among processes that die."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from shelf import identity, put, put_snapshot
from small_kv import read, write_kv

from kvfiles.container import Container, write_container
from kvfiles.errors import StorageError
from library import hot as hot_module
from library.errors import LibraryLocked
from library.hot import COPY_OF, HotCopies, HotTotals
from library.integrity import Harm
from library.lock import WriterLock
from library.records import SnapshotRecord
from library.store import Library
from library.upkeep import Upkeep

SPAWN = multiprocessing.get_context("spawn")
BOUND = 100


def snapshot(library: Library, name: str, content: bytes | None = None) -> SnapshotRecord:
    return put_snapshot(library, put(library, f"/{name}", name), content or name.encode())


def keep(
    library: Library, record: SnapshotRecord, size: int = 10, bound: int = BOUND, **more: object
) -> bool:
    """As much as a copy of a snapshot is for this room: a file."""
    file = library.snapshot_scratch()
    file.write_bytes(bytes(size))
    kept = library.hot.keep(file, record.path.stem, bound, **more)  # type: ignore[arg-type]  # `spared`
    assert not file.exists()
    return kept


def held(library: Library) -> set[str]:
    return {copy.content for copy in library.hot.copies()}


def kv_copy(library: Library, record: SnapshotRecord, of: str | None = None) -> Path:
    """A copy that is a real `.kv` file; `of` is what it says it was made from."""
    content = record.path.stem
    with Container(record.path) as container:
        meta = dict(container.meta)
        arrays = container.arrays(list(container.sections))
    meta["about"] = {**meta["about"], COPY_OF: of or content}
    file = library.snapshot_scratch()
    write_container(file, meta, arrays)
    assert library.hot.keep(file, content, 1 << 20)
    return library.hot.path(content)


# ---------------------------------------------------------------------------- keeping


def test_no_folder_until_there_is_a_copy(library: Library, root: Path) -> None:
    record = snapshot(library, "a")
    assert library.hot.find(record.path.stem) is None
    assert library.hot.totals() == HotTotals()
    assert library.hot.shrink(0) == []
    assert not (root / "hot").exists()
    assert keep(library, record)
    copy = library.hot.find(record.path.stem)
    assert copy is not None
    assert (copy.size_bytes, held(library)) == (10, {record.path.stem})
    assert (root / "hot").stat().st_mode & 0o777 == 0o700


def test_the_least_recently_read_copy_goes(library: Library) -> None:
    a, b, c, d = (snapshot(library, name) for name in "abcd")
    for record in (a, b, c):
        assert keep(library, record, 30)
    library.hot.note_reads({a.path.stem}, 0)
    assert keep(library, d, 30)
    assert held(library) == {record.path.stem for record in (a, c, d)}


def test_what_is_too_large_is_not_kept_and_costs_no_other_copy(library: Library) -> None:
    a, b = snapshot(library, "a"), snapshot(library, "b")
    assert keep(library, a, 60)
    assert not keep(library, b, BOUND + 1)
    assert not keep(library, b, 60, spared=(a.path.stem,))
    assert held(library) == {a.path.stem}


def test_a_lower_bound_evicts_and_none_empties(library: Library) -> None:
    records = [snapshot(library, name) for name in "abc"]
    for record in records:
        keep(library, record, 30)
    assert [left.path.stem for left in library.hot.shrink(60)] == [records[0].path.stem]
    assert len(library.hot.shrink(0)) == 2
    assert held(library) == set()


def test_a_copy_that_another_process_made_meanwhile_stays(library: Library) -> None:
    record = snapshot(library, "a")
    keep(library, record, 10)
    assert keep(library, record, 20)
    assert [copy.size_bytes for copy in library.hot.copies()] == [10]


def test_a_copy_of_a_snapshot_that_has_gone_meanwhile_is_not_kept(library: Library) -> None:
    record = snapshot(library, "a")
    library.remove(record.document_id)
    assert not keep(library, record)
    assert held(library) == set()


def test_who_holds_the_lock_too_long_costs_a_copy_only(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot_module, "_LOCK_WAIT_S", 0.0)
    record, other = snapshot(library, "a"), snapshot(library, "b")
    keep(library, record)
    with WriterLock(library.root / "hot" / "lock").hold():
        with pytest.raises(LibraryLocked):
            keep(library, other)
        with pytest.raises(LibraryLocked):
            library.hot.shrink(0)
        library.hot.note_reads({record.path.stem}, 1)
        assert library.hot.find(record.path.stem) is not None
    assert list((library.root / "kv" / "scratch").iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    record = snapshot(library, "a")

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="disk is full"):
        keep(library, record)
    monkeypatch.undo()
    assert held(library) == set()
    assert list((library.root / "kv" / "scratch").iterdir()) == []
    assert Upkeep(library).verify(deep=False).sound


@pytest.mark.parametrize("harm", ["file", "dangling link"])
def test_a_folder_that_is_none_is_as_good_as_empty(library: Library, root: Path, harm: str) -> None:
    record = snapshot(library, "a")
    if harm == "file":
        (root / "hot").write_bytes(b"")
    else:
        (root / "hot").symlink_to(root / "nowhere")
    library.hot.note_reads({record.path.stem}, 1)
    assert library.hot.find(record.path.stem) is None
    assert library.hot.totals() == HotTotals()
    with pytest.raises(StorageError):
        keep(library, record)
    library.remove(record.document_id)


def test_links_are_not_followed(library: Library, root: Path, tmp_path: Path) -> None:
    record = snapshot(library, "a")
    keep(library, snapshot(library, "b"))
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    before = secret.stat().st_mtime_ns
    (root / "hot" / f"{record.path.stem}.kv").symlink_to(secret)
    (root / "hot" / "reads").symlink_to(secret)
    assert library.hot.find(record.path.stem) is None
    library.hot.note_reads({record.path.stem}, 1)
    assert (secret.read_bytes(), secret.stat().st_mtime_ns) == (b"secret", before)


# ------------------------------------------------------------------------ order, counts


def test_a_clock_that_runs_backwards_keeps_the_order(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 2_000_000_000_000_000_000
    monkeypatch.setattr(hot_module.time, "time_ns", lambda: now)
    a, b, c = (snapshot(library, name) for name in "abc")
    keep(library, a, 30)
    keep(library, b, 30)
    now = 1_000_000_000_000_000_000
    library.hot.note_reads({a.path.stem}, 0)
    keep(library, c, 50)
    assert held(library) == {a.path.stem, c.path.stem}


def test_reads_are_counted_in_all_processes_and_not_for_ever(library: Library, root: Path) -> None:
    record = snapshot(library, "a")
    keep(library, record)
    library.hot.note_reads({record.path.stem}, 2)
    HotCopies(root / "hot", lambda _: True).note_reads({record.path.stem}, 0)
    totals = library.hot.totals()
    assert (totals.n_hits, totals.n_misses) == (2, 2)
    for _ in range(9):
        library.hot.note_reads((), 10_000)
    assert library.hot.totals().n_misses <= (1 << 16) + 10_000
    assert library.hot.totals().n_copies == 1


# --------------------------------------------------------------- in step with snapshots


@pytest.mark.parametrize("how", ["remove", "replace", "drop", "prune", "change"])
def test_a_copy_goes_with_its_snapshot(library: Library, how: str) -> None:
    record = snapshot(library, "a")
    keep(library, record)
    if how == "remove":
        library.remove(record.document_id)
    elif how == "replace":
        put_snapshot(library, library.document(record.document_id), b"a newer state")
    elif how == "drop":
        library.drop_snapshot(record)
    elif how == "prune":
        library.mark_missing("/a")
        library.prune_missing()
    else:
        put(library, "/a", "another text")
    assert held(library) == set()


def test_a_file_that_two_documents_share_keeps_its_copy(library: Library) -> None:
    one, two = snapshot(library, "a", b"same"), snapshot(library, "b", b"same")
    keep(library, one)
    library.remove(one.document_id)
    assert held(library) == {two.path.stem}


def test_gc_takes_strays_and_leaves_strangers(library: Library, root: Path) -> None:
    record = snapshot(library, "a")
    keep(library, record)
    stray, stranger = root / "hot" / f"{identity('x')}.kv", root / "hot" / "notes.txt"
    stray.write_bytes(b"stray")
    stranger.write_bytes(b"mine")
    upkeep = Upkeep(library)
    assert [left.path for left in upkeep.collect_garbage(keep=True).files] == [stray]
    assert stray.exists()
    assert [(left.path, left.size_bytes) for left in upkeep.collect_garbage().files] == [(stray, 5)]
    assert not stray.exists()
    assert held(library) == {record.path.stem}
    assert [(f.harm, f.subject) for f in upkeep.verify().findings] == [(Harm.FOREIGN, str(stranger))]


def test_a_deep_check_finds_damaged_copies_and_repair_drops_them(library: Library) -> None:
    good, bad, wrong = (read(library, put(library, f"/{name}", name))[0] for name in "abc")
    kv_copy(library, good)
    damaged = kv_copy(library, bad)
    data = bytearray(damaged.read_bytes())
    data[-100] ^= 1
    damaged.write_bytes(data)
    kv_copy(library, wrong, of=good.path.stem)
    upkeep = Upkeep(library)
    assert upkeep.verify().sound
    verdict = upkeep.verify(deep=True)
    assert {(finding.harm, finding.subject) for finding in verdict.findings} == {
        (Harm.HOT, bad.path.stem),
        (Harm.HOT, wrong.path.stem),
    }
    report = upkeep.repair(deep=True)
    assert len(report.done) == 2
    assert not report.left
    assert held(library) == {good.path.stem}
    assert len(library.snapshots()) == 3
    assert upkeep.verify(deep=True).sound


def test_copies_are_counted_and_never_exported(library: Library, root: Path, tmp_path: Path) -> None:
    record = read(library, put(library, "/a", "a"))[0]
    before = Upkeep(library).statistics()
    Upkeep(library).export(tmp_path / "before.tar")
    copy = kv_copy(library, record)
    after = Upkeep(library).statistics()
    assert after.hot == HotTotals(1, copy.stat().st_size, 0, 0)
    assert after.total_bytes - after.catalogue_bytes == (
        before.total_bytes - before.catalogue_bytes + copy.stat().st_size
    )
    Upkeep(library).export(tmp_path / "after.tar")
    assert (tmp_path / "after.tar").stat().st_size == (tmp_path / "before.tar").stat().st_size
    assert COPY_OF.encode() not in (tmp_path / "after.tar").read_bytes()


# ------------------------------------------------------------------ any order, any moment


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens: never above the bound, and every copy is of a snapshot that is there."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.library = Library.create_or_open(Path(self._folder.name) / "library")
        self.bound = BOUND
        self.version = 0

    def teardown(self) -> None:
        self.library.close()
        self._folder.cleanup()

    @rule(name=st.sampled_from("abcd"))
    def read_anew(self, name: str) -> None:
        self.version += 1
        snapshot(self.library, name, f"{name} {self.version}".encode())

    @rule(name=st.sampled_from("abcd"), size=st.integers(0, 120), spare=st.booleans())
    def copy(self, name: str, size: int, spare: bool) -> None:
        for record in self.library.snapshots(identity(name)):
            keep(self.library, record, size, self.bound, spared=held(self.library) if spare else ())

    @rule(name=st.sampled_from("abcd"))
    def attach(self, name: str) -> None:
        contents = {record.path.stem for record in self.library.snapshots(identity(name))}
        self.library.hot.note_reads(contents & held(self.library), 1)

    @rule(name=st.sampled_from("abcd"))
    def forget(self, name: str) -> None:
        if any(document.id == identity(name) for document in self.library.documents()):
            self.library.remove(identity(name))

    @rule(bound=st.integers(0, 120))
    def change_bound(self, bound: int) -> None:
        self.bound = bound
        self.library.hot.shrink(bound)

    @invariant()
    def never_above_the_bound(self) -> None:
        assert sum(copy.size_bytes for copy in self.library.hot.copies()) <= self.bound

    @invariant()
    def never_of_something_else(self) -> None:
        assert held(self.library) <= {record.path.stem for record in self.library.snapshots()}


@pytest.mark.slow
class TestAnyOrder(AnyOrder.TestCase):  # type: ignore[name-defined,misc]  # made by hypothesis at run time
    settings = settings(max_examples=10, stateful_step_count=15, deadline=None)


def copy_forever(root: str, pipe: Connection, bound: int) -> None:
    with Library.open(Path(root)) as library:
        records = library.snapshots()
        for number in range(1_000_000):
            record = records[number % len(records)]
            file = library.snapshot_scratch()
            write_kv(file, record.document_id, n_tokens=40)
            library.hot.keep(file, record.path.stem, bound)
            library.hot.note_reads({record.path.stem}, 1)
            if number == 5:
                pipe.send(os.getpid())


@pytest.mark.slow
def test_killed_processes_leave_nothing_that_matters(root: Path) -> None:
    """Two processes copy and evict against one another and are killed; nobody ever sees too much."""
    with Library.create_or_open(root) as library:
        for name in "abcdef":
            read(library, put(library, f"/{name}", name))
        (size,) = {record.size_bytes for record in library.snapshots()}
        bound = 20 * size  # about three copies
        for _ in range(3):
            pipes = [SPAWN.Pipe() for _ in range(2)]
            others = [SPAWN.Process(target=copy_forever, args=(str(root), p[1], bound)) for p in pipes]
            for other in others:
                other.start()
            for pipe, other in zip(pipes, others, strict=True):
                assert pipe[0].poll(120)
                assert library.hot.totals().size_bytes <= bound
                os.kill(pipe[0].recv(), signal.SIGKILL)
                other.join()
            assert 0 < library.hot.totals().size_bytes <= bound
    with Library.open(root) as library:
        assert Upkeep(library).verify().sound
        Upkeep(library).collect_garbage()
        assert list((root / "kv" / "scratch").iterdir()) == []
        assert all(library.hot.problem(copy.content).startswith("was made") for copy in library.hot.copies())
