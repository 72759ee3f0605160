"""Calibration as a whole, on made-up tensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibration_samples import SMALL, observed

from kvfiles.codecs.archive.calibrate import LEVELS, Origin, calibrate
from kvfiles.codecs.archive.entropy import base_classes
from kvfiles.codecs.archive.reference import decode_group, encode_group
from kvfiles.codecs.archive.tables import load_tables, save_tables
from kvfiles.errors import Cancelled
from kvfiles.runtime.model import ModelShape

ORIGIN = Origin("a" * 64, "b" * 64)


def test_what_was_calibrated_codes_what_it_never_saw(tmp_path: Path) -> None:
    whole = observed(lengths=(400, 300, 60))
    seen = replace(whole, k=whole.k[:, :700], v=whole.v[:, :700], lengths=(400, 300))
    save_tables(tmp_path / "t", calibrate(seen, SMALL, ORIGIN))
    tables = load_tables(tmp_path / "t")
    assert (tables.model, tables.texts, tables.n_tokens) == (ORIGIN.model, ORIGIN.texts, 700)
    assert tables.levels.tolist() == [-768, -256, -132, 0, 124, 256, 380]
    k, v = whole.k[:, 700:].astype(np.float32), whole.v[:, 700:].astype(np.float32)
    sizes, errors = [], []
    for level, g in zip(tables.levels, LEVELS, strict=True):
        base = base_classes(tables, int(level))
        coded = encode_group(tables, tables.groups[0], base, g, 0.0, k, v)
        _, back_v = decode_group(tables, tables.groups[0], base, g, coded.stream, 60)
        sizes.append(len(coded.stream) * 16 / (k.size + v.size))
        errors.append(float(np.square(back_v - v).mean() / np.square(v).mean()))
        # The mean magnitudes that the tables promise are those of fresh tokens, too.
        promised = np.exp2(tables.groups[0].base_k[tables.levels.tolist().index(level)] / 512.0).sum()
        assert coded.magnitudes[:, :32].sum() / 60 == pytest.approx(promised, rel=0.3)
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    assert errors[0] < 3e-3 < errors[-1] < 0.7
    assert sizes[3] < 3


def test_the_same_data_give_the_same_tables() -> None:
    one, two = (calibrate(observed(), SMALL, ORIGIN, n_threads=n) for n in (1, 3))
    assert one.id == two.id
    assert calibrate(observed(seed=1), SMALL, ORIGIN).id != one.id


@pytest.mark.parametrize("n_head", [1, 3, 4])
def test_wide_caches_fall_into_groups(n_head: int) -> None:
    shape = ModelShape(2, n_head, 128, 128)
    tables = calibrate(observed(shape, (150, 150)), shape, ORIGIN)
    assert sum(group.k_width for group in tables.groups) == 128 * n_head
    assert max(group.k_width for group in tables.groups) <= 256


def test_one_layer_is_enough() -> None:
    shape = replace(SMALL, n_layer=1)
    assert calibrate(observed(shape), shape, ORIGIN).groups[0].predict_k.shape == (0, 48, 32)


def test_progress_rises_to_the_end() -> None:
    steps: list[tuple[int, int]] = []
    calibrate(observed(), SMALL, ORIGIN, n_threads=2, on_step=lambda done, total: steps.append((done, total)))
    assert steps == sorted(steps)
    assert {total for _, total in steps} == {steps[-1][0]}


@pytest.mark.parametrize("after", [1, 5, 30])
def test_it_stops_when_told(after: int) -> None:
    calls = 0

    def on_step(_done: int, _total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == after:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        calibrate(observed(), SMALL, ORIGIN, n_threads=2, on_step=on_step)
    assert calls == after


@pytest.mark.parametrize(
    "changed",
    [
        {"lengths": (200, 100, 299)},
        {"k": np.zeros((3, 600, 33), np.float16)},
        {"v": np.zeros((2, 600, 16), np.float16)},
        {"moments": np.zeros((3, 1, 16, 16))},
    ],
    ids=["lengths", "k", "v", "moments"],
)
def test_data_that_do_not_fit_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not the model's|too few"):
        calibrate(replace(observed(), **changed), SMALL, ORIGIN)  # type: ignore[arg-type]  # one field each


def test_a_few_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        calibrate(observed(lengths=(30, 20)), SMALL, ORIGIN)
