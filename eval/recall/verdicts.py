"""At which bits does a task start to fail?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from eval.recall.arms import EXACT, NO_DOCUMENT
from eval.recall.clusters import MIN_DOCUMENTS
from eval.recall.summary import ArmResult, TaskResult

Measure = Literal["score", "likelihood"]

_FAILS: dict[Measure, Callable[[ArmResult], bool]] = {
    "score": lambda arm: arm.fails,
    "likelihood": lambda arm: arm.damaged,
}


@dataclass(frozen=True, slots=True)
class Path:
    """Settings of falling bits, and where the first of them fails.

    Attributes:
        name: what falls: "K", "V" (the other at its most bits), "K and V" (equal), "any" (every setting).
        measure: "score" fails when the score is below that of the untouched cache, "likelihood" when the
            true answers are less likely; both by a 95 % interval that excludes 0.
        arms: the settings in the order of falling bits.
        first_failing: the first one that fails, None when none does.
        recovers: those behind it that do not fail; more than a stray one says that the first is noise.
    """

    name: str
    measure: Measure
    arms: tuple[str, ...]
    first_failing: str | None
    recovers: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.name,
            "measure": self.measure,
            "arms": self.arms,
            "first_failing": self.first_failing,
            "recovers": self.recovers,
        }


def paths(result: TaskResult) -> tuple[Path, ...]:
    """Every path through the measured grid, by score and by likelihood; those of one setting are left out."""
    coded = [arm for arm in result.arms if arm.k_bits is not None]
    most_k = max((arm.k_bits or 0 for arm in coded), default=0)
    most_v = max((arm.v_bits or 0 for arm in coded), default=0)
    coded.sort(key=lambda arm: (-(arm.k_bits or 0) - (arm.v_bits or 0), -(arm.k_bits or 0)))
    chosen = {
        "K": [arm for arm in coded if arm.v_bits == most_v],
        "V": [arm for arm in coded if arm.k_bits == most_k],
        "K and V": [arm for arm in coded if arm.k_bits == arm.v_bits],
        "any": coded,
    }
    measures: tuple[Measure, ...] = ("score", "likelihood")
    return tuple(
        _path(name, measure, arms) for measure in measures for name, arms in chosen.items() if len(arms) > 1
    )


def _path(name: str, measure: Measure, arms: list[ArmResult]) -> Path:
    fails = _FAILS[measure]
    first = next((i for i, arm in enumerate(arms) if fails(arm)), len(arms))
    return Path(
        name,
        measure,
        tuple(arm.arm for arm in arms),
        arms[first].arm if first < len(arms) else None,
        tuple(arm.arm for arm in arms[first + 1 :] if not fails(arm)),
    )


def answer(result: TaskResult) -> str:
    """The answer for one task in a few sentences."""
    head = f"{result.task} ({result.context_tokens} tokens, {result.n_documents} documents)"
    exact, guess = result.arm(EXACT), result.arm(NO_DOCUMENT)
    if exact is None or result.n_documents < MIN_DOCUMENTS:
        return f"{head}: no answer with fewer than {MIN_DOCUMENTS} documents."
    level = f"The untouched cache scores {exact.score.value:.2f}"
    if guess is not None:
        level += f", no document {guess.score.value:.2f}"
    if result.informative is False:
        level += ": this model cannot do the task, so the score cannot show what a codec costs"
    found = {measure: [path for path in paths(result) if path.measure == measure] for measure in _FAILS}
    told = [f"{head}: {level}."]
    if found["score"] and result.informative is not False:
        told.append("The score " + _told(found["score"], "falls"))
    if found["likelihood"]:
        told.append("The likelihood of the true answer " + _told(found["likelihood"], "falls"))
    return " ".join(told)


def _told(found: list[Path], verb: str) -> str:
    parts = []
    for path in found:
        if path.name == "any":
            continue
        what = {"K": "of K alone", "V": "of V alone", "K and V": "of both"}[path.name]
        if path.first_failing is None:
            parts.append(f"never for the bits {what} (down to {path.arms[-1]})")
        else:
            stray = f", though not at {', '.join(path.recovers)}" if path.recovers else ""
            parts.append(f"first at {path.first_failing} for the bits {what}{stray}")
    overall = next(path for path in found if path.name == "any")
    of_all = f"first at {overall.first_failing}" if overall.first_failing else "never"
    parts.append(f"over all {len(overall.arms)} settings, by falling bits, {of_all}")
    return f"{verb} {'; '.join(parts)}."
