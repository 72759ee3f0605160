"""Questions that one system gets right and another hallucinates, with what each was given."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from eval.page import Example, Examples, Passage, Reply
from eval.page.model import Outcome
from eval.qa.answered import Answered
from eval.qa.summary import Result
from eval.qa.systems import GivenText

PER_SET = 2
SEED = 1


def pair_examples(
    parts: Sequence[Answered], right: str, wrong: str, *, per_set: int = PER_SET, seed: int = SEED
) -> Examples | None:
    """Questions that `right` got right and `wrong` hallucinated, `per_set` of each set drawn by `seed`.

    None when no question was put to both.
    """
    chosen: list[Example] = []
    total = out_of = 0
    for part in parts:
        ours = {one.id: one for one in part.results if one.row.system == right}
        theirs = {one.id: one for one in part.results if one.row.system == wrong}
        both = [(ours[i], theirs[i]) for i in ours if i in theirs]
        found = [(a, b) for a, b in both if a.shown.good and b.shown.hallucinated]
        total, out_of = total + len(found), out_of + len(both)
        rng = np.random.default_rng([seed, zlib.crc32(f"{part.set}/{right}/{wrong}".encode())])
        drawn = sorted(rng.permutation(len(found))[:per_set])
        chosen += [_example(part.set, *found[i]) for i in drawn]
    if not out_of:
        return None
    choice = (
        f"up to {per_set} of each set, drawn with seed {seed}; withholding is right where no document answers"
    )
    return Examples(f"{right} right, {wrong} hallucinates", tuple(chosen), total, out_of, choice)


def _example(name: str, *results: Result) -> Example:
    question = results[0].row.question
    return Example(
        question.question,
        () if question.is_null else question.answers,
        tuple(_reply(one) for one in results),
        f"{name}, {question.type}",
    )


def _reply(one: Result) -> Reply:
    given = one.row.given
    outcome: Outcome = one.shown.outcome.value
    return Reply(
        one.row.system,
        given.answer,
        outcome,
        tuple(Passage(_title(text), text.text, text.n_chars) for text in given.texts),
        given.copies,
    )


def _title(text: GivenText) -> str:
    """The title; of a text of which only a part is kept here, which part."""
    if len(text.text) >= text.n_chars:
        return text.title
    first, last = text.start + 1, text.start + len(text.text)
    return f"{text.title} (characters {first:,} to {last:,} of the {text.n_chars:,} given)"
