"""Room and permission where the library and the models lie."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from beyondrag.codec_choice import choose_codec
from beyondrag.estimate import expected_bits
from beyondrag.health.check import Check, bad, ok, warn
from beyondrag.quantities import bytes_in_words
from kvfiles import kernels
from library.files import storage_errors
from library.wording import one_line

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts

TIGHT_BYTES = 1_000_000_000
FULL_BYTES = 50_000_000


def check_library_disk(facts: Facts) -> Iterator[Check]:
    """Raises StorageError."""
    folder = facts.settings.library
    yield _check("disk of the library", folder, _largest_snapshot(facts), "--library DIR", must_write=True)


def check_models_disk(facts: Facts) -> Iterator[Check]:
    """Raises StorageError."""
    settings = facts.settings
    missing = facts.model_path is None
    known = next((m for m in facts.store.known if m.name == settings.model.casefold()), None)
    need = known.size_bytes if missing and known else 0
    yield _check("disk of the models", settings.models, need, "BEYONDRAG_MODELS", must_write=missing)


def _largest_snapshot(facts: Facts) -> int:
    """Bytes of the snapshot of a whole context with the configured codec; 0 where that is not known."""
    shape, settings, n_ctx = facts.model_shape, facts.settings, facts.settings.context
    if shape is None or facts.model_path is None or facts.model_sha256 is None:
        return 0
    chosen = choose_codec(settings, facts.model_path, facts.model_sha256, shape, kernels.best())
    bits = expected_bits(chosen, settings.codec, shape, n_ctx)
    return round(n_ctx * shape.values_per_token * bits / 8)


def _check(name: str, folder: Path, need: int, choice: str, *, must_write: bool) -> Check:
    place = _nearest(folder)
    with storage_errors(place):
        free = shutil.disk_usage(place).free
    line = f"{one_line(str(folder), 200)}: {bytes_in_words(free)} free"
    elsewhere = f"free some space, or choose another folder with {choice}"
    if not os.access(place, os.W_OK | os.X_OK) and must_write:
        return bad(
            name, f"{line}, but it may not be written", f"check who owns it, or choose another with {choice}"
        )
    if free < max(need, FULL_BYTES):
        return bad(name, f"{line}; {bytes_in_words(max(need, FULL_BYTES))} are needed", elsewhere)
    if free < need + TIGHT_BYTES:
        return warn(name, f"{line}, which will soon be full", elsewhere)
    return ok(name, line)


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    with storage_errors(folder):
        return next(place for place in (folder, *folder.parents) if place.exists())
