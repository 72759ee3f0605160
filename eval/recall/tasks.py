"""The tasks by name, and samples of them as long as a context."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from beyondrag.errors import UsageError
from eval.recall.chains import variable_chains
from eval.recall.counts import item_counts, most_frequent
from eval.recall.keys import confusable_keys, several_values
from eval.recall.samples import Build, Probe, Sample
from eval.recall.scoring import first_choice, first_number, share_of_lines, share_of_values
from eval.recall.verbatim import N_LINES, source_file

VERBATIM = "verbatim"


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of sample and how it is scored.

    Attributes:
        least: the fewest items that a sample can have.
        score: probe and reply to a score from 0 to 1.
        share: whether a score is always 0 or 1.
        forced: whether the score comes from reading the true answer token by token instead of from a
            generated reply.
    """

    name: str
    about: str
    build: Build
    least: int
    score: Callable[[Probe, str], float]
    share: bool = True
    forced: bool = False


def all_tasks(n_lines: int = N_LINES) -> dict[str, Task]:
    """Every task by name; `n_lines` is how many lines of a function `verbatim` asks for."""
    tasks = (
        Task(
            VERBATIM,
            f"the first {n_lines} lines of a function; share of lines exact, each token after the true ones",
            partial(source_file, n_lines=n_lines),
            1,
            share_of_lines,
            share=False,
            forced=True,
        ),
        Task("keys", "one code among keys that differ by one letter", confusable_keys, 2, first_number),
        Task(
            "values", "all four codes of a key; share found", several_values, 2, share_of_values, share=False
        ),
        Task("hops", "a number handed on over 0 to 4 names", variable_chains, 1, first_number),
        Task("count", "how often an item occurs", item_counts, 2, first_number),
        Task("frequent", "which item a depot received most often", most_frequent, 3, first_choice),
    )
    return {task.name: task for task in tasks}


def chosen_tasks(names: tuple[str, ...], n_lines: int = N_LINES) -> tuple[Task, ...]:
    """The tasks of these names, all without any; raises UsageError."""
    known = all_tasks(n_lines)
    for name in names:
        if name not in known:
            raise UsageError(f"unknown task {name!r}", remedy=f"use some of {', '.join(known)}")
    return tuple(known[name] for name in names or known)


def make_sample(task: Task, seed: int, index: int, n_items: int) -> Sample:
    """The sample number `index` of `n_items` items; the same arguments always give the same one."""
    rng = np.random.default_rng([seed, index, zlib.crc32(task.name.encode()), n_items])
    return task.build(rng, n_items)


def fitted_sample(
    task: Task, seed: int, index: int, max_tokens: int, n_tokens: Callable[[Sample], int]
) -> Sample:
    """A sample of at most `max_tokens` by `n_tokens`, of which one more item would be too much.

    Raises UsageError when not even the smallest sample fits.
    """

    def sized(n_items: int) -> Sample | None:
        sample = make_sample(task, seed, index, n_items)
        return sample if n_tokens(sample) <= max_tokens else None

    low, best = task.least, sized(task.least)
    if best is None:
        raise UsageError(
            f"{max_tokens} tokens are too few for the task {task.name}", remedy="raise --context-tokens"
        )
    high = 2 * low
    while (larger := sized(high)) is not None:
        low, best, high = high, larger, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        fitting = sized(middle)
        if fitting is None:
            high = middle
        else:
            low, best = middle, fitting
    return best
