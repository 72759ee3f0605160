"""Calibration as a whole, on made-up tensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibration_samples import SMALL, observed

from kvfiles.codecs.archive import calibrate_fit
from kvfiles.codecs.archive.calibrate import LEVELS, Observed, Origin, calibrate
from kvfiles.codecs.archive.entropy import base_classes
from kvfiles.codecs.archive.importance import Attended
from kvfiles.codecs.archive.reference import decode_group, encode_group
from kvfiles.codecs.archive.tables import MAX_RHO, ArchiveTables, load_tables, save_tables
from kvfiles.errors import Cancelled
from kvfiles.runtime.model import ModelShape

ORIGIN = Origin("a" * 64, "b" * 64)
EVEN = np.zeros((SMALL.n_layer, 1000), np.int8)


def first(whole: Observed, n_text: int) -> Observed:
    """The first texts alone."""
    lengths = whole.lengths[:n_text]
    n, seen = sum(lengths), whole.attended
    attended = Attended(seen.rows[:n], seen.ahead[:n], seen.received[..., :n])
    return Observed(whole.k[:, :n], whole.v[:, :n], whole.moments, lengths, attended)


def test_what_was_calibrated_codes_what_it_never_saw(tmp_path: Path) -> None:
    whole = observed(lengths=(400, 300, 60))
    seen = first(whole, 2)
    save_tables(tmp_path / "t", calibrate(seen, SMALL, ORIGIN))
    tables = load_tables(tmp_path / "t")
    assert (tables.model, tables.texts, tables.n_tokens) == (ORIGIN.model, ORIGIN.texts, 700)
    assert tables.levels.tolist() == [-768, -256, -132, 0, 124, 256, 380]
    k, v = whole.k[:, 700:].astype(np.float32), whole.v[:, 700:].astype(np.float32)
    sizes, errors = [], []
    for level, g in zip(tables.levels, LEVELS, strict=True):
        base = base_classes(tables, int(level))
        coded = encode_group(tables, tables.groups[0], base, g, EVEN[..., :60], k, v)
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


def test_what_tokens_have_in_common_is_found_and_saves_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a Gaussian autoregression 0.7 a strong coefficient needs log2(1 - 0.49) / -2 = 0.49 bits less."""
    whole = observed(lengths=(500, 300, 200), memory=0.7)
    seen = first(whole, 2)
    k, v = whole.k[:, 800:].astype(np.float32), whole.v[:, 800:].astype(np.float32)

    def bits_and_error(tables: ArchiveTables) -> tuple[float, float]:
        base = base_classes(tables, 0)
        stream = encode_group(tables, tables.groups[0], base, 1.0, EVEN[..., :200], k, v).stream
        back = decode_group(tables, tables.groups[0], base, 1.0, stream, 200)
        return 16 * len(stream) / (k.size + v.size), float(np.square(back[1] - v).mean())

    with_rho = calibrate(seen, SMALL, ORIGIN)
    rho = with_rho.groups[0].rho_k[0].astype(np.float64)
    assert rho[:4] == pytest.approx(np.full(4, 0.7), abs=0.12)  # strong against the step
    assert (np.abs(rho) <= MAX_RHO).all()
    monkeypatch.setattr(calibrate_fit, "fit_rho", lambda c, _step, _chains: np.zeros(c.shape[1], np.float16))
    without = calibrate(seen, SMALL, ORIGIN)
    assert not without.groups[0].rho_v.any()
    (less, error), (more, error_without) = bits_and_error(with_rho), bits_and_error(without)
    assert less < 0.93 * more
    assert error == pytest.approx(error_without, rel=0.1)


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
        {"attended": Attended(np.arange(5), np.ones(5, int), np.zeros((3, 1, 5), np.float32))},
        {"attended": Attended(np.arange(5), np.ones(4, int), np.zeros((3, 2, 5), np.float32))},
        {"attended": Attended(np.array([600]), np.ones(1, int), np.zeros((3, 2, 1), np.float32))},
        {"attended": Attended(np.array([5]), np.zeros(1, int), np.zeros((3, 2, 1), np.float32))},
    ],
    ids=["lengths", "k", "v", "moments", "heads", "distances", "a row too far", "behind the end"],
)
def test_data_that_do_not_fit_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not the model's|too few|not that of"):
        calibrate(replace(observed(), **changed), SMALL, ORIGIN)  # type: ignore[arg-type]  # one field each


def test_a_few_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        calibrate(observed(lengths=(30, 20)), SMALL, ORIGIN)
