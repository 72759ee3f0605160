"""The report of a run: what each cache costs, by length and mode, with rate-distortion plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

from beyondrag.errors import UsageError
from eval.compression.arms import LITERATURE, Arm
from eval.compression.plot import INTERVALS, figure, sides_figure
from eval.compression.rows import Measured, Row, combine
from eval.compression.verdict import MAX_KLD, MIN_SAME_TOP1, Verdict, verdict
from eval.page import (
    Basis,
    Block,
    Chapter,
    Command,
    Estimate,
    Finding,
    Page,
    Quantity,
    Section,
    Summary,
    Table,
    page_of,
    this_machine,
)
from eval.page.chapters import Facts

_KLD = Quantity("Mean divergence", "nats", digits=2, significant=True, better="lower")
_COLUMNS = (
    "Cache",
    "Kind",
    Quantity("Bits a value", digits=2, better="lower"),
    _KLD,
    Quantity("99th percentile", "nats", digits=2, significant=True, better="lower"),
    Quantity("Worst", "nats", digits=2, significant=True, better="lower"),
    Quantity("Same likeliest token", percent=True, better="higher"),
    Quantity("Perplexity", percent=True, digits=2, signed=True),
)
_ALONG = {"text": "the text itself", "answer": "the f16 cache's own answers"}


def page(rows: Sequence[Row], arms: Sequence[Arm], *, model: str, command: str) -> Page:
    """A whole report of `rows` from one run; `command` is the line that gives them again."""
    facts = this_machine({"Model": model}).facts
    found = _chapter(rows, arms, model, Command(command), facts)
    return page_of(f"What a compressed cache costs: {model}", [found])


def chapter(measured: Sequence[Measured]) -> Chapter:
    """Everything about kept rows of one model; raises UsageError for rows of none or of several."""
    models = {one.case.model_sha256: one.case.model for one in measured}
    if len(models) != 1:
        raise UsageError(
            f"rows of {len(models)} models" if models else "no rows", remedy="report one model at a time"
        )
    rows = sorted(combine(measured), key=lambda row: (row.mode != "text", row.context_tokens))
    names = {row.name for row in rows}
    lengths = ",".join(str(tokens) for tokens in sorted({row.context_tokens for row in rows}))
    command = Command(
        f"beyondrag eval fidelity --context-tokens {lengths}",
        "with the same texts, --codecs, --llama, --arms and --generated, if they were given",
    )
    builds = ", ".join(sorted({one.case.build for one in measured}))
    ((sha256, model),) = models.items()
    facts = (("Model", model), ("Model SHA-256", sha256), ("Binding and kernels", builds))
    return _chapter(rows, [arm for arm in LITERATURE if arm.name in names], model, command, facts)


def _chapter(rows: Sequence[Row], arms: Sequence[Arm], model: str, command: Command, facts: Facts) -> Chapter:
    judged = verdict(rows)
    return Chapter(
        "fidelity",
        _summary(model, rows, judged),
        sections(rows, arms, command=command.line),
        (command,),
        facts,
        tuple(dict.fromkeys(row.name for row in rows)),
        {"rows": [row.to_json() for row in rows], "verdicts": [asdict(one) for one in judged]},
    )


def sections(rows: Sequence[Row], arms: Sequence[Arm], *, command: str) -> tuple[Section, ...]:
    """A section for each mode and length, and the verdicts; for a page that holds other suites too."""
    found = []
    for (mode, context_tokens), part in groupby(rows, lambda row: (row.mode, row.context_tokens)):
        group = list(part)
        blocks: list[Block] = [figure(group, command=command), _table(group, command)]
        sides = sides_figure(group, command=command)
        if sides is not None:
            blocks.insert(1, sides)
        heading = f"Fidelity: {context_tokens:,} tokens of context, along {_ALONG[mode]}"
        found.append(Section(heading, (), tuple(blocks)))
    sources = tuple(dict.fromkeys(arm.source for arm in arms if arm.source))
    if sources:
        found.append(Section("Fidelity: methods from the literature", sources))
    return (*found, Section("Fidelity: verdicts", (_RULE,), (_verdicts(rows, command),)))


_RULE = (
    f"A cache keeps the model's predictions when its mean divergence is at most {MAX_KLD} nats and the "
    f"likeliest token is the same for at least {MIN_SAME_TOP1:.0%} of tokens. It fails when an interval lies "
    "wholly beyond its limit; in between stands a warning. The worst length and mode counts."
)


def _summary(model: str, rows: Sequence[Row], judged: Sequence[Verdict]) -> Summary:
    codecs = {row.name for row in rows if row.family == "codec"}
    by_status = {
        status: [f"`{one.codec}`" for one in judged if one.status == status and one.codec in codecs]
        for status in ("ok", "warn", "fail")
    }
    parts = [
        f"{words} {', '.join(names)}."
        for words, names in (
            ("Codecs that keep the model's predictions:", by_status["ok"]),
            ("Codecs of which it is not certain:", by_status["warn"]),
            ("Codecs that do not keep the model's predictions:", by_status["fail"]),
        )
        if names
    ]
    worst: dict[str, Row] = {}
    for row in rows:
        if row.family == "codec" and row.summary.kld_mean >= worst.get(row.name, row).summary.kld_mean:
            worst[row.name] = row
    findings = tuple(
        Finding(name, _KLD, _kld(row), f"at worst: {row.context_tokens:,} tokens, along the {row.mode}")
        for name, row in worst.items()
    )
    limits = (
        "Intervals are over the tokens of these texts; other texts may differ.",
        "Divergence of the next token says nothing about whether answers are right.",
    )
    return Summary(
        " ".join([f"**Fidelity, {model}.**", *(parts or ["No codec was measured."])]), findings, limits
    )


def _table(group: Sequence[Row], command: str) -> Table:
    first = group[0]
    return Table(
        f"Every cache after {first.context_tokens:,} tokens, along the {first.mode}",
        _COLUMNS,
        tuple(
            (
                row.name,
                row.family,
                row.bits_per_value,
                _kld(row),
                row.summary.kld_p99,
                row.summary.kld_max,
                Estimate(row.summary.same_top1, *row.same_top1_interval, row.summary.n_tokens),
                row.summary.ppl_change,
            )
            for row in group
        ),
        Basis(
            first.summary.n_tokens,
            f"tokens of {len(first.texts)} texts",
            f"{INTERVALS}; shares: 95 % Wilson",
            command,
        ),
        in_summary=True,
    )


def _verdicts(rows: Sequence[Row], command: str) -> Table:
    found = tuple((one.codec, one.status, one.reason) for one in verdict(rows))
    n = min((row.summary.n_tokens for row in rows), default=0)
    basis = Basis(n, "tokens or more for each cache", f"{INTERVALS}; shares: 95 % Wilson", command)
    return Table("Verdicts", ("Cache", "Verdict", "Why"), found, basis)


def _kld(row: Row) -> Estimate:
    return Estimate(row.summary.kld_mean, *row.interval, row.summary.n_tokens)
