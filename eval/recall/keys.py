"""Looking up codes: many keys that differ by one letter, and several codes under one key.

After the multi-key and multi-value retrieval of RULER (Hsieh et al., "RULER: What's the Real Context
Size of Your Long-Context Language Models?", 2024, arXiv 2404.06654), with harder distractors: there the
keys are unrelated words.
"""

from __future__ import annotations

from functools import partial

from eval.recall.names import code, distinct, identifier
from eval.recall.samples import N_BINS, Probe, Rng, Sample, depth_of, depth_stratum, one_per_bin

FAMILY = 6
"""Keys that differ from each other by one letter at one place."""
KEY_LETTERS = 6
VALUES_PER_KEY = 4

_ALPHABET = 26


def confusable_keys(rng: Rng, n_items: int) -> Sample:
    """`n_items` keys in families of FAMILY, each with one code, in random order; one probe in each fifth."""
    keys = _families(rng, n_items)
    keys = [keys[i] for i in rng.permutation(n_items)]
    codes = distinct(rng, code, n_items)
    probes = []
    for i in one_per_bin(rng, n_items):
        depth = depth_of(i, n_items)
        question = f"What is the code of vault {keys[i]}?"
        opening = f"The code of vault {keys[i]} is"
        probes.append(Probe(depth_stratum(depth), depth, question, opening, f" {codes[i]}", (codes[i],)))
    return Sample("vaults", _lines(keys, codes), n_items, tuple(probes))


def several_values(rng: Rng, n_items: int) -> Sample:
    """`n_items` keys with VALUES_PER_KEY codes each, all lines in random order; up to five probes."""
    names = distinct(rng, partial(identifier, n_letters=KEY_LETTERS), n_items)
    keys = [names[int(i)] for i in rng.permutation(n_items * VALUES_PER_KEY) % n_items]
    codes = distinct(rng, code, len(keys))
    probes = []
    for index in rng.permutation(n_items)[:N_BINS]:
        places = [i for i, key in enumerate(keys) if key == names[index]]
        values = tuple(codes[i] for i in places)
        depth = sum(depth_of(i, len(keys)) for i in places) / len(places)
        question = (
            f"Vault {names[index]} has {VALUES_PER_KEY} codes. "
            "List all of them, in the order in which they stand in the document."
        )
        opening = f"The {VALUES_PER_KEY} codes of vault {names[index]} are"
        probes.append(Probe("all", depth, question, opening, " " + ", ".join(values), values))
    return Sample("vaults", _lines(keys, codes), n_items, tuple(probes))


def _families(rng: Rng, n: int) -> list[str]:
    """`n` different keys: a random one, then others that differ from it and each other at one place."""
    keys: dict[str, None] = {}
    while len(keys) < n:
        first, place = identifier(rng, KEY_LETTERS), int(rng.integers(0, KEY_LETTERS))
        letters = (chr(ord("a") + int(i)) for i in rng.permutation(_ALPHABET)[:FAMILY])
        family = [first[:place] + letter + first[place + 1 :] for letter in letters]
        if not any(key in keys for key in family):
            keys.update(dict.fromkeys(family))
    return list(keys)[:n]


def _lines(keys: list[str], codes: list[str]) -> str:
    return "\n".join(f"vault {key}: {value}" for key, value in zip(keys, codes, strict=True))
