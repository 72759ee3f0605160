"""What is known of a codec: kept beside the model, merged, and told when it matters."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyondrag import fidelity_verdict
from beyondrag.fidelity_verdict import (
    Finding,
    ModelVerdicts,
    configured_findings,
    fidelity_warnings,
    read_verdicts,
    store_verdicts,
    verdict_path,
)
from beyondrag.settings import Settings
from kvfiles.codecs import ARCHIVE_QUALITIES
from kvfiles.errors import StorageError

SHA256 = "a" * 64


def finding(codec: str = "k4v4", status: fidelity_verdict.Status = "ok", **changed: object) -> Finding:
    fields: dict[str, object] = {
        "codec": codec,
        "status": status,
        "reason": f"{codec} was measured",
        "mode": "text",
        "context_tokens": 2560,
        "n_tokens": 1000,
        "measured_at": 1.0,
    }
    return Finding(**{**fields, **changed})  # type: ignore[arg-type]  # fields of several types


def settings(models: Path, codec: str = "k3v3", cache_type: str = "f16") -> Settings:
    return Settings(models / "library", models, "m", 2048, 1, codec, cache_type)  # type: ignore[arg-type]  # a literal


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    path = verdict_path(tmp_path / "models", Path("/elsewhere/a model.gguf"))
    assert path == tmp_path / "models" / "a model.fidelity.json"
    verdicts = ModelVerdicts("a model", SHA256, (finding(), finding("q8_0", "fail")))
    store_verdicts(path, verdicts)
    assert read_verdicts(path) == verdicts
    assert read_verdicts(path, SHA256) == verdicts
    assert read_verdicts(path, "b" * 64) is None
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    limits = orjson.loads(path.read_bytes())["limits"]
    assert limits["kld_mean"] == fidelity_verdict.MAX_KLD


def test_a_later_run_replaces_only_what_it_measured(tmp_path: Path) -> None:
    path = tmp_path / "m.fidelity.json"
    long_fail = finding("k3v3", "fail", context_tokens=16_384)
    store_verdicts(path, ModelVerdicts("m", SHA256, (long_fail, finding(), finding("k3v3", "warn"))))
    again = finding("k3v3", "ok", measured_at=9.0)
    merged = store_verdicts(path, ModelVerdicts("m", SHA256, (again,)))
    assert set(merged.findings) == {long_fail, finding(), again}
    assert merged == read_verdicts(path)
    assert merged.of("k3v3") == long_fail, "a good result at one length does not undo a bad one at another"
    assert merged.of("k9v9") is None


def test_another_model_of_the_same_name_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "m.fidelity.json"
    store_verdicts(path, ModelVerdicts("m", SHA256, (finding("k3v3", "fail"),)))
    other = ModelVerdicts("m", "b" * 64, (finding("k3v3"),))
    assert store_verdicts(path, other) == other


def test_few_tokens_never_replace_many() -> None:
    many, few = finding("k3v3", "fail"), finding("k3v3", "warn", n_tokens=10)
    start = ModelVerdicts("m", SHA256, (many,))
    assert start.with_findings([few]) == start
    fewer = ModelVerdicts("m", SHA256, (few,))
    better = finding("k3v3", "warn", n_tokens=20)
    assert fewer.with_findings([better]).findings == (better,)
    assert fewer.with_findings([many]).findings == (many,)


def test_the_warning_is_about_what_is_configured(tmp_path: Path) -> None:
    model = Path("/models/m.gguf")
    found = (finding("k4v4"), finding("k3v3", "fail", reason="off by 9"), finding("q8_0", "fail"))
    store_verdicts(verdict_path(tmp_path, model), ModelVerdicts("m", SHA256, found))
    assert fidelity_warnings(settings(tmp_path, "k4v4"), model, SHA256) == ()
    (line,) = fidelity_warnings(settings(tmp_path, "k3v3"), model, SHA256)
    assert "k3v3" in line
    assert "off by 9" in line
    assert "BEYONDRAG_CODEC" in line
    both = fidelity_warnings(settings(tmp_path, "k3v3", "q8_0"), model, SHA256)
    assert len(both) == 2
    assert "BEYONDRAG_CACHE_TYPE" in both[1]
    assert fidelity_warnings(settings(tmp_path, "k3v3"), model, "b" * 64) == ()
    fine = f"archive@{ARCHIVE_QUALITIES['archive-fine']:g}"
    failed = ModelVerdicts("m", SHA256, (finding(fine, "fail", reason="off by 9"),))
    store_verdicts(verdict_path(tmp_path, model), failed)
    (line,) = fidelity_warnings(settings(tmp_path, "archive-fine"), model, SHA256)
    assert "BEYONDRAG_CODEC" in line, "another name of the same codec"
    assert configured_findings(settings(tmp_path, "exact"), model, SHA256) == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"{}",
        b'{"version": 2, "model": "m", "model_sha256": "%s", "findings": []}' % (b"a" * 64),
        b'{"version": 1, "model": "m", "model_sha256": "aa", "findings": []}',
        b'{"version": 1, "model": 3, "model_sha256": "%s", "findings": []}' % (b"a" * 64),
        b'{"version": 1, "model": "m", "model_sha256": "%s", "findings": [{}]}' % (b"a" * 64),
        b'{"version": 1, "model": "m", "model_sha256": "%s", "findings": [7]}' % (b"a" * 64),
        b" " * (2 << 20),
    ],
)
def test_a_file_that_makes_no_sense_counts_as_absent(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "m.fidelity.json"
    path.write_bytes(raw)
    assert read_verdicts(path) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x, max_size=3)))
def test_no_value_of_a_field_gets_through_unchecked(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.mktemp("v") / "m.fidelity.json"
    for name in ("codec", "status", "reason", "mode", "context_tokens", "n_tokens", "measured_at"):
        good = orjson.loads(orjson.dumps(finding()))
        document = {"version": 1, "model": "m", "model_sha256": SHA256, "findings": [{**good, name: value}]}
        path.write_bytes(orjson.dumps(document))
        found = read_verdicts(path)
        for one in found.findings if found else ():
            assert one.status in ("ok", "warn", "fail")
            assert one.codec.isprintable()
            assert one.reason.isprintable()
            assert one.measured_at >= 0


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    import os

    path = tmp_path / "m.fidelity.json"
    os.mkfifo(path)
    assert read_verdicts(path) is None


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError):
        store_verdicts(blocked / "m.fidelity.json", ModelVerdicts("m", SHA256, ()))
