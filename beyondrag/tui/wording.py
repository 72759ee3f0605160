"""Answers, sources, what was read and what failed, in words."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from beyondrag.events import Answer, Attached, ChosenDocument, ReadingDocument, Source
from beyondrag.quantities import counted, seconds_in_words
from beyondrag.service.notices import Arm, Problem, ReadPart
from beyondrag.tui.safe_text import safe, safe_line
from beyondrag.turn import AskOptions

WHOLE = ("", "whole document")
"""Labels that add nothing to a title."""

NOT_ANSWERED = "The documents do not answer this."
NOTHING_FITS = "No document fits this question."


def problem_in_words(problem: Problem) -> str:
    """What it concerns, what is wrong, what to do; several lines, safe to show."""
    about = f"{safe_line(problem.subject, 200)}: " if problem.subject else ""
    remedy = f"\nTry: {safe(problem.remedy)}" if problem.remedy else ""
    return f"{about}{safe(problem.message)}{remedy}"


def path_in_words(path: str | Path) -> str:
    """A path on one line; below the user's own folder it begins with `~`."""
    text = safe_line(str(path))
    home = safe_line(str(Path.home()))
    if text == home or text.startswith(home + os.sep):
        return "~" + text[len(home) :]
    return text


def page_in_words(label: str) -> str:
    """ "page 3", or the label when it is not a number; "" for none."""
    return f"page {label}" if label.isdigit() else safe_line(label, 60)


def place_in_words(title: str, page: str) -> str:
    """A title and its page; a heading that only repeats the title adds nothing."""
    where = "" if page == title else page_in_words(page)
    return f"{safe_line(title, 120)}, {where}" if where else safe_line(title, 120)


def chosen_in_words(document: ChosenDocument) -> str:
    """A chosen document and why: its size, its score, where it is read from."""
    part = "" if document.label in WHOLE else f" ({safe_line(document.label, 60)})"
    origin = "snapshot" if document.read_from == "snapshot" else "to be read now"
    return (
        f"{safe_line(document.title, 120)}{part} · {document.n_tokens:,} tokens · "
        f"score {document.score:.1f} · {origin}"
    )


def placing_in_words(documents: tuple[ChosenDocument, ...]) -> str:
    """What happens next to chosen documents; "" without any."""
    if not documents:
        return ""
    if any(document.read_from == "snapshot" for document in documents):
        return "attaching …"
    return "reading for this question …"


def reading_in_words(event: ReadingDocument, *, chunks: bool, pace: str = "") -> str:
    """How far something is that is not attached; `chunks` never get a snapshot.  `pace`: how fast it goes."""
    how_far = f"{safe_line(event.title, 80)}, {event.done:,} of {event.total:,} tokens{pace and f' · {pace}'}"
    if chunks:
        return f"prefilling {how_far}; chunks are prefilled anew for every question"
    if not event.kept:
        return f"reading without snapshots: {how_far}; Escape stops"
    why = f"{safe_line(event.why, 300)}\n" if event.why else ""
    return f"{why}{'' if why else 'no snapshot yet: '}reading {how_far}; this is done once"


def attached_in_words(event: Attached) -> str:
    """What stands in the context by now, and how long that took."""
    if not event.seconds:
        return f"the same {event.n_tokens:,} tokens still stand in the context"
    prefilled = sum(part.stop - part.first for part in event.parts if part.read_from == "prefill")
    if not prefilled:
        return f"attached {event.n_tokens:,} tokens in {event.seconds * 1000:,.0f} ms"
    took = seconds_in_words(event.seconds)
    return f"{event.n_tokens:,} tokens in the context after {took}: {prefilled:,} of them prefilled"


def left_out_in_words(reasons: tuple[str, ...]) -> list[str]:
    """One line a document that was not read."""
    return [f"not read: {safe_line(reason, 300)}" for reason in reasons]


def cost_in_words(answer: Answer) -> str:
    """What the answer cost."""
    timings = answer.timings
    parts = [f"first token {seconds_in_words(timings.ttft_s)}", f"answer {seconds_in_words(timings.total_s)}"]
    if timings.decode_tokens_per_s:
        parts.append(f"{timings.decode_tokens_per_s:.1f} tokens/s")
    parts.append(f"{answer.prefilled_tokens:,} tokens of documents prefilled")
    return " · ".join(parts)


def part_in_words(part: ReadPart) -> tuple[str, ...]:
    """Columns: document and part of it, first to last position, tokens, where they come from."""
    label = "" if part.label in WHOLE else f" ({safe_line(part.label, 60)})"
    stored = f" {safe_line(part.codec, 20)} · {part.bits:.2f} bits" if part.read_from == "snapshot" else ""
    return (
        f"{safe_line(part.title, 80)}{label}",
        f"{part.first:,}-{max(part.stop - 1, part.first):,}",
        f"{part.stop - part.first:,}",
        f"{'hot copy' if part.hot else part.read_from}{stored}",
    )


def options_in_words(options: AskOptions, pinned: tuple[str, ...]) -> str:
    """What differs from the usual way of asking; "" when nothing does.  `pinned` are titles."""
    usual = AskOptions()
    parts = []
    if pinned:
        parts.append(f"only: {', '.join(safe_line(title, 40) for title in pinned)}")
    if options.exact:
        parts.append("exact")
    if options.top_k != usual.top_k:
        parts.append(f"at most {counted(options.top_k, 'document')}")
    if options.repair_tokens:
        parts.append(f"repair {options.repair_tokens} tokens")
    if not options.check:
        parts.append("not checked")
    if options.max_tokens != usual.max_tokens:
        parts.append(f"at most {options.max_tokens} tokens")
    return " · ".join(parts)


def arm_options_in_words(arm: Arm, options: AskOptions, pinned: tuple[str, ...]) -> str:
    """The same for one column of a comparison: of the options those that mean something there."""
    usual = AskOptions()
    if arm != "documents":
        options = replace(options, repair_tokens=usual.repair_tokens)
    if arm == "chunks":
        options = replace(options, top_k=usual.top_k)
    return options_in_words(replace(options, exact=False), pinned)


def answer_as_text(answer: Answer, *, sources: bool) -> str:
    """To be copied: the answer, with its sources on request; safe to paste into a terminal."""
    lines = [NOT_ANSWERED if answer.abstained else safe(answer.answer)]
    if not answer.abstained and not answer.checked:
        lines.append("(unchecked: no evidence was found for this)")
    if sources:
        named = answer.sources or answer.nearest
        lines += ["", *(_source_as_text(source) for source in named)]
    return "\n".join(lines).strip()


def _source_as_text(source: Source) -> str:
    return f'{place_in_words(source.title, source.page)}: "{safe_line(source.quote)}"'
