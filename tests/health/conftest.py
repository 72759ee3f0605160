"""Fixtures: the settings of a test's user, who has neither a model nor a library."""

from __future__ import annotations

from pathlib import Path

import pytest

from beyondrag.health.facts import Facts
from beyondrag.settings import Settings


@pytest.fixture
def settings(isolated_user: Path) -> Settings:
    """Of an isolated user: nothing of it is there yet; the model is the file `models/mine.gguf`."""
    models = isolated_user / "models"
    return Settings(isolated_user / "library", models, str(models / "mine.gguf"), 2048, 1, "k4v4", "f16")


@pytest.fixture
def facts(settings: Settings) -> Facts:
    """About these settings; nothing is looked at before a test asks."""
    return Facts(settings)
