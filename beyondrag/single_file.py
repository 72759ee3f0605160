"""One file without the library: read it into a `.kv` file, carry that elsewhere, ask it.

A `.kv` file holds the document's tokens, so its text is known without the original: copies can be checked.
Pages are not in it; sources have no page label then.
"""

from __future__ import annotations

import time
from pathlib import Path

from beyondrag.answering import ReadDocument
from beyondrag.asking import Asking
from beyondrag.desk import Desk
from beyondrag.events import Answer, ChosenDocument, Timings
from beyondrag.evidence import FoldedText
from beyondrag.turn import AskOptions
from beyondrag.verdict import Circumstances, conclude
from ingest.indexing import only_file
from ingest.sandbox import parse_in_child
from kvfiles.errors import ContextOverflow
from library.records import DocumentText, PageSpan


def read_file(desk: Desk, path: Path, target: Path) -> int:
    """Read `path` whole and write its snapshot to `target`; returns the number of tokens.

    Raises ParseFailure, PathProblem, ContextOverflow (too long for the context), StorageError.
    """
    parsed = parse_in_child(only_file(path))
    tokens = desk.reader.volume_tokens(parsed.title, parsed.text.text)
    if len(tokens) > desk.reader.max_volume_tokens:
        raise ContextOverflow(
            f"{len(tokens):,} tokens are too many for one snapshot in this context",
            subject=str(path),
            remedy="use a larger context, or ingest it into a library, which cuts it into volumes",
        )
    about: dict[str, object] = {
        "document": parsed.document_id,
        "title": parsed.title,
        "volume": 0,
        "label": "",
    }
    desk.reader.read(tokens, desk.library.prefix_path(desk.profile.id), target, about=about)
    return len(tokens)


def ask_file(desk: Desk, path: Path, question: str, options: AskOptions) -> Answer:
    """Answer `question` from the snapshot `path` alone.

    Raises SnapshotMismatch when it was made with another model, prompt or codec, SnapshotCorrupt,
    CalibrationError (its calibration is not here), ContextOverflow.
    """
    started = time.perf_counter()
    model, context = desk.model, desk.context
    try:
        with (
            desk.open(desk.library.prefix_path(desk.profile.id)) as prefix,
            desk.open(path) as snapshot,
        ):
            desk.composer.attach(context, [prefix, snapshot])
            tokens, about = snapshot.tokens, snapshot.header.about
        attached = time.perf_counter()
        text = model.text(tokens)
        title = str(about.get("title", path.stem))
        chosen = ChosenDocument(
            str(about.get("document", "")), str(path), title, 0, "", len(tokens), 1.0, "snapshot", ()
        )
        document = ReadDocument(
            chosen, DocumentText(text, (PageSpan("", 0, len(text)),)), FoldedText(text), 0
        )
        asking = Asking(model, context, desk.frame, question, [document], tokens)
        first = 0.0
        for _ in asking.run(options.max_tokens):
            first = first or time.perf_counter()
    finally:
        context.clear()
    now = time.perf_counter()
    first = first or now
    timings = Timings(
        attach_s=attached - started,
        ttft_s=first - started,
        total_s=now - started,
        decode_tokens_per_s=asking.tokens_per_s,
    )
    circumstances = Circumstances((chosen,), (), (), timings, prefilled_tokens=0)
    return conclude(question, asking.reply, circumstances, check=options.check)
