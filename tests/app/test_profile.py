"""The reading profile changes with whatever a snapshot depends on, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from beyondrag import reading
from beyondrag.reading import current_profile, reading_profile
from beyondrag.settings import Settings
from library.store import Library

SHA = "0" * 64
MODEL = Path("/models/small.gguf")


def test_the_same_choices_give_the_same_profile_wherever_the_model_lies() -> None:
    one, two = reading_profile(MODEL, SHA, "k4v4"), reading_profile(Path("/else/small.gguf"), SHA, "k4v4")
    assert one == two
    assert one.model_name == "small"


def test_another_model_or_codec_is_another_profile() -> None:
    ids = {
        reading_profile(MODEL, SHA, "k4v4").id,
        reading_profile(MODEL, "1" * 64, "k4v4").id,
        reading_profile(MODEL, SHA, "k5v4").id,
        reading_profile(MODEL, SHA, "exact").id,
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROMPT_VERSION", 10_000),
        ("SYSTEM", "Other instructions."),
        ("document_text", lambda title, body: f"{title}: {body}"),
    ],
)
def test_another_prompt_is_another_profile(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    before = reading_profile(MODEL, SHA, "k4v4").id
    monkeypatch.setattr(reading, name, value)
    assert reading_profile(MODEL, SHA, "k4v4").id != before


def test_without_the_model_there_is_no_profile(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "l", tmp_path / "m", "absent", 2048, 1, "k4v4", "f16")
    with Library.create_or_open(tmp_path / "l") as library:
        assert current_profile(library, settings) is None
