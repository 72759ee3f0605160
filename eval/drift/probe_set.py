"""The whole set of probes for a seed."""

from __future__ import annotations

from collections.abc import Sequence

from beyondrag.errors import UsageError
from eval.drift.draws import Draws
from eval.drift.generated import council_minutes, station_log, stock_register
from eval.drift.generated_talk import guest_book, process_sheet
from eval.drift.probes import KINDS, Kind, Topic
from eval.drift.written import written_topics

SEED = 1
_GENERATORS = (stock_register, council_minutes, station_log, process_sheet, guest_book)


def all_topics(seed: int = SEED) -> tuple[Topic, ...]:
    """The written documents and the ones generated from `seed`, with their probes."""
    generated = (make(Draws(seed, stream)) for stream, make in enumerate(_GENERATORS))
    return (*written_topics(), *generated)


def parse_kinds(names: Sequence[str]) -> tuple[Kind, ...]:
    """The kinds of these names, all when there are none; raises UsageError."""
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise UsageError(f"there is no kind of probe {unknown[0]!r}", remedy=f"use {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if not names or kind in names)


def chosen_topics(
    topics: Sequence[Topic], kinds: Sequence[Kind], limit: int | None = None
) -> tuple[Topic, ...]:
    """The topics with only the probes of `kinds`; topics without any are left out.

    With `limit`, that many probes, taken in turns from the kinds and, within a kind, in the set's order, so
    that every kind is there when the limit allows it.
    """
    by_kind = {kind: [p for topic in topics for p in topic.probes if p.kind == kind] for kind in kinds}
    longest = max((len(probes) for probes in by_kind.values()), default=0)
    taken = [by_kind[kind][i].id for i in range(longest) for kind in kinds if i < len(by_kind[kind])]
    wanted = set(taken[:limit])
    kept = (Topic(topic.document, tuple(p for p in topic.probes if p.id in wanted)) for topic in topics)
    return tuple(topic for topic in kept if topic.probes)
