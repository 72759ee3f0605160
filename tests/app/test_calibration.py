"""Calibrating a model: what is read, what is kept where, and what is said about it."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_calibration import TINY, short_texts, tiny_model

from beyondrag.calibration.observing import OWN_PIECES, SINK_TOKENS, choose_pieces, observe, piece_tokens
from beyondrag.calibration.running import SCALE, calibrate_model
from beyondrag.calibration.store import SUFFIX, CalibrationStore
from beyondrag.calibration.texts import CalibrationText, own_texts, shipped_texts, texts_hash
from beyondrag.errors import UsageError
from beyondrag.health.calibration import check_calibration
from beyondrag.health.facts import Facts
from beyondrag.settings import Settings
from ingest.errors import ParseFailure
from kvfiles.codecs.archive.calibrate_classes import Pass, code_tokens
from kvfiles.codecs.archive.calibrate_fit import Tensors, Transforms
from kvfiles.codecs.archive.calibrate_rates import ClassModel
from kvfiles.codecs.archive.tables import ArchiveTables
from kvfiles.errors import (
    CalibrationCorrupt,
    CalibrationMissing,
    Cancelled,
    ModelError,
    UnsupportedModel,
)
from kvfiles.runtime.model import Model, ModelShape


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def model(path: Path):
    opened = Model(path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def tables(model: Model, tmp_path_factory: pytest.TempPathFactory) -> ArchiveTables:
    store = CalibrationStore(tmp_path_factory.mktemp("first"))
    return calibrate_model(model, sha256_of(model.path), short_texts(), store, n_threads=1).tables


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ------------------------------------------------------------------------ texts


def test_the_texts_that_are_shipped() -> None:
    texts = shipped_texts()
    assert len(texts) == 37
    assert texts[0].name == "01_prose"
    assert all(len(one.text) > 800 and one.shipped for one in texts)
    assert len({texts_hash(texts), texts_hash(texts[1:]), texts_hash(texts[::-1])}) == 3


def test_own_files_are_read_as_ingest_reads_them(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<html><body><p>The lamp is lit.</p></body></html>")
    (tmp_path / "b.txt").write_text("The oven burns beech wood.")
    told: list[Path] = []
    found = own_texts([tmp_path / "a.html", tmp_path / "b.txt"], told.append)
    assert [one.name for one in found] == [path.name for path in told] == ["a.html", "b.txt"]
    assert found[0].text.strip() == "The lamp is lit."
    assert not found[0].shipped


def test_a_file_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(ParseFailure, match="no text"):
        own_texts([tmp_path / "empty.txt"])
    with pytest.raises(UsageError, match="at most"):
        own_texts([tmp_path / "empty.txt"] * 101)


# ----------------------------------------------------------------------- pieces


def test_shipped_texts_from_their_beginning_own_ones_evenly(model: Model) -> None:
    own = CalibrationText("own", "abcdefgh" * 1000, shipped=False)
    pieces = choose_pieces(model, [*short_texts(), own])
    assert [piece.name for piece in pieces] == ["one", "two"] + ["own"] * OWN_PIECES
    tokens = model.tokenize(own.text)
    length = len(pieces[-1].tokens)
    assert (pieces[2].tokens == tokens[:length]).all()
    assert (pieces[-1].tokens == tokens[-length:]).all()
    assert (pieces[0].tokens == model.tokenize(short_texts()[0].text)[:length]).all()


def test_many_own_files_give_a_piece_each_and_short_ones_what_they_have(model: Model) -> None:
    own = [CalibrationText(str(i), "word " * (10 + i), shipped=False) for i in range(OWN_PIECES + 3)]
    own.append(CalibrationText("tiny", "a", shipped=False))
    pieces = choose_pieces(model, own)
    assert [piece.name for piece in pieces] == [str(i) for i in range(OWN_PIECES + 3)]
    assert len(pieces[0].tokens) < len(pieces[5].tokens)


def test_wide_models_read_less() -> None:
    small = ModelShape(28, 2, 128, 128)
    wide = ModelShape(80, 8, 128, 128)
    assert piece_tokens(small, 18, 32768) == 720
    assert 600 < piece_tokens(small, len(shipped_texts()), 32768) < 720
    assert 64 <= piece_tokens(wide, 18, 32768) < 120
    assert piece_tokens(small, 18, 512) == 511
    assert piece_tokens(ModelShape(1000, 64, 256, 256), 100, 0) == 32


def test_sinks_and_bos_are_left_out(tmp_path: Path, model: Model) -> None:
    with_bos = Model(tiny_model(tmp_path / "bos.gguf", add_bos=True))
    try:
        assert with_bos.bos is not None
        for one in (model, with_bos):
            pieces = choose_pieces(one, short_texts())
            told: list[tuple[int, str]] = []
            found = observe(one, pieces, n_threads=1, on_piece=lambda *at, told=told: told.append(at))
            assert found.lengths == tuple(len(piece.tokens) - SINK_TOKENS for piece in pieces)
            assert found.k.shape == (TINY.n_layer, sum(found.lengths), 64)
            assert told == [(0, "one"), (len(pieces[0].tokens), "two")]
            assert np.isfinite(found.moments).all()
    finally:
        with_bos.close()


# --------------------------------------------------------------------- the whole


def test_progress_ends_at_its_scale_and_the_result_is_kept(model: Model, tmp_path: Path) -> None:
    store, told = CalibrationStore(tmp_path / "new"), []
    sha256 = sha256_of(model.path)
    done = calibrate_model(
        model, sha256, short_texts(), store, n_threads=1, on_progress=lambda at, what: told.append((at, what))
    )
    assert [at for at, _ in told] == sorted(at for at, _ in told)
    assert told[0] == (0, "reading one")
    assert told[-1] == (SCALE, "fitting")
    assert done.path == tmp_path / "new" / f"tiny{SUFFIX}"
    assert done.size_bytes == done.path.stat().st_size
    kept = store.of_model(model.path, sha256)
    assert kept.id == done.tables.id
    assert (kept.model, kept.shape, kept.texts) == (sha256, model.shape, texts_hash(short_texts()))
    assert store.find(kept.id).id == kept.id


@pytest.mark.parametrize("after", [1, 2, 5])
def test_stopping_leaves_nothing(model: Model, tmp_path: Path, after: int) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    with pytest.raises(Cancelled):
        calibrate_model(
            model, "a" * 64, short_texts(), CalibrationStore(tmp_path), n_threads=1, cancelled=cancelled
        )
    assert list(tmp_path.iterdir()) == []


def test_too_little_text_is_told(model: Model, tmp_path: Path) -> None:
    texts = [CalibrationText("short", "The lamp is lit.", shipped=True)]
    with pytest.raises(ModelError, match="too few"):
        calibrate_model(model, "a" * 64, texts, CalibrationStore(tmp_path), n_threads=1)


def test_heads_that_are_too_wide_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    wide = Model(tiny_model(tmp_path / "wide.gguf", head_dim=320, n_head=1, n_kv_head=1))
    try:
        with pytest.raises(UnsupportedModel, match="256"):
            calibrate_model(wide, "a" * 64, short_texts(), CalibrationStore(tmp_path), n_threads=1)
    finally:
        wide.close()


# ------------------------------------------------------------------------- store


def test_calibrating_again_keeps_what_old_snapshots_need(
    tmp_path: Path, path: Path, tables: ArchiveTables
) -> None:
    store = CalibrationStore(tmp_path)
    newer = replace(tables, texts="other")
    for one in (tables, tables, newer):
        store.save(path, one)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == sorted([f"tiny.{tables.id[:16]}{SUFFIX}", f"tiny{SUFFIX}"])
    assert store.of_model(path, tables.model).id == newer.id
    assert (store.find(tables.id).id, store.find(newer.id).id) == (tables.id, newer.id)


def test_removing_takes_older_ones_too_and_no_others(
    tmp_path: Path, path: Path, tables: ArchiveTables
) -> None:
    store = CalibrationStore(tmp_path)
    other = tmp_path / "tiny.b.gguf"
    for model_file, one in ((path, tables), (path, replace(tables, texts="other")), (other, tables)):
        store.save(model_file, one)
    (tmp_path / "tiny.fidelity.json").write_text("{}")
    assert len(store.remove(path)) == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"tiny.b{SUFFIX}", "tiny.fidelity.json"]
    assert store.remove(path) == ()


def test_what_is_not_there(tmp_path: Path, path: Path) -> None:
    store = CalibrationStore(tmp_path / "none")
    with pytest.raises(CalibrationMissing) as missing:
        store.of_model(path, "a" * 64)
    assert missing.value.remedy == "beyondrag models calibrate tiny"
    with pytest.raises(CalibrationMissing):
        store.find("b" * 64)
    assert store.describe(path, None) is None
    assert store.remove(path) == ()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("at", [3, 30, -100])
def test_damage_is_told_with_a_remedy(tmp_path: Path, path: Path, tables: ArchiveTables, at: int) -> None:
    store = CalibrationStore(tmp_path)
    store.save(path, tables)
    raw = bytearray(store.path(path).read_bytes())
    raw[at] ^= 1
    store.path(path).write_bytes(raw)
    with pytest.raises(CalibrationCorrupt) as damaged:
        store.of_model(path, tables.model)
    assert damaged.value.remedy == "beyondrag models calibrate tiny --force"
    with pytest.raises((CalibrationCorrupt, CalibrationMissing)):
        store.find(tables.id)
    found = store.describe(path, tables.model)
    assert found is not None
    assert found.status == ("damaged" if at >= 0 else "ok")  # only the header is looked at
    store.save(path, tables)
    assert store.of_model(path, tables.model).id == tables.id


def test_the_calibration_of_another_file_is_refused(
    tmp_path: Path, path: Path, tables: ArchiveTables
) -> None:
    store = CalibrationStore(tmp_path)
    store.save(path, replace(tables, model="c" * 64))
    with pytest.raises(CalibrationCorrupt, match="another file"):
        store.of_model(path, tables.model)
    found = store.describe(path, tables.model)
    assert found is not None
    assert found.status == "foreign"


# ------------------------------------------------------------------------ doctor


@pytest.mark.parametrize("deep", [False, True])
def test_the_doctor_says_how_it_stands(
    isolated_user: Path, path: Path, tables: ArchiveTables, deep: bool
) -> None:
    models = isolated_user / "models"
    settings = Settings(isolated_user / "library", models, str(path), 2048, 1, "k4v4", "f16")
    store = CalibrationStore(models)

    def found() -> tuple[str, str]:
        (check,) = check_calibration(Facts(settings, deep=deep))
        assert bool(check.remedy) == (check.status != "ok")
        return check.status, check.line

    assert found() == ("ok", "none; only the archive codec needs one (beyondrag models calibrate tiny)")
    (wanted,) = check_calibration(Facts(replace(settings, codec="archive"), deep=deep))
    assert (wanted.status, wanted.remedy) == ("warn", "beyondrag models calibrate tiny")
    store.save(path, tables)
    status, line = found()
    assert status == "ok"
    assert line.startswith(tables.id[:12])
    assert ("read whole" in line) == deep
    raw = bytearray(store.path(path).read_bytes())
    raw[-100] ^= 1
    store.path(path).write_bytes(raw)
    assert found()[0] == ("warn" if deep else "ok")
    store.path(path).write_bytes(raw[:50])
    assert found()[0] == "warn"
    store.save(path, replace(tables, model="c" * 64))
    status, line = found()
    assert status == "warn"
    assert "another file" in line


def test_the_doctor_is_silent_without_a_model(isolated_user: Path) -> None:
    settings = Settings(isolated_user / "library", isolated_user / "models", "none", 2048, 1, "k4v4", "f16")
    assert list(check_calibration(Facts(settings))) == []


# -------------------------------------------------------------------- a real model


@pytest.mark.model
@pytest.mark.slow
def test_a_real_cache_becomes_a_tenth(small_model: Model, tmp_path: Path) -> None:
    """Calibrated with three texts, a fourth one takes fewer than 1.6 bits a value at quality 1."""
    texts = shipped_texts()
    done = calibrate_model(small_model, "a" * 64, texts[:3], CalibrationStore(tmp_path), n_threads=1)
    unseen = observe(small_model, choose_pieces(small_model, texts[3:4]), n_threads=1)
    (group,) = done.tables.groups
    names = [field.name for field in dataclasses.fields(Transforms)]
    fitted = Transforms(**{name: getattr(group, name) for name in names})
    model = ClassModel(done.tables.freq, done.tables.expected)
    counts, _ = code_tokens(Tensors(unseen.k, unseen.v), fitted, unseen.lengths, Pass(1.0, model, 0.05))
    bits = float((counts.symbols * model.bits()).sum()) / counts.symbols.sum()
    assert 0.5 < bits < 1.6
