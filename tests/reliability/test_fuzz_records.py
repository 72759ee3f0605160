"""Damaged small files and records: what a program of ours wrote once and finds again, changed by anybody.

Each ends in what was kept, in the default, or in a typed error; nothing else comes out.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import orjson
import pytest
from effort import Effort
from guards import hang_guard
from mutations import mutate_bytes, mutate_json

from beyondrag.events import Answer, ChosenDocument, Source, Timings
from beyondrag.fidelity_verdict import Finding, ModelVerdicts, read_verdicts, store_verdicts
from beyondrag.models.hashes import HashCache
from beyondrag.models.partial import Partial, partial_path
from beyondrag.service.history import History
from beyondrag.service.notices import ReadPart, WhatWasRead
from beyondrag.tui.config import DEFAULT_THEME, TuiConfig, load_config, save_config
from eval.injection.rows import parse_row as parse_injection_row
from eval.qa.rows import parse_row as parse_qa_row
from ingest.errors import NothingToIngest
from ingest.scan import scan
from library.errors import LibraryDamaged, LibraryLocked, LibraryNewer
from library.lock import WriterLock
from library.records import Passage
from library.store import Library

pytestmark = pytest.mark.slow

ID = "ab" * 32
_DOCUMENT = ChosenDocument(
    ID, "/docs/a.txt", "A", 0, "", 40, 1.5, "snapshot", (Passage(3, 9, "2", "keeper", 0.75),)
)
ANSWER = Answer(
    question="How old was the keeper?",
    answer="48",
    abstained=False,
    checked=True,
    documents=(_DOCUMENT,),
    sources=(Source(ID, "/docs/a.txt", "A", "2", "The keeper was 48.", 0, 18),),
    nearest=(),
    left_out=("b.txt: it has no text",),
    timings=Timings(0.1, 0.2, 0.3, 0.4, 0.5, 11.5),
    prefilled_tokens=0,
    log_odds=4.25,
)
READ = WhatWasRead(69, (ReadPart(ID, "A", "", 69, 116, "snapshot", "k4v4", 4.13),), (), 2048)


def damaged_json(rng: np.random.Generator, data: bytes) -> bytes:
    """Another value in the JSON, or damage to the bytes themselves."""
    if rng.random() < 0.3:
        return mutate_bytes(rng, data)
    value = orjson.loads(data)
    for _ in range(int(rng.integers(1, 4))):
        value = mutate_json(rng, value)
    return json.dumps(value).encode()


def test_kept_answers(library: Library, tmp_path: Path, effort: Effort) -> None:
    rng = np.random.default_rng(effort.seed)
    history, outcomes = History(library), Counter[str]()
    one = history.new_id()
    history.keep(one, ANSWER.question, 50.0, ANSWER, "", READ)
    record = library.conversations.turns(one)[0].record.encode()
    for number in range(effort.rounds(short=300, long=10_000)):
        text = damaged_json(rng, record).decode("utf-8", "replace")
        with library.parts.catalogue.transaction() as connection:
            connection.execute("UPDATE turns SET record = ?", (text,))
        try:
            turn = history.conversation(one).turns[0]
        except (LibraryDamaged, LibraryNewer) as error:
            outcomes["printable" if (error.message + error.remedy).isprintable() else "not printable"] += 1
            with pytest.raises((LibraryDamaged, LibraryNewer)):
                history.earlier(one)
        else:
            outcomes["read"] += 1
            assert turn.answer is None or isinstance(turn.answer.answer, str)
            history.earlier(one)
            if number % 20 == 0:
                history.export(one, tmp_path / f"{number}.md")
        assert history.summaries("keeper"), "the list does not need the record"
    effort.tell(outcomes=dict(outcomes))
    assert outcomes["read"]
    assert outcomes["printable"]
    assert not outcomes["not printable"]


def _app_choices(path: Path) -> Callable[[], object]:
    save_config(TuiConfig("nord", path))

    def load() -> object:
        found = load_config(path)
        assert isinstance(found.theme, str)
        assert 0 < len(found.theme) <= 100
        return found.theme != DEFAULT_THEME

    return load


def _model_hashes(path: Path) -> Callable[[], object]:
    model = path.with_name("model.gguf")
    model.write_bytes(b"weights")
    os.utime(model, (1, 1))
    cache = HashCache(path)
    cache.sha256(model)

    def load() -> object:
        found = cache.entry(model)
        assert found is None or len(found.sha256) == 64
        cache.record(model, "0" * 64)
        return found is not None

    return load


def _download_journal(path: Path) -> Callable[[], object]:
    target, source = path.with_name("model.gguf"), "https://models.example/model.gguf"
    partial = Partial(target, source)
    for name in ("one", "two"):
        partial.append(name.encode() * 100)
        partial.seal(name)
    partial.close()
    journal = partial_path(target, source).with_name(partial_path(target, source).name + ".json")
    good, data = journal.read_bytes(), partial_path(target, source).read_bytes()
    path.write_bytes(good)

    def load() -> object:
        journal.write_bytes(path.read_bytes())
        partial_path(target, source).write_bytes(data)
        again = Partial(target, source)
        held = again.size
        again.close()
        assert 0 <= held <= len(data)
        return held == len(data)

    return load


def _verdicts(path: Path) -> Callable[[], object]:
    finding = Finding("k2v2", "fail", "too far", "measured", 2048, 1152, 5.0)
    store_verdicts(path, ModelVerdicts("model", "0" * 64, (finding,)))

    def load() -> object:
        found = read_verdicts(path)
        if found is None:
            return False
        assert all(isinstance(one.n_tokens, int) and one.reason.isprintable() for one in found.findings)
        return True

    return load


def _lock_note(path: Path) -> Callable[[], object]:
    lock = WriterLock(path)
    with lock.hold():
        good = path.read_bytes()
    path.write_bytes(good)
    holder = WriterLock(path)
    other = WriterLock(path)

    def load() -> object:
        said = path.read_bytes()
        with holder.hold():
            path.write_bytes(said)
            with pytest.raises(LibraryLocked) as caught, other.hold():
                pass
        assert caught.value.message.isprintable()
        return "process" in caught.value.message

    return load


@pytest.mark.parametrize(
    "make",
    [_app_choices, _model_hashes, _download_journal, _verdicts, _lock_note],
    ids=lambda make: make.__name__,
)
def test_small_files(make: Callable[[Path], Callable[[], object]], tmp_path: Path, effort: Effort) -> None:
    rng = np.random.default_rng(effort.seed)
    path = tmp_path / "file.json"
    load = make(path)
    good = path.read_bytes()
    assert load(), "the undamaged file is understood"
    understood = 0
    rounds = effort.rounds(short=150, long=5_000)
    for _ in range(rounds):
        path.write_bytes(damaged_json(rng, good))
        understood += bool(load())
    effort.tell(understood=understood, rounds=rounds)


def test_ignore_files(tmp_path: Path, effort: Effort) -> None:
    rng = np.random.default_rng(effort.seed)
    folder = tmp_path / "documents"
    folder.mkdir()
    for name in ("a.txt", "b.md", "Ordner ü.txt", "x" * 200 + ".txt"):
        (folder / name).write_text("words")
    good = b"# rules\n*.tmp\n!keep.tmp\n/build/\n**/cache/**\na[0-9]*.txt\n\\#odd\\ \n[!a-c]?.log\n"
    tokens = (
        b"[",
        b"]",
        b"**",
        b"\\",
        b"!",
        b"/",
        b"*" * 40,
        b"[a-",
        b"[[:alpha:]]",
        b"\xff",
        b"{",
        b"(?",
        b"\0",
    )
    slowest = 0.0
    for number in range(effort.rounds(short=150, long=5_000)):
        data = mutate_bytes(rng, good)
        for _ in range(int(rng.integers(4))):
            at = int(rng.integers(len(data) + 1))
            data = data[:at] + tokens[int(rng.integers(len(tokens)))] * int(rng.integers(1, 30)) + data[at:]
        (folder / (".gitignore" if number % 2 else ".beyondragignore")).write_bytes(data)
        started = time.monotonic()
        with suppress(NothingToIngest), hang_guard():
            found = scan([folder])
            assert len(found.files) <= 4
        slowest = max(slowest, time.monotonic() - started)
    effort.tell(slowest_s=round(slowest, 3))


@pytest.mark.parametrize("parse", [parse_qa_row, parse_injection_row])
def test_rows_that_are_none(parse: Callable[[object], object], effort: Effort) -> None:
    """A file of rows refuses exactly these errors with the number of the line."""
    rng = np.random.default_rng(effort.seed)
    row = {"key": "0" * 64, "probe": "a/b", "kind": "turns", "arm": "plain", "accepted": ["x"], "right": True}
    for _ in range(effort.rounds(short=200, long=5_000)):
        with pytest.raises((ValueError, TypeError, KeyError)):
            parse(mutate_json(rng, row))
