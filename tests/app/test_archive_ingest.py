"""Documents in the archive codec: calibrated by itself, read back, and what happens when that cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from archive_world import ArchiveWorld, make_world
from command_line import Run
from small_world import TEXTS
from tiny_calibration import tiny_model

from beyondrag import engine as engine_module
from beyondrag.calibration.running import calibrate_model
from beyondrag.calibration.store import CalibrationStore
from beyondrag.calibration.texts import CalibrationText, shipped_texts
from beyondrag.engine import Engine
from beyondrag.estimate import estimate
from beyondrag.service.announcer import Announcer
from beyondrag.service.files import FileTasks
from beyondrag.service.ticket import Tickets
from beyondrag.settings import default_settings
from kvfiles.codecs import ARCHIVE_QUALITIES, DEFAULT_CODEC
from kvfiles.errors import Cancelled, ModelError
from library.records import SnapshotRecord
from library.store import Library


@pytest.fixture
def world(isolated_user: Path, monkeypatch: pytest.MonkeyPatch) -> ArchiveWorld:
    return make_world(isolated_user, monkeypatch)


@pytest.fixture
def read(world: ArchiveWorld, beyondrag: Run) -> ArchiveWorld:
    """Both documents are read in the archive codec."""
    assert beyondrag("ingest", world.documents, "--yes").code == 0
    return world


@pytest.fixture
def engine() -> Iterator[Engine]:
    settings = default_settings()
    with Library.create_or_open(settings.library) as library, Engine(settings, library) as opened:
        yield opened


def snapshots() -> list[SnapshotRecord]:
    with Library.open(default_settings().library) as library:
        return list(library.snapshots())


def codecs() -> list[str]:
    return [record.codec for record in snapshots()]


# ------------------------------------------------------------------------ reading


def test_the_first_ingest_calibrates_and_says_so(world: ArchiveWorld, beyondrag: Run) -> None:
    shown = beyondrag("ingest", world.documents, "--yes")
    assert shown.code == 0
    assert "before that the model is calibrated, once: about" in shown.out
    assert "the model is calibrated" in shown.err
    assert world.tables.is_file()
    assert codecs() == ["archive"] * 2

    before = world.tables.stat().st_mtime_ns
    again = beyondrag("ingest", world.documents, "--yes")
    assert "everything is read" in again.out
    assert "calibrated" not in again.out + again.err
    assert world.tables.stat().st_mtime_ns == before


def test_the_option_comes_before_the_environment(world: ArchiveWorld, beyondrag: Run) -> None:
    assert beyondrag("ingest", world.documents, "--yes", "--codec", "k4v3").code == 0
    assert codecs() == ["k4v3"] * 2
    assert not world.tables.exists()
    assert beyondrag("ingest", world.documents, "--codec", "zip").code == 2


def test_the_qualities_are_read_apart_and_are_ordered_by_size(world: ArchiveWorld, beyondrag: Run) -> None:
    sizes = []
    for name in ("archive-fine", "archive@1.9", "archive@4"):
        assert beyondrag("ingest", world.documents, "--yes", "--codec", name).code == 0
        known = beyondrag("library", "stats", "--json", "--codec", name).json["profiles"]
        (current,) = [profile for profile in known if profile["current"]]
        assert current["codec"] == "archive"
        sizes.append(current["size_bytes"])
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def test_an_answer_comes_from_the_archive(read: ArchiveWorld, beyondrag: Run) -> None:
    shown = beyondrag("ask", "How old was the keeper?", "--json", "--max-tokens", "8")
    assert shown.code in (0, 3)
    assert {document["read_from"] for document in shown.json["documents"]} == {"snapshot"}
    assert shown.json["prefilled_tokens"] == 0
    assert "warning" not in shown.err


def test_show_inspect_and_stats_tell_the_codec(read: ArchiveWorld, beyondrag: Run) -> None:
    record = snapshots()[0]
    told = beyondrag("library", "show", "harbour.txt", "--json").json["snapshots"][0]
    shown = beyondrag("library", "show", "harbour.txt").out
    assert told["codec"] == "archive"
    assert 0 < told["bits_per_value"] < 4
    assert told["calibration_here"] is True
    assert f"archive at {told['bits_per_value']:.2f} bits per value" in shown
    assert f"calibration {told['calibration'][:12]}, " in shown

    inspected = beyondrag("inspect", record.path)
    assert f"tables {told['calibration'][:12]}" in inspected.out
    as_json = beyondrag("inspect", record.path, "--json").json
    in_sections = sum(section["bytes"] for section in as_json["sections"] if section["name"] != "tokens")
    shape = as_json["header"]["shape"]
    n_values = as_json["header"]["tokens"] * shape["layers"] * shape["kv_heads"] * 2 * shape["k_head_dim"]
    assert as_json["header"]["bits_per_value"] == pytest.approx(8 * in_sections / n_values, abs=1e-4)

    (profile,) = beyondrag("library", "stats", "--json").json["profiles"]
    assert profile["codec"] == "archive"
    assert profile["bits_per_value"] == pytest.approx(
        16 * sum(one.size_bytes for one in snapshots()) / profile["f16_bytes"]
    )


def test_what_names_no_calibration_here_can_still_be_looked_at(read: ArchiveWorld, beyondrag: Run) -> None:
    read.tables.unlink()
    record = snapshots()[0]
    assert "not here" in beyondrag("library", "show", "harbour.txt").out
    inspected = beyondrag("inspect", record.path)
    assert inspected.code == 0
    assert "is not here" in inspected.out


# ----------------------------------------------------------- when it cannot be calibrated


def test_a_calibration_that_fails_leaves_the_default_codec(
    world: ArchiveWorld, beyondrag: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise ModelError("its cache cannot be calibrated", remedy="use another codec")

    with monkeypatch.context() as patched:
        patched.setattr(engine_module, "calibrate_model", fail)
        shown = beyondrag("ingest", world.documents, "--yes")
    assert shown.code == 0
    assert f"stored as {DEFAULT_CODEC} instead of archive: its cache cannot be calibrated" in shown.err
    assert "use another codec" in shown.err
    assert codecs() == [DEFAULT_CODEC] * 2

    asked = beyondrag("ask", "How old was the keeper?", "--json", "--max-tokens", "8")
    assert {document["read_from"] for document in asked.json["documents"]} == {"snapshot"}
    assert "beyondrag models calibrate tiny" in asked.err, "what would make it usable"

    assert beyondrag("ingest", world.documents, "--yes").code == 0
    assert codecs() == ["archive"] * 2, "a later ingest does it again"
    assert beyondrag("library", "verify", "--deep").code == 0


def test_heads_that_are_too_wide(world: ArchiveWorld, beyondrag: Run) -> None:
    tiny_model(world.model, context=4096, head_dim=320, n_head=1, n_kv_head=1)
    for _ in range(2):
        shown = beyondrag("ingest", world.documents, "--yes")
        assert shown.code == 0
        assert codecs() == [DEFAULT_CODEC] * 2
    checks = beyondrag("doctor", "--json").json["checks"]
    (check,) = [one for one in checks if one["name"] == "calibration"]
    assert check["status"] == "warn"
    assert "256" in check["line"]


def test_a_damaged_calibration_is_named_and_not_written_over(world: ArchiveWorld, beyondrag: Run) -> None:
    assert beyondrag("models", "calibrate").code == 0
    world.damage()
    damaged = world.tables.read_bytes()
    shown = beyondrag("ingest", world.documents, "--yes")
    assert shown.code == 0
    assert "beyondrag models calibrate tiny --force" in shown.err
    assert codecs() == [DEFAULT_CODEC] * 2
    assert world.tables.read_bytes() == damaged

    assert beyondrag("models", "calibrate", "--force").code == 0
    assert beyondrag("ingest", world.documents, "--yes").code == 0
    assert codecs() == ["archive"] * 2


def test_stopping_a_calibration_leaves_nothing_behind(
    world: ArchiveWorld, beyondrag: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped_in_the_middle(*arguments: object, **options: object) -> object:
        calls = iter(range(100))
        return calibrate_model(*arguments, **{**options, "cancelled": lambda: next(calls) > 1})  # type: ignore[arg-type]  # the real one's own

    with monkeypatch.context() as patched:
        patched.setattr(engine_module, "calibrate_model", stopped_in_the_middle)
        shown = beyondrag("ingest", world.documents, "--yes")
    assert shown.code == Cancelled.exit_code
    assert {file.name for file in world.models.iterdir()} <= {"hashes.json", "tiny.gguf"}
    assert snapshots() == []
    assert beyondrag("ingest", world.documents, "--yes").code == 0
    assert codecs() == ["archive"] * 2


# ------------------------------------------------------------- reading without its tables


@pytest.mark.parametrize("how", ["gone", "damaged", "another"])
def test_a_document_whose_calibration_is_not_here_is_read_again(
    read: ArchiveWorld, beyondrag: Run, how: str
) -> None:
    if how == "damaged":
        read.damage()
    else:
        read.tables.unlink()
    if how == "another":
        own = read.documents.parent / "own.md"
        own.write_text("A bridge was closed for repairs. " * 30)
        assert beyondrag("models", "calibrate", "--text", own).code == 0
    question = ("ask", "How old was the keeper?", "--json", "--max-tokens", "8", "--doc", "harbour.txt")
    first = beyondrag(*question)
    assert first.code in (0, 3)
    assert first.json["documents"][0]["read_from"] == "prefill"
    assert "calibrat" in first.err
    assert "beyondrag models calibrate" in first.err, "the remedy"
    assert sorted(codecs()) == sorted(["archive", "archive" if how == "another" else DEFAULT_CODEC])

    second = beyondrag(*question)
    assert second.json["documents"][0]["read_from"] == "snapshot"
    assert second.json["prefilled_tokens"] == 0


def test_another_codec_than_it_was_read_for_is_pointed_out(read: ArchiveWorld, beyondrag: Run) -> None:
    question = ("ask", "How old was the keeper?", "--json", "--max-tokens", "8", "--doc", "harbour.txt")
    shown = beyondrag(*question, "--codec", "k8v8")
    kept = f"archive@{ARCHIVE_QUALITIES['archive']:g}"
    assert f"it is kept as {kept}; --codec {kept} or BEYONDRAG_CODEC takes that" in shown.err
    assert shown.json["documents"][0]["read_from"] == "prefill"
    assert "it is kept" not in beyondrag(*question, "--codec", "k8v8").err
    assert "it is kept" not in beyondrag(*question).err


def test_verify_names_what_lacks_its_calibration(read: ArchiveWorld, beyondrag: Run) -> None:
    assert beyondrag("library", "verify").code == 0
    tables_id = beyondrag("library", "show", "harbour.txt", "--json").json["snapshots"][0]["calibration"]
    read.tables.unlink()
    shown = beyondrag("library", "verify", "--json")
    assert shown.code == 6
    assert [finding["harm"] for finding in shown.json["findings"]] == ["calibration"] * 2
    assert all(tables_id[:12] in finding["text"] for finding in shown.json["findings"])
    repaired = beyondrag("library", "verify", "--repair", "--json")
    assert [finding["harm"] for finding in repaired.json["findings"]] == ["calibration"] * 2
    assert codecs() == ["archive"] * 2, "it may be brought: nothing is dropped"


# --------------------------------------------------------------------- export and import


def test_a_library_takes_its_calibration_with_it(
    read: ArchiveWorld, beyondrag: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    carried = tmp_path / "carried.tar"
    assert beyondrag("library", "export", carried).code == 0
    tables_id = beyondrag("library", "show", "harbour.txt", "--json").json["snapshots"][0]["calibration"]

    models = tmp_path / "other-models"
    models.mkdir()
    (models / "tiny.gguf").write_bytes(read.model.read_bytes())
    monkeypatch.setenv("BEYONDRAG_MODELS", str(models))
    monkeypatch.setenv("BEYONDRAG_LIBRARY", str(tmp_path / "other-library"))
    for _ in range(2):
        taken = beyondrag("library", "import", carried, "--json")
        assert taken.code == 0
        assert taken.json["calibrations"] == [tables_id]
        assert taken.json["refused"] == []
    assert [file.name for file in models.iterdir() if file.name.startswith("imported")] == [
        f"imported.{tables_id[:16]}.archive-tables"
    ]
    assert beyondrag("library", "verify", "--deep").code == 0
    asked = beyondrag("ask", "How old was the keeper?", "--json", "--max-tokens", "8")
    assert {document["read_from"] for document in asked.json["documents"]} == {"snapshot"}
    assert not (models / "tiny.archive-tables").exists(), "nothing is coded with what came from elsewhere"


def test_an_export_without_the_calibration_says_what_it_lacks(
    read: ArchiveWorld, beyondrag: Run, tmp_path: Path
) -> None:
    read.tables.unlink()
    shown = beyondrag("library", "export", tmp_path / "carried.tar", "--json")
    assert shown.code == 0
    (left_out,) = shown.json["left_out"]
    assert "2 snapshots cannot be used without it" in left_out


# ------------------------------------------------------------------------------ the plan


def test_the_estimate_knows_the_archive_before_and_after_calibrating(
    world: ArchiveWorld, beyondrag: Run
) -> None:
    settings = default_settings()
    before = estimate(36_000, settings, None)
    assert before.warnings == ()
    n_values = before.tokens * 2 * 128
    planned = 0.69  # of English prose with the default model at the quality of "archive"
    assert before.size_bytes is not None
    assert 8 * before.size_bytes / n_values == pytest.approx(planned, abs=0.02)
    assert beyondrag("models", "calibrate").code == 0
    after = estimate(36_000, settings, None)
    assert after.size_bytes is not None
    assert 8 * after.size_bytes / n_values != pytest.approx(planned, abs=1e-6)
    assert 8 * after.size_bytes / n_values < 4
    world.damage()
    damaged = estimate(36_000, settings, None)
    assert damaged.size_bytes is not None
    assert 8 * damaged.size_bytes / n_values > 4
    assert DEFAULT_CODEC in damaged.warnings[0]


def test_the_app_does_not_calibrate_and_warns(world: ArchiveWorld, engine: Engine) -> None:
    cost = estimate(36_000, engine.settings, engine.library, calibrates=False)
    assert "beyondrag models calibrate tiny" in cost.warnings[0]
    assert cost.calibration_s is None
    assert engine.may_calibrate
    assert engine.codec_warning in engine.warnings
    assert engine.codec_warning not in engine.lasting_warnings


def test_the_apps_plan_and_check_say_so(read: ArchiveWorld) -> None:
    settings = default_settings()
    calibrations = CalibrationStore(settings.models)
    with Library.open(settings.library) as library:
        tasks = FileTasks(library, calibrations, Announcer())
        tickets, ids = Tickets(), [document.id for document in library.documents()]

        def told() -> str:
            plan = tasks.plan(tickets.issue(), [read.documents], settings, None)
            return " ".join(problem.reason for problem in plan.problems if not problem.path)

        def checked() -> str:
            return "\n".join(tasks.verify(tickets.issue(), ids, deep=True).lines)

        assert (told(), "nothing is wrong" in checked()) == ("", True)
        read.tables.unlink()
        tasks = FileTasks(library, calibrations, Announcer())
        assert f"stored as {DEFAULT_CODEC} instead of archive" in told()
        assert checked().count("calibration that the file was coded with is not here") == 2


def test_a_watch_calibrates_too(world: ArchiveWorld, beyondrag: Run) -> None:
    for file in world.documents.iterdir():
        os.utime(file, (1, 1))
    assert beyondrag("watch", world.documents, "--once").code == 0
    assert codecs() == ["archive"] * 2


def test_the_plan_before_a_calibration_counts_on_it(world: ArchiveWorld, engine: Engine) -> None:
    assert 0.3 < engine.bits_per_value(4096) < 1.5
    assert engine.codec.name == "rotated"


def test_an_engine_that_was_calibrated_codes_with_it_at_once(world: ArchiveWorld, engine: Engine) -> None:
    engine.prepare()
    with pytest.raises(Cancelled):
        engine.calibrate(lambda _done, _what: None, lambda: True)
    assert engine.reader.codec_label == DEFAULT_CODEC
    assert engine.calibrate(lambda _done, _what: None, lambda: False)
    assert engine.reader.codec_label == "archive"
    assert engine.warnings == ()
    assert engine.calibrate(lambda _done, _what: None, lambda: True), "there is nothing left to do"


# -------------------------------------------------------------------- a real model


def half_of_some() -> tuple[CalibrationText, ...]:
    """Some hundred tokens of the shipped texts."""
    return tuple(replace(one, text=one.text[:400]) for one in shipped_texts()[:6])


@pytest.mark.model
@pytest.mark.slow
def test_a_real_model_answers_from_its_archive(
    isolated_user: Path, monkeypatch: pytest.MonkeyPatch, beyondrag: Run, small_model_path: Path
) -> None:
    monkeypatch.setattr(engine_module, "shipped_texts", half_of_some)
    monkeypatch.setenv("BEYONDRAG_MODEL", str(small_model_path))
    folder = isolated_user / "documents"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    options = ("--codec", "archive-fine", "--threads", "1", "--context", "2048")
    assert beyondrag("ingest", folder, "--yes", *options).code == 0
    (profile,) = beyondrag("library", "stats", "--json", *options).json["profiles"]
    assert (profile["codec"], profile["n_snapshots"], profile["current"]) == ("archive", 2, True)
    assert profile["compression"] > 4
    shown = beyondrag("ask", "How old was the keeper at Skerry Point?", "--json", "--no-check", *options)
    assert {document["read_from"] for document in shown.json["documents"]} == {"snapshot"}
    assert "48" in shown.json["answer"]
