"""Ask every probe, through the product's own ingest and engine, with and without what was planted."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from beyondrag.asking import PROTOCOL_VERSION
from beyondrag.engine import Engine
from beyondrag.errors import AppError
from beyondrag.events import Answer, Done, EvidenceChecked
from beyondrag.prompt import PROMPT_VERSION
from beyondrag.settings import Settings
from beyondrag.turn import AskOptions
from eval.command import Progress, silent
from eval.grading import is_right, normalise
from eval.injection.carriers import File
from eval.injection.control import ControlCheck, check_vocabulary, n_control
from eval.injection.probes import Probe
from eval.injection.rows import ARMS, Arm, Row, row_key
from eval.rowfile import RowFile
from ingest.indexing import index
from library.store import Library

MAX_TOKENS = 96


class Runner:
    """Measures the rows that `rows` lacks.

    Args:
        model_sha256: SHA-256 of the model file, in hex; part of every row's key.
        max_tokens: the longest answer.

    `control` says, after a run that opened the model, whether text can become control tokens.
    """

    def __init__(
        self,
        settings: Settings,
        rows: RowFile[Row],
        model_sha256: str,
        *,
        max_tokens: int = MAX_TOKENS,
        progress: Progress = silent,
    ) -> None:
        self.control: ControlCheck | None = None
        self._settings, self._rows, self._sha256 = settings, rows, model_sha256
        self._max_tokens, self._progress = max_tokens, progress
        library = importlib.metadata.version("llama-cpp-python")
        self._engine = f"{library} {settings.codec} {PROMPT_VERSION}.{PROTOCOL_VERSION}"

    def run(self, probes: Sequence[Probe]) -> list[Row]:
        """All rows of `probes`, stored and new, by arm.

        Raises model, library and storage errors, AppError when ingest refuses a probe's file.
        """
        for arm in ARMS:
            files = {probe.id: probe.file(with_planted=arm == "planted") for probe in probes}
            missing = [p for p in probes if self._key(p, arm, files[p.id]) not in self._rows.rows]
            if missing:
                self._measure(arm, missing, files)
        found = []
        for arm in ARMS:
            for probe in probes:
                key = self._key(probe, arm, probe.file(with_planted=arm == "planted"))
                found.append(self._rows.rows[key])
        return found

    def _key(self, probe: Probe, arm: Arm, file: File) -> str:
        return row_key(self._sha256, self._engine, probe, arm, file, self._max_tokens)

    def _measure(self, arm: Arm, probes: Sequence[Probe], files: dict[str, File]) -> None:
        with tempfile.TemporaryDirectory(prefix="beyondrag-injection-") as name:
            root = Path(name)
            paths = {probe.id: _write(root / "documents", probe, files[probe.id]) for probe in probes}
            settings = replace(self._settings, library=root / "library")
            with Library.create_or_open(settings.library) as library:
                with library.writing():
                    report = index(library, [root / "documents"], no_ignore=True)
                for problem in report.problems:
                    if problem.failure is not None:
                        raise AppError(f"a probe cannot be read: {problem.failure.message}", subject=name)
                with Engine(settings, library) as engine:
                    if self.control is None:
                        self.control = check_vocabulary(engine.model)
                    for number, probe in enumerate(probes, 1):
                        row = self._ask(engine, arm, probe, files[probe.id], paths[probe.id])
                        self._rows.add(row)
                        verdict = "right" if row.right else "obeyed" if row.obeyed else "other"
                        self._progress(f"[{number}/{len(probes)}] {arm} {probe.id}: {verdict}")

    def _ask(self, engine: Engine, arm: Arm, probe: Probe, file: File, path: Path) -> Row:
        document = engine.library.find(str(path))
        copies: list[str] = []
        answer: Answer | None = None
        options = AskOptions(
            top_k=1, documents=(document.id,), check=False, max_tokens=self._max_tokens
        )  # `Answer.checked` tells what the check says
        for event in engine.ask(probe.asked.question, options):
            if isinstance(event, EvidenceChecked):
                copies.append(event.text)
            elif isinstance(event, Done):
                answer = event.answer
        if answer is None:
            raise AppError("the engine stopped without an answer")
        text = engine.library.text(document.id).text
        tokens = engine.reader.volume_tokens(document.title, text)
        planted = probe.planted if arm == "planted" else ""
        return Row(
            key=self._key(probe, arm, file),
            probe=probe.id,
            kind=probe.kind,
            arm=arm,
            model=engine.profile.model_name,
            model_sha256=self._sha256,
            engine=self._engine,
            max_tokens=self._max_tokens,
            file=file.name,
            question=probe.asked.question,
            accepted=probe.asked.answers,
            planted=planted,
            title=document.title,
            reached=bool(planted) and normalise(planted) in normalise(f"{document.title}\n{text}"),
            n_tokens=len(tokens),
            n_control=n_control(engine.model, tokens),
            copies=tuple(copies),
            answer=answer.answer,
            supported=answer.checked,
            right=is_right(answer.answer, probe.asked.answers),
            obeyed=probe.obeyed(answer.answer),
        )


def _write(folder: Path, probe: Probe, file: File) -> Path:
    """Every probe in a folder of its own: two may have files of one name."""
    place = folder / probe.id.replace("/", "-")
    place.mkdir(parents=True)
    path = place / file.name
    path.write_bytes(file.data)
    return path
