"""`beyondrag models calibrate`: measure what the archive codec needs to know of a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from beyondrag.console import Console
from beyondrag.interrupts import interruptible
from beyondrag.quantities import bytes_in_words, seconds_in_words
from beyondrag.settings import Settings, settings_from

if TYPE_CHECKING:
    from beyondrag.calibration.running import Calibrated
    from beyondrag.calibration.store import CalibrationStore
    from beyondrag.calibration.texts import CalibrationText
    from kvfiles.codecs.archive.tables import ArchiveTables

_EXAMPLES = """\
The archive codec stores a document in a fraction of the bytes of the others, and needs to be calibrated
for each model once.  `beyondrag ingest FOLDER --codec archive` does that by itself.

examples:
  beyondrag models calibrate                             the configured model, with the texts shipped
  beyondrag models calibrate smollm2-135m
  beyondrag models calibrate --text report.pdf notes.md --force
"""


def add_parser(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the action."""
    parser = actions.add_parser(
        "calibrate",
        parents=parents,
        help="prepare a model for the archive codec",
        epilog=_EXAMPLES,
        description="Read a few texts with a model and keep what the archive codec must know of it.",
    )
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="an installed model or a .gguf (default: the one in use)"
    )
    parser.add_argument(
        "--text", metavar="FILE", nargs="+", default=[], help="documents of your own to read besides"
    )
    parser.add_argument("--force", action="store_true", help="do it again where it has been done")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console) -> int:
    """The command."""
    from beyondrag.calibration.store import CalibrationStore
    from beyondrag.models import ModelStore

    settings = settings_from(args)
    models = ModelStore(settings.models)
    path = models.resolve(args.name or settings.model)
    store = CalibrationStore(settings.models)
    with interruptible(lambda: console.note("stopping; press Ctrl-C again to stop at once")) as cancelled:
        sha256 = models.sha256(path, cancelled=cancelled)
        known = store.describe(path, sha256)
        if known is not None and known.status == "ok" and not args.force:
            _tell(console, path, store.of_model(path, sha256), store, None)
            return 0
        texts = _texts(args.text, console)
        done = _calibrate(path, sha256, texts, settings, store, console, cancelled)
    _tell(console, path, done.tables, store, done)
    return 0


def _texts(files: list[str], console: Console) -> tuple[CalibrationText, ...]:
    from beyondrag.calibration.texts import own_texts, shipped_texts

    def on_file(path: Path) -> None:
        console.note(f"parsing {path.name}")

    return shipped_texts() + own_texts([Path(name).expanduser() for name in files], on_file)


def _calibrate(
    path: Path,
    sha256: str,
    texts: tuple[CalibrationText, ...],
    settings: Settings,
    store: CalibrationStore,
    console: Console,
    cancelled: Callable[[], bool],
) -> Calibrated:
    from beyondrag.calibration.running import SCALE, calibrate_model
    from kvfiles.runtime import Model

    with console.progress(SCALE, "steps") as progress:

        def on_progress(done: float, what: str) -> None:
            progress.update(done, detail=what)

        model = Model(path, gpu_layers=settings.gpu_layers)
        try:
            return calibrate_model(
                model,
                sha256,
                texts,
                store,
                n_threads=settings.threads,
                on_progress=on_progress,
                cancelled=cancelled,
            )
        finally:
            model.close()


def _tell(
    console: Console, path: Path, tables: ArchiveTables, store: CalibrationStore, done: Calibrated | None
) -> None:
    """What is there now; `done` is None where it had been there before."""
    file = store.path(path)
    size = file.stat().st_size if done is None else done.size_bytes
    if console.wants_json:
        console.json(
            {
                "model": path.stem,
                "model_sha256": tables.model,
                "path": str(file),
                "size_bytes": size,
                "tables_id": tables.id,
                "n_tokens": tables.n_tokens,
                "calibrated_now": done is not None,
                "reading_s": None if done is None else round(done.reading_s, 2),
                "fitting_s": None if done is None else round(done.fitting_s, 2),
            }
        )
        return
    about = f"{tables.n_tokens:,} tokens, {bytes_in_words(size)}"
    if done is None:
        console.out(f"{path.stem} is calibrated already ({about}); --force does it again")
        return
    took = seconds_in_words(done.reading_s + done.fitting_s)
    console.out(f"{path.stem} is calibrated: {about}, in {took}")
    console.out(str(file))
