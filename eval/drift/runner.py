"""Ask every probe behind every kind of cache; the document is read once for f16 and all codecs."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.command import Progress, silent
from eval.drift.arms import BASE, Arms
from eval.drift.caches import Cache, Reading
from eval.drift.chat import make_chat_frame
from eval.drift.conversation import first_difference, forced, replies, without_end
from eval.drift.probes import Document, Probe, Topic
from eval.drift.rows import Row, case_key, row_key
from eval.pace import Pace
from eval.rig import Rig, forced_logprobs, score_forced
from eval.rowfile import RowFile
from eval.scores import join
from kvfiles.runtime.model import Tokens

MAX_TOKENS = 48
_SPARE_TOKENS = 8


@dataclass(frozen=True, slots=True)
class _Talk:
    """A probe as tokens, its case, and a row's key for each arm."""

    probe: Probe
    requests: tuple[Tokens, ...]
    case: str
    keys: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Base:
    """What f16 said to a probe, and where the log-probabilities along it lie, one file a turn."""

    said: tuple[Tokens, ...]
    references: tuple[Path, ...]


class Runner:
    """Measures the rows that `rows` lacks.

    Args:
        model_sha256: SHA-256 of the model file, in hex; part of every row's key.
        max_tokens: the longest reply.
    """

    def __init__(
        self,
        rig: Rig,
        arms: Arms,
        rows: RowFile[Row],
        model_sha256: str,
        *,
        max_tokens: int = MAX_TOKENS,
        progress: Progress = silent,
    ) -> None:
        self._rig, self._arms, self._rows, self._sha256 = rig, arms, rows, model_sha256
        self._max_tokens, self._progress = max_tokens, progress
        self._frame = make_chat_frame(rig.model)
        self._library = importlib.metadata.version("llama-cpp-python")

    def run(self, topics: Sequence[Topic]) -> list[Row]:
        """All rows of `topics`, stored and new, by topic, probe and arm.

        Raises ContextOverflow, StorageError, DecodeError, ModelError.
        """
        names = self._arms.names
        prepared = [(topic.document, self._prepare(topic)) for topic in topics]
        every = [talk for _, talks in prepared for talk in talks]
        pace = Pace(names, len(every))
        for name in names:
            pace.known(name, len(every) - len(self._lacking(every, [name])))
        for document, talks in prepared:
            if self._lacking(talks, names):
                self._measure(document, talks, pace)
        return [self._rows.rows[talk.keys[name]] for talk in every for name in names]

    def _prepare(self, topic: Topic) -> list[_Talk]:
        model, frame = self._rig.model, self._frame
        coded = {name: self._rig.codec_identity(name) for name in self._arms.codecs}
        talks = []
        for probe in topic.probes:
            requests = tuple(
                frame.request_tokens(model, turn.user, first=i == 0) for i, turn in enumerate(probe.turns)
            )
            case = case_key(self._sha256, topic.document, probe, self._max_tokens, self._library)
            keys = {name: row_key(case, coded.get(name, name)) for name in self._arms.names}
            talks.append(_Talk(probe, requests, case, keys))
        return talks

    def _lacking(self, talks: Sequence[_Talk], names: Iterable[str]) -> list[_Talk]:
        """The talks for which the row of one of the arms is missing."""
        arms = list(names)
        return [talk for talk in talks if any(talk.keys[name] not in self._rows.rows for name in arms)]

    def _measure(self, document: Document, talks: Sequence[_Talk], pace: Pace) -> None:
        """Every row that one document's talks lack."""
        frame, model = self._frame, self._rig.model
        talks = self._lacking(talks, self._arms.names)
        room = max(sum(len(r) + self._max_tokens for r in talk.requests) for talk in talks) + _SPARE_TOKENS
        prefix, body = frame.prefix_tokens(model), frame.document_tokens(model, document)
        wanted = {name for name in self._arms.names if self._lacking(talks, [name])}
        bases: dict[str, _Base] = {}

        def tell(message: str) -> None:
            self._progress(f"{document.id}: {message}")

        with tempfile.TemporaryDirectory(prefix="beyondrag-drift-") as name:
            reading = Reading(self._rig, prefix, body, len(prefix) + len(body) + room, Path(name))
            with closing(reading.caches(self._arms, wanted, tell)) as caches:
                for cache in caches:
                    if cache.arm == BASE:
                        bases = {talk.probe.id: self._base(cache, talk, Path(name)) for talk in talks}
                    for talk in self._lacking(talks, [cache.arm]):
                        row = self._row(cache, talk, bases[talk.probe.id], len(body))
                        self._rows.add(row)
                        pace.done(cache.arm)
                        verdict = "kept" if row.all_kept else "broken"
                        self._progress(f"[{pace}] {row.probe}, {row.arm}: {verdict}")

    def _base(self, cache: Cache, talk: _Talk, folder: Path) -> _Base:
        """f16's replies, an earlier run's where there are any, and the log-probabilities along them."""
        stored = self._rows.rows.get(talk.keys[BASE])
        if stored is None:
            said = replies(cache.context, talk.requests, self._max_tokens)
        else:
            said = [np.array(tokens, np.int32) for tokens in stored.tokens]
        references = []
        for turn, tokens in enumerate(forced(cache.context, talk.requests, said)):
            path = folder / f"{talk.probe.id.replace('/', '-')}-{turn}.npy"
            np.save(path, forced_logprobs(cache.context, tokens))  # 30 MB for 48 tokens of 152k words
            references.append(path)
        return _Base(tuple(said), tuple(references))

    def _row(self, cache: Cache, talk: _Talk, base: _Base, n_document_tokens: int) -> Row:
        context, model, probe = cache.context, self._rig.model, talk.probe
        kld: tuple[float, ...] = ()
        n_same = 0
        said = list(base.said)
        if cache.arm != BASE:
            said = replies(context, talk.requests, self._max_tokens)
            turns = zip(forced(context, talk.requests, base.said), base.references, strict=True)
            scores = join([score_forced(context, tokens, np.load(path, "r")) for tokens, path in turns])
            kld = tuple(round(float(value), 7) for value in scores.kld)
            n_same = int(scores.same_top1.sum())
        texts = tuple(model.text(without_end(model, reply)) for reply in said)
        return Row(
            key=talk.keys[cache.arm],
            case=talk.case,
            model=model.path.stem,
            model_sha256=self._sha256,
            library=self._library,
            max_tokens=self._max_tokens,
            arm=cache.arm,
            bits_per_value=cache.bits_per_value,
            rotated=cache.rotated,
            document=probe.document,
            probe=probe.id,
            kind=probe.kind,
            n_document_tokens=n_document_tokens,
            requests=tuple(turn.user for turn in probe.turns),
            replies=texts,
            tokens=tuple(tuple(int(token) for token in reply) for reply in said),
            kept=probe.judge(texts),
            divergence=first_difference(base.said, said),
            kld=kld,
            n_same_top1=n_same,
        )
