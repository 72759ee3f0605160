"""What `beyondrag ingest` says about files, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from beyondrag.console import Console

if TYPE_CHECKING:
    from ingest.outcomes import FileOutcome, FileState, IndexReport
    from ingest.scan import ScanResult

MAX_SUFFIXES_SHOWN = 12
MAX_PROBLEMS_SHOWN = 200


def counts_in_words(files: Mapping[FileState, int], members: Mapping[FileState, int]) -> str:
    """ "files: 3 new, 1 failed; messages: 480 new"."""
    words = "files: " + (_states(files) or "0 new")
    return words + (f"; messages: {_states(members)}" if _states(members) else "")


def _states(counts: Mapping[FileState, int]) -> str:
    from ingest.outcomes import FileState

    shown = [
        state for state in FileState if counts.get(state) or (state is FileState.NEW and any(counts.values()))
    ]
    return ", ".join(f"{counts.get(state, 0)} {state.value}" for state in shown)


def counts_json(counts: Mapping[FileState, int]) -> dict[str, int]:
    """The number of files in each state."""
    from ingest.outcomes import FileState

    return {state.value: counts.get(state, 0) for state in FileState}


def print_left_out(console: Console, found: ScanResult, failures: Sequence[FileOutcome]) -> None:
    """Failures, then what the scan left out: with reasons, by kind, and by rule."""
    from ingest.scan import ignored_in_words

    for outcome in failures[:MAX_PROBLEMS_SHOWN]:
        assert outcome.failure is not None
        console.warn(f"{outcome.path}: {outcome.failure.message}; try: {outcome.failure.remedy}")
    if len(failures) > MAX_PROBLEMS_SHOWN:
        console.warn(f"{len(failures) - MAX_PROBLEMS_SHOWN} more; `beyondrag ingest --failed` lists them all")
    unsupported = [file for file in found.skipped if file.code == "unsupported"]
    others = [file for file in found.skipped if file.code != "unsupported"]
    for file in others[:MAX_PROBLEMS_SHOWN]:
        console.warn(f"{file.path}: {file.reason}; try: {file.remedy}")
    if len(others) > MAX_PROBLEMS_SHOWN:
        console.warn(f"{len(others) - MAX_PROBLEMS_SHOWN} more were left out like these")
    for warning in found.warnings:
        console.warn(warning)
    if unsupported:
        suffixes = sorted({file.path.suffix or "(no suffix)" for file in unsupported})
        shown = ", ".join(suffixes[:MAX_SUFFIXES_SHOWN])
        console.note(f"{len(unsupported)} files of other kinds were left alone: {shown}")
    if found.ignored:
        console.note(
            f"left out by rule, files and whole folders: {ignored_in_words(found.n_ignored())} "
            "(--no-ignore takes them)"
        )


def print_report(console: Console, report: IndexReport, *, pruned: bool) -> None:
    """What indexing did."""
    from ingest.outcomes import FileState

    files = {state: report.count(state) for state in FileState}
    console.out(counts_in_words(files, report.members))
    print_left_out(console, report.scan, [o for o in report.problems if o.failure is not None])
    for outcome in report.problems[:MAX_PROBLEMS_SHOWN]:
        for warning in outcome.warnings:
            console.warn(f"{outcome.path.name}: {warning}")
    if pruned:
        return
    n_ignored = sum(report.scan.is_ignored(path) for path in report.missing)
    if n_ignored:
        console.note(
            f"known files that a rule leaves out now: {n_ignored}; their documents stay until --prune"
        )
    if len(report.missing) > n_ignored:
        n_gone = len(report.missing) - n_ignored
        console.note(f"known files that are gone: {n_gone}; their documents stay until --prune")
    if report.n_missing_members:
        console.note(
            f"messages no longer in their mailbox: {report.n_missing_members}; they stay until --prune"
        )


def summary_json(report: IndexReport) -> dict[str, object]:
    """What indexing did, as JSON values."""
    from ingest.outcomes import FileState

    return {
        "files": {state.value: report.count(state) for state in FileState},
        "messages": counts_json(report.members),
        "skipped": len(report.scan.skipped),
        "ignored": report.scan.n_ignored(),
        "missing": len(report.missing),
        "missing_messages": report.n_missing_members,
        "failures": [failure_json(o) for o in report.problems if o.failure is not None],
        "left_out": left_out_json(report.scan),
    }


def left_out_json(found: ScanResult) -> list[dict[str, str]]:
    """What the scan left out for a reason; files of other kinds are only counted."""
    left_out = [file for file in found.skipped if file.code != "unsupported"]
    return [
        {"path": str(file.path), "code": file.code, "reason": file.reason, "remedy": file.remedy}
        for file in left_out[:MAX_PROBLEMS_SHOWN]
    ]


def failure_json(outcome: FileOutcome) -> dict[str, str]:
    """A failure of this run."""
    assert outcome.failure is not None
    return {
        "path": str(outcome.path),
        "code": outcome.failure.code,
        "reason": outcome.failure.message,
        "remedy": outcome.failure.remedy,
    }
