"""Drafting from the documents changes the time, never the tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import END, ScriptedContext, says

from beyondrag.generation import Generator, Step
from kvfiles.errors import Cancelled
from kvfiles.runtime import Context, Model

PROMPT = np.array([1, 2, 3], np.int32)
NOTHING = np.empty(0, np.int32)


def babble(seed: int, n_words: int) -> Any:
    """A deterministic next-token function over few words, so that it repeats itself and its documents."""

    def next_token(held: tuple[int, ...]) -> int:
        value = (held[-1] * 7 + held[-2:][0] * 3 + seed) % (n_words + 1)
        return END if value == n_words and len(held) % 5 == 0 else value % n_words

    return next_token


def generator(next_token: Any, lookup: Any) -> tuple[ScriptedContext, Generator]:
    context = ScriptedContext(next_token)
    made = Generator(context, lookup=np.asarray(lookup, np.int32))  # type: ignore[arg-type]  # a stand-in
    made.feed(PROMPT)
    return context, made


def tokens(steps: list[Step]) -> list[int]:
    return [step.token for step in steps]


@given(st.integers(0, 50), st.integers(2, 6), st.lists(st.integers(0, 5), max_size=60), st.integers(1, 40))
def test_drafting_gives_the_same_tokens(seed: int, n_words: int, lookup: list[int], max_tokens: int) -> None:
    plain_context, plain = generator(babble(seed, n_words), NOTHING)
    context, drafting = generator(babble(seed, n_words), lookup)
    expected, got = list(plain.steps(max_tokens)), list(drafting.steps(max_tokens))
    assert tokens(got) == tokens(expected)
    assert context.held == plain_context.held
    assert context.n_batches <= plain_context.n_batches
    np.testing.assert_array_equal(drafting.next_logits(), plain.next_logits())


@given(st.integers(0, 50), st.lists(st.integers(0, 3), min_size=8, max_size=60), st.integers(1, 30))
def test_stopping_early_leaves_exactly_what_was_handed_out(
    seed: int, lookup: list[int], stop_after: int
) -> None:
    context, drafting = generator(babble(seed, 4), lookup)
    handed = []
    for step in drafting.steps(64):
        handed.append(step.token)
        if len(handed) == stop_after:
            break
    if handed[-1:] == [END]:
        handed.pop()
    assert context.held == [*PROMPT.tolist(), *handed]
    # What follows is what a fresh generator makes of the same tokens.
    _, fresh = generator(babble(seed, 4), NOTHING)
    fresh.feed(np.array(handed, np.int32))
    assert tokens(list(drafting.steps(10))) == tokens(list(fresh.steps(10)))


def test_copying_takes_fewer_batches() -> None:
    line = "the lighthouse keeper at Skerry Point was 48 years old"
    context = ScriptedContext(says({"Q:": line}))
    lookup = context.model.tokenize(f"before. {line}. after")
    copying = Generator(context, lookup=lookup)  # type: ignore[arg-type]  # a stand-in
    copying.feed(context.model.tokenize("Q:"))
    steps = list(copying.steps(200))
    assert bytes(tokens(steps)[:-1]).decode() == line
    assert context.n_batches < len(steps) / 4
    assert sum(step.drafted for step in steps) > len(steps) * 0.7


def test_the_end_token_is_handed_out_but_not_decoded() -> None:
    context, made = generator(lambda _held: END, [1, 2, 3, END, END])
    assert tokens(list(made.steps(5))) == [END]
    assert context.held == PROMPT.tolist()
    assert made.n_generated == 0


def test_no_more_than_was_asked_for() -> None:
    context, made = generator(lambda _held: 7, [7] * 40)
    assert len(list(made.steps(5))) == 5
    assert context.held == [*PROMPT.tolist(), *[7] * 5]
    assert list(made.steps(0)) == []


def test_cancelling_between_batches() -> None:
    context, made = generator(lambda held: len(held) % 200, NOTHING)
    asked = iter([False, False, True])
    got: list[int] = []
    with pytest.raises(Cancelled):
        got += (step.token for step in made.steps(50, lambda: next(asked)))
    assert len(context.held) == len(PROMPT) + 2


@pytest.mark.model
def test_the_small_model_says_the_same_with_and_without_drafts(small_model: Model) -> None:
    text = "The lamp at Skerry Point is lit at dusk by Anna Brand. " * 3
    said = []
    for drafts in (False, True):
        context = Context(small_model, n_ctx=512, n_threads=2)
        try:
            prompt = small_model.tokenize(text + "The lamp at")
            made = Generator(context, lookup=prompt if drafts else NOTHING)
            made.feed(prompt)
            said.append(list(made.steps(40)))
        finally:
            context.close()
    assert tokens(said[0]) == tokens(said[1])
    assert not any(step.drafted for step in said[0])
    assert sum(step.drafted for step in said[1]) > 10
