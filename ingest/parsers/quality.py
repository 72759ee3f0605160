"""Does text that came out of a PDF consist of readable characters?

Two independent signs, both cheap and without a model of any one language:

* characters that no text holds: U+FFFD, private-use and control characters, ``(cid:17)`` and glyph
  names (``/g84/g104``), which stand where a font does not say what its glyphs mean;
* letters distributed as unevenly as in a language, but the wrong letters: fonts whose codes are
  shifted or permuted ("7KH DGYDQFHV") are a substitution cipher, which leaves the index of coincidence
  (W. F. Friedman, 1922) as it is while the correlation with the letter frequencies of real languages is lost.

Not covered: short texts (under `MIN_LETTERS` letters) and scripts other than Latin pass the second test.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from math import sqrt

MAX_UNREADABLE_SHARE = 0.05
MAX_MISSPACED_SHARE = 0.3
MIN_SPACED_CHARS = 100
MIN_LETTERS = 200
_MIN_LATIN_SHARE = 0.6  # of all letters; below, the text is in another script
_COINCIDENCE_OF_LANGUAGES = (0.05, 0.11)  # they have 0.065 to 0.085; evenly drawn letters 0.038, DNA 0.25
_MIN_CORRELATION = 0.35

# Per cent of letters in English text (R. E. Lewand, Cryptological Mathematics, 2000), a to z.
# Other languages in Latin script correlate with these by 0.5 or more.
_ENGLISH = (
    8.167, 1.492, 2.782, 4.253, 12.702, 2.228, 2.015, 6.094, 6.966, 0.153, 0.772, 4.025, 2.406,
    6.749, 7.507, 1.929, 0.095, 5.987, 6.327, 9.056, 2.758, 0.978, 2.360, 0.150, 1.974, 0.074,
)  # fmt: skip
_LATIN_RUN = re.compile("[A-Za-z\u00c0-\u024f]+")
_LONG_WORD = 35  # letters; German legal terms reach 40, but not all of them
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_MAX_SAMPLE_CHARS = 200_000

_NO_TEXT = re.compile(
    "[\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff\x00-\x08\x0e-\x1f\x7f-\x9f]"
    r"|\(cid:\d{1,6}\)"
    r"|(?:/[A-Za-z]{1,5}[0-9A-F]{1,5}){3,}"
)


def unreadable_share(raw: str) -> float:
    """Share (0 to 1) of the characters of `raw`, spaces left out, that stand for an unknown glyph.

    `raw` must not have been sanitised: the control characters are the evidence.
    """
    n_chars = len(raw) - sum(map(raw.count, " \t\n\r\f\u00a0"))
    if not n_chars:
        return 0.0
    return sum(match.end() - match.start() for match in _NO_TEXT.finditer(raw)) / n_chars


def looks_enciphered(text: str) -> bool:
    """Whether the Latin letters of `text` have the unevenness of a language but not its letters."""
    latin, n_letters = _letters(text)
    n_latin = sum(latin)
    if n_latin < MIN_LETTERS or n_latin < _MIN_LATIN_SHARE * n_letters:
        return False
    coincidence = sum(count * (count - 1) for count in latin) / (n_latin * (n_latin - 1))
    low, high = _COINCIDENCE_OF_LANGUAGES
    return low < coincidence < high and _correlation(latin, _ENGLISH) < _MIN_CORRELATION


def is_too_short_to_judge(text: str) -> bool:
    """Whether `text` is in Latin letters, and too few of them to tell a language from a cipher."""
    latin, n_letters = _letters(text)
    return _MIN_LATIN_SHARE * n_letters <= sum(latin) < MIN_LETTERS


def _letters(text: str) -> tuple[list[int], int]:
    """How often each letter of `_ALPHABET` comes, accents apart, and the number of letters of any script."""
    counts = Counter(unicodedata.normalize("NFD", text[:_MAX_SAMPLE_CHARS]).lower())
    return [counts[letter] for letter in _ALPHABET], sum(n for char, n in counts.items() if char.isalpha())


def misspaced_share(text: str) -> float:
    """Share (0 to 1) of the Latin letters of `text` that stand alone or in words of absurd length.

    Fonts without widths, and words placed letter by letter, lose spaces or gain them.  Texts of fewer than
    `MIN_SPACED_CHARS` such letters give 0.
    """
    lengths = [match.end() - match.start() for match in _LATIN_RUN.finditer(text[:_MAX_SAMPLE_CHARS])]
    n_letters = sum(lengths)
    if n_letters < MIN_SPACED_CHARS:
        return 0.0
    return sum(length for length in lengths if length == 1 or length >= _LONG_WORD) / n_letters


def looks_poor(raw: str) -> bool:
    """Whether the text of a page is hard to read: unknown glyphs, the wrong letters, lost or added spaces."""
    return (
        unreadable_share(raw) > MAX_UNREADABLE_SHARE
        or looks_enciphered(raw)
        or misspaced_share(raw) > MAX_MISSPACED_SHARE
    )


def _correlation(observed: list[int], expected: tuple[float, ...]) -> float:
    """Pearson's r."""
    mean_o, mean_e = sum(observed) / len(observed), sum(expected) / len(expected)
    covariance = sum((o - mean_o) * (e - mean_e) for o, e in zip(observed, expected, strict=True))
    spread = sqrt(sum((o - mean_o) ** 2 for o in observed) * sum((e - mean_e) ** 2 for e in expected))
    return covariance / spread if spread else 0.0
