"""The Python API of the README, with the small real model."""

from __future__ import annotations

from pathlib import Path

import pytest

from beyondrag import api
from beyondrag.events import Done
from kvfiles import kernels
from kvfiles.errors import SnapshotCorrupt
from kvfiles.runtime import Model
from kvfiles.snapshot import Snapshot

pytestmark = pytest.mark.model

NOTE = "Harbour note\n\nThe keeper at Skerry Point is Ingrid Vell. The lamp was lit in 1921.\n"


def test_one_file_is_read_kept_and_asked_elsewhere(small_model_path: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text(NOTE)
    kv = tmp_path / "elsewhere" / "note.kv"
    kv.parent.mkdir()
    with api.open_library(tmp_path / "first", model=str(small_model_path), context=2048) as reader:
        n_tokens = reader.read_file(note, kv)
    note.unlink()

    with api.open_library(tmp_path / "second", model=str(small_model_path), context=2048) as reader:
        answer = reader.ask_file(kv, "Who is the keeper?", api.AskOptions(check=False, max_tokens=16))
        assert answer.documents[0].n_tokens == n_tokens
        assert answer.prefilled_tokens == 0
        assert answer.documents[0].title == "Harbour note"
        assert all(
            "Skerry" in source.quote or "1921" in source.quote or "note" in source.quote
            for source in answer.sources
        )

        damaged = bytearray(kv.read_bytes())
        damaged[-200] ^= 1
        kv.write_bytes(damaged)
        with pytest.raises(SnapshotCorrupt):
            reader.ask_file(kv, "Who is the keeper?")


def test_the_snapshot_of_a_file_holds_its_text(
    small_model_path: Path, small_model: Model, tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    note.write_text(NOTE)
    with api.open_library(tmp_path / "library", model=str(small_model_path), context=2048) as reader:
        reader.read_file(note, tmp_path / "note.kv")
    with Snapshot(tmp_path / "note.kv", kernels.best()) as snapshot:
        assert NOTE.strip() in small_model.text(snapshot.tokens)


def test_add_ask_and_stream(small_model_path: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text(NOTE)
    with api.open_library(tmp_path / "library", model=str(small_model_path), context=2048) as reader:
        document = reader.add(note)
        first = reader.ask("Who is the keeper at Skerry Point?", api.AskOptions(max_tokens=16))
        assert [d.id for d in first.documents] == [document]
        assert first.prefilled_tokens > 0
        events = list(reader.stream("Who is the keeper at Skerry Point?", api.AskOptions(max_tokens=16)))
        assert isinstance(events[-1], Done)
        assert events[-1].answer.prefilled_tokens == 0
