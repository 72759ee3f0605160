"""The probe set: enough of every kind, fair, and the same for the same seed."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyondrag.errors import UsageError
from eval.drift.chat import make_chat_frame
from eval.drift.probe_set import all_topics, chosen_topics, parse_kinds
from eval.drift.probes import KINDS, Probe, Topic
from kvfiles.runtime.model import Model

SEEDS = (1, 2, 77)


def probes_of(topics: tuple[Topic, ...]) -> list[Probe]:
    return [probe for topic in topics for probe in topic.probes]


@pytest.mark.parametrize("seed", SEEDS)
def test_there_are_enough_probes_of_every_kind(seed: int) -> None:
    probes = probes_of(all_topics(seed))
    counts = Counter(probe.kind for probe in probes)
    assert len(probes) >= 40
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= 8
    assert len({probe.id for probe in probes}) == len(probes)
    assert len({turn.user for probe in probes for turn in probe.turns}) > len(probes)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_probe_is_fair(seed: int) -> None:
    for topic in all_topics(seed):
        for probe in topic.probes:
            assert probe.document == topic.document.id
            assert probe.facts
            for fact in probe.facts:
                assert fact in topic.document.text, probe.id
            assert any(turn.check is not None for turn in probe.turns)
            assert not all(kept is not False for kept in probe.judge(("",) * len(probe.turns)))
            assert (len(probe.turns) > 1) == (probe.kind == "turns")
            assert len(probe.turns) <= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_buried_rules_stand_in_the_middle_and_facts_at_the_beginning(seed: int) -> None:
    for topic in all_topics(seed):
        text = topic.document.text
        for probe in topic.probes:
            places = [text.index(fact) / len(text) for fact in probe.facts]
            if probe.kind == "fact":
                assert min(places) < 0.35, probe.id
            if probe.kind == "buried":
                assert any(0.3 < place < 0.7 for place in places), probe.id


def test_the_same_seed_gives_the_same_set_and_another_one_another() -> None:
    assert all_topics(5) == all_topics(5)
    one, other = all_topics(5), all_topics(6)
    same = [a.document.id for a, b in zip(one, other, strict=True) if a.document == b.document]
    assert same == ["ferry-handbook", "survey-journal", "kiln-agreement"]


def test_generated_totals_are_true() -> None:
    """Recounted from the text itself, by another way than the generator's."""
    topics = {topic.document.id: topic for topic in all_topics(3)}
    text = topics["stock-register"].document.text
    stated = re.search(r"holds (\d+) articles with ([\d,]+) pieces", text)
    counted = [int(n) for n in re.findall(r"shelf \w+, (\d+) pieces", text)]
    assert stated is not None
    assert int(stated[1]) == len(counted)
    assert int(stated[2].replace(",", "")) == sum(counted)
    log = topics["station-log"].document.text
    pressures = re.findall(r"Pressure (\d+) hectopascals", log)
    assert len(pressures) == len(set(pressures)) == 72
    book = topics["guest-book"].document.text
    assert re.findall(r"lists (\d+) guests", book) == [str(len(re.findall(r"^Room ", book, re.M)))]


def test_the_true_figures_keep_the_probes_that_ask_for_them() -> None:
    topics = {topic.document.id: topic for topic in all_topics(4)}
    log = topics["station-log"]
    readings = {
        (day, hour): pressure
        for day, hour, pressure in re.findall(
            r"Day (\d+), (\d\d:00)\. .*?Pressure (\d+) hecto", log.document.text
        )
    }
    compare = next(probe for probe in log.probes if probe.id.endswith("/compare"))
    asked = [re.search(r"on day (\d+) at (\d\d:00)", turn.user) for turn in compare.turns[:2]]
    values = [readings[m[1], m[2]] for m in asked if m]
    assert all(compare.judge((*values, str(max(map(int, values))))))
    assert not all(compare.judge((*values, str(min(map(int, values))))))
    register = topics["stock-register"]
    sold = next(probe for probe in register.probes if probe.id.endswith("/sold"))
    name = re.search("“(.+)”", sold.turns[0].user)
    assert name is not None
    line = next(x for x in register.document.text.splitlines() if x.startswith(f"{name[1]}:"))
    pieces = re.search(r"(\d+) pieces", line)
    assert pieces is not None
    assert all(sold.judge((pieces[1], str(int(pieces[1]) - 10))))


@pytest.mark.model
def test_documents_have_one_to_three_thousand_tokens(small_model: Model) -> None:
    frame = make_chat_frame(small_model)
    for topic in all_topics():
        assert 1000 <= len(frame.document_tokens(small_model, topic.document)) <= 3000, topic.document.id


@given(st.integers(1, 60), st.sets(st.sampled_from(KINDS), min_size=1))
def test_a_limit_takes_kinds_in_turns(limit: int, kinds: set[str]) -> None:
    chosen = parse_kinds(sorted(kinds))
    whole = Counter(probe.kind for probe in probes_of(chosen_topics(all_topics(), chosen)))
    some = probes_of(chosen_topics(all_topics(), chosen, limit))
    counts = Counter(probe.kind for probe in some)
    assert len(some) == min(limit, whole.total())
    assert set(counts) <= kinds
    for a in chosen:
        for b in chosen:
            assert counts[a] <= counts[b] + 1 or counts[b] == whole[b]


def test_an_unknown_kind_is_refused() -> None:
    assert parse_kinds(()) == KINDS
    with pytest.raises(UsageError, match="'facts'"):
        parse_kinds(("facts",))
