"""Aggregation: how often an item occurs, and which occurs most often.

After RULER's common-words and frequent-words extraction (Hsieh et al. 2024): the answer stands in no
single line, so attention has to be spread evenly over many.
"""

from __future__ import annotations

import numpy as np

from eval.recall.names import distinct, word
from eval.recall.samples import N_BINS, Probe, Rng, Sample, depth_of, depth_stratum

LEAST_COUNT, MOST_COUNT = 2, 9
"""How often an item occurs that is counted."""

N_KINDS = 8
"""Items of one depot; the most frequent one is drawn TOP_SHARE of the time."""
TOP_SHARE = 0.4
RUNNER_UP = 0.6


def item_counts(rng: Rng, n_items: int) -> Sample:
    """`n_items` items, each LEAST_COUNT to MOST_COUNT times, in random order; up to five probes."""
    names = distinct(rng, word, n_items)
    counts = rng.integers(LEAST_COUNT, MOST_COUNT + 1, n_items)
    order = rng.permutation(np.repeat(np.arange(n_items), counts))
    probes = []
    for index in rng.permutation(n_items)[:N_BINS]:
        name, count = names[index], str(counts[index])
        places = np.flatnonzero(order == index)
        depth = float(np.mean([depth_of(int(i), len(order)) for i in places]))
        question = f"How many lines of the document say `delivered: {name}`? Answer with a number in digits."
        opening = f"Number of lines that say `delivered: {name}`:"
        probes.append(
            Probe(_count_stratum(int(counts[index])), depth, question, opening, f" {count}", (count,))
        )
    return Sample("deliveries", "\n".join(f"delivered: {names[i]}" for i in order), n_items, tuple(probes))


def _count_stratum(count: int) -> str:
    middle = (LEAST_COUNT + MOST_COUNT) // 2
    low, high = (LEAST_COUNT, middle) if count <= middle else (middle + 1, MOST_COUNT)
    return f"{low} to {high} times"


def most_frequent(rng: Rng, n_items: int) -> Sample:
    """Five depots of `n_items` lines each (3 or more); in each one item is the most frequent, alone.

    Every depot draws from the same items, so the question needs the lines of its depot and no others.
    """
    kinds = distinct(rng, word, N_KINDS)
    depots = distinct(rng, word, N_BINS)
    tops = rng.permutation(N_KINDS)[:N_BINS]
    blocks, probes = [], []
    for i, (depot, top) in enumerate(zip(depots, tops, strict=True)):
        lines = [f"{depot} received: {kinds[j]}" for j in _with_mode(rng, int(top), n_items)]
        blocks.append("\n".join(lines))
        depth = depth_of(i, N_BINS)
        question = f"Which item did {depot} receive most often? Answer with its name alone."
        opening = f"The item that {depot} received most often is"
        expected = kinds[top]
        probes.append(
            Probe(
                *(depth_stratum(depth), depth, question, opening, f" {expected}", (expected,)),
                choices=tuple(kinds),
            )
        )
    return Sample("deliveries", "\n".join(blocks), n_items, tuple(probes))


def _with_mode(rng: Rng, top: int, n: int) -> list[int]:
    """`n` item numbers in random order: `top` round(TOP_SHARE n) times (2 or more), a runner-up 60 % as
    often, the others as chance has it, but none as often as `top`."""
    n_top = max(2, round(TOP_SHARE * n))
    n_second = min(round(RUNNER_UP * n_top), n_top - 1, n - n_top)
    second, *others = (int(i) for i in rng.permutation(N_KINDS) if i != top)
    pool = rng.permutation(np.repeat(others, n_top - 1))
    drawn = [np.full(n_top, top), np.full(n_second, second), pool[: n - n_top - n_second]]
    return [int(i) for i in rng.permutation(np.concatenate(drawn))]
