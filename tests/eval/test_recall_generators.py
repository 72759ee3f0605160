"""Generated documents: the same from the same seed, and every answer right by another way of finding it."""

from __future__ import annotations

import ast
import re
import zlib
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beyondrag.errors import UsageError
from eval.recall.chains import MAX_HOPS
from eval.recall.counts import LEAST_COUNT, MOST_COUNT
from eval.recall.keys import FAMILY, VALUES_PER_KEY
from eval.recall.names import distinct, identifier, word
from eval.recall.samples import N_BINS, Sample, depth_of, depth_stratum, one_per_bin
from eval.recall.tasks import all_tasks, chosen_tasks, fitted_sample, make_sample

TASKS = all_tasks()
seeds = st.integers(0, 2**32)
sizes = st.integers(3, 60)
several = settings(max_examples=25, deadline=None)


def lines_of(sample: Sample) -> list[str]:
    return sample.body.split("\n")


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_a_seed_and_a_number_make_one_sample(task) -> None:
    first = make_sample(task, 7, 2, 20)
    assert make_sample(task, 7, 2, 20) == first
    others = [make_sample(task, 8, 2, 20), make_sample(task, 7, 3, 20), make_sample(task, 7, 2, 21)]
    assert all(other.body != first.body for other in others)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
@several
@given(seed=seeds, n=sizes)
def test_every_probe_is_sound(task, seed: int, n: int) -> None:
    sample = make_sample(task, seed, 0, n)
    assert sample.n_items == n
    assert 1 <= len(sample.probes) <= N_BINS
    for probe in sample.probes:
        assert 0 < probe.depth < 1
        assert probe.stratum
        assert task.score(probe, probe.answer) == 1
        assert task.score(probe, "") == 0
        assert probe.answer not in probe.question + probe.opening


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_the_smallest_sample_can_be_made(task) -> None:
    sample = make_sample(task, 0, 0, task.least)
    assert sample.probes
    assert all(task.score(probe, probe.answer) == 1 for probe in sample.probes)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
@pytest.mark.parametrize("wanted", [700, 4000])
def test_samples_fill_the_length_and_never_exceed_it(task, wanted: int) -> None:
    def length(sample: Sample) -> int:
        return len(re.findall(r"\w+|[^\w\s]|\n", sample.body))

    sample = fitted_sample(task, 3, 1, wanted, length)
    one_more = make_sample(task, 3, 1, sample.n_items + 1)
    assert length(sample) <= wanted < length(one_more)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_a_length_below_the_smallest_sample_is_refused(task) -> None:
    with pytest.raises(UsageError, match=f"too few for the task {task.name}"):
        fitted_sample(task, 0, 0, 3, lambda sample: len(sample.body))


def test_tasks_are_chosen_by_name() -> None:
    assert [task.name for task in chosen_tasks(("hops", "keys"))] == ["hops", "keys"]
    assert [task.name for task in chosen_tasks(())] == list(TASKS)
    with pytest.raises(UsageError, match="'nope'"):
        chosen_tasks(("keys", "nope"))


# ------------------------------------------------------------------- verbatim


@several
@given(seed=seeds, n=st.integers(1, 15), n_lines=st.integers(3, 20))
def test_code_is_valid_and_uses_no_name_before_it_is_assigned(seed: int, n: int, n_lines: int) -> None:
    sample = make_sample(all_tasks(n_lines)["verbatim"], seed, 0, n)
    tree = ast.parse(sample.body)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert len(functions) == len({function.name for function in functions}) == n
    for function in functions:
        known = {argument.arg for argument in function.args.args}
        for statement in function.body:
            names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
            assert {node.id for node in names if isinstance(node.ctx, ast.Load)} <= known
            known |= {node.id for node in names}


@several
@given(seed=seeds, n=st.integers(1, 15))
def test_the_lines_asked_for_are_those_of_the_function(seed: int, n: int) -> None:
    sample = make_sample(TASKS["verbatim"], seed, 0, n)
    source = lines_of(sample)
    for probe in sample.probes:
        (name,) = re.findall(r"function (\w+),", probe.question)
        (start,) = (i for i, line in enumerate(source) if line.startswith(f"def {name}("))
        assert list(probe.expected) == source[start : start + 20]
        assert probe.answer == "\n".join(source[start : start + 20])
        assert abs(probe.depth - start / len(source)) < 1 / n
        body_end = next((i for i in range(start + 1, len(source)) if not source[i]), len(source))
        assert body_end - start > 20, "the function goes on behind what is asked for"


def test_code_cannot_be_guessed_from_itself() -> None:
    """Hardly a line occurs twice, and compression finds little more than the names and the syntax."""
    sample = make_sample(TASKS["verbatim"], 0, 0, 40)
    other = make_sample(TASKS["verbatim"], 1, 0, 40)
    source = [line for line in lines_of(sample) if line]
    assert len(set(source)) > 0.99 * len(source)
    assert not set(source) & {line for line in lines_of(other) if line}
    alone = len(zlib.compress(other.body.encode(), 9))
    after = len(zlib.compress((sample.body + other.body).encode(), 9)) - len(
        zlib.compress(sample.body.encode(), 9)
    )
    assert after > 0.9 * alone


# ---------------------------------------------------------------------- look-up


def read_vaults(sample: Sample) -> list[tuple[str, str]]:
    return [(line.split()[1].rstrip(":"), line.split()[2]) for line in lines_of(sample)]


@several
@given(seed=seeds, n=sizes)
def test_confusable_keys_have_the_code_of_their_line(seed: int, n: int) -> None:
    sample = make_sample(TASKS["keys"], seed, 0, n)
    codes = dict(read_vaults(sample))
    assert len(codes) == len(set(codes.values())) == n
    for probe in sample.probes:
        key = probe.question.rstrip("?").split()[-1]
        assert probe.expected == (codes[key],)
        place = [found for found, _ in read_vaults(sample)].index(key)
        assert probe.stratum == depth_stratum(depth_of(place, n))


def test_nearly_every_key_has_five_that_differ_by_one_letter() -> None:
    keys = [key for key, _ in read_vaults(make_sample(TASKS["keys"], 0, 0, 10 * FAMILY))]
    for key in keys:
        near = sum(sum(a != b for a, b in zip(key, other, strict=True)) == 1 for other in keys)
        assert near >= FAMILY - 1


@several
@given(seed=seeds, n=sizes)
def test_all_values_of_a_key_are_expected_in_their_order(seed: int, n: int) -> None:
    sample = make_sample(TASKS["values"], seed, 0, n)
    values = defaultdict(list)
    for key, value in read_vaults(sample):
        values[key].append(value)
    assert {len(found) for found in values.values()} == {VALUES_PER_KEY}
    for probe in sample.probes:
        key = probe.question.split()[1]
        assert list(probe.expected) == values[key]
        assert re.findall(r"\d+", probe.answer) == values[key]


# ------------------------------------------------------------------------ hops


@several
@given(seed=seeds, n=st.integers(1, 40))
def test_running_the_assignments_gives_the_number(seed: int, n: int) -> None:
    sample = make_sample(TASKS["hops"], seed, 0, n)
    space: dict[str, int] = {}
    exec(sample.body, {"__builtins__": {}}, space)  # the document is a program: run it
    right_hand = dict(line.split(" = ") for line in lines_of(sample))
    assert len(right_hand) == len(lines_of(sample)) == n * (MAX_HOPS + 1)
    for hops, probe in enumerate(sample.probes):
        (name,) = re.findall(r"does (\w+) hold", probe.question)
        assert probe.expected == (str(space[name]),)
        walked = 0
        while not right_hand[name].isdigit():
            name, walked = right_hand[name], walked + 1
        assert walked == hops
        assert probe.stratum.startswith(f"{hops} hop")


# ----------------------------------------------------------------- aggregation


@several
@given(seed=seeds, n=sizes)
def test_items_occur_as_often_as_the_answer_says(seed: int, n: int) -> None:
    sample = make_sample(TASKS["count"], seed, 0, n)
    counted = Counter(line.removeprefix("delivered: ") for line in lines_of(sample))
    assert len(counted) == n
    assert all(LEAST_COUNT <= count <= MOST_COUNT for count in counted.values())
    for probe in sample.probes:
        (name,) = re.findall(r"`delivered: (\w+)`", probe.question)
        assert probe.expected == (str(counted[name]),)
        low, high = map(int, re.findall(r"\d+", probe.stratum))
        assert low <= counted[name] <= high


@several
@given(seed=seeds, n=st.integers(3, 400))
def test_one_item_of_each_depot_is_the_most_frequent(seed: int, n: int) -> None:
    sample = make_sample(TASKS["frequent"], seed, 0, n)
    depots: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines_of(sample):
        depot, _, item = line.split()
        depots[depot][item] += 1
    assert len(depots) == N_BINS
    assert len({probe.expected for probe in sample.probes}) == N_BINS
    for probe in sample.probes:
        (depot,) = re.findall(r"did (\w+) receive", probe.question)
        assert depots[depot].total() == n
        (top, most), *rest = depots[depot].most_common()
        assert probe.expected == (top,)
        assert all(count < most for _, count in rest)
        assert set(depots[depot]) <= set(probe.choices)


def test_the_item_of_a_depot_is_not_that_of_the_whole_document() -> None:
    sample = make_sample(TASKS["frequent"], 0, 0, 100)
    overall = Counter(line.split()[2] for line in lines_of(sample)).most_common(1)[0][0]
    assert sum(probe.expected == (overall,) for probe in sample.probes) <= 1


# --------------------------------------------------------------------- building


@several
@given(seed=seeds, n=st.integers(1, 300))
def test_one_index_is_drawn_from_each_fifth(seed: int, n: int) -> None:
    found = one_per_bin(np.random.default_rng(seed), n)
    assert found == sorted(set(found))
    assert all(0 <= i < n for i in found)
    if n >= N_BINS:
        assert len(found) == N_BINS
        for fifth, i in enumerate(found):
            assert fifth * n / N_BINS - 1 < i < (fifth + 1) * n / N_BINS + 1
    else:
        assert len(found) == n


@pytest.mark.parametrize(
    ("depth", "name"),
    [(0.0, "depth 0-20 %"), (0.2, "depth 20-40 %"), (0.99, "depth 80-100 %"), (1.0, "depth 80-100 %")],
)
def test_depths_have_names(depth: float, name: str) -> None:
    assert depth_stratum(depth) == name


@several
@given(seed=seeds)
def test_names_are_distinct_and_no_keywords(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = distinct(rng, lambda r: identifier(r, 2), 300)
    assert len(set(names)) == 300
    assert not {"if", "in", "is", "or", "as"} & set(names)
    assert re.fullmatch(r"([a-z][aeiou]){3}[a-z]", word(rng))
