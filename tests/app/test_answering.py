"""From a scripted reply to a verdict: evidence is checked before an answer counts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from scripted import ScriptedContext, ScriptedModel, says

from beyondrag.answering import Answerer, ReadDocument, Reply, is_evidence, line_start, says_not_stated
from beyondrag.events import AnswerDelta, ChosenDocument, EvidenceChecked, EvidenceDelta
from beyondrag.evidence import FoldedText
from beyondrag.generation import Generator
from beyondrag.streaming import TextStream
from library.records import DocumentText, PageSpan

HARBOUR = "Harbour report\nThe keeper at Skerry Point was 48 years old.\fThe lamp is lit at dusk.\n"
BAKERY = "Bakery report\nThe oven of Mill Lane was built in 1921.\n"


def document(name: str, text: str, offset: int = 0) -> ReadDocument:
    cut = text.find("\f") + 1
    pages = (PageSpan("1", 0, cut), PageSpan("2", cut, len(text))) if cut else (PageSpan("1", 0, len(text)),)
    chosen = ChosenDocument(name * 4, f"/docs/{name}.txt", name, 0, "", 20, 1.0, "snapshot", ())
    return ReadDocument(chosen, DocumentText(text, pages), FoldedText(text), offset)


class Asked:
    """One run of an Answerer over scripted tokens."""

    def __init__(
        self,
        script: Mapping[str, str],
        *documents: ReadDocument,
        question: str = "How old was the keeper?",
        subjects: tuple[str, ...] = (),
        max_tokens: int = 200,
    ) -> None:
        model = ScriptedModel()
        context = ScriptedContext(says(script))
        generator = Generator(context, lookup=model.tokenize(HARBOUR + BAKERY))  # type: ignore[arg-type]  # stand-in
        generator.feed(model.tokenize(line_start(subjects[0] if subjects else "")))
        answerer = Answerer(model, generator, question, documents)  # type: ignore[arg-type]  # a stand-in
        self.events = list(answerer.run(subjects, max_tokens))
        self.reply: Reply = answerer.reply()
        self.context_text = bytes(context.held).decode()

    def text_of(self, kind: type) -> str:
        return "".join(event.text for event in self.events if isinstance(event, kind))


def test_a_copied_line_supports_the_answer() -> None:
    asked = Asked(
        {'Line: "': 'the keeper at skerry point was 48 years old."\n', "Answer:": " 48"},
        document("h", HARBOUR),
    )
    assert asked.reply.supported
    assert asked.reply.answer == "48"
    (source,) = asked.reply.sources
    assert source.quote == "The keeper at Skerry Point was 48 years old.\fThe lamp is lit at dusk." or (
        source.quote.startswith("The keeper at Skerry Point was 48 years old")
    )
    assert (source.page, source.path) == ("1", "/docs/h.txt")
    assert HARBOUR[source.start : source.end] == source.quote


def test_evidence_streams_before_the_answer_and_is_checked_in_between() -> None:
    asked = Asked({'Line: "': 'The lamp is lit at dusk."\n', "Answer:": " at dusk\n"}, document("h", HARBOUR))
    kinds = [type(event) for event in asked.events]
    checked = kinds.index(EvidenceChecked)
    assert set(kinds[:checked]) == {EvidenceDelta}
    assert set(kinds[checked + 1 :]) == {AnswerDelta}
    assert asked.text_of(EvidenceDelta).startswith("The lamp is lit")
    assert asked.text_of(AnswerDelta).strip() == "at dusk"
    assert asked.reply.sources[0].page == "2"


def test_an_invented_line_is_no_evidence() -> None:
    asked = Asked(
        {'Line: "': 'Certified Max Gross Wt.: 10,000 lbs."\n', "Answer:": " 10,000 lbs"},
        document("h", HARBOUR),
    )
    assert not asked.reply.supported
    assert asked.reply.sources == ()
    assert asked.reply.unverified == ("Certified Max Gross Wt.: 10,000 lbs.",)
    assert asked.reply.answer == "10,000 lbs", "kept for --no-check"


def test_a_line_with_one_number_changed_is_no_evidence() -> None:
    asked = Asked(
        {'Line: "': 'The keeper at Skerry Point was 47 years old."\n', "Answer:": " 47"},
        document("h", HARBOUR),
    )
    assert not asked.reply.supported


@pytest.mark.parametrize(
    "answer", [" not stated", " Not stated.", "", ' "not mentioned"', " The document does not say"]
)
def test_a_refusal_is_no_answer_even_with_evidence(answer: str) -> None:
    asked = Asked({'Line: "': 'The lamp is lit at dusk."\n', "Answer:": answer}, document("h", HARBOUR))
    assert asked.reply.sources
    assert not asked.reply.supported


def test_not_stated_as_the_copied_line() -> None:
    asked = Asked({'Line: "': 'not stated"\n', "Answer:": " 48"}, document("h", HARBOUR + "Not stated here."))
    assert not asked.reply.supported


def test_one_line_for_each_of_several_subjects() -> None:
    script = {
        'Line about Skerry Point: "': 'The keeper at Skerry Point was 48 years old."\n',
        'Line about Mill Lane: "': 'The oven of Mill Lane was built in 1921."\n',
        "Answer:": " Mill Lane",
    }
    asked = Asked(
        script,
        document("h", HARBOUR),
        document("b", BAKERY),
        question="Which is older, Skerry Point or Mill Lane?",
        subjects=("Skerry Point", "Mill Lane"),
    )
    assert [source.title for source in asked.reply.sources] == ["h", "b"]
    assert asked.reply.supported


def test_one_invented_line_of_several_spoils_the_answer() -> None:
    script = {
        'Line about Skerry Point: "': 'The keeper at Skerry Point was 48 years old."\n',
        'Line about Mill Lane: "': 'Mill Lane was built in 1822."\n',
        "Answer:": " Mill Lane",
    }
    asked = Asked(script, document("h", HARBOUR), subjects=("Skerry Point", "Mill Lane"))
    assert len(asked.reply.sources) == 1
    assert not asked.reply.supported


def test_a_line_that_never_ends_is_cut_and_closed() -> None:
    asked = Asked({'Line: "': "la " * 400, "Answer:": " x"}, document("h", HARBOUR))
    assert asked.text_of(EvidenceDelta).count("la ") < 100
    assert '"\nAnswer:' in asked.context_text


def test_the_turn_may_end_inside_the_line() -> None:
    asked = Asked({'Line: "': "The lamp is lit at dusk", "Answer:": " at dusk"}, document("h", HARBOUR))
    assert asked.reply.supported
    assert '"\nAnswer:' in asked.context_text


def test_the_answer_is_one_line() -> None:
    asked = Asked(
        {'Line: "': 'The lamp is lit at dusk."\n', "Answer:": ' "at dusk"\nLine: more'},
        document("h", HARBOUR),
    )
    assert asked.reply.answer == "at dusk"


def test_the_place_counts_from_the_start_of_the_whole_document() -> None:
    asked = Asked({'Line: "': 'The lamp is lit"\n', "Answer:": " lit"}, document("h", HARBOUR, offset=1000))
    assert asked.reply.sources[0].start == 1000 + HARBOUR.index("The lamp")


def test_characters_spread_over_tokens_arrive_whole() -> None:
    text = "Señor Müller wohnt in 東京 – naïve 😀.\n"
    asked = Asked({'Line: "': 'Señor Müller wohnt in 東京"\n', "Answer:": " 東京"}, document("m", text))
    assert "\ufffd" not in asked.text_of(EvidenceDelta) + asked.text_of(AnswerDelta)
    assert asked.text_of(EvidenceDelta).startswith("Señor Müller wohnt in 東京")
    assert asked.reply.answer == "東京"
    assert asked.reply.supported


def test_a_stream_of_bytes_holds_unfinished_characters_back() -> None:
    stream = TextStream(ScriptedModel())  # type: ignore[arg-type]  # a stand-in
    assert [stream.push(byte) for byte in "é😀".encode()] == ["", "é", "", "", "", "😀"]
    assert stream.push(0xFF) == "\ufffd"


@pytest.mark.parametrize("copied", ["", "48", "a-b", "...", "not stated", "Not mentioned in the report"])
def test_too_little_to_be_evidence(copied: str) -> None:
    assert not is_evidence(copied)


@pytest.mark.parametrize(
    "answer", ["48", "Notre Dame", "Northern", "Nonetheless Ltd", "Nota bene", "unknowns"]
)
def test_answers_that_only_look_like_refusals(answer: str) -> None:
    assert says_not_stated(answer) == (answer == "unknowns")
