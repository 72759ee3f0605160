"""The answers that a report is made of: those of each set that were made under the same settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from beyondrag.errors import UsageError
from eval.page.chapters import Facts
from eval.qa.arms import ARMS, DOC
from eval.qa.presentation import Part
from eval.qa.rows import Row, parse_row
from eval.qa.shelf import IngestCost
from eval.qa.summary import Result, result
from eval.rowfile import read_rows
from library.wording import one_line


@dataclass(frozen=True, slots=True)
class Answered:
    """One set.

    Attributes:
        systems: in the order of tables, the product first.
        n_left_out: rows of the file that were made under earlier settings.
        ingest: what the snapshots cost, by codec, and `break_even` the questions after which that is earned
            back, by system; empty where only rows are known.
    """

    set: str
    systems: tuple[str, ...]
    results: tuple[Result, ...]
    n_left_out: int = 0
    ingest: Mapping[str, IngestCost] = field(default_factory=dict)
    break_even: Mapping[str, float] = field(default_factory=dict)


def of_part(part: Part) -> Answered:
    """The answers of a run that has just been made."""
    systems = ordered(one.row.system for one in part.results)
    return Answered(
        part.answers.set, systems, part.results, ingest=part.answers.ingest, break_even=part.break_even
    )


def read_answers(paths: Sequence[Path]) -> list[Answered]:
    """The sets of some files of rows.  Raises UsageError for a file without rows, StorageError."""
    rows: dict[str, Row] = {}
    for path in paths:
        found = {row.key: row for row in read_rows(path, parse_row)} if path.is_file() else {}
        if not found:
            raise UsageError(
                "no answers of eval qa",
                subject=one_line(str(path)),
                remedy="give a file of rows: runs/SET.jsonl in the folder of --work",
            )
        rows |= found
    return of_rows(rows.values())


def of_rows(rows: Iterable[Row]) -> list[Answered]:
    """The sets of `rows`; of several settings of one system those of its last row count.

    Raises UsageError when what remains is of several models.
    """
    by_set: dict[str, list[Row]] = {}
    for row in rows:
        by_set.setdefault(row.set, []).append(row)
    found = [_of_set(name, own) for name, own in by_set.items()]
    models = {str(one.row.parameters.get("model_sha256")) for part in found for one in part.results}
    if len(models) > 1:
        raise UsageError(
            f"answers of {len(models)} models", remedy="make a report for each model, from files of its own"
        )
    return found


def _of_set(name: str, rows: Sequence[Row]) -> Answered:
    settings = {row.system: dict(row.parameters) for row in rows}  # the last row's
    kept = {(r.system, r.question.id): r for r in rows if dict(r.parameters) == settings[r.system]}
    results = tuple(result(row) for row in kept.values())
    return Answered(name, ordered(settings), results, len(rows) - len(kept))


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in the order of `ARMS`; unknown ones last."""
    place = {base: number for number, base in enumerate(ARMS)}
    return tuple(sorted(set(names), key=lambda name: (place.get(name.partition("@")[0], len(ARMS)), name)))


def product(systems: Sequence[str]) -> str | None:
    """The product's name among `systems`."""
    return next((name for name in systems if name.partition("@")[0] == DOC), None)


def command_of(parts: Sequence[Answered]) -> str:
    """The command that asks the same systems the questions of the same sets."""
    systems = ordered(name for part in parts for name in part.systems)
    sets = [part.set for part in parts]
    return shlex.join(["beyondrag", "eval", "qa", *sets, "--systems", ",".join(systems)])


def facts_of(parts: Sequence[Answered]) -> Facts:
    """What the rows say about how they were made."""
    rows = [one.row for part in parts for one in part.results]
    found: dict[str, set[str]] = {}
    for row in rows:
        noted = row.circumstances
        found.setdefault("Model", set()).add(str(noted.get("model", "not noted")))
        found.setdefault("Processor", set()).add(str(noted.get("processor", "not noted")))
        found.setdefault("Threads", set()).add(str(noted.get("threads", "not noted")))
        found.setdefault("Code of the answers", set()).add(str(noted.get("code", "not noted")))
        found.setdefault("Model SHA-256", set()).add(str(row.parameters.get("model_sha256", "not noted")))
        if "gpu" in row.parameters:
            found.setdefault("Computed on", set()).add("GPU" if row.parameters["gpu"] else "CPU")
        versions = noted.get("versions")
        for name, version in versions.items() if isinstance(versions, Mapping) else ():
            found.setdefault(str(name).capitalize() if name == "python" else str(name), set()).add(
                str(version)
            )
    return tuple((name, ", ".join(sorted(values))) for name, values in found.items())
