"""Read each case once with an f16 cache, and score every kind of cache on it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from eval.command import Progress, silent
from eval.compression.caches import Bench, Cache, MovedCache, caches_of
from eval.compression.cases import Source, answer_source, text_source
from eval.compression.plan import Plan
from eval.compression.rows import Measured, Row, combine
from eval.rig import Rig, forced_logprobs
from eval.rowfile import RowFile
from eval.texts import TokenText

NOT_HASHED = "0" * 64
"""Stands for the model's SHA-256 where no row is kept."""

Keep = Callable[[Measured], None]


class Run:
    """One run: a model, its hash, and where rows are kept.

    With `file`, rows that it already holds are not measured again, and new ones are added as they come.
    `on_row` hears of every new row.
    """

    def __init__(
        self,
        rig: Rig,
        *,
        model_sha256: str = NOT_HASHED,
        file: RowFile[Measured] | None = None,
        progress: Progress = silent,
        on_row: Keep | None = None,
    ) -> None:
        self._rig = rig
        self._sha256 = model_sha256
        self._file = file
        self._progress = progress
        self._on_row = on_row

    def measure(self, texts: Sequence[TokenText], plan: Plan) -> list[Measured]:
        """Every cache of `plan` on every text, each of at least `plan.text_tokens` tokens.

        Raises UsageError for an unknown codec or cache, ContextOverflow, StorageError.
        """
        caches = caches_of(self._rig, plan)
        found = []
        for text in texts:
            found += self._source(text_source(self._rig, self._sha256, text, plan), caches)
        if plan.generated:
            answered = [cache for cache in caches if not isinstance(cache, MovedCache)]
            for text in texts:
                found += self._source(answer_source(self._rig, self._sha256, text, plan), answered)
        return found

    def _source(self, source: Source, caches: Sequence[Cache]) -> list[Measured]:
        known = self._file.rows if self._file else {}
        keys = {source.id.key(cache.identity): cache for cache in caches}
        found = {key: known[key] for key in keys if key in known}
        missing = {key: cache for key, cache in keys.items() if key not in known}
        if missing:
            found |= {row.key: row for row in self._read(source, missing)}
        return [found[key] for key in keys]

    def _read(self, source: Source, missing: dict[str, Cache]) -> list[Measured]:
        name = f"{source.id.text}, {source.id.mode}"
        rows = []
        with (
            tempfile.TemporaryDirectory(prefix="beyondrag-fidelity-") as folder,
            self._rig.context(source.n_cells) as context,
        ):
            self._progress(f"{name}: reading {len(source.body)} tokens")
            context.decode(source.body, 0, logits="none")
            case = source.case(context)
            state = self._rig.state(context)
            reference = forced_logprobs(context, case.tail)
            bench = Bench(self._rig, context, case, state, reference, Path(folder))
            for key, cache in missing.items():
                self._progress(f"{name}: {cache.name}")
                bits, scores = cache.measure(bench)
                rows.append(Measured(key, source.id, cache.name, cache.family, bits, scores))
                self._keep(rows[-1])
        return rows

    def _keep(self, row: Measured) -> None:
        if self._file:
            self._file.add(row)
        if self._on_row:
            self._on_row(row)


def measure(rig: Rig, texts: Sequence[TokenText], plan: Plan, progress: Progress = silent) -> list[Row]:
    """Measure every cache of `plan` on `texts`, each of at least `plan.text_tokens` tokens, and keep nothing.

    Raises UsageError for an unknown codec or cache, ContextOverflow, StorageError.
    """
    return combine(Run(rig, progress=progress).measure(texts, plan))
