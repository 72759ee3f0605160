"""The suite end to end on the small model, with documents of a few hundred tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from beyondrag.errors import UsageError
from beyondrag.generation import Generator
from eval.recall.arms import EXACT, NO_DOCUMENT
from eval.recall.asking import ReplyLimits, ask
from eval.recall.command import main
from eval.recall.rows import Row, parse_row
from eval.recall.runner import Plan, Runner
from eval.recall.tasks import chosen_tasks
from eval.rig import Rig
from eval.rowfile import RowFile, read_rows
from kvfiles.errors import ContextOverflow
from kvfiles.runtime.context import log_softmax

N_LINES = 3


@pytest.fixture(scope="module")
def rig(small_model_path: Path) -> Iterator[Rig]:
    with Rig(small_model_path, 1) as opened:
        yield opened


def plan_of(*tasks: str, arms: tuple[str, ...], context_tokens: int = 260, samples: int = 1) -> Plan:
    return Plan(chosen_tasks(tasks, N_LINES), arms, context_tokens, samples, seed=0, spot_checks=1)


def measure(rig: Rig, plan: Plan, path: Path) -> tuple[list[Row], list[str]]:
    said: list[str] = []
    with RowFile(path, parse_row) as file:
        return Runner(rig, plan, file, "00", said.append).run(), said


# ------------------------------------------------------------------------ asking


@pytest.mark.model
def test_reading_the_answer_together_is_reading_it_token_by_token(rig: Rig) -> None:
    tokens = rig.model.tokenize("vault abcdef: 48213\nvault ghijkl: 90210\n" * 3)
    prompt, answer = rig.model.tokenize("The code of vault ghijkl is"), rig.model.tokenize(" 90210, 48213")
    with rig.context(256) as context:
        context.decode(tokens, 0, logits="none")
        forced, reply = ask(context, prompt, answer, None, tokens[:0])
        assert reply is None
        assert context.end() == len(tokens)
        logits = context.decode(prompt, len(tokens), logits="last")
        for i, token in enumerate(answer):
            logprobs = log_softmax(logits)[0]
            assert forced.logprobs[i] == pytest.approx(logprobs[token], abs=0.05)
            if np.sort(logits[0])[-2] < logits[0].max() - 0.5:  # batches round differently
                assert forced.right[i] == (logits[0].argmax() == token)
            logits = context.decode(np.array([token], np.int32), context.end(), logits="last")
    assert len(forced.right) == len(answer)


@pytest.mark.model
def test_a_reply_ends_where_it_is_told_to_and_leaves_nothing(rig: Rig) -> None:
    tokens = rig.model.tokenize("one: 1\ntwo: 2\nthree: 3\nfour: 4\nfive: 5\n" * 3)
    prompt, answer = rig.model.tokenize("one: 1\ntwo:"), rig.model.tokenize(" 2")
    with rig.context(512) as context:
        context.decode(tokens, 0, logits="none")
        generator = Generator(context, lookup=tokens[:0])
        generator.feed(prompt)
        expected = rig.model.text(np.array([step.token for step in generator.steps(24)], np.int32))
        context.remove(0, len(tokens))
        _, long = ask(context, prompt, answer, ReplyLimits(24, 100), tokens[:0])
        _, drafted = ask(context, prompt, answer, ReplyLimits(24, 100), tokens)
        _, short = ask(context, prompt, answer, ReplyLimits(24, 2), tokens[:0])
        assert context.end() == len(tokens)
    assert long == drafted == expected
    assert expected.count("\n") > 2, "the model goes on counting"
    assert short == "".join(expected.splitlines(keepends=True)[:2])


# ------------------------------------------------------------------------ running


@pytest.mark.model
@pytest.mark.slow
def test_rows_are_those_of_the_plan_and_are_measured_once(rig: Rig, tmp_path: Path) -> None:
    path, plan = tmp_path / "rows.jsonl", plan_of("verbatim", arms=("k2v2",))
    rows, said = measure(rig, plan, path)
    assert [row.arm for row in rows] == sorted((row.arm for row in rows), key=plan.all_arms.index)
    assert {row.arm for row in rows} == {NO_DOCUMENT, EXACT, "k2v2"}
    assert any("reading" in line for line in said)
    by_arm = {arm: [row for row in rows if row.arm == arm] for arm in plan.all_arms}
    for row in rows:
        assert 0 <= row.score <= 1
        assert row.nll > 0
        assert row.first_wrong <= row.answer_tokens
        assert (row.first_wrong == row.answer_tokens) == (row.agreement == 1)
        assert (row.reply is None) == (row.probe > 0), "one question is answered as well, for every arm"
    mean = {arm: np.mean([row.nll for row in group]) for arm, group in by_arm.items()}
    assert mean[EXACT] < mean["k2v2"]
    assert mean[EXACT] < mean[NO_DOCUMENT] - 0.5, "the document is what the lines are read from"
    assert [row.bits_per_value for row in by_arm[NO_DOCUMENT]] == [None] * len(by_arm[NO_DOCUMENT])
    assert by_arm[EXACT][0].bits_per_value == pytest.approx(16, abs=0.6)
    assert 200 < by_arm[EXACT][0].cached_tokens <= 260

    again, said = measure(rig, plan, path)
    assert again == rows
    assert said == []

    kept = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(kept[:-1]))
    mended, said = measure(rig, plan, path)
    assert [row.key for row in mended] == [row.key for row in rows]
    assert sum(line.startswith("verbatim 1/1: k2v2") for line in said) == 1
    assert not any(NO_DOCUMENT in line for line in said)
    assert mended[-1].nll == pytest.approx(rows[-1].nll, abs=1e-6)


@pytest.mark.model
@pytest.mark.slow
def test_every_task_runs_with_llama_caches_too(rig: Rig, tmp_path: Path) -> None:
    plan = plan_of("keys", "values", "hops", "count", "frequent", arms=("llama.cpp q8_0",))
    rows, _ = measure(rig, plan, tmp_path / "rows.jsonl")
    assert len({row.key for row in rows}) == len(rows)
    for task in plan.tasks:
        mine = [row for row in rows if row.task == task.name]
        n_probes = max(row.probe for row in mine) + 1
        assert len(mine) == len(plan.all_arms) * n_probes
        for arm in plan.all_arms:
            assert [row.probe for row in mine if row.arm == arm] == list(range(n_probes))
        assert all(row.reply is not None and row.score == row.reply_score for row in mine)
        by_arm = {arm: np.mean([row.nll for row in mine if row.arm == arm]) for arm in plan.all_arms}
        assert by_arm["llama.cpp q8_0"] == pytest.approx(by_arm[EXACT], abs=0.3)
    assert {row.bits_per_value for row in rows if row.arm.startswith("llama")} == {8.5}


@pytest.mark.model
@pytest.mark.slow
def test_what_was_measured_before_it_was_stopped_is_kept(rig: Rig, tmp_path: Path) -> None:
    path, plan = tmp_path / "rows.jsonl", plan_of("hops", arms=("k4v4", "k2v2"), context_tokens=180)

    def stop(message: str) -> None:
        if "k4v4" in message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), RowFile(path, parse_row) as file:
        Runner(rig, plan, file, "00", stop).run()
    before = read_rows(path, parse_row)
    assert {row.arm for row in before} == {NO_DOCUMENT, EXACT, "k4v4"}
    rows, _ = measure(rig, plan, path)
    assert [row for row in rows if row.arm != "k2v2"] == before


@pytest.mark.model
def test_lengths_that_cannot_be_measured_are_refused(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few"):
        measure(rig, plan_of("hops", arms=(), context_tokens=100), tmp_path / "a.jsonl")
    with pytest.raises(ContextOverflow, match="trained"):
        measure(rig, plan_of("hops", arms=(), context_tokens=8190), tmp_path / "b.jsonl")


@pytest.mark.model
@pytest.mark.slow
def test_the_command_ends_with_one_line_of_json(
    small_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.jsonl"
    arguments = ["--model", str(small_model_path), "--threads", "1", "--context-tokens", "320"]
    arguments += [
        "--samples",
        "1",
        "--tasks",
        "frequent",
        "--k-bits",
        "8,2",
        "--v-bits",
        "8",
        "--out",
        str(out),
    ]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    lines = captured.out.rstrip("\n").split("\n")
    found = orjson.loads(lines[-1])
    (task,) = found["tasks"]
    assert task["task"] == "frequent"
    assert task["heat_map"]["k_bits"] == [8, 2]
    assert [arm["arm"] for arm in task["arms"]] == [NO_DOCUMENT, EXACT, "k8v8", "k2v8"]
    assert all(arm["score"]["n"] == 5 for arm in task["arms"])
    assert any(line.startswith("| k2v8") for line in lines)
    assert "At which bits" in captured.out
    assert "4 of 4" in captured.err
    report = tmp_path / "report"
    assert main([*arguments, "--json", "--report", str(report)]) == 0
    assert orjson.loads(capsys.readouterr().out)["tasks"] == found["tasks"]
    html = (report / "report.html").read_text()
    assert "beyondrag eval recall --model" in html
    assert "Processor" in html


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tasks", "nope"], "unknown task"),
        (["--k-bits", "9"], "2 to 8"),
        (["--codecs", "zip"], "unknown codec"),
        (["--llama", "q1"], "unknown cache"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == UsageError.exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
