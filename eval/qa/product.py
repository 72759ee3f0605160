"""The product under test: whole documents from their snapshots, from a full prefill, or those of the gold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from beyondrag.engine import Engine
from beyondrag.errors import AppError
from beyondrag.events import Answer, Attached, ChosenDocument, Done, EvidenceChecked
from beyondrag.turn import AskOptions
from eval.qa.filenames import FileNames
from eval.qa.systems import Cancelled, Given, GivenText, Seconds, asked, excerpt
from eval.sets import Question, SetError
from kvfiles.codecs import archive_quality
from library.store import Library

RANKED_DOCUMENTS = 5


@dataclass(frozen=True, slots=True)
class Variant:
    """How the product is asked.  `pins_gold` gives it the gold documents instead of a search."""

    name: str
    top_k: int = 3
    exact: bool = False
    pins_gold: bool = False
    repair_tokens: int = 0


class DocumentSystem:
    """`Engine.ask` on the set's library.  `gold` names the document of each gold file (see GoldFiles)."""

    def __init__(self, variant: Variant, engine: Engine, gold: GoldFiles, max_tokens: int) -> None:
        self._variant, self._engine, self._gold, self._max_tokens = variant, engine, gold, max_tokens

    @property
    def name(self) -> str:
        return self._variant.name

    @property
    def parameters(self) -> Mapping[str, object]:
        v = self._variant
        codec = "none" if v.exact else self._coded()
        return {"kind": "documents", "codec": codec, "top_k": v.top_k, "exact": v.exact, "gold": v.pins_gold,
                "repair": v.repair_tokens}  # fmt: skip

    def _coded(self) -> str:
        """The codec's name, for the archive codec with what else its files depend on."""
        name, engine = self._engine.settings.codec, self._engine
        if archive_quality(name) is None:
            return name
        return f"{name} {orjson.dumps(dict(engine.codec.params()), option=orjson.OPT_SORT_KEYS).decode()}"

    def applies(self, question: Question) -> bool:
        return bool(question.gold_docs) or not self._variant.pins_gold

    def answer(self, question: Question, cancelled: Cancelled) -> Given:
        variant, text = self._variant, asked(question)
        pinned = self._gold.ids(question) if variant.pins_gold else ()
        options = AskOptions(
            top_k=variant.top_k,
            documents=pinned,
            exact=variant.exact,
            repair_tokens=variant.repair_tokens,
            check=False,  # the answer is wanted in any case; `checked` tells what the check says
            max_tokens=self._max_tokens,
        )
        copies: list[str] = []
        context_tokens = 0
        answer: Answer | None = None
        for event in self._engine.ask(text, options, cancelled):
            if isinstance(event, Attached):
                context_tokens = event.n_tokens
            elif isinstance(event, EvidenceChecked):
                copies.append(event.text)
            elif isinstance(event, Done):
                answer = event.answer
        if answer is None:
            raise AppError("the engine stopped without an answer")
        ranked = None if variant.pins_gold else self._ranked(text)
        times = answer.timings
        return Given(
            answer=answer.answer,
            supported=answer.checked,
            copies=tuple(copies),
            ranked=ranked,
            texts=tuple(self._text(document, answer) for document in answer.documents),
            context_tokens=context_tokens,
            prefilled_tokens=answer.prefilled_tokens,
            seconds=Seconds(times.retrieve_s, times.ttft_s or times.total_s, times.total_s),
            log_odds=answer.log_odds,
        )

    def _ranked(self, text: str) -> tuple[str, ...]:
        hits = self._engine.library.search(text, limit=RANKED_DOCUMENTS, passages=0)
        return tuple(hit.document.id for hit in hits)

    def _text(self, document: ChosenDocument, answer: Answer) -> GivenText:
        """What the model read of a document, around what it quoted from there."""
        library = self._engine.library
        text = library.text(document.id)
        volumes = library.volumes(document.id, self._engine.profile.id)
        volume = next((v for v in volumes if v.ordinal == document.volume), None)
        start, end = (volume.char_start, volume.char_end) if volume else (0, len(text.text))
        quoted = [source.start for source in answer.sources if source.document_id == document.id]
        passages = [passage.start for passage in document.passages]
        return excerpt(document.id, document.title, text, start, end, next(iter(quoted + passages), None))


class GoldFiles:
    """Finds the documents that a set's `gold_docs` name: file names with or without suffix."""

    def __init__(self, library: Library) -> None:
        self._ids = {path: document.id for document in library.documents() for path in document.paths}
        self._names = FileNames(self._ids)

    def ids(self, question: Question) -> tuple[str, ...]:
        """The documents, each once.

        Raises:
            SetError: a name fits no document, or several.
        """
        found: dict[str, None] = {}
        for name in question.gold_docs:
            fitting = {self._ids[path]: None for path in self._names.find(name, subject=question.id)}
            if len(fitting) > 1:
                raise SetError(
                    f"{name!r} fits several documents",
                    subject=question.id,
                    remedy="write the file's suffix, or its folder and a slash before it",
                )
            found |= fitting
        return tuple(found)
