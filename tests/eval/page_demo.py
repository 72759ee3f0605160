"""A page with made-up numbers that holds every kind of block, and text that tries to break out of it."""

from __future__ import annotations

import math

from eval.page import (
    Axis,
    Bars,
    Basis,
    Cell,
    Command,
    Commands,
    Dots,
    Estimate,
    Example,
    Examples,
    Finding,
    HeatMap,
    Machine,
    Mark,
    MarkGroup,
    Page,
    Passage,
    Point,
    Quantity,
    Reference,
    Reply,
    Scatter,
    Section,
    Series,
    Summary,
    Table,
)

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
    "\x1b[31m\u202eevil\u2066\x00\ud800{{ 7*7 }}"
)
SYSTEMS = ("doc", "oracle", "chunk-bm25", "chunk-dense", "closed-book")
BASIS = Basis(
    83, "questions", "95 % percentile bootstrap over questions, seed 7", "beyondrag eval qa made-up --seed 7"
)
SHARE = Quantity("Right answers", percent=True, better="higher")
KLD = Quantity("Mean KL divergence", unit="nats", digits=2, significant=True, better="lower")

_RIGHT = {
    "single": (0.92, 0.95, 0.71, 0.68, 0.05),
    "compare": (0.41, 0.46, 0.22, 0.27, None),
    "null": (0.77, 0.79, 0.55, 0.5, 0.9),
}


def share(value: float, n: int) -> Estimate:
    """A share with its normal interval: good enough to look at."""
    half = 1.96 * math.sqrt(value * (1 - value) / n)
    return Estimate(value, max(value - half, 0), min(value + half, 1), n)


def bars() -> Bars:
    return Bars(
        "Right answers by type of question",
        Axis(SHARE),
        tuple(
            MarkGroup(
                kind,
                tuple(
                    Mark(system, None if value is None else share(value, 28))
                    for system, value in zip(SYSTEMS, values, strict=True)
                ),
            )
            for kind, values in _RIGHT.items()
        ),
        BASIS,
        "Questions of type `null` count as right when the answer is withheld.",
    )


def dots() -> Dots:
    quantity = Quantity("Difference to doc", unit="points", percent=True, signed=True)
    rows = (("oracle", 0.03, 0.04), ("chunk-bm25", -0.19, 0.1), ("chunk-dense", -0.21, 0.11))
    return Dots(
        "Hallucination rate against that of doc",
        Axis(quantity),
        (MarkGroup("", tuple(Mark(name, Estimate(d, d - h, d + h, 83)) for name, d, h in rows)),),
        BASIS,
        Reference(0, "no difference"),
    )


def scatter() -> Scatter:
    rotated = ((5.0, "k5v4", 0.0042), (4.13, "k4v4", 0.0063), (3.63, "k4v3", 0.0083), (3.13, "k3v3", 0.0175))
    llama = ((8.5, "q8_0", 0.0031), (6.5, "q8_0/q4_0", 0.005), (5.5, "q5_0", 4.9), (4.5, "q4_0", 6.0))
    klt = ((1.01, "1.0/1.0", 0.0061), (0.81, "1.0/1.5", 0.0078))
    return Scatter(
        "Divergence against size",
        Axis(Quantity("Bits per value", digits=2), low=0),
        Axis(KLD, log=True),
        tuple(
            Series(
                name,
                tuple(Point(x, Estimate(y, 0.8 * y, 1.3 * y, 1152), label) for x, label, y in points),
                name != "llama.cpp",
            )
            for name, points in (("rotated", rotated), ("llama.cpp", llama), ("transform-coded", klt))
        ),
        Basis(1152, "tokens of 3 texts", "95 % bootstrap over tokens", "beyondrag eval fidelity --seed 7"),
        (Reference(0.0065, "limit 0.0065"), Reference(0.0023, "rounding alone 0.0023")),
    )


def heat_map() -> HeatMap:
    bits = ("2", "3", "4", "5", "8")

    def cell(k: int, v: int) -> Cell:
        if (k, v) == (8, 8):
            return Cell(None)
        value = 1 - 0.9 * math.exp(-0.9 * (k - 1)) - 0.3 * math.exp(-0.8 * (v - 1))
        return Cell(share(max(value, 0.02), 60), flagged=value < 0.85)

    return HeatMap(
        "Verbatim recall: lines reproduced exactly",
        "V bits",
        "K bits",
        bits,
        tuple((k, tuple(cell(int(k), int(v)) for v in bits)) for k in bits),
        Axis(Quantity("Exact lines", percent=True, digits=0, better="higher"), low=0, high=1),
        Basis(60, "samples a cell", "95 % Wilson", "beyondrag eval recall --tasks verbatim --seed 7"),
        flag="worse than exact: the interval of the paired difference excludes 0",
    )


def table() -> Table:
    seconds = Quantity("Time to first token", unit="s", digits=2, better="lower")
    tokens = Quantity("Tokens prefilled", digits=0, better="lower")
    rows = (
        ("doc", share(0.71, 83), Estimate(0.41, 0.38, 0.47, 83), 64),
        ("oracle", share(0.74, 83), Estimate(0.43, 0.4, 0.49, 83), 66),
        ("chunk-bm25", share(0.5, 83), Estimate(26.2, 25.1, 27.9, 83), 2561),
        ("chunk-dense", share(0.48, 83), Estimate(26.9, 25.5, 28.4, 83), 2560),
        ("closed-book", share(0.21, 83), None, 71),
    )
    return Table("All questions", ("System", SHARE, seconds, tokens), rows, BASIS, in_summary=True)


def examples() -> Examples:
    text = "The workshop was founded in 1911.\n\nIn 1934 it moved to the harbour, where it still stands."
    replies = (
        Reply("doc", "1934", "right", (Passage("workshop.md", text),), ("In 1934 it moved to the harbour",)),
        Reply(
            "chunk-bm25", "1911", "wrong", (Passage("workshop.md", text[:33]), Passage("b.txt", "b" * 30_000))
        ),
        Reply("closed-book", "", "abstained"),
    )
    hostile = Reply("doc", HOSTILE, "wrong", (Passage(HOSTILE, HOSTILE * 3),), (HOSTILE,))
    return Examples(
        "Right with doc, hallucinated with chunk-bm25",
        (
            Example("When did the workshop move to the harbour?", ("1934", "in 1934"), replies, "single"),
            Example(HOSTILE, (), (hostile,), "null"),
        ),
        total=14,
        out_of=83,
        choice="drawn at random with seed 7",
    )


def page() -> Page:
    return Page(
        "Whole documents against chunks: made-up numbers",
        Summary(
            "On 83 made-up questions whole documents were right on **71 %** and chunks on 50 %; "
            "the compressed cache costs nothing that can be seen down to `k4v4`.",
            (
                Finding("doc", SHARE, share(0.71, 83), "21 points more than `chunk-bm25`"),
                Finding("chunk-bm25", SHARE, share(0.5, 83)),
                Finding("doc", Quantity("Hallucinated", percent=True), share(0.08, 83), "chunk-bm25: 27 %"),
                Finding(
                    "doc", Quantity("Time to first token", unit="s", digits=2), Estimate(0.41, 0.38, 0.47, 83)
                ),
                Finding("chunk-dense", Quantity("Ingest", unit="s"), None),
            ),
            ("All numbers are made up.", "One model and one machine."),
        ),
        (
            Section(
                "Answers",
                ("The same model, prompt, answer length and grader for every system.",),
                (table(), bars(), dots()),
            ),
            Section("Fidelity", (f"Hostile prose: {HOSTILE}",), (scatter(),)),
            Section("Recall", (), (heat_map(),)),
            Section("Examples", (), (examples(),)),
            Section(
                "How this was made",
                (),
                (
                    Commands(
                        "Commands",
                        (
                            Command("beyondrag eval qa made-up --systems doc,oracle,chunk-bm25 --report out"),
                            Command("beyondrag eval fidelity --seed 7", "about 40 minutes"),
                        ),
                    ),
                    Machine(
                        (
                            ("Processor", "Made-up CPU at 2 GHz"),
                            ("Cores", "2"),
                            ("llama-cpp-python", "0.3.36"),
                        )
                    ),
                ),
            ),
        ),
        SYSTEMS,
        "2026-01-01",
    )
