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
    sample = unicodedata.normalize("NFD", text[:_MAX_SAMPLE_CHARS]).lower()
    counts = Counter(sample)
    latin = [counts[letter] for letter in _ALPHABET]
    n_latin = sum(latin)
    n_letters = sum(count for char, count in counts.items() if char.isalpha())
    if n_latin < MIN_LETTERS or n_latin < _MIN_LATIN_SHARE * n_letters:
        return False
    coincidence = sum(count * (count - 1) for count in latin) / (n_latin * (n_latin - 1))
    low, high = _COINCIDENCE_OF_LANGUAGES
    return low < coincidence < high and _correlation(latin, _ENGLISH) < _MIN_CORRELATION


def _correlation(observed: list[int], expected: tuple[float, ...]) -> float:
    """Pearson's r."""
    mean_o, mean_e = sum(observed) / len(observed), sum(expected) / len(expected)
    covariance = sum((o - mean_o) * (e - mean_e) for o, e in zip(observed, expected, strict=True))
    spread = sqrt(sum((o - mean_o) ** 2 for o in observed) * sum((e - mean_e) ** 2 for e in expected))
    return covariance / spread if spread else 0.0
