"""The bench end to end on the small model; its arithmetic on made-up times."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from eval.bench.__main__ import Results, main, sentences, table
from eval.bench.archive import ArchiveSpeed
from eval.bench.clock import copy_bandwidth, median, repeated
from eval.bench.first_token import N_DOCUMENTS, three_documents
from eval.bench.memory import attach_extra_bytes
from eval.bench.speed import PrefillTimes, SpeedResult, load_llama_state, save_llama_state
from eval.command import comma_list
from eval.report import json_line, markdown_table
from eval.rig import Rig
from eval.texts import Text
from kvfiles.errors import DecodeError, ModelError
from kvfiles.runtime import Model

MADE_UP = SpeedResult(
    n_tokens=1000,
    file_bytes=25_000,
    blob_bytes=100_000,
    bits_per_value=4.0,
    prefill=PrefillTimes(sliced_s=10.2, bare_s=10.0, ratio=1.01),
    get_state_s=0.04,
    encode_s=0.05,
    save_s=0.06,
    attach_s=0.01,
    llama_load_s=0.02,
    load_over_attach=2.0,
    set_data_s=0.005,
    copy_bytes_per_s=1e8,
    attach_extra_bytes=50_000,
)
KEYS = {
    *("model", "n_tokens", "codec", "bits_per_value", "encode_tokens_per_s", "attach_tokens_per_s"),
    *("llama_load_tokens_per_s", "kld_mean", "ttft_s", "prefill_ttft_s", "ttft_speedup"),
    *(
        "ingest_overhead_ratio",
        "attach_peak_extra_ratio",
        "set_data_floor_s",
        "kernels",
        "n_threads",
        "versions",
    ),
}


def results(speed: SpeedResult) -> Results:
    return Results("model", "k4v4", "plain", 2, speed, None, None)


def test_rates_and_ratios() -> None:
    found = results(MADE_UP).to_json()
    assert found["encode_tokens_per_s"] == pytest.approx(20_000)
    assert found["attach_tokens_per_s"] == pytest.approx(100_000)
    assert found["llama_load_tokens_per_s"] == pytest.approx(50_000)
    assert found["ingest_overhead_ratio"] == pytest.approx(1.01 + 0.1 / 10)
    assert found["attach_peak_extra_ratio"] == pytest.approx(0.5)
    assert found["set_data_floor_s"] == pytest.approx(0.001)
    assert found["kld_mean"] is found["ttft_s"] is None
    assert set(found) >= KEYS


def test_an_archive_has_its_rows() -> None:
    assert results(MADE_UP).to_json()["archive"] is None
    archive = ArchiveSpeed("archive@1.2", 1000, 50_000, 0.9, encode_s=0.5, attach_s=0.1)
    found = results(replace(MADE_UP, archive=archive))
    assert found.to_json()["archive"] == {
        "codec": "archive@1.2",
        "bits_per_value": 0.9,
        "bytes_per_token": 50.0,
        "file_bytes": 50_000,
        "encode_tokens_per_s": 2000.0,
        "attach_tokens_per_s": 10_000.0,
    }
    assert "0.90 bits/value, 50 bytes a token" in table(found)


def test_what_was_not_measured_is_said() -> None:
    unknown = results(replace(MADE_UP, attach_extra_bytes=None))
    assert unknown.to_json()["attach_peak_extra_ratio"] is None
    assert "not measured" in table(unknown)
    assert len(sentences(unknown)) == 2


def test_clock() -> None:
    calls: list[int] = []
    assert len(repeated(lambda: calls.append(1), 4)) == 4
    assert len(calls) == 5
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert 1e8 < copy_bandwidth() < 1e12


def test_tables_survive_bars_and_json_survives_nan() -> None:
    lines = markdown_table(["a|b", "n"], [["x", "1"], ["longer", "22"]]).split("\n")
    assert lines[0].startswith("| a\\|b ")
    assert {len(line) for line in lines} == {len(lines[0])}
    assert orjson.loads(json_line({"x": math.nan, "y": np.float64(1)})) == {"x": None, "y": 1.0}
    assert comma_list(" a, b,,") == ("a", "b")


@pytest.mark.model
def test_llama_cpp_s_own_file_round_trips(small_model_path: Path, tmp_path: Path) -> None:
    tokens = np.arange(500, 540, dtype=np.int32)
    with Rig(small_model_path, 2) as rig, rig.context(64) as context:
        context.decode(tokens, 0, logits="none")
        wanted = context.state()
        save_llama_state(context, tmp_path / "raw", tokens)
        context.clear()
        load_llama_state(context, tmp_path / "raw", len(tokens))
        np.testing.assert_array_equal(context.state(), wanted)
        with pytest.raises(DecodeError):
            load_llama_state(context, tmp_path / "missing", len(tokens))
        with pytest.raises(DecodeError):
            save_llama_state(context, tmp_path / "no" / "folder", tokens)


@pytest.mark.model
def test_the_prompt_s_documents_are_equal_and_in_order(small_model: Model) -> None:
    body = " ".join(f"Item {i} costs {i * 7 % 100} euros." for i in range(400))
    prompt = three_documents(small_model, [Text("Prices", body)], 900)
    assert len(prompt.documents) == N_DOCUMENTS
    assert len({len(document) for document in prompt.documents}) == 1
    assert 890 <= prompt.n_tokens <= 900
    assert small_model.text(np.concatenate(prompt.documents)).startswith('<document title="Prices">')


def test_a_failing_child_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="memory"):
        attach_extra_bytes(tmp_path / "none.gguf", tmp_path / "none.kv", 10, 1)


@pytest.mark.model
@pytest.mark.slow
def test_the_command_gives_every_number(small_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--tokens", "256", "--repeats", "2", "--ttft-tokens", "512"]
    assert main(["--model", str(small_model_path), "--threads", "2", *sizes]) == 0
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    found = orjson.loads(lines[-1])
    assert set(found) >= KEYS
    assert found["n_tokens"] == 256
    assert 4 < found["bits_per_value"] < 5
    assert 0 < found["kld_mean"] < 0.1
    rates = ("encode", "attach", "llama_load", "save", "prefill")
    assert all(found[f"{what}_tokens_per_s"] > 0 for what in rates)
    assert found["attach_tokens_per_s"] > found["prefill_tokens_per_s"]
    assert found["ttft_speedup"] == pytest.approx(found["prefill_ttft_s"] / found["ttft_s"])
    assert found["ttft_speedup"] > 1
    assert found["ingest_overhead_ratio"] > 0
