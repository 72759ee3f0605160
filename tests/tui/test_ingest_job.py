"""What is known of an ingest from its notices, whoever started it."""

from __future__ import annotations

from samples import PROBLEM

from beyondrag.service.notices import (
    DocumentAhead,
    Ingested,
    IngestFailed,
    LibraryChanged,
    Looking,
    Reading,
    ReadingAhead,
    VolumeRead,
)
from beyondrag.tui.ingest_job import IngestJob


def reading(
    request: int = 1, name: str = "a.pdf", index: int = 0, done: int = 10, *, paused: bool = False
) -> Reading:
    return Reading(request, name, name, index, 3, done, 100, 100 * index + done, 300, 90.0, 3.0, paused)


def test_a_job_runs_from_looking_to_its_end() -> None:
    job = IngestJob()
    assert not job.running
    job.started(1)
    phases = []
    for notice in (
        Looking(1, 1, 3, "a.pdf"),
        reading(),
        reading(done=60, paused=True),
        VolumeRead(1, "a.pdf", "a.pdf", 5_000),
        reading(name="b.pdf", index=1),
        Ingested(1, 3, 1, 110, 2.0, True, ()),
    ):
        assert job.receive(notice)
        phases.append(job.phase)
    assert phases == ["looking", "reading", "paused", "paused", "reading", "stopped"]
    assert [(line.name, line.state, line.n_tokens, line.size_bytes) for line in job.lines.values()] == [
        ("a.pdf", "kept", 100, 5_000),
        ("b.pdf", "stopped", 100, 0),
    ]
    assert not job.running


def test_only_changed_lines_are_handed_out() -> None:
    job = IngestJob()
    job.receive(reading())
    assert [line.name for line in job.take_changed()] == ["a.pdf"]
    assert job.take_changed() == ()
    job.receive(reading(name="b.pdf", index=1))
    job.receive(VolumeRead(1, "a.pdf", "a.pdf", 5_000))
    assert [(line.name, line.state) for line in job.take_changed()] == [
        ("a.pdf", "kept"),
        ("b.pdf", "reading"),
    ]


def test_two_volumes_of_a_document_are_two_lines() -> None:
    job = IngestJob()
    for name in ("book, part 1", "book, part 2"):
        job.receive(Reading(1, "d1", name, 0, 2, 1, 9, 1, 18, 9.0, None, False))
    assert len(job.lines) == 2


def test_what_waits_is_counted() -> None:
    job = IngestJob()
    job.receive(reading(index=1))
    assert job.n_waiting == 1


def ahead(*names: str, request: int = 1) -> ReadingAhead:
    return ReadingAhead(request, tuple(DocumentAhead(name, name, 120) for name in names), len(names))


def lines(job: IngestJob) -> list[tuple[str, str]]:
    return [(line.name, line.state) for line in job.lines.values()]


def test_what_comes_is_named_in_its_order() -> None:
    job = IngestJob()
    job.receive(ahead("a.pdf", "b.pdf", "c.pdf"))
    assert lines(job) == [("a.pdf", "waits"), ("b.pdf", "waits"), ("c.pdf", "waits")]
    shown = job.generation
    job.receive(reading())
    job.receive(VolumeRead(1, "a.pdf", "a.pdf", 5_000))
    job.receive(reading(name="b.pdf", index=1))
    assert lines(job) == [("a.pdf", "kept"), ("b.pdf", "reading"), ("c.pdf", "waits")]
    assert job.generation == shown, "lines are only changed, not exchanged"
    job.receive(Ingested(1, 3, 1, 110, 2.0, True, ()))
    assert lines(job) == [("a.pdf", "kept"), ("b.pdf", "stopped")]
    assert job.generation != shown


def test_a_document_that_is_cut_gives_its_place_to_its_parts() -> None:
    job = IngestJob()
    job.receive(ahead("book", "letter"))
    shown = job.generation
    job.receive(Reading(1, "book", "book (part 1)", 0, 3, 1, 9, 1, 18, 9.0, None, False))
    assert lines(job) == [("book (part 1)", "reading"), ("letter", "waits")]
    assert job.generation != shown
    job.receive(Reading(1, "book", "book (part 2)", 1, 3, 1, 9, 1, 18, 9.0, None, False))
    assert ("book (part 2)", "reading") in lines(job)


def test_a_plan_that_is_made_again_replaces_what_waited() -> None:
    job = IngestJob()
    job.receive(ahead("a.pdf", "b.pdf", "c.pdf"))
    job.receive(reading())
    job.receive(VolumeRead(1, "a.pdf", "a.pdf", 5_000))
    job.receive(ahead("c.pdf"))
    assert lines(job) == [("a.pdf", "kept"), ("c.pdf", "waits")]


def test_looking_counts_only_for_an_ingest_that_was_begun() -> None:
    job = IngestJob()
    assert not job.receive(Looking(4, 1, 3, "of a plan"))
    job.started(5)
    assert not job.receive(Looking(4, 1, 3, "of a check"))
    assert job.receive(Looking(5, 3, 3, "c.pdf"))
    assert job.looked
    job.receive(reading(5))
    assert not job.looked
    assert not job.is_looking
    assert job.receive(Looking(5, 3, 4, "d.pdf")), "files are looked at while others are read"
    assert (job.phase, job.is_looking) == ("reading", True)


def test_a_second_ingest_waits_for_the_first() -> None:
    job = IngestJob()
    job.started(1)
    job.receive(reading(1))
    job.started(2)
    assert not job.receive(Looking(2, 1, 3, "other"))
    assert not job.receive(IngestFailed(2, PROBLEM))
    assert not job.receive(Ingested(3, 4, 0, 0, 1.0, False, ()))
    assert (job.request, job.phase) == (1, "reading")
    job.receive(Ingested(1, 1, 1, 100, 2.0, False, ()))
    job.receive(reading(2, "b.pdf"))
    assert (job.request, job.phase) == (2, "reading")


def test_a_paused_one_is_followed_again_when_another_has_passed() -> None:
    job = IngestJob()
    job.receive(reading(1, done=40, paused=True))
    job.receive(reading(2, "b.pdf"))
    assert (job.request, job.phase) == (2, "reading")
    assert not job.receive(Ingested(2, 1, 1, 100, 2.0, False, ()))
    assert (job.request, job.phase) == (1, "paused")
    assert [line.done for line in job.lines.values()] == [40]
    job.receive(reading(2, "c.pdf"))
    assert not job.receive(Ingested(1, 0, 0, 0, 2.0, True, ()))  # the paused one was stopped
    assert job.receive(Ingested(2, 1, 1, 100, 2.0, False, ()))
    assert (job.request, job.phase) == (2, "done")


def test_another_job_takes_over() -> None:
    job = IngestJob()
    job.receive(reading(1))
    first = job.generation
    job.receive(Ingested(1, 1, 1, 100, 2.0, False, ()))
    assert job.phase == "done"
    job.receive(reading(2, "c.pdf"))
    assert job.generation > first
    assert [line.name for line in job.lines.values()] == ["c.pdf"]
    assert job.result is None


def test_a_failure_ends_it() -> None:
    job = IngestJob()
    job.receive(reading(1))
    assert not job.receive(LibraryChanged())
    assert job.receive(IngestFailed(1, PROBLEM))
    assert (job.phase, job.problem) == ("failed", PROBLEM)
    assert [line.state for line in job.lines.values()] == ["stopped"]
