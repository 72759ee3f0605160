"""A tiny model in the user's models folder, and documents, for the archive codec from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_calibration import short_texts, tiny_model

from beyondrag.calibration.store import SUFFIX

DOCUMENTS = {
    "harbour.txt": "The keeper at Skerry Point was 48 years old. The lamp is lit. " * 5,
    "bakery.txt": "The oven of Mill Lane was built in 1921; it burns beech wood. " * 5,
}


class ArchiveWorld:
    """The home `home` of a test's user: `models` with one model, a folder of `documents`."""

    def __init__(self, home: Path) -> None:
        self.models, self.documents = home / "models", home / "documents"
        self.models.mkdir()
        self.documents.mkdir()
        for name, text in DOCUMENTS.items():
            (self.documents / name).write_text(text)
        self.model = tiny_model(self.models / "tiny.gguf", context=4096)

    @property
    def tables(self) -> Path:
        """The model's current calibration."""
        return self.models / f"tiny{SUFFIX}"

    def damage(self) -> None:
        """Change a byte in the middle of the calibration."""
        raw = bytearray(self.tables.read_bytes())
        raw[len(raw) // 2] ^= 0xFF
        self.tables.write_bytes(raw)


def make_world(home: Path, monkeypatch: pytest.MonkeyPatch) -> ArchiveWorld:
    """The world; model and codec are the configured ones, and a calibration reads short texts."""
    for module in ("engine", "calibration.running", "calibration.texts"):
        monkeypatch.setattr(f"beyondrag.{module}.shipped_texts", short_texts)
    monkeypatch.setenv("BEYONDRAG_MODEL", "tiny")
    monkeypatch.setenv("BEYONDRAG_CODEC", "archive")
    return ArchiveWorld(home)
