"""Scores, differences and answers from rows made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from beyondrag.errors import UsageError
from eval.recall.arms import EXACT, NO_DOCUMENT, bits_of, codec_arms, grid, llama_arms, llama_cache
from eval.recall.clusters import clustered_mean
from eval.recall.rows import Row
from eval.recall.summary import TaskResult, summary
from eval.recall.tables import text
from eval.recall.verdicts import answer, paths
from eval.stats import wilson

N_DOCUMENTS, N_PROBES = 8, 5


def row(arm: str, sample: int, probe: int, score: float, nll: float = 0.1, **changes: object) -> Row:
    bits = bits_of(arm)
    values = {
        "key": f"{arm} {sample} {probe}",
        "model": "tiny",
        "model_sha256": "00",
        "task": "keys",
        "context_tokens": 4096,
        "seed": 0,
        "sample": sample,
        "probe": probe,
        "stratum": f"depth {20 * probe}-{20 * probe + 20} %",
        "depth": 0.2 * probe + 0.1,
        "share": True,
        "question": "",
        "answer": "",
        "arm": arm,
        "bits_per_value": None if arm == NO_DOCUMENT else sum(bits) / 2 if bits else 16.0,
        "cached_tokens": 4000,
        "answer_tokens": 6,
        "score": score,
        "nll": nll,
        "agreement": score,
        "first_wrong": 6 if score else 2,
        "reply": "",
        "reply_score": score,
    }
    return Row(**(values | changes))


def rows_of(arm: str, n_right: int, nll: float = 0.1, n_documents: int = N_DOCUMENTS) -> list[Row]:
    """The first `n_right` of every document's five questions are right; likelihoods differ a little."""
    return [
        row(arm, i, j, float(j < n_right), nll + 0.001 * ((i + j) % 3))
        for i in range(n_documents)
        for j in range(N_PROBES)
    ]


def result_of(*groups: Sequence[Row]) -> TaskResult:
    (result,) = summary(row for group in groups for row in group).tasks
    return result


def test_scores_and_differences_are_those_of_the_rows() -> None:
    result = result_of(rows_of(EXACT, 4), rows_of("k4v4", 3, 0.3), rows_of(NO_DOCUMENT, 0, 5.0))
    k4v4 = result.arm("k4v4")
    assert k4v4 is not None
    assert (k4v4.k_bits, k4v4.v_bits, k4v4.bits_per_value) == (4, 4, 4)
    assert k4v4.score.value == pytest.approx(0.6)
    assert (k4v4.score.low, k4v4.score.high) == wilson(24, 40)
    assert k4v4.score.n == N_DOCUMENTS * N_PROBES
    assert k4v4.difference.value == pytest.approx(-0.2)
    assert k4v4.difference.low == pytest.approx(-0.2)
    assert k4v4.difference.high == pytest.approx(-0.2)
    assert k4v4.nll_difference.value == pytest.approx(0.2)
    assert k4v4.fails
    assert k4v4.damaged
    assert dict(k4v4.strata)["depth 40-60 %"].value == 1
    assert dict(k4v4.strata)["depth 60-80 %"].value == 0
    assert result.n_documents == N_DOCUMENTS
    assert result.informative is True
    exact = result.arm(EXACT)
    assert exact is not None
    assert exact.difference.n == 0
    assert not exact.fails
    assert not exact.damaged


def test_only_questions_that_both_answered_are_compared() -> None:
    other = [one for one in rows_of("k4v4", 5) if one.sample < 6]
    result = result_of(rows_of(EXACT, 4), other)
    k4v4 = result.arm("k4v4")
    assert k4v4 is not None
    assert k4v4.difference.n == 30
    assert k4v4.difference.value == pytest.approx(0.2)


def test_the_interval_of_a_difference_is_that_of_documents() -> None:
    """All loss in two of eight documents: the documents vary, so 0 cannot be excluded; the questions alone
    (ten of forty) would exclude it by far."""
    lossy = [row("k4v4", i, j, float(i > 1)) for i in range(N_DOCUMENTS) for j in range(N_PROBES)]
    k4v4 = result_of(rows_of(EXACT, 5), lossy).arm("k4v4")
    assert k4v4 is not None
    assert k4v4.difference.value == pytest.approx(-0.25)
    rng = np.random.default_rng(0)
    means = rng.choice([-1, -1, 0, 0, 0, 0, 0, 0], (20000, 8)).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    assert k4v4.difference.low == pytest.approx(low, abs=0.13)
    assert k4v4.difference.high == pytest.approx(high, abs=0.01) == 0
    assert not k4v4.fails


def test_equal_values_are_no_certainty() -> None:
    reach = wilson(0, N_DOCUMENTS)[1]
    assert 0.2 < reach < 0.4
    result = result_of(rows_of(EXACT, 5), rows_of("k8v8", 5), rows_of("k2v2", 0))
    same, none = result.arm("k8v8"), result.arm("k2v2")
    assert same is not None
    assert none is not None
    assert (same.difference.low, same.difference.high) == (-reach, reach)
    assert (none.difference.low, none.difference.high) == (-1, -1 + reach)
    assert none.fails
    assert clustered_mean([[1.0]] * N_DOCUMENTS, (0, 1)).low == 1 - reach


def test_the_cluster_interval_covers_a_known_mean_about_as_often_as_the_notes_say() -> None:
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(300):
        documents = rng.normal(size=(N_DOCUMENTS, 1)) + 0.1 * rng.normal(size=(N_DOCUMENTS, N_PROBES))
        found = clustered_mean([list(row) for row in documents])
        assert found.n == N_DOCUMENTS * N_PROBES
        assert found.low <= found.value <= found.high
        missed += not found.low <= 0 <= found.high
    assert 0.06 < missed / 300 < 0.18  # 2 x 6.1 %


def test_documents_of_different_sizes_weigh_by_their_questions() -> None:
    documents = [[1.0, 1.0, 1.0, 1.0], [0.0], [0.0], [0.0], [0.0]]
    found = clustered_mean(documents)
    assert found.value == pytest.approx(0.5)
    draws = np.random.default_rng(1).integers(0, 5, (20000, 5))
    sums, sizes = np.array([4, 0, 0, 0, 0])[draws].sum(1), np.array([4, 1, 1, 1, 1])[draws].sum(1)
    assert found.low == pytest.approx(np.quantile(sums / sizes, 0.025), abs=0.01)
    assert found.high == pytest.approx(np.quantile(sums / sizes, 0.975), abs=0.05)


def test_too_few_documents_give_no_interval_and_no_verdict() -> None:
    result = result_of(rows_of(EXACT, 5, n_documents=4), rows_of("k2v2", 0, 9.0, n_documents=4))
    k2v2 = result.arm("k2v2")
    assert k2v2 is not None
    assert k2v2.difference.value == -1
    assert math.isnan(k2v2.difference.high)
    assert not k2v2.fails
    assert result.informative is None
    assert "no answer with fewer than 5 documents" in answer(result)


def test_shares_have_wilson_intervals_and_other_scores_bootstrapped_ones() -> None:
    halves = [row(EXACT, i, 0, 0.5 * (i % 3), share=False) for i in range(9)]
    score = result_of(halves).arms[0].score
    assert score.value == pytest.approx(0.5)
    assert 0.2 <= score.low < 0.5 < score.high <= 0.8


GRADED = {"k8v8": 5, "k8v4": 5, "k8v2": 4, "k4v8": 5, "k4v4": 5, "k4v2": 4, "k2v8": 2, "k2v4": 2, "k2v2": 0}


def graded(**changes: int) -> TaskResult:
    rights = GRADED | changes
    likely = {arm: 0.1 + 0.05 * (16 - sum(bits_of(arm) or ())) for arm in rights}
    coded = [one for arm, right in rights.items() for one in rows_of(arm, right, likely[arm])]
    return result_of(rows_of(NO_DOCUMENT, 0, 5.0), rows_of(EXACT, 5), coded)


def test_the_first_setting_that_fails_is_found_on_every_path() -> None:
    found = {(path.name, path.measure): path for path in paths(graded())}
    score = {name: path for (name, measure), path in found.items() if measure == "score"}
    assert score["K"].arms == ("k8v8", "k4v8", "k2v8")
    assert score["K"].first_failing == "k2v8"
    assert score["V"].arms == ("k8v8", "k8v4", "k8v2")
    assert score["V"].first_failing == "k8v2"
    assert score["K and V"].first_failing == "k2v2"
    assert score["any"].arms == ("k8v8", "k8v4", "k4v8", "k8v2", "k2v8", "k4v4", "k4v2", "k2v4", "k2v2")
    assert score["any"].first_failing == "k8v2"
    assert score["any"].recovers == ("k4v4",)
    assert found["K", "likelihood"].first_failing == "k4v8"
    told = answer(graded())
    assert "first at k2v8 for the bits of K alone" in told
    assert "The untouched cache scores 1.00, no document 0.00." in told


def test_a_stray_failure_is_told_as_one() -> None:
    (path,) = (path for path in paths(graded(k8v8=4)) if (path.name, path.measure) == ("K", "score"))
    assert path.first_failing == "k8v8"
    assert path.recovers == ("k4v8",)
    assert "first at k8v8 for the bits of K alone, though not at k4v8" in answer(graded(k8v8=4))


def test_a_task_that_the_model_cannot_do_is_told_as_one() -> None:
    result = result_of(rows_of(NO_DOCUMENT, 1), rows_of(EXACT, 1), rows_of("k4v4", 1), rows_of("k2v2", 1))
    assert result.informative is False
    told = answer(result)
    assert "cannot do the task" in told
    assert "The score never" not in told
    assert "The score falls" not in told


def test_the_heat_map_has_k_down_and_v_across() -> None:
    rights = {arm: right for arm, right in GRADED.items() if arm != "k4v2"}
    coded = [one for arm, right in rights.items() for one in rows_of(arm, right)]
    heat = result_of(rows_of(EXACT, 5), coded).heat_map
    assert (heat.k_bits, heat.v_bits) == ((8, 4, 2), (8, 4, 2))
    assert heat.scores == ((1.0, 1.0, 0.8), (1.0, 1.0, None), (0.4, 0.4, 0.0))
    assert heat.fails == ((False, False, True), (False, False, False), (True, True, True))


def test_lengths_and_tasks_are_kept_apart_and_models_are_not_mixed() -> None:
    rows = [row(EXACT, 0, 0, 1), row(EXACT, 0, 0, 0, context_tokens=1024), row(EXACT, 0, 0, 1, task="hops")]
    found = summary(rows)
    assert [(task.task, task.context_tokens) for task in found.tasks] == [
        ("keys", 4096),
        ("keys", 1024),
        ("hops", 4096),
    ]
    with pytest.raises(UsageError, match="2 models"):
        summary([*rows, row(EXACT, 0, 0, 1, model_sha256="11")])
    with pytest.raises(UsageError, match="no rows"):
        summary([])


def test_seeds_are_different_documents() -> None:
    found = summary([row(EXACT, 0, 0, 1), row(EXACT, 0, 0, 0, seed=1)])
    assert found.seeds == (0, 1)
    assert found.tasks[0].n_documents == 2
    assert found.tasks[0].arms[0].score.value == 0.5


def test_the_text_holds_every_arm_and_the_grid() -> None:
    result = graded()
    found = summary(row(arm, i, j, 1.0) for arm in (EXACT, *GRADED) for i in range(5) for j in range(5))
    shown = text(found, [answer(result)])
    assert shown.startswith("At which bits does each task start to fail?\n\n- keys (4096 tokens")
    for arm in (EXACT, *GRADED):
        assert f"\n| {arm} " in shown
    assert "\n| K 8 " in shown
    assert [cell.strip() for cell in shown.split("| keys: score ")[1].split("\n")[0].split("|")[1:-1]] == [
        "V 8",
        "V 4",
        "V 2",
    ]
    assert "nan" not in shown


# -------------------------------------------------------------------------- arms


def test_a_grid_begins_with_the_most_bits() -> None:
    assert grid(("2", "8"), ("3", "8")) == ("k8v8", "k8v3", "k2v8", "k2v3")
    assert grid(("4", "4"), ("4",)) == ("k4v4",)


@pytest.mark.parametrize("bits", ["1", "9", "x", "-2", "", "²", "4.0"])
def test_bits_that_no_codec_has_are_refused(bits: str) -> None:
    with pytest.raises(UsageError, match="2 to 8"):
        grid(("4", bits), ("4",))


def test_arms_are_named_once() -> None:
    assert codec_arms(("k4v4", "exact", "k4v4", "k3v2")) == ("k4v4", "k3v2")
    assert llama_arms(("q8_0", "q8_0/q4_0", "q8_0/q8_0")) == ("llama.cpp q8_0", "llama.cpp q8_0/q4_0")
    mixed = llama_cache("llama.cpp q8_0/q4_0")
    assert mixed is not None
    assert (mixed.k, mixed.v) == ("q8_0", "q4_0")
    assert llama_cache("k4v4") is None
    assert bits_of("k5v3") == (5, 3)
    assert bits_of(EXACT) is None
    with pytest.raises(UsageError, match="zip"):
        codec_arms(("zip",))
    with pytest.raises(UsageError, match="unknown cache"):
        llama_arms(("q9",))
