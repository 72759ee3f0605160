"""The reading queue with the small model: every volume once, and a stop loses only the one under way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from reading_bench import PROFILE, Bench

from ingest.indexing import index
from ingest.pipeline import PendingVolume, pending_volumes, read_volume, unread_documents, volumes_of
from ingest.volumes import WHOLE_LABEL
from kvfiles.errors import Cancelled, ContextOverflow
from kvfiles.runtime import Model
from kvfiles.snapshot import Snapshot
from library.records import ReadingProfile
from library.store import Library

pytestmark = pytest.mark.model

READING = ReadingProfile(PROFILE, "small", "0" * 64, {"codec": "k5v4"})


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
def library(tmp_path: Path, made_prefix: Path) -> Iterator[Library]:
    """Two short documents and one of several volumes, indexed."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("Alpha\n\nThe lamp is lit at dusk.")
    (folder / "b.txt").write_text("Beta\n\nThe oven burns beech wood.")
    long = "\n\n".join(f"Day {n}. The sea was calm and the lamp was lit at dusk." for n in range(28))
    (folder / "long.txt").write_text(long)
    with Library.create_or_open(tmp_path / "library") as opened:
        with opened.writing():
            index(opened, [folder])
        opened.put_profile(READING)
        shutil.copy(made_prefix, opened.prefix_path(PROFILE))
        yield opened


def ids(library: Library) -> list[str]:
    return [document.id for document in library.documents()]


def read(library: Library, pending: list[PendingVolume], bench: Bench) -> int:
    """The number of tokens."""
    return sum(read_volume(library, volume, READING, bench.reader).n_tokens for volume in pending)


def test_everything_is_read_once(library: Library, bench: Bench) -> None:
    pending = pending_volumes(library, ids(library), READING, bench.reader)
    n_tokens = read(library, pending, bench)
    assert len(pending) > 3
    assert unread_documents(library, ids(library), PROFILE) == []
    assert pending_volumes(library, ids(library), READING, bench.reader) == []
    assert sum(snapshot.n_tokens for snapshot in library.snapshots()) == n_tokens
    assert library.verify() == []


def test_the_volumes_of_a_long_document_are_the_whole_of_it(library: Library, bench: Bench) -> None:
    document = library.find("long")
    volumes = volumes_of(library, document, READING, bench.reader)
    text = library.text(document.id).text
    assert len(volumes) > 1
    assert "".join(text[v.char_start : v.char_end] for v in volumes) == text
    assert all(volume.n_tokens <= bench.reader.max_volume_tokens for volume in volumes)
    assert library.volumes(document.id, PROFILE) == volumes
    (whole,) = volumes_of(library, library.find("a.txt"), READING, bench.reader)
    assert whole.label == WHOLE_LABEL


def test_a_stop_inside_a_volume_keeps_the_finished(library: Library, bench: Bench) -> None:
    pending = pending_volumes(library, ids(library), READING, bench.reader)
    read(library, pending[:2], bench)
    slices: list[int] = []
    with pytest.raises(Cancelled):
        read_volume(
            library,
            pending[2],
            READING,
            bench.reader,
            on_slice=slices.append,
            cancelled=lambda: bool(slices),
            slice_tokens=16,
        )
    assert len(library.snapshots()) == 2
    scratch = library.snapshot_scratch().parent
    assert list(scratch.iterdir()) == []
    left = pending_volumes(library, ids(library), READING, bench.reader)
    assert [(p.document.id, p.volume.ordinal) for p in left] == [
        (p.document.id, p.volume.ordinal) for p in pending[2:]
    ]


def test_a_snapshot_names_its_document_and_part(library: Library, bench: Bench) -> None:
    document = library.find("long")
    pending = pending_volumes(library, [document.id], READING, bench.reader)[1:2]
    read(library, pending, bench)
    (record,) = library.snapshots()
    with Snapshot(record.path, bench.reader._kernels) as snapshot:
        about = snapshot.header.about
        assert (about["document"], about["volume"]) == (document.id, 1)
        assert about["label"] == pending[0].volume.label
        assert "(" in bench.model.text(snapshot.tokens[:60]), "the part stands in the title"


def test_a_lost_file_is_read_again(library: Library, bench: Bench) -> None:
    one = [library.find("a.txt").id]
    read(library, pending_volumes(library, one, READING, bench.reader), bench)
    library.snapshots()[0].path.unlink()
    assert unread_documents(library, one, PROFILE) == one
    read(library, pending_volumes(library, one, READING, bench.reader), bench)
    assert library.verify() == []


def test_a_context_too_small_to_read_in(library: Library, small_model: Model) -> None:
    with ThreadPoolExecutor(1) as pool:
        small = Bench(small_model, pool, n_ctx=1024)
        with pytest.raises(ContextOverflow) as caught:
            volumes_of(library, library.find("a.txt"), READING, small.reader)
        small.close()
    assert "--context" in caught.value.remedy
    assert library.volumes(library.find("a.txt").id, PROFILE) == ()
