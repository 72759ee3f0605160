"""The fidelity table end to end on the small model, and its refusals."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from beyondrag.errors import UsageError
from eval.command import run_command
from eval.fidelity import MOVED, Plan, main, measure, parse_cache, table
from eval.rig import Rig, forced_logprobs, score_forced
from eval.texts import measured_texts
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
    ]
    code = main([*arguments, "--codecs", "k4v4", "--llama", "", "--threads", "2", str(text)])
    captured = capsys.readouterr()
    assert code == 0
    lines = captured.out.rstrip("\n").split("\n")
    found = orjson.loads(lines[-1])
    assert [row["name"] for row in found["rows"]] == ["k4v4"]
    assert found["rows"][0]["n_tokens"] == 8
    assert any(line.startswith("| k4v4") for line in lines)
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
