"""The report about behaviour: which rules, facts and formats are kept behind each cache."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from eval.drift.arms import BASE
from eval.drift.probes import KINDS
from eval.drift.rows import Row
from eval.drift.summary import ArmSummary, Changed, DriftSummary, summary
from eval.page import (
    Axis,
    Basis,
    Chapter,
    Command,
    Dots,
    Estimate,
    Example,
    Examples,
    Finding,
    Mark,
    MarkGroup,
    Quantity,
    Reference,
    Reply,
    Section,
    Summary,
    Table,
    shown,
)
from eval.page.chapters import Facts

PER_ARM = 3
SEED = 1
SIGNIFICANT = 0.05

_KEPT = Quantity("Probes kept", percent=True, digits=0, better="higher")
_DIFFERENCE = Quantity("Difference from f16", "points", percent=True, signed=True)
_KLD = Quantity("Divergence", "nats", digits=2, significant=True, better="lower")
_SHARES = "95 % Wilson for shares, Newcombe for differences, bootstrap over probes for the rest"
_ABOUT = (
    "Probes are asked over the same documents behind the untouched f16 cache and behind every other one. "
    "A probe is kept when every rule that it states holds in the reply. Behind a codec only the document is "
    "coded and the conversation goes on in f16; llama.cpp's caches hold both. `f16 again` reads the "
    "document in other batches: it shows what rounding alone changes."
)


def chapter(rows: Iterable[Row], *, command: str | None = None, facts: Facts | None = None) -> Chapter:
    """Everything about rows of one model; raises UsageError like `summary`."""
    every = list(rows)
    found = summary(every)
    line = command or "beyondrag eval drift"
    note = "" if command else "with the same --probes, --limit and --seed, if they were given"
    sections = [Section("Behaviour behind each cache", (_ABOUT,), _blocks(found, line))]
    examples = tuple(_examples(found, arm) for arm in found.arms if arm.arm != BASE)
    if any(one.total for one in examples):
        text = "Drawn, not picked: probes kept behind one of the two caches and broken behind the other."
        shown_ones = tuple(one for one in examples if one.total)
        sections.append(Section("Behaviour: replies to read", (text,), shown_ones))
    return Chapter(
        "drift",
        _summary(found),
        tuple(sections),
        (Command(line, note),),
        (
            ("Model", found.model),
            ("Model SHA-256", found.model_sha256),
            ("llama-cpp-python", every[0].library),
        )
        if facts is None
        else facts,
        tuple(arm.arm for arm in found.arms),
        _data(found),
    )


def _summary(found: DriftSummary) -> Summary:
    base = found.arms[0]
    told = [
        f"**Behaviour, {found.model}.** Of {found.n_probes} probes about {found.n_documents} documents "
        f"{_KEPT.value(base.kept.value)} are kept behind the f16 cache."
    ]
    others = [arm for arm in found.arms if arm.arm != BASE]
    worse = [arm for arm in others if _differs(arm)]
    if worse:
        told.append(f"Behaviour differs significantly behind {', '.join(_told(arm) for arm in worse)}.")
    same = [f"`{arm.arm}`" for arm in others if not _differs(arm)]
    if same:
        told.append(f"No significant difference is seen behind {', '.join(same)}.")
    findings = tuple(
        Finding(
            arm.arm, _DIFFERENCE, shown(arm.difference), f"probes lost {arm.only_base}, gained {arm.only_arm}"
        )
        for arm in others
    )
    limits = (
        "Probes about one document share its cache and are not independent; with few probes a small loss "
        "cannot be seen, and no significant difference does not mean none.",
    )
    return Summary(" ".join(told), findings, limits)


def _differs(arm: ArmSummary) -> bool:
    return arm.p_holm is not None and arm.p_holm < SIGNIFICANT


def _told(arm: ArmSummary) -> str:
    return f"`{arm.arm}` ({_DIFFERENCE.sentence(shown(arm.difference))})"


def _blocks(found: DriftSummary, line: str) -> tuple[Dots | Table, ...]:
    basis = Basis(found.n_probes, f"probes about {found.n_documents} documents", _SHARES, line)
    kept = tuple(Mark(arm.arm, shown(arm.kept)) for arm in found.arms)
    differences = tuple(
        Mark(arm.arm, shown(arm.difference)) for arm in found.arms if arm.difference is not None
    )
    blocks: list[Dots | Table] = [
        Dots("Probes kept behind each cache", Axis(_KEPT, low=0, high=1), (MarkGroup("", kept),), basis)
    ]
    if differences:
        title = "Difference from f16 on the same probes: below zero is a loss"
        zero = Reference(0, "as f16")
        blocks.append(Dots(title, Axis(_DIFFERENCE), (MarkGroup("", differences),), basis, zero))
    return (*blocks, _arms(found, basis), _kinds(found, basis))


def _arms(found: DriftSummary, basis: Basis) -> Table:
    columns = (
        "Cache",
        Quantity("Bits a value", digits=2, better="lower"),
        _KEPT,
        Quantity("Lost", digits=0, better="lower"),
        Quantity("Gained", digits=0),
        Quantity("p, adjusted", digits=2, significant=True),
        Quantity("Same replies", percent=True, digits=0, better="higher"),
        _KLD,
        Quantity("Same likeliest token", percent=True, better="higher"),
    )
    rows = tuple(
        (
            arm.arm,
            arm.bits_per_value,
            shown(arm.kept),
            None if arm.p is None else arm.only_base,
            None if arm.p is None else arm.only_arm,
            arm.p_holm,
            shown(arm.agree),
            shown(arm.kld),
            shown(arm.same_top1),
        )
        for arm in found.arms
    )
    note = (
        "Lost and gained: probes kept only behind f16 and only behind this cache; p of McNemar's exact test, "
        "adjusted for the number of caches (Holm). Same replies: the whole conversation, token for token. "
        "Divergence and likeliest token are taken along f16's replies."
    )
    return Table("Every cache against f16", columns, rows, basis, note, in_summary=True)


def _kinds(found: DriftSummary, basis: Basis) -> Table:
    kinds = [kind for kind in KINDS if any(arm.kind == kind for arm in found.by_kind)]
    kept = {(arm.arm, arm.kind): shown(arm.kept) for arm in found.by_kind}
    columns: tuple[str | Quantity, ...] = (
        "Cache",
        *(Quantity(kind, percent=True, digits=0, better="higher") for kind in kinds),
    )
    rows = tuple((arm.arm, *(kept.get((arm.arm, kind)) for kind in kinds)) for arm in found.arms)
    note = (
        "fact: stated early, asked late. constraint: a rule for the reply. format: its shape. number: exact "
        "figures. buried: an instruction in the middle of the document. turns: two to four turns."
    )
    return Table("Probes kept by kind", columns, rows, basis, note)


def _examples(found: DriftSummary, arm: ArmSummary) -> Examples:
    changed = [one for one in found.changed if one.arm == arm.arm]
    rng = np.random.default_rng([SEED, zlib.crc32(arm.arm.encode())])
    drawn = sorted(rng.permutation(len(changed))[:PER_ARM])
    return Examples(
        f"f16 and {arm.arm} differ",
        tuple(_example(changed[i]) for i in drawn),
        len(changed),
        arm.n,
        f"up to {PER_ARM}, drawn with seed {SEED}; right means kept, wrong means broken",
    )


def _example(one: Changed) -> Example:
    base = Reply(BASE, _conversation(one.base_replies), "right" if one.base_kept else "wrong", None)
    other = Reply(one.arm, _conversation(one.arm_replies), "wrong" if one.base_kept else "right", None)
    expected = ("every rule of the request holds",)
    return Example(_conversation(one.requests), expected, (base, other), f"{one.document}, {one.kind}")


def _conversation(turns: Sequence[str]) -> str:
    if len(turns) == 1:
        return turns[0]
    return "\n".join(f"{number}. {turn}" for number, turn in enumerate(turns, 1))


def _data(found: DriftSummary) -> dict[str, Any]:
    def plain(arm: ArmSummary) -> dict[str, Any]:
        estimates = ("kept", "difference", "agree", "before_divergence", "kld", "same_top1")
        values: dict[str, Estimate | None] = {name: shown(getattr(arm, name)) for name in estimates}
        counts = ("arm", "kind", "n", "bits_per_value", "only_base", "only_arm", "p", "p_holm")
        return {**{name: getattr(arm, name) for name in counts}, **values}

    return {
        "model_sha256": found.model_sha256,
        "n_probes": found.n_probes,
        "arms": [plain(arm) for arm in found.arms],
        "by_kind": [plain(arm) for arm in found.by_kind],
    }
