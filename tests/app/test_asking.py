"""One question from the documents' tokens to a reply, and the second reading of its answer."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from read_documents import BAKERY, HARBOUR, document
from scripted import N_VOCAB, Scores, ScriptedContext, ScriptedModel, says

from beyondrag.answering import ReadDocument
from beyondrag.asking import Asking, reply_room
from beyondrag.events import AnswerDelta, EvidenceChecked, EvidenceDelta
from beyondrag.prompt import PromptFrame
from beyondrag.second_reading import DIRECT_CLOSING, MAX_SCORED_TOKENS, read_again
from kvfiles.errors import Cancelled

QUESTION = "How old was the keeper?"
FRAME = PromptFrame("", "Question: ", "\nReply: ")
AGAIN = f"Question: {QUESTION}{DIRECT_CLOSING}\nReply: "
SURE: Scores = {AGAIN: {"4": 12.0, "n": 1.0}, AGAIN + "4": {"8": 12.0}}
UNSURE: Scores = {AGAIN: {"4": 1.0, "n": 12.0}, AGAIN + "4": {"8": 12.0}}
COPY = {'Quote: "': 'The keeper at Skerry Point was 48 years old."\n', "Answer:": " 48"}


class Asked:
    """One question asked of a scripted model over documents that stand in its context."""

    def __init__(
        self,
        script: Mapping[str, str],
        *documents: ReadDocument,
        scores: Scores | None = None,
        question: str = QUESTION,
    ) -> None:
        model = ScriptedModel()
        self.context = ScriptedContext(says(script), scores)
        self.before = "".join(d.text.text for d in documents)
        tokens = model.tokenize(self.before)
        self.context.decode(tokens, 0)
        asking = Asking(model, self.context, FRAME, question, documents, tokens)  # type: ignore[arg-type]  # stand-ins
        self.events = list(asking.run(60))
        self.reply = asking.reply
        self.speed = asking.tokens_per_s


def test_evidence_answer_and_second_reading() -> None:
    asked = Asked(COPY, document("h", HARBOUR), scores=SURE)
    kinds = [type(event) for event in asked.events]
    assert kinds.index(EvidenceChecked) == kinds.count(EvidenceDelta)
    assert kinds[-1] is AnswerDelta
    assert asked.reply.answer == "48"
    assert asked.reply.again is not None
    assert asked.reply.again.log_odds > 0
    assert asked.reply.supported
    assert asked.speed > 0
    assert asked.context.text == f"{asked.before}{AGAIN}48", "the copy is gone before the second reading"


def test_a_second_reading_that_declines_withholds_the_answer() -> None:
    asked = Asked(COPY, document("h", HARBOUR), scores=UNSURE)
    assert asked.reply.evidence
    assert asked.reply.again is not None
    assert asked.reply.again.log_odds < -10
    assert not asked.reply.supported


def test_without_evidence_nothing_is_read_again() -> None:
    script = {'Quote: "': 'The keeper was 52 years old."\n', "Answer:": " 52"}
    asked = Asked(script, document("h", HARBOUR), scores=SURE)
    assert asked.reply.again is None
    assert not asked.reply.supported
    assert DIRECT_CLOSING not in asked.context.text


def test_the_wording_of_the_document_is_scored() -> None:
    text = "The keeper was forty-eight years old.\n"
    asked = Asked({'Quote: "': 'The keeper was forty-eight"\n', "Answer:": " 48"}, document("h", text))
    assert asked.reply.answer == "48"
    assert asked.context.text.endswith("\nReply: forty-eight")


def test_an_answer_that_was_looked_up_is_read_again_too() -> None:
    script = {'Quote: "': 'The lamp is lit at dusk."\n', "Answer:": " 48"}
    assert Asked(script, document("h", HARBOUR), scores=SURE).reply.supported
    assert not Asked(script, document("h", HARBOUR), scores=UNSURE).reply.supported


def test_a_line_about_each_of_two_subjects() -> None:
    script = {
        'Quote about Skerry Point: "': 'The keeper at Skerry Point was 48 years old."\n',
        'Quote about Mill Lane: "': 'The oven of Mill Lane was built in 1921."\n',
        "Answer:": " Mill Lane",
    }
    question = "Which is older, Skerry Point or Mill Lane?"
    asked = Asked(script, document("h", HARBOUR), document("b", BAKERY), question=question)
    assert [source.title for source in asked.reply.sources] == ["h", "b"]


@pytest.mark.parametrize(
    ("documents", "question"),
    [
        ((document("h", HARBOUR),), "Is Skerry Point older than Mill Lane?"),
        ((document("h", HARBOUR), document("b", BAKERY)), "How old was the keeper at Skerry Point?"),
        ((document("h", HARBOUR), document("h", BAKERY)), "Is Skerry Point older than Mill Lane?"),
    ],
    ids=["one document", "one subject", "two volumes of one document"],
)
def test_a_single_line_otherwise(documents: tuple[ReadDocument, ...], question: str) -> None:
    asked = Asked(COPY, *documents, question=question)
    assert [event.text for event in asked.events if isinstance(event, EvidenceChecked)] == [
        "The keeper at Skerry Point was 48 years old."
    ]


def test_asking_can_be_cancelled() -> None:
    model, context = ScriptedModel(), ScriptedContext(says(COPY))
    nothing = model.tokenize("")
    asking = Asking(model, context, FRAME, QUESTION, [document("h", HARBOUR)], nothing, lambda: True)  # type: ignore[arg-type]  # stand-ins
    with pytest.raises(Cancelled):
        list(asking.run(60))
    assert not asking.reply.supported


def test_the_room_holds_the_longest_reply() -> None:
    model = ScriptedModel()
    for n_documents in (1, 3):
        names = [f"Place{n} of" for n in range(n_documents)]
        documents = [document(f"d{n}", f"{name} it. {'x' * 200}") for n, name in enumerate(names)]
        question = " and ".join(["which", *names])
        context = ScriptedContext(lambda _held: ord("x"))
        asking = Asking(model, context, FRAME, question, documents, model.tokenize(""))  # type: ignore[arg-type]  # stand-ins
        list(asking.run(100))
        asked = len(FRAME.between + question + FRAME.after)
        assert 100 < context.most - asked <= reply_room(n_documents, 100)


def test_the_scores_of_the_second_reading_by_hand() -> None:
    scores: Scores = {"S>": {"4": 3.0, "n": 1.0}, "S>4": {"8": 2.0}}
    model, context = ScriptedModel(), ScriptedContext(says({"x": ""}), scores)
    context.decode(model.tokenize("kept and dropped"), 0)
    suffix = model.tokenize("S>")
    again = read_again(model, context, at=5, suffix=suffix, answer="48")  # type: ignore[arg-type]  # stand-ins
    first = math.log(N_VOCAB - 2 + math.exp(3) + math.exp(1))
    second = math.log(N_VOCAB - 1 + math.exp(2))
    assert again.answer == pytest.approx((3 - first, 2 - second), abs=1e-4)
    assert again.refusal == pytest.approx(1 - first, abs=1e-4)
    assert again.log_odds == pytest.approx(3 - 1 + 2 - second, abs=1e-4)
    assert context.text == "kept S>48"


def test_a_long_answer_is_scored_by_its_beginning() -> None:
    model, context = ScriptedModel(), ScriptedContext(says({"x": ""}))
    again = read_again(model, context, at=0, suffix=model.tokenize("S>"), answer="y" * 500)  # type: ignore[arg-type]  # stand-ins
    assert len(again.answer) == MAX_SCORED_TOKENS
    assert np.isfinite(again.log_odds)
