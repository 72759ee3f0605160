"""The experiment's own coding against the codec that came out of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from beyondrag.errors import UsageError
from eval.command import comma_list
from eval.compression.arms import Arm
from eval.grid_arms import chosen_arms, grid_arms, main, parse_bits
from kvfiles.codecs import codec_named
from kvfiles.codecs.reference import NumpyKernels
from kvfiles.codecs.rotated import RotatedCodec
from kvfiles.kernels import RowTarget, empty_layers
from kvfiles.runtime import ModelShape

HEAD_DIM = 64
ROWS = (np.random.default_rng(1).standard_normal((80, 192)) * 3 + np.arange(192) / 10).astype(np.float16)
SHAPE = ModelShape(1, 3, HEAD_DIM, HEAD_DIM)


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_the_first_arm_is_the_codec(bits: int) -> None:
    codec = codec_named(f"k{bits}v{bits}", SHAPE, NumpyKernels())
    assert isinstance(codec, RotatedCodec)
    kernels = NumpyKernels()
    coded = empty_layers(1, len(ROWS), 192, bits)
    kernels.encode(ROWS, None, codec._v, coded, 0)
    blob = np.empty(len(ROWS) * 192 * 2, np.uint8)
    kernels.decode(coded, None, codec._v, RowTarget(blob, 0, 0))
    wanted = blob.view(np.float16).reshape(-1, 192).astype(np.float32)
    arm = grid_arms((bits, bits))[0]
    assert arm.n_sink == codec.n_sink
    found = arm.v.code(ROWS.astype(np.float32), HEAD_DIM)
    close = np.isclose(found, wanted, rtol=2e-3, atol=2e-3)
    assert close.mean() > 0.998  # a value on an edge may fall to either side


@pytest.mark.parametrize(
    "arms", list(zip(grid_arms((8, 8)), grid_arms((3, 3)), strict=True)), ids=lambda a: a[0].name
)
def test_many_bits_change_little_and_few_bits_more(arms: tuple[Arm, Arm]) -> None:
    rows = ROWS.astype(np.float32)
    fine, coarse = (np.abs(arm.k.code(rows, HEAD_DIM) - rows).mean() for arm in arms)
    assert fine < 0.08
    assert coarse > 5 * fine


def test_bits_are_the_codec_s_own() -> None:
    codec = codec_named("k5v4", SHAPE, NumpyKernels())
    wanted = codec.bits_per_value(1000, SHAPE.k_width, SHAPE.v_width)
    assert grid_arms((5, 4))[0].bits_per_value(1000, SHAPE) == pytest.approx(wanted, abs=1e-3)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="no arm"):
        chosen_arms(["the codec", "magic"], (4, 4))
    with pytest.raises(UsageError, match="no bits"):
        parse_bits("k9v1")
    assert chosen_arms([], (4, 4)) == grid_arms((4, 4))
    for arm in grid_arms((4, 4)):  # each can be named on the command line
        assert chosen_arms(comma_list(arm.name), (4, 4)) == (arm,)
    assert parse_bits("k5v4") == (5, 4)


@pytest.mark.model
@pytest.mark.slow
def test_arms_on_a_model(small_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "own.txt"
    text.write_text(
        "\n".join(f"Valve {i} was closed at {i % 24} o'clock by shift {i % 5}." for i in range(60))
    )
    common = ["--model", str(small_model_path), "--context-tokens", "96", "--eval-tokens", "12"]
    found = {}
    for bits in ("k8v8", "k2v2"):
        arguments = [*common, "--threads", "1", "--bits", bits, "--arms", "the codec,not rotated", str(text)]
        assert main(arguments) == 0
        line = orjson.loads(capsys.readouterr().out.rstrip("\n").split("\n")[-1])
        found[bits] = {row["name"]: row for row in line["arms"]}
    assert 0 <= found["k8v8"]["the codec"]["kld_mean"] < 0.02
    assert found["k2v2"]["the codec"]["kld_mean"] > 5 * found["k8v8"]["the codec"]["kld_mean"]
    assert found["k2v2"]["the codec"]["n_tokens"] == 12
