"""`beyondrag doctor` as a whole: whatever is broken, an ordered answer and the right exit code."""

from __future__ import annotations

import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import pytest
from headers import write_header

from beyondrag.health import report
from beyondrag.health.check import Check
from beyondrag.health.report import examine


@pytest.fixture(autouse=True)
def no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child process has tests of its own."""
    llama = import_module("beyondrag.health.llama")
    said = {"version": "1.0", "system_info": "CPU : ", "gpu": False}
    monkeypatch.setattr(llama, "run_probe", lambda *_, **__: said)
    monkeypatch.setattr(llama, "read_cpuinfo", lambda: "")


def test_every_check_that_is_listed_exists() -> None:
    for _, module, function in report._OF_THE_SETTINGS:
        assert callable(getattr(import_module(f"beyondrag.health.{module}"), function))


def test_with_nothing_there_the_model_is_what_is_missing(beyondrag, isolated_user: Path) -> None:
    before = sorted(isolated_user.rglob("*"))
    shown = beyondrag("doctor")
    assert shown.code == 1
    assert "bad   model file" in shown.out
    assert "      try: beyondrag models pull qwen2.5-coder-1.5b" in shown.out
    assert "warn  library" in shown.out
    assert "1 bad, 1 to look at" in shown.out
    assert sorted(isolated_user.rglob("*")) == before, "looking makes nothing"


def test_json_has_the_same(beyondrag) -> None:
    shown = beyondrag("doctor", "--json")
    assert shown.code == 1
    found = shown.json
    assert found["ok"] is False
    assert found["counts"]["bad"] == 1
    (bad,) = [check for check in found["checks"] if check["status"] == "bad"]
    assert bad["name"] == "model file"
    assert all(check["remedy"] for check in found["checks"] if check["status"] != "ok")
    assert found["settings"]["codec"] == {"value": "k4v4", "from": "default"}


def test_a_usable_model_and_no_library_yet_is_no_failure(beyondrag, isolated_user: Path) -> None:
    model = write_header(isolated_user / "models" / "mine.gguf")
    shown = beyondrag("doctor", "--model", model, "--json")
    assert shown.code == 0
    assert [check["name"] for check in shown.json["checks"]] == [
        "program",
        "kernels",
        "llama.cpp",
        "model file",
        "architecture",
        "fidelity",
        "calibration",
        "memory",
        "disk of the models",
        "disk of the library",
        "library",
    ]


def test_settings_name_their_origin(beyondrag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEYONDRAG_CODEC", "k8v8")
    monkeypatch.setenv("BEYONDRAG_MODEL", "overridden")
    monkeypatch.setenv("BEYONDRAG_KERNELS", "numpy")
    found = beyondrag("doctor", "--json", "--model", "other", "--threads", "1").json["settings"]
    assert {name: one["from"] for name, one in found.items()} == {
        "library": "BEYONDRAG_LIBRARY",
        "models": "BEYONDRAG_MODELS",
        "model": "--model",
        "context": "default",
        "threads": "--threads",
        "codec": "BEYONDRAG_CODEC",
        "hot_cache": "default",
        "cache_type": "default",
        "gpu_layers": "default",
        "kernels": "BEYONDRAG_KERNELS",
    }
    assert found["model"]["value"] == "other"


def test_a_wrong_setting_is_a_finding_and_the_rest_goes_on(
    beyondrag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEYONDRAG_CODEC", "zip\x1b[1m")
    shown = beyondrag("doctor")
    assert shown.code == 1
    assert "bad   settings" in shown.out
    assert "BEYONDRAG_CODEC" in shown.out
    assert "llama.cpp" in shown.out
    assert "\x1b" not in shown.out


def test_a_part_that_cannot_be_imported_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "beyondrag.health.memory", None)
    found = {check.name: check for check in examine(Namespace()).checks}
    assert found["memory"].status == "bad"
    assert "ModuleNotFoundError" in found["memory"].line
    assert "disk of the library" in found


def test_checks_are_shown_as_they_end_and_no_error_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_facts: object) -> list[Check]:
        raise RuntimeError("broken")

    for name, module, function in report._OF_THE_SETTINGS:
        monkeypatch.setattr(import_module(f"beyondrag.health.{module}"), function, breaks)
        assert name
    heard: list[Check] = []
    found = examine(Namespace(), on_check=heard.append)
    assert tuple(heard) == found.checks
    assert found.count("bad") == len(report._OF_THE_SETTINGS)
    assert not found.healthy


@pytest.mark.parametrize("name", ["archive@9", "archive@0.1", "archive@", "archive-huge", "archive@1.23456"])
def test_a_quality_that_the_archive_codec_does_not_have_is_refused(
    beyondrag, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("BEYONDRAG_CODEC", name)
    shown = beyondrag("library", "list")
    assert shown.code == 2
    assert "unknown codec" in shown.err
    assert "archive@G" in shown.err
