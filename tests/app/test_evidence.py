"""A quote is found where it stands, whatever the white space and case, and nowhere else."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from guards import assert_linear, hang_guard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from beyondrag.evidence import FoldedText, Found

WORD = st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=8)
GAP = st.sampled_from([" ", "\n", "  ", ", ", ".\n\n", "\f", ' "', "; ", " – ", "\u00a0"])


def found(text: str, quote: str) -> str | None:
    place = FoldedText(text).find(quote)
    return None if place is None else text[place.start : place.end]


@pytest.mark.parametrize(
    ("text", "quote", "expected"),
    [
        ("The pilot was 48 years old.", "the PILOT was 48", "The pilot was 48"),
        ("The pilot\nwas  48\fyears old", "pilot was 48 years", "pilot\nwas  48\fyears"),
        ("Pilot (aged 48), Belen", "pilot aged 48 Belen", "Pilot (aged 48), Belen"),
        ("He said: “Stop!”", 'said "stop"', "said: “Stop"),
        ("Weight: 1,364 lbs", "1364 lbs", "1,364 lbs"),
        ("Weight: 1364 lbs", "1,364 lbs", "1364 lbs"),
        ("a 1,234,567.5 b", "1234567.5", "1,234,567.5"),
        ("Straße 5", "STRASSE 5", "Straße 5"),
        ("caf\u0065\u0301 Noir", "CAFÉ noir", "caf\u0065\u0301 Noir"),
        ("the ﬁrst oﬃce", "first office", "ﬁrst oﬃce"),
        ("２０２１ report", "2021 report", "２０２１ report"),
        ("東京は日本の首都です。", "日本の首都", "日本の首都"),
        ("東京は\n日本の首都です。", "東京は日本", "東京は\n日本"),
        ("co\u00adoperate now", "cooperate now", "co\u00adoperate now"),
        ("हिन्दी भाषा", "हिन्दी भाषा", "हिन्दी भाषा"),
        ("ﷺ then more words", "more words", "more words"),
        ("area of 5 m² each", "5 m2 each", "5 m² each"),
    ],
)
def test_verbatim_up_to_space_case_and_punctuation(text: str, quote: str, expected: str) -> None:
    assert found(text, quote) == expected


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("The pilot was 48", "pilot was 4"),
        ("The pilot was 48", "ilot was 48"),
        ("The copilot was 48", "pilot was 48"),
        ("Weight: 13.64 lbs", "1364"),
        ("Weight: 13,64 kg", "1364"),
        ("Weight: 1.364 lbs", "1364"),
        ("Weight: 1,364 lbs", "364 lbs"),
        ("Weight: 13.64 lbs", "13"),
        ("10² hours", "102 hours"),
        ("1½ cups", "11/2 cups"),
        ("The pilot was not hurt", "The pilot was hurt"),
        ("की नीति", "का नीति"),
        ("résumé", "resume"),
        ("anything", ""),
        ("a b c", "a"),
        ("... !!!", "!!!"),
    ],
)
def test_what_does_not_stand_there(text: str, quote: str) -> None:
    assert found(text, quote) is None


@given(st.lists(st.tuples(WORD, GAP), min_size=1, max_size=30), st.data())
def test_any_run_of_words_is_found_and_its_place_is_those_words(
    pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    words = [word for word, _ in pairs]
    text = "".join(word + gap for word, gap in pairs)
    start = data.draw(st.integers(0, len(words) - 1))
    stop = data.draw(st.integers(start + 1, len(words)))
    quote = " ".join(words[start:stop])
    assume(len(quote.replace(" ", "")) >= 2)
    place = FoldedText(text).find(quote)
    assert place is not None
    assert FoldedText(text[place.start : place.end]).find(quote) is not None
    assert FoldedText(quote).find(text[place.start : place.end]) is not None


@given(st.lists(st.text("abcdefgh", min_size=2, max_size=6), min_size=3, max_size=20, unique=True), st.data())
def test_a_quote_with_one_word_changed_is_not_found(words: list[str], data: st.DataObject) -> None:
    changed = list(words)
    changed[data.draw(st.integers(0, len(words) - 1))] = data.draw(st.text("uvwxyz", min_size=1, max_size=6))
    assert found(" ".join(words), " ".join(changed)) is None


@given(st.text(max_size=80), st.text(max_size=20))
@settings(max_examples=300)
def test_no_text_breaks_it(text: str, quote: str) -> None:
    place = FoldedText(text).find(quote)
    if place is not None:
        assert 0 <= place.start < place.end <= len(text)
    for form in ("NFC", "NFD"):
        FoldedText(unicodedata.normalize(form, text)).find(text)


def test_the_first_of_several_places() -> None:
    place = FoldedText("one two. one two.").find("one two")
    assert place is not None
    assert place.start == 0


def test_a_place_is_widened_to_its_line() -> None:
    text = "title\n   The pilot was 48.  \nend"
    folded = FoldedText(text)
    place = folded.find("pilot was")
    assert place is not None
    line = folded.line_around(place)
    assert text[line.start : line.end] == "The pilot was 48."
    over = folded.find("48 end")
    assert over is not None
    line = folded.line_around(over)
    assert text[line.start : line.end] == "The pilot was 48.  \nend"


@pytest.mark.parametrize(
    ("text", "quote", "expected"),
    [
        ("One came. The pilot was 48. Two went.", "pilot was", "The pilot was 48."),
        ("Who? The pilot was 48! Two went.", "48", "The pilot was 48!"),
        (
            "One came. Mr. J. Smith of St. Ives was 48. Two went.",
            "was 48",
            "Mr. J. Smith of St. Ives was 48.",
        ),
        ("One came. The wt. was approx. five lbs. Two went.", "five", "The wt. was approx. five lbs."),
        ("It was 1.5 miles. The end", "miles", "It was 1.5 miles."),
        ("page one\fThe pilot was 48\fpage three", "pilot", "The pilot was 48"),
        ("heading\n \nThe pilot\nwas 48\n\nnext", "48", "The pilot\nwas 48"),
        ("pilot", "pilot", "pilot"),
    ],
)
def test_a_place_is_widened_to_its_sentence(text: str, quote: str, expected: str) -> None:
    folded = FoldedText(text)
    place = folded.find(quote)
    assert place is not None
    sentence = folded.sentence_around(place, 400)
    assert text[sentence.start : sentence.end] == expected


@given(st.lists(st.tuples(WORD, GAP), min_size=1, max_size=40), st.integers(0, 120), st.data())
def test_a_sentence_holds_its_place_within_bounds_and_cuts_no_word(
    parts: list[tuple[str, str]], most: int, data: st.DataObject
) -> None:
    text = "".join(word + gap for word, gap in parts)
    at = data.draw(st.integers(0, len(parts) - 1))
    start = sum(len(word + gap) for word, gap in parts[:at])
    place = Found(start, start + len(parts[at][0]))
    sentence = FoldedText(text).sentence_around(place, most)
    assert 0 <= sentence.start <= place.start < place.end <= sentence.end <= len(text)
    assert sentence.end - sentence.start <= max(most, place.end - place.start)
    for edge in (sentence.start, sentence.end):
        assert not text[max(0, edge - 1) : edge + 1].isalnum() or len(text[max(0, edge - 1) : edge + 1]) < 2


def test_a_megabyte_without_a_space_is_cut_to_the_place() -> None:
    text = "x" * 500_000 + "-48-" + "y" * 500_000
    folded = FoldedText(text)
    place = folded.find("48")
    assert place is not None
    assert folded.sentence_around(place, 400) == place


def test_folding_and_searching_cost_no_more_than_the_length_of_the_text() -> None:
    """The guard is for the expressions: the square of a megabyte is 10^12 steps."""

    def search(n: int) -> Callable[[], None]:
        text = "The pilot’s age – 48 – was noted in the report, page 1,364. " * n + "needle in a haystack"

        def fold_and_find() -> None:
            folded = FoldedText(text)
            assert folded.find("needle in a haystack") is not None
            assert folded.find("needle in no haystack") is None

        return fold_and_find

    assert_linear(search, 50)
    with hang_guard():
        search(17_000)()
