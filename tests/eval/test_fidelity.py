"""The fidelity table end to end on the small model, and its refusals."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import orjson
import pytest

from beyondrag.errors import UsageError
from beyondrag.fidelity_verdict import read_verdicts, verdict_path
from beyondrag.models import default_root
from eval.command import run_command
from eval.compression.arms import LITERATURE
from eval.compression.caches import Bench, Case, OneSidedCache, parse_one_sided
from eval.compression.cases import answer_source, text_source
from eval.compression.rows import Measured
from eval.compression.run import Run
from eval.fidelity import MOVED, Plan, chosen_arms, main, measure, parse_cache, plans_of, table
from eval.fidelity import parser as command_line
from eval.rig import Rig, forced_logprobs, score_forced
from eval.rowfile import RowFile, read_rows
from eval.texts import TokenText, measured_texts, text_pool
from kvfiles.errors import ContextOverflow, StorageError

PLAN = Plan(192, 16, ("exact", "k8v8", "k4v4", "k2v2"), ("q8_0", "q8_0/q4_0"))


@pytest.fixture(scope="module")
def rig(small_model_path: Path) -> Iterator[Rig]:
    with Rig(small_model_path, 2) as opened:
        yield opened


@pytest.mark.parametrize(("name", "kinds"), [("q8_0", ("q8_0", "q8_0")), ("q8_0/q4_0", ("q8_0", "q4_0"))])
def test_caches_are_named_as_one_type_or_as_two(name: str, kinds: tuple[str, str]) -> None:
    assert parse_cache(name) == kinds


@pytest.mark.parametrize("name", ["q9", "", "q8_0/", "/q8_0", "q8_0/q4_0/f16", "q8_0/x"])
def test_other_caches_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="unknown cache"):
        parse_cache(name)


@pytest.mark.model
@pytest.mark.slow
def test_every_cache_costs_what_its_bits_suggest(rig: Rig) -> None:
    texts = measured_texts(rig.model, [], PLAN.text_tokens)[:2]
    rows = {row.name: row for row in measure(rig, texts, PLAN)}
    kld = {name: row.summary.kld_mean for name, row in rows.items()}
    assert list(rows) == ["exact", "k8v8", "k4v4", "k2v2", "llama.cpp q8_0", "llama.cpp q8_0/q4_0", MOVED]
    assert kld["exact"] == 0.0
    assert kld["exact"] < kld["k8v8"] < kld["k4v4"] < kld["k2v2"]
    assert 0 < kld[MOVED] < kld["k2v2"] / 5
    assert kld["llama.cpp q8_0"] < kld["k2v2"] / 5
    bits = {name: row.bits_per_value for name, row in rows.items()}
    assert bits["exact"] == pytest.approx(16, abs=0.05)
    assert bits["llama.cpp q8_0"] == 8.5
    assert bits["llama.cpp q8_0/q4_0"] == 6.5
    assert 4.1 < bits["k4v4"] < 4.6
    for row in rows.values():
        assert len(row.texts) == 2
        assert row.interval[0] <= row.summary.kld_mean <= row.interval[1]
        assert row.summary.kld_mean == pytest.approx(np.mean([text.kld_mean for text in row.texts]))
    assert table(list(rows.values())).count("\n") == len(rows) + 1


@pytest.mark.parametrize("name", ["k1", "k9", "4", "", "k4v4", "K4"])
def test_other_one_sided_caches_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="one-sided"):
        parse_one_sided(name)


def test_methods_are_chosen_by_parts_of_their_names() -> None:
    assert chosen_arms(["all"]) == LITERATURE
    assert chosen_arms(["none"]) == chosen_arms([]) == ()
    found = chosen_arms(["kivi 2", "polar"])
    assert found
    assert {arm.name.split(" ")[0] for arm in found} == {"KIVI", "PolarQuant"}
    with pytest.raises(UsageError, match="no method"):
        chosen_arms(["kivi", "magic"])


def test_several_lengths_are_several_plans() -> None:
    options = command_line().parse_args(
        ["--context-tokens", "4096,1024", "--generated", "32", "--arms", "none"]
    )
    plans = plans_of(options)
    assert [plan.context_tokens for plan in plans] == [1024, 4096]
    assert {plan.generated for plan in plans} == {32}


@pytest.mark.parametrize("text", ["", "0", "1024,-1", "many"])
def test_other_lengths_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line().parse_args(["--context-tokens", text])
    assert "--context-tokens" in capsys.readouterr().err


def tokens(n: int, seed: int = 0) -> TokenText:
    numbers = np.random.default_rng(seed).integers(500, 5000, n)
    return TokenText(f"numbers {seed}", numbers.astype(np.int32))


@pytest.mark.model
def test_one_side_is_coded_and_the_other_is_the_f16_cache_s_own(rig: Rig, tmp_path: Path) -> None:
    text = tokens(60).tokens
    with rig.context(128) as context:
        context.decode(text[:50], 0, logits="none")
        state, reference = rig.state(context), forced_logprobs(context, text[50:])
        bench = Bench(rig, context, Case(text[:50], text[50:]), state, reference, tmp_path)
        for side in ("k", "v"):
            cache = OneSidedCache(side, 3)  # type: ignore[arg-type]  # a literal in a loop
            bits, scores = cache.measure(bench)
            found = rig.state(context)
            exact, coded = (found.v, found.k) if side == "k" else (found.k, found.v)
            untouched, changed = (state.v, state.k) if side == "k" else (state.k, state.v)
            assert all(np.array_equal(a, b) for a, b in zip(exact, untouched, strict=True))
            assert all((a != b).mean() > 0.5 for a, b in zip(coded, changed, strict=True))
            assert scores.kld.mean() > 0
            both = rig.codec("k3v3").bits_per_value(50, rig.model.shape.k_width, rig.model.shape.v_width)
            assert bits == pytest.approx((both + 16) / 2, abs=0.01)  # K and V are as wide as each other


@pytest.mark.model
def test_an_answer_is_scored_where_it_was_said(rig: Rig, tmp_path: Path) -> None:
    plan = Plan(context_tokens=220, generated=6)
    source = answer_source(rig, "a" * 64, tokens(400), plan)
    assert len(source.body) == 220
    with rig.context(source.n_cells) as context:
        context.decode(source.body, 0, logits="none")
        case = source.case(context)
        assert context.end() == 220
        answer = case.tail[case.n_given :]
        assert 1 <= len(answer) <= 6
        reference = forced_logprobs(context, case.tail)
        scores = case.scored(score_forced(context, case.tail, reference))
        assert len(scores.kld) == len(answer)
        # a greedy answer is what the reference likes best, token by token
        np.testing.assert_array_equal(reference[case.n_given - 1 :].argmax(-1), answer)
    with pytest.raises(UsageError, match="nothing but the prompt"):
        answer_source(rig, "a" * 64, tokens(400), Plan(context_tokens=20, generated=6))


@pytest.mark.model
@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was(rig: Rig, tmp_path: Path) -> None:
    plan = Plan(48, 8, ("k4v4", "k2v2"), (), moved=False, one_sided=("v2",), arms=chosen_arms(["polar"])[:1])
    texts, path = [tokens(60, 1), tokens(60, 2)], tmp_path / "rows.jsonl"
    came: list[Measured] = []

    def stop_at_the_sixth(row: Measured) -> None:
        came.append(row)
        if len(came) == 6:
            raise KeyboardInterrupt

    with RowFile(path, Measured.from_json) as file, pytest.raises(KeyboardInterrupt):
        Run(rig, file=file, on_row=stop_at_the_sixth).measure(texts, plan)
    assert [row.key for row in read_rows(path, Measured.from_json)] == [row.key for row in came]
    rest: list[Measured] = []
    with RowFile(path, Measured.from_json) as file:
        found = Run(rig, file=file, on_row=rest.append).measure(texts, plan)
    assert len(rest) == 2
    assert [(row.case.text, row.cache) for row in found] == [
        (f"numbers {i}", name)
        for i in (1, 2)
        for name in ("k4v4", "k2v2", "v2, K exact", chosen_arms(["polar"])[0].name)
    ]
    whole = Run(rig).measure(texts, plan)
    for resumed, fresh in zip(found, whole, strict=True):
        np.testing.assert_allclose(resumed.scores.kld, fresh.scores.kld, atol=1e-6)
    messages: list[str] = []
    with RowFile(path, Measured.from_json) as file:
        again = Run(rig, file=file, progress=messages.append).measure(texts, plan)
    assert messages == []  # nothing was read
    assert [row.key for row in again] == [row.key for row in found]
    other = Run(rig, model_sha256="b" * 64).measure(texts[:1], Plan(48, 8, ("k4v4",), (), moved=False))
    assert other[0].key not in {row.key for row in found}


@pytest.mark.model
def test_texts_and_settings_make_different_cases(rig: Rig) -> None:
    plan = Plan(48, 8)
    first = text_source(rig, "a" * 64, tokens(60, 1), plan)
    assert (len(first.body), len(first.tail)) == (48, 9)
    others = [
        text_source(rig, "a" * 64, tokens(60, 2), plan),
        text_source(rig, "a" * 64, tokens(60, 1), Plan(47, 8)),
        text_source(rig, "b" * 64, tokens(60, 1), plan),
    ]
    assert len({source.id.key("k4v4") for source in (first, *others)}) == 4


@pytest.mark.model
def test_a_folder_can_be_one_text_and_short_texts_are_left_out(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "docs"
    folder.mkdir(parents=True)
    for i in range(3):
        (folder / f"{i}.txt").write_text(f"Report {i}. " + "The valve was closed by the night shift. " * 20)
    (joined,) = text_pool(rig.model, [folder], join=True).texts
    apart = text_pool(rig.model, [folder])
    assert joined.name == "reports"
    assert len(joined.tokens) > 2.5 * len(apart.texts[0].tokens)
    alone = tmp_path / "long.txt"
    alone.write_text("The valve was closed by the night shift. " * 100)
    both = text_pool(rig.model, [folder, alone])
    fitting, left_out = both.fitting(500)
    assert [len(text.tokens) for text in fitting] == [500]
    assert len(left_out) == 3
    with pytest.raises(UsageError, match="too few"):
        both.fitting(100_000)


@pytest.mark.model
def test_the_same_cache_gives_the_same_distribution_and_is_left_as_it_was(rig: Rig) -> None:
    tokens = np.arange(1000, 1100, dtype=np.int32)
    with rig.context(256) as context:
        context.decode(tokens[:20], 0, logits="none")
        reference = forced_logprobs(context, tokens[20:])
        assert context.end() == 20
        assert reference.shape == (79, rig.model.n_vocab)
        np.testing.assert_allclose(np.exp(reference.astype(np.float64)).sum(-1), 1, rtol=1e-4)
        scores = score_forced(context, tokens[20:], reference)
        assert context.end() == 20
    np.testing.assert_array_equal(scores.kld, 0)
    np.testing.assert_allclose(scores.nll, -reference[np.arange(79), tokens[21:]])


@pytest.mark.model
def test_more_tokens_than_the_model_knows_are_refused(rig: Rig) -> None:
    with pytest.raises(ContextOverflow, match="trained"), rig.context(1 << 20):
        pass


@pytest.mark.model
def test_texts_have_the_wanted_length_and_begin_like_a_prompt(rig: Rig, tmp_path: Path) -> None:
    texts = measured_texts(rig.model, [], 300)
    assert [len(text.tokens) for text in texts] == [300, 300, 300]
    assert not np.array_equal(texts[0].tokens, texts[1].tokens)
    if rig.model.bos is not None:
        assert all(text.tokens[0] == rig.model.bos for text in texts)
    short = tmp_path / "short.txt"
    short.write_text("A sentence that is much too short to measure anything with.\n")
    with pytest.raises(UsageError, match="too few"):
        measured_texts(rig.model, [short], 300)


@pytest.mark.model
@pytest.mark.slow
def test_the_command_ends_with_one_line_of_json(
    small_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "own.txt"
    text.write_text(
        "\n".join(f"Valve {i} was closed at {i % 24} o'clock by the night shift." for i in range(30))
    )
    arguments = [
        "--model",
        str(small_model_path),
        "--context-tokens",
        "64",
        "--eval-tokens",
        "8",
        "--no-moved",
        "--one-sided",
        "",
        "--arms",
        "none",
    ]
    plot = tmp_path / "new" / "plot.svg"
    code = main(
        [*arguments, "--codecs", "k4v4", "--llama", "", "--threads", "2", "--plot", str(plot), str(text)]
    )
    captured = capsys.readouterr()
    assert code == 0
    lines = captured.out.rstrip("\n").split("\n")
    found = orjson.loads(lines[-1])
    assert [row["name"] for row in found["rows"]] == ["k4v4"]
    assert found["rows"][0]["n_tokens"] == 8
    assert any(line.startswith("| k4v4") for line in lines)
    kept = read_verdicts(verdict_path(default_root(), small_model_path))
    assert "k4v4" in "".join(ElementTree.parse(plot).getroot().itertext())
    assert kept is not None, "beside the models, where the product looks"
    assert [(one.codec, one.n_tokens) for one in kept.findings] == [("k4v4", 8)]
    assert main([*arguments, "--codecs", "k4v4,zip", str(text)]) == UsageError.exit_code
    assert "zip" in capsys.readouterr().err


def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp")

    assert run_command(fill) == StorageError.exit_code
    assert "free disk space" in capsys.readouterr().err


def test_a_missing_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(tmp_path / "none.gguf")]) == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
