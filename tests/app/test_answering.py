"""From a scripted reply to a verdict: evidence is checked before an answer counts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from read_documents import BAKERY, HARBOUR, document
from scripted import ScriptedContext, ScriptedModel, says

from beyondrag.answering import Answerer, ReadDocument, line_start
from beyondrag.events import AnswerDelta, EvidenceChecked, EvidenceDelta
from beyondrag.generation import Generator
from beyondrag.streaming import TextStream
from beyondrag.verdict import Reply


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
        {'Quote: "': 'the keeper at skerry point was 48 years old."\n', "Answer:": " 48"},
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
    asked = Asked(
        {'Quote: "': 'The lamp is lit at dusk."\n', "Answer:": " at dusk\n"}, document("h", HARBOUR)
    )
    kinds = [type(event) for event in asked.events]
    checked = kinds.index(EvidenceChecked)
    assert set(kinds[:checked]) == {EvidenceDelta}
    assert set(kinds[checked + 1 :]) == {AnswerDelta}
    assert asked.text_of(EvidenceDelta).startswith("The lamp is lit")
    assert asked.text_of(AnswerDelta).strip() == "at dusk"
    assert asked.reply.sources[0].page == "2"


def test_an_invented_line_is_no_evidence() -> None:
    asked = Asked(
        {'Quote: "': 'Certified Max Gross Wt.: 10,000 lbs."\n', "Answer:": " 10,000 lbs"},
        document("h", HARBOUR),
    )
    assert not asked.reply.supported
    assert asked.reply.sources == ()
    assert asked.reply.unverified == ("Certified Max Gross Wt.: 10,000 lbs.",)
    assert asked.reply.answer == "10,000 lbs", "kept for --no-check"


def test_a_line_with_one_number_changed_is_no_evidence() -> None:
    asked = Asked(
        {'Quote: "': 'The keeper at Skerry Point was 47 years old."\n', "Answer:": " 47"},
        document("h", HARBOUR),
    )
    assert not asked.reply.supported


@pytest.mark.parametrize(
    "answer", [" not stated", " Not stated.", "", ' "not mentioned"', " The document does not say"]
)
def test_a_refusal_is_no_answer_even_with_evidence(answer: str) -> None:
    asked = Asked({'Quote: "': 'The lamp is lit at dusk."\n', "Answer:": answer}, document("h", HARBOUR))
    assert asked.reply.sources
    assert not asked.reply.supported


def test_not_stated_as_the_copied_line_is_no_evidence() -> None:
    text = HARBOUR + "Not stated here."
    asked = Asked({'Quote: "': 'not stated"\n', "Answer:": " 52"}, document("h", text))
    assert not asked.reply.supported
    asked = Asked({'Quote: "': 'not stated"\n', "Answer:": " 48"}, document("h", text))
    assert asked.reply.sources == ()
    assert not asked.reply.copied
    assert asked.reply.found is not None, "the answer itself was looked up"
    assert asked.reply.found.quote == "The keeper at Skerry Point was 48 years old."


def test_an_answer_from_another_line_than_the_copied_one_is_looked_up() -> None:
    asked = Asked(
        {'Quote: "': 'The lamp is lit at dusk."\n', "Answer:": " 48"}, document("h", HARBOUR, offset=500)
    )
    assert [source.quote for source in asked.reply.sources] == ["The lamp is lit at dusk."]
    (source,) = asked.reply.evidence
    assert (source.quote, source.page) == ("The keeper at Skerry Point was 48 years old.", "1")
    assert source.start == 500 + HARBOUR.index("The keeper")
    assert asked.reply.supported


def test_no_is_not_looked_up_though_the_word_stands_near_the_question() -> None:
    text = "The keeper was old.  There is no lamp at the keeper's house.\n"
    asked = Asked(
        {'Quote: "': 'The keeper was never old."\n', "Answer:": " No"},
        document("h", text),
        question="Was the keeper old?",
    )
    assert asked.reply.evidence == ()
    assert not asked.reply.supported


def test_with_several_lines_nothing_is_looked_up() -> None:
    script = {
        'Quote about Skerry Point: "': 'The keeper at Skerry Point was 48 years old."\n',
        'Quote about Mill Lane: "': 'Mill Lane was built in 1822."\n',
        "Answer:": " 48",
    }
    asked = Asked(script, document("h", HARBOUR), subjects=("Skerry Point", "Mill Lane"))
    assert asked.reply.found is None
    assert not asked.reply.supported


def test_a_long_line_is_quoted_by_its_sentence() -> None:
    text = "The sea was calm that day. " * 40 + "The keeper was 48 years old. " + "Gulls cried. " * 60
    asked = Asked({'Quote: "': 'keeper was 48"\n', "Answer:": " 48"}, document("h", text))
    (source,) = asked.reply.sources
    assert source.quote == "The keeper was 48 years old."
    assert text[source.start : source.end] == source.quote


def test_what_stands_before_a_line_break_in_the_same_token_is_not_lost() -> None:
    class WordModel(ScriptedModel):
        """Token 255 (no byte of UTF-8) is the end of a line with its last character."""

        def piece(self, token: int) -> bytes:
            return b"8\n" if token == 255 else super().piece(token)

    model = WordModel()
    context = ScriptedContext(says({'Quote: "': 'The keeper was 48"\n', "Answer:": " 4"}))
    scripted = context._next
    context._next = lambda held: 255 if bytes(held).endswith(b"Answer: 4") else scripted(held)
    context.model = model
    generator = Generator(context, lookup=model.tokenize(""))  # type: ignore[arg-type]  # a stand-in
    generator.feed(model.tokenize(line_start("")))
    text = "The keeper was 48"
    answerer = Answerer(model, generator, "How old?", [document("h", text)])  # type: ignore[arg-type]  # a stand-in
    events = list(answerer.run([], 50))
    assert "".join(event.text for event in events if isinstance(event, AnswerDelta)) == "48"
    assert answerer.reply().answer == "48"


def test_one_line_for_each_of_several_subjects() -> None:
    script = {
        'Quote about Skerry Point: "': 'The keeper at Skerry Point was 48 years old."\n',
        'Quote about Mill Lane: "': 'The oven of Mill Lane was built in 1921."\n',
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
        'Quote about Skerry Point: "': 'The keeper at Skerry Point was 48 years old."\n',
        'Quote about Mill Lane: "': 'Mill Lane was built in 1822."\n',
        "Answer:": " Mill Lane",
    }
    asked = Asked(script, document("h", HARBOUR), subjects=("Skerry Point", "Mill Lane"))
    assert len(asked.reply.sources) == 1
    assert not asked.reply.supported


def test_a_line_that_never_ends_is_cut_and_closed() -> None:
    asked = Asked({'Quote: "': "la " * 400, "Answer:": " x"}, document("h", HARBOUR))
    assert asked.text_of(EvidenceDelta).count("la ") < 100
    assert '"\nAnswer:' in asked.context_text


def test_the_turn_may_end_inside_the_line() -> None:
    asked = Asked({'Quote: "': "The lamp is lit at dusk", "Answer:": " at dusk"}, document("h", HARBOUR))
    assert asked.reply.supported
    assert '"\nAnswer:' in asked.context_text


def test_the_answer_is_one_line() -> None:
    asked = Asked(
        {'Quote: "': 'The lamp is lit at dusk."\n', "Answer:": ' "at dusk"\nQuote: more'},
        document("h", HARBOUR),
    )
    assert asked.reply.answer == "at dusk"


def test_the_place_counts_from_the_start_of_the_whole_document() -> None:
    asked = Asked({'Quote: "': 'The lamp is lit"\n', "Answer:": " lit"}, document("h", HARBOUR, offset=1000))
    assert asked.reply.sources[0].start == 1000 + HARBOUR.index("The lamp")


def test_characters_spread_over_tokens_arrive_whole() -> None:
    text = "Señor Müller wohnt in 東京 – naïve 😀.\n"
    asked = Asked({'Quote: "': 'Señor Müller wohnt in 東京"\n', "Answer:": " 東京"}, document("m", text))
    assert "\ufffd" not in asked.text_of(EvidenceDelta) + asked.text_of(AnswerDelta)
    assert asked.text_of(EvidenceDelta).startswith("Señor Müller wohnt in 東京")
    assert asked.reply.answer == "東京"
    assert asked.reply.supported


def test_a_stream_of_bytes_holds_unfinished_characters_back() -> None:
    stream = TextStream(ScriptedModel())  # type: ignore[arg-type]  # a stand-in
    assert [stream.push(byte) for byte in "é😀".encode()] == ["", "é", "", "", "", "😀"]
    assert stream.push(0xFF) == "\ufffd"
