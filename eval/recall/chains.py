"""Variable tracking: a number is handed from name to name, and the question asks what a late name holds.

After RULER's variable tracking (Hsieh et al. 2024), which asks for every name that holds a number; here
one name is asked for, so that the number of hops to its value is exact.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from eval.recall.names import code, distinct, identifier
from eval.recall.samples import N_BINS, Probe, Rng, Sample, depth_of

MAX_HOPS = 4
_LETTERS = 5


def variable_chains(rng: Rng, n_items: int) -> Sample:
    """`n_items` chains of MAX_HOPS hops, their lines mixed; five probes of 0, 1, 2, 3 and 4 hops.

    The line of a name comes after the line of the name that it copies.  0 hops is `x = 12345` itself.
    With fewer chains than probes a chain is asked about more than once.
    """
    length = MAX_HOPS + 1
    names = np.reshape(
        distinct(rng, partial(identifier, n_letters=_LETTERS), n_items * length), (n_items, length)
    )
    values = distinct(rng, code, n_items)
    order = rng.permutation(np.repeat(np.arange(n_items), length))
    lines: list[str] = []
    place: dict[str, int] = {}
    used = [0] * n_items
    for chain in order:
        step = used[chain]
        used[chain] += 1
        name = str(names[chain, step])
        place[name] = len(lines)
        lines.append(f"{name} = {values[chain] if step == 0 else names[chain, step - 1]}")
    probes = []
    for hops, chain in zip(range(N_BINS), np.resize(rng.permutation(n_items), N_BINS), strict=True):
        name, value = str(names[chain, hops]), values[chain]
        question = f"These assignments are run from top to bottom. Which number does {name} hold at the end?"
        depth = depth_of(place[name], len(lines))
        stratum = f"{hops} hop{'' if hops == 1 else 's'}"
        probes.append(
            Probe(stratum, depth, question, f"At the end {name} holds the number", f" {value}", (value,))
        )
    return Sample("assignments", "\n".join(lines), n_items, tuple(probes))
