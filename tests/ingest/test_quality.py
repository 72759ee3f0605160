"""Text from fonts that lie is told from text in any language."""

from __future__ import annotations

import random
import string

import pytest

from ingest.parsers.quality import MAX_UNREADABLE_SHARE, looks_enciphered, unreadable_share

ENGLISH = (
    "The pilot reported that he was attempting to land on the turf strip when the airplane struck "
    "the tops of several trees, then a power line, and came to rest upside down in a field beside "
    "the road. The weather was calm and clear. An examination of the engine revealed nothing that "
    "would have kept it from running. "
)
LANGUAGES = {
    "German": (
        "Der Pilot berichtete, dass er auf der Wiese landen wollte, als das Flugzeug die Wipfel mehrerer "
        "Bäume und danach eine Stromleitung berührte und auf dem Rücken in einem Feld neben der Straße "
        "liegen blieb. Das Wetter war ruhig und klar, die Untersuchung des Motors ergab keinen Mangel. "
    ),
    "Finnish": (
        "Lentäjä kertoi yrittäneensä laskeutua nurmikentälle, kun kone osui puiden latvoihin ja sen "
        "jälkeen sähkölinjaan ja jäi ylösalaisin pellolle tien viereen. Sää oli tyyni ja selkeä, eikä "
        "moottorin tutkimuksessa löytynyt mitään vikaa, joka olisi estänyt sitä toimimasta. "
    ),
    "Polish": (
        "Pilot zeznał, że próbował lądować na trawiastym pasie, gdy samolot zahaczył o wierzchołki kilku "
        "drzew, a potem o linię energetyczną i zatrzymał się do góry kołami na polu obok drogi. Pogoda "
        "była spokojna i bezchmurna, a badanie silnika nie wykazało żadnej usterki. "
    ),
    "Turkish": (
        "Pilot, çim piste inmeye çalışırken uçağın birkaç ağacın tepesine, ardından bir elektrik hattına "
        "çarptığını ve yolun yanındaki bir tarlada ters döndüğünü bildirdi. Hava sakin ve açıktı, "
        "motorun incelenmesinde çalışmasını engelleyecek bir kusur bulunamadı. "
    ),
    "Russian": "Пилот сообщил, что пытался сесть на травяную полосу, когда задел верхушки деревьев. " * 5,
    "Japanese": "操縦士は草地の滑走路に着陸しようとしていたと報告した。" * 20,
}


def shifted(text: str) -> str:
    """As a font without a character map shows it: every code 29 too low."""
    return "".join(chr(ord(char) - 29) if char >= "A" else char for char in text)


@pytest.mark.parametrize("text", [ENGLISH, *LANGUAGES.values()], ids=["English", *LANGUAGES])
def test_languages_pass(text: str) -> None:
    assert not looks_enciphered(text)
    assert unreadable_share(text) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "".join(random.Random(1).choices("ACGT", k=2000)),
        "".join(random.Random(2).choices(string.ascii_letters + string.digits, k=2000)),
        " ".join(f"{n:08x}" for n in random.Random(3).sample(range(2**32), 400)),
        "kg mm MHz 17.5 | 3,200.00 |\n" * 3,
    ],
    ids=["DNA", "base64", "hex", "units"],
)
def test_what_is_no_language_but_legible_passes(text: str) -> None:
    assert not looks_enciphered(text)
    assert unreadable_share(text) <= MAX_UNREADABLE_SHARE


def test_shifted_letters_are_recognised() -> None:
    assert looks_enciphered(shifted(ENGLISH))


def test_most_permutations_of_the_alphabet_are_recognised() -> None:
    caught = 0
    for seed in range(200):
        letters = list(string.ascii_lowercase)
        random.Random(seed).shuffle(letters)
        key = str.maketrans(string.ascii_lowercase, "".join(letters))
        caught += looks_enciphered(ENGLISH.lower().translate(key))
    assert caught >= 180


@pytest.mark.parametrize(
    "noise",
    ["\x03\x16\x15", "\ue012\ue013", "\ufffd", "(cid:17)(cid:204)", "/g84/g104/g101", "\U000f1234"],
)
def test_unknown_glyphs_are_counted(noise: str) -> None:
    assert unreadable_share(noise * 40) == 1.0
    text = ENGLISH.replace(" ", "")
    expected = len(noise) * 10 / (len(noise) * 10 + len(text))
    assert unreadable_share(ENGLISH + noise * 10) == pytest.approx(expected)


def test_paths_and_dates_are_not_glyph_names() -> None:
    assert unreadable_share("see /usr/lib/x86/v2 and 2021/10/12 and a/b1/c") == 0.0
    assert unreadable_share("") == 0.0
