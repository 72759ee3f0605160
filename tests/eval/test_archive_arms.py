"""The archive codec as an arm of the measurements: named with its quality, its rate from the file's bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from archive_world import ArchiveWorld, make_world
from command_line import Run

import eval.qa.shelf as shelf_module
from beyondrag.engine import Engine
from beyondrag.errors import UsageError
from beyondrag.settings import default_settings
from eval.compression.caches import caches_of
from eval.compression.plan import Plan
from eval.drift.arms import parse_arms as drift_arms
from eval.fidelity import measure
from eval.qa.arms import parse_arms
from eval.qa.product import DocumentSystem, GoldFiles, Variant
from eval.qa.session import _in_order, _require_codec
from eval.qa.shelf import Shelf
from eval.recall.arms import codec_arms
from eval.rig import Rig
from eval.sets import QuestionSet
from eval.texts import measured_texts
from kvfiles.codecs import ARCHIVE_QUALITIES, ArchiveCodec
from kvfiles.container import Container
from kvfiles.errors import CalibrationMissing
from library.store import Library


@pytest.fixture
def world(isolated_user: Path, monkeypatch: pytest.MonkeyPatch) -> ArchiveWorld:
    return make_world(isolated_user, monkeypatch)


@pytest.fixture
def rig(world: ArchiveWorld) -> Iterator[Rig]:
    with Rig(world.model, 1) as opened:
        yield opened


@pytest.fixture
def calibrated(beyondrag: Run, world: ArchiveWorld) -> ArchiveWorld:
    assert beyondrag("models", "calibrate").code == 0
    return world


def sections(path: Path) -> dict[str, np.ndarray]:
    with Container(path) as container:
        return container.arrays(list(container.sections))


@pytest.mark.parametrize("codec", ["archive", "archive-fine", "archive@1.35"])
def test_a_quality_may_follow_a_second_at_sign(codec: str) -> None:
    (arm,) = parse_arms([f"doc@{codec}"])
    assert (arm.base, arm.codec) == ("doc", codec)
    assert codec_arms([codec, "exact"]) == (codec,)
    assert drift_arms([codec], [], floor=False).codecs == (codec,)


@pytest.mark.parametrize("codec", ["archive@9", "archive@", "archive@1.35@2", "archive-none"])
def test_other_qualities_are_refused(codec: str) -> None:
    for parse in (lambda: parse_arms([f"doc@{codec}"]), lambda: codec_arms([codec])):
        with pytest.raises(UsageError):
            parse()
    with pytest.raises(UsageError, match="unknown codec"):
        drift_arms([codec], [], floor=False)


def test_a_model_that_is_not_calibrated_is_refused_with_a_remedy(rig: Rig) -> None:
    with pytest.raises(CalibrationMissing) as caught:
        rig.codec("archive@1.35")
    assert caught.value.remedy == "beyondrag models calibrate tiny"
    with pytest.raises(CalibrationMissing):
        caches_of(rig, Plan(128, 8, ("k4v4", "archive"), ()))
    assert rig.codec("k4v4").name == "rotated"


def test_the_rate_is_that_of_the_file(calibrated: ArchiveWorld, rig: Rig, tmp_path: Path) -> None:
    codec = rig.codec("archive@1.35")
    assert isinstance(codec, ArchiveCodec)
    tokens = np.arange(300, dtype=np.int32) % 200 + 3
    with rig.context(512) as context:
        context.decode(tokens, 0, logits="none")
        path = tmp_path / "x.kv"
        n_bytes = rig.save(path, rig.state(context), tokens, 0, codec)
        rig.attach(context, [path])
        assert context.end() == len(tokens)
    assert n_bytes == path.stat().st_size
    assert rig.bits_per_value(n_bytes, 300) == 8 * path.stat().st_size / (300 * 2 * 2 * 64)


def test_fidelity_measures_it(calibrated: ArchiveWorld, rig: Rig) -> None:
    plan = Plan(192, 8, ("archive@0.25", "archive@4"), (), moved=False)
    texts = measured_texts(rig.model, [], plan.text_tokens)[:1]
    fine, small = measure(rig, texts, plan)
    assert (fine.name, small.name) == ("archive@0.25", "archive@4")
    assert fine.bits_per_value > small.bits_per_value > 0
    assert fine.summary.kld_mean < small.summary.kld_mean


def test_rows_of_another_calibration_or_quality_are_not_taken_for_these(
    calibrated: ArchiveWorld, beyondrag: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities: list[str] = []
    own = calibrated.documents / "bakery.txt"
    for g in (1.2, 1.3):
        monkeypatch.setitem(ARCHIVE_QUALITIES, "archive", g)
        with Rig(calibrated.model, 1) as rig:
            identities.append(rig.codec_identity("archive"))
    assert beyondrag("models", "calibrate", "--force", "--text", own).code == 0
    with Rig(calibrated.model, 1) as rig:
        identities.append(rig.codec_identity("archive"))
        assert rig.codec_identity("k4v4") == "k4v4"
        assert caches_of(rig, Plan(128, 8, ("archive",), ()))[0].identity == f"codec {identities[-1]}"
    assert len(set(identities)) == 3


def test_questions_are_never_asked_behind_the_fallback(world: ArchiveWorld) -> None:
    settings = default_settings()
    with (
        Library.create_or_open(settings.library) as library,
        Engine(settings, library) as engine,
        pytest.raises(CalibrationMissing, match="instead of archive"),
    ):
        _require_codec(engine)


def test_snapshots_of_an_earlier_calibration_are_read_again(calibrated: ArchiveWorld, beyondrag: Run) -> None:
    assert beyondrag("ingest", calibrated.documents, "--yes").code == 0
    settings = default_settings()
    with Library.open(settings.library) as library:
        with Engine(settings, library) as engine:
            _require_codec(engine)
            assert len(list(library.snapshots())) == 2
            (described,) = [DocumentSystem(Variant("doc"), engine, GoldFiles(library), 8).parameters["codec"]]
            name, params = str(described).split(" ", 1)
            assert (name, orjson.loads(params)) == ("archive", dict(engine.codec.params()))
        own = calibrated.documents / "bakery.txt"
        assert beyondrag("models", "calibrate", "--force", "--text", own).code == 0
        with Engine(settings, library) as engine:
            _require_codec(engine)
        assert list(library.snapshots()) == []


def test_the_default_codec_is_asked_first_then_the_exact_one() -> None:
    arms = parse_arms(["oracle@archive", "doc@exact", "chunk-bm25", "doc@k8v8"])
    names = [arm.name for arm in _in_order(arms, "k4v4")]
    assert names == ["chunk-bm25", "doc@exact", "oracle@archive", "doc@k8v8"]


def test_archives_are_coded_from_the_exact_snapshots_of_the_same_library(
    calibrated: ArchiveWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files, but for their time, that reading the documents again gives."""
    question_set = QuestionSet("a set", tmp_path, calibrated.documents, ())
    files: dict[str, list[dict[str, np.ndarray]]] = {}
    for name, codecs in (("read", ["archive"]), ("coded", ["exact", "archive"])):
        shelf = Shelf(tmp_path / name, question_set)
        with shelf.library(lambda *_: None, lambda: False) as library:
            for codec in codecs:
                with Engine(replace(default_settings(), codec=codec, hot_cache=0), library) as engine:
                    if name == "coded" and codec == "archive":
                        monkeypatch.setattr(shelf_module, "read_volume", None)
                    ids = [document.id for document in library.documents()]
                    shelf.read(engine, ids, lambda *_: None, lambda: False)
                    cost = shelf.ingest_cost(engine)
                    records = [r for r in library.snapshots() if r.profile_id == engine.profile.id]
                    for record in records:
                        engine.desk.open(record.path).close()  # it fits model, prompt and codec
            files[name] = [sections(r.path) for r in sorted(records, key=lambda r: r.document_id)]
            assert (cost.tokens > 0) == (name == "read")
    assert len(files["read"]) == 2
    for read, coded in zip(files["read"], files["coded"], strict=True):
        assert list(read) == list(coded)
        for section, array in read.items():
            np.testing.assert_array_equal(array, coded[section], err_msg=section)


def test_a_damaged_exact_snapshot_is_read_again(calibrated: ArchiveWorld, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, QuestionSet("a set", tmp_path, calibrated.documents, ()))
    with shelf.library(lambda *_: None, lambda: False) as library:
        ids = [document.id for document in library.documents()]
        for codec in ("exact", "archive"):
            with Engine(replace(default_settings(), codec=codec, hot_cache=0), library) as engine:
                shelf.read(engine, ids, lambda *_: None, lambda: False)
                n_read = shelf.ingest_cost(engine).tokens
                n_tokens = [r.n_tokens for r in library.snapshots() if r.profile_id == engine.profile.id]
            if codec == "exact":
                first = min(library.snapshots(), key=lambda record: record.document_id)
                raw = bytearray(first.path.read_bytes())
                raw[len(raw) // 2] ^= 0xFF
                first.path.write_bytes(raw)
    assert len(n_tokens) == 2
    assert n_read == first.n_tokens
