"""Calibrate a model: read the texts, fit, store; with progress in stages, and stopped whenever one likes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from beyondrag.calibration.observing import choose_pieces, observe, piece_tokens
from beyondrag.calibration.store import CalibrationStore
from beyondrag.calibration.texts import CalibrationText, shipped_texts, texts_hash
from kvfiles.codecs.archive.calibrate import Origin, calibrate
from kvfiles.codecs.archive.tables import ArchiveTables, group_heads
from kvfiles.errors import Cancelled, ModelError, UnsupportedModel
from kvfiles.runtime.model import Model, ModelShape

_FIT_SHARE = 0.4
"""Of the whole time, on a CPU; a guess that only the progress bar believes."""
SCALE = 1000
_OTHER_CODEC = "use a codec that needs no calibration, such as k4v4"

OnProgress = Callable[[float, str], None]
"""`on_progress(done of SCALE, what is being done)`, from any thread."""
CancelCheck = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What came out: the tables, their file, its bytes, and how long each stage took in seconds."""

    tables: ArchiveTables
    path: Path
    size_bytes: int
    reading_s: float
    fitting_s: float


def calibrate_model(
    model: Model,
    sha256: str,
    texts: Sequence[CalibrationText],
    store: CalibrationStore,
    *,
    n_threads: int,
    on_progress: OnProgress = lambda _done, _what: None,
    cancelled: CancelCheck = lambda: False,
) -> Calibrated:
    """Calibrate `model`, whose file has the SHA-256 `sha256`, and make the result its current calibration.

    Nothing is stored unless all of it succeeds.
    Raises Cancelled, ModelError, UnsupportedModel, StorageError.
    """

    def tell(done: float, what: str) -> None:
        if cancelled():
            raise Cancelled("stopped", remedy="the calibration begins anew when it is run again")
        on_progress(done, what)

    started = time.perf_counter()
    _refuse_wide_heads(model)
    pieces = choose_pieces(model, texts)
    total = sum(len(piece.tokens) for piece in pieces)

    def on_piece(done: int, name: str) -> None:
        tell(SCALE * (1 - _FIT_SHARE) * done / total, f"reading {name}")

    def on_step(done: int, of: int) -> None:
        tell(SCALE * (1 - _FIT_SHARE * (1 - done / of)), "fitting")

    observed = observe(model, pieces, n_threads=n_threads, on_piece=on_piece)
    read = time.perf_counter()
    origin = Origin(sha256, texts_hash(texts))
    try:
        tables = calibrate(observed, model.shape, origin, n_threads=n_threads, on_step=on_step)
    except ValueError as error:  # also what linear algebra raises for numbers that are not finite
        raise ModelError(
            f"its cache cannot be calibrated ({error})", subject=str(model.path), remedy=_OTHER_CODEC
        ) from error
    fitted = time.perf_counter()
    size = store.save(model.path, tables)
    return Calibrated(tables, store.path(model.path), size, read - started, fitted - read)


def expected_seconds(shape: ModelShape, tokens_per_s: float) -> float:
    """About how long `calibrate_model` takes with the shipped texts, at this prefill rate."""
    n_text = len(shipped_texts())
    reading_s = n_text * piece_tokens(shape, n_text, 0) / max(tokens_per_s, 1e-9)
    return reading_s / (1 - _FIT_SHARE)


def _refuse_wide_heads(model: Model) -> None:
    try:
        group_heads(model.shape)
    except ValueError as error:
        raise UnsupportedModel(
            f"architecture {model.architecture}: the archive codec cannot store {error}",
            subject=str(model.path),
            remedy=_OTHER_CODEC,
        ) from error
