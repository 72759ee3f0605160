"""What an arm codes, and what it leaves exact."""

from __future__ import annotations

import numpy as np
import pytest

from eval.compression.arms import LITERATURE, Arm, codec_arm, coded_state
from eval.compression.coders import PerChannel, PerToken, Rotated
from kvfiles.codecs.reference import rotate_rows
from kvfiles.positions import RopeTables
from kvfiles.rope import RopeSpec
from kvfiles.runtime import ModelShape
from kvfiles.state_blob import BlobLayout, StateView, read_state, write_frame

N, HEAD_DIM = 40, 32
SHAPE = ModelShape(8, 2, HEAD_DIM, HEAD_DIM)


def state() -> StateView:
    layout = BlobLayout(N, SHAPE.n_layer, SHAPE.k_width, SHAPE.v_width)
    blob = np.zeros(layout.size, np.uint8)
    write_frame(layout, np.arange(N, dtype=np.int32), blob)
    view, rng = read_state(blob, "test"), np.random.default_rng(3)
    for rows in (*view.k, *view.v):
        rows[:] = rng.standard_normal(rows.shape)
    return view


@pytest.fixture(name="tables")
def rope_tables() -> RopeTables:
    return RopeTables(RopeSpec("neox", HEAD_DIM, HEAD_DIM, 10000.0), 2)


@pytest.mark.parametrize("before_rope", [True, False])
def test_first_tokens_and_window_are_exact_and_the_rest_is_coded(
    tables: RopeTables, before_rope: bool
) -> None:
    arm = Arm("a", Rotated(4), PerToken(2, 16), before_rope=before_rope, n_sink=3, window=7)
    given, rope = state(), tables.at(0, N)
    found = read_state(coded_state(given, rope, arm, SHAPE), "test")
    inside = slice(3, N - 7)
    for layer in range(SHAPE.n_layer):
        for mine, theirs in ((found.k, given.k), (found.v, given.v)):
            np.testing.assert_array_equal(mine[layer][:3], theirs[layer][:3])
            np.testing.assert_array_equal(mine[layer][-7:], theirs[layer][-7:])
            assert (mine[layer][inside] != theirs[layer][inside]).mean() > 0.8
    np.testing.assert_array_equal(found.positions, given.positions)
    k = given.k[5][inside].astype(np.float32)
    turn = rope.rows(3, N - 7)
    if before_rope:
        k = rotate_rows(arm.k.code(rotate_rows(k, turn.inverse()), HEAD_DIM), turn)
    else:
        k = arm.k.code(k, HEAD_DIM)
    np.testing.assert_array_equal(found.k[5][inside], k.astype(np.float16))


def test_more_exact_tokens_than_there_are_leave_the_state_alone(tables: RopeTables) -> None:
    given, arm = state(), codec_arm(2, 2, window=1000)
    found = read_state(coded_state(given, tables.at(0, N), arm, SHAPE), "test")
    for mine, theirs in zip((*found.k, *found.v), (*given.k, *given.v), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert arm.bits_per_value(N, SHAPE) == 16


def test_outer_layers_are_the_first_and_the_last_quarter() -> None:
    arm = codec_arm(3, 4, outer_bits=2)
    outer = [arm.coders(layer, 8) == (Rotated(5), Rotated(6)) for layer in range(8)]
    assert outer == [True, True, False, False, False, False, True, True]
    assert arm.coders(3, 8) == (Rotated(3), Rotated(4))
    plain, more = codec_arm(3, 4), codec_arm(5, 6)
    wanted = (plain.bits_per_value(500, SHAPE) + more.bits_per_value(500, SHAPE)) / 2
    assert arm.bits_per_value(500, SHAPE) == pytest.approx(wanted)


def test_bits_of_an_arm_counted_by_hand() -> None:
    arm = Arm("a", PerChannel(2, 32), PerToken(4, 32), n_sink=0, window=128)
    coded = (2 + 32 / 32) + (4 + 32 / 32)
    assert arm.bits_per_value(1152, SHAPE) == pytest.approx((1024 * coded / 2 + 128 * 16) / 1152)


def test_the_arms_differ_in_name_and_say_where_they_are_from() -> None:
    assert len({arm.name for arm in LITERATURE}) == len(LITERATURE)
    assert all(arm.source for arm in LITERATURE)
    methods = {arm.source.split(" ")[0] for arm in LITERATURE}
    assert methods == {"KIVI", "TurboQuant", "PolarQuant", "the"}
