"""The app on a scripted service, in a real terminal: `python tests/tui/play.py [config file]`.

Every question is answered the same way, slowly enough to watch and to stop.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from samples import answer, chosen, conversation, quote_in, read, record, state, text
from scripted_service import ScriptedService, Step

from beyondrag.events import AnswerDelta, Attached, Chosen, EvidenceChecked, EvidenceDelta
from beyondrag.service.notices import (
    Answered,
    Asked,
    ContextMeter,
    FileProblem,
    Ingested,
    Plan,
    Reading,
    Said,
)
from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.config import load_config
from beyondrag.tui.running import run_app
from beyondrag.turn import AskOptions

REPORT, LEASE = record(), record("lease.pdf", "Lease of the hangar")
LINE = "page 2 line 7: the pilot was 7 years old."
WORDS = "The pilot was **7 years** old, says the report; nothing else is known about him."


def asked(request: int, question: str, _options: AskOptions) -> Iterable[Step]:
    """One checked answer with two documents."""
    source = quote_in(text(), LINE, REPORT)
    yield Asked(request, "c1", question, False, "")
    yield Said(request, "documents", Chosen((chosen(REPORT), chosen(LEASE, 7.5)), ("Old.pdf: does not fit",)))
    yield 0.1
    yield Said(request, "documents", Attached(4_000, 0.024))
    for word in LINE.split(" "):
        yield 0.02
        yield Said(request, "documents", EvidenceDelta(word + " "))
    yield Said(request, "documents", EvidenceChecked(LINE, source))
    for word in WORDS.split(" "):
        yield 0.15
        yield Said(request, "documents", AnswerDelta(word + " "))
    done = answer(question, WORDS, (REPORT, LEASE), (source,))
    yield Answered(
        request, "documents", done, read((REPORT, LEASE), ("Old.pdf: does not fit",)), f"t{request}"
    )
    yield ContextMeter(4_031, 16_384, (REPORT.title, LEASE.title), 1_700_000_000)


def planned(request: int, paths: Sequence[Path]) -> Iterable[Step]:
    """A small folder with one bad file."""
    bad = FileProblem("/documents/scan.pdf", "its pages hold no text", "run ocrmypdf on it")
    yield Plan(request, tuple(paths), (("new", 2), ("unchanged", 1)), (bad,), 2, 8_000, 60_000_000, 85.0)


def ingested(request: int, _paths: Sequence[Path], _read: bool) -> Iterable[Step]:
    """Two volumes of 4,000 tokens."""
    for done in range(0, 8_001, 250):
        volume, name = (0, "report.pdf") if done < 4_000 else (1, "lease.pdf")
        yield Reading(
            request,
            REPORT.id if volume == 0 else LEASE.id,
            name,
            volume,
            2,
            done - 4_000 * volume,
            4_000,
            done,
            8_000,
            95.0,
            (8_000 - done) / 95,
            False,
        )
        yield 0.2
    yield Ingested(request, 2, 2, 8_000, 84.0, False, ())


def playing_service() -> ScriptedService:
    """Two documents, one kept conversation, and answers."""
    service = ScriptedService(scripts={"ask": asked, "plan": planned, "ingest": ingested})
    service.shelf_data.add(state(REPORT), text())
    service.shelf_data.add(state(LEASE), text())
    service.shelf_data.kept["c1"] = conversation("Who flew the aircraft?", "How old was he?")
    return service


if __name__ == "__main__":
    sys.exit(
        run_app(
            BeyondragApp(playing_service(), load_config(Path(sys.argv[1] if sys.argv[1:] else "app.json")))
        )
    )
