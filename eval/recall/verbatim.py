"""A source file of functions that say nothing: random names, random constants, random expressions.

Every line is a fresh random draw, so that neither a language model's prior nor the lines before help:
only the cache knows them.  The file is valid Python, and uses no name before it is assigned.
"""

from __future__ import annotations

from functools import partial

from eval.recall.names import distinct, identifier
from eval.recall.samples import Probe, Rng, Sample, depth_of, depth_stratum, one_per_bin

N_LINES = 20
"""Lines to reproduce; the functions are longer by EXTRA_LINES."""
EXTRA_LINES = 4

_OPERATORS = ("+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>")
_COMPARISONS = ("<", ">", "<=", ">=", "==", "!=")
_AUGMENTED = ("+=", "-=", "*=", "//=", "%=", "&=", "|=", "^=")
_CONDITION_SHARE = 0.15
_AUGMENTED_SHARE = 0.2


def source_file(rng: Rng, n_items: int, *, n_lines: int = N_LINES) -> Sample:
    """`n_items` functions; the probes ask for the first `n_lines` (3 or more) lines of one in each fifth."""
    names = distinct(rng, partial(identifier, n_letters=8), n_items)
    functions = [_function(rng, name, n_lines + EXTRA_LINES) for name in names]
    probes = []
    for index in one_per_bin(rng, n_items):
        depth = depth_of(index, n_items)
        lines = tuple(functions[index][:n_lines])
        name = names[index]
        question = (
            f"Copy the first {n_lines} lines of the function {name}, exactly as they stand in the file."
        )
        probes.append(Probe(depth_stratum(depth), depth, question, "```python\n", "\n".join(lines), lines))
    body = "\n\n\n".join("\n".join(lines) for lines in functions)
    return Sample("generated.py", body, n_items, tuple(probes))


def _function(rng: Rng, name: str, n_lines: int) -> list[str]:
    known = distinct(rng, partial(identifier, n_letters=4), int(rng.integers(2, 4)))
    lines = [f"def {name}({', '.join(known)}):"]
    while len(lines) < n_lines - 1:
        room = n_lines - 1 - len(lines)
        if room >= 2 and rng.random() < _CONDITION_SHARE:
            comparison = f"{_pick(rng, known)} {_pick(rng, _COMPARISONS)} {_operand(rng, known)}"
            lines += [f"    if {comparison}:", f"        {_update(rng, known)}"]
        elif rng.random() < _AUGMENTED_SHARE:
            lines.append(f"    {_update(rng, known)}")
        else:
            new = identifier(rng, 4)
            lines.append(f"    {new} = {_expression(rng, known)}")
            if new not in known:
                known.append(new)
    return [*lines, f"    return {_expression(rng, known)}"]


def _update(rng: Rng, known: list[str]) -> str:
    return f"{_pick(rng, known)} {_pick(rng, _AUGMENTED)} {_operand(rng, known)}"


def _expression(rng: Rng, known: list[str]) -> str:
    return f"{_pick(rng, known)} {_pick(rng, _OPERATORS)} {_operand(rng, known)}"


def _operand(rng: Rng, known: list[str]) -> str:
    """A known name or a number, as often the one as the other."""
    return _pick(rng, known) if rng.random() < 0.5 else str(rng.integers(2, 10_000))


def _pick(rng: Rng, names: list[str] | tuple[str, ...]) -> str:
    return names[int(rng.integers(0, len(names)))]
