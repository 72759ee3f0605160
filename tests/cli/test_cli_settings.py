"""Settings: the command line before the environment before the default; nonsense is named."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

import pytest

from beyondrag.cli import build_parser
from beyondrag.errors import UsageError
from beyondrag.models import DEFAULT_MODEL
from beyondrag.settings import DEFAULT_HOT_CACHE, Settings, available_cores, settings_from
from kvfiles.codecs import DEFAULT_CODEC


def settings(*arguments: str) -> Settings:
    return settings_from(build_parser().parse_args(arguments))


def test_the_defaults(monkeypatch: pytest.MonkeyPatch, isolated_user: Path) -> None:
    monkeypatch.delenv("BEYONDRAG_LIBRARY")
    monkeypatch.delenv("BEYONDRAG_MODELS")
    chosen = settings("library", "list")
    data = isolated_user / "xdg-data" / "beyondrag"
    assert (chosen.library, chosen.models) == (data / "library", data / "models")
    assert (chosen.model, chosen.context, chosen.threads) == (DEFAULT_MODEL, 16384, available_cores())
    assert (chosen.codec, chosen.cache_type, chosen.gpu_layers) == (DEFAULT_CODEC, "f16", 0)
    assert not data.exists()


def test_the_environment_comes_before_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "LIBRARY": "~/lib", "MODELS": str(tmp_path), "MODEL": "m", "CODEC": "exact", "CACHE_TYPE": "q8_0",
        "GPU_LAYERS": " 12 ",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"BEYONDRAG_{name}", value)
    chosen = settings("library", "list")
    assert chosen.library == Path.home() / "lib"
    assert (chosen.models, chosen.model, chosen.codec, chosen.cache_type) == (tmp_path, "m", "exact", "q8_0")
    assert chosen.gpu_layers == 12


def test_the_command_line_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEYONDRAG_LIBRARY", "/elsewhere")
    monkeypatch.setenv("BEYONDRAG_MODEL", "other")
    options = ["--library", "here", "--model", "./m.gguf", "--context", "4096", "--threads", "1"]
    for line in (["library", "list", *options], [*options, "library", "list"]):
        chosen = settings(*line)
        assert chosen.library == tmp_path / "here"
        assert (chosen.model, chosen.context, chosen.threads) == ("./m.gguf", 4096, 1)


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("2GB", 2_000_000_000), ("1.5 tb", 1_500_000_000_000), ("500 MB", 500_000_000), ("0", 0), ("7bytes", 7)],
)
def test_the_size_of_the_hot_cache(monkeypatch: pytest.MonkeyPatch, text: str, n_bytes: int) -> None:
    assert settings("ask", "Why?").hot_cache == DEFAULT_HOT_CACHE > 0
    monkeypatch.setenv("BEYONDRAG_HOT_CACHE", f" {text} ")
    assert settings("ask", "Why?").hot_cache == n_bytes
    assert settings("ask", "Why?", "--hot-cache", "3kB").hot_cache == 3000


def test_an_option_after_the_command_wins() -> None:
    assert settings("--model", "a", "library", "list", "--model", "b").model == "b"


@pytest.mark.parametrize(
    "arguments",
    [
        {"library": ""},
        {"library": "~no-such-user-here/x"},
        {"model": " "},
        {"context": 100},
        {"context": 10**9},
        {"hot_cache": "2 GB please"},
        {"hot_cache": "-1"},
        {"hot_cache": ""},
        {"hot_cache": "5000TB"},
        {"threads": 0},
        {"threads": 5000},
    ],
    ids=str,
)
def test_impossible_values_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        settings_from(Namespace(**arguments))
    assert caught.value.subject == f"--{next(iter(arguments))}".replace("_", "-")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CODEC", "k1v4"),
        ("CODEC", "k4v9"),
        ("CODEC", "exact\x1b[31m"),
        ("CACHE_TYPE", "q4_0"),
        ("GPU_LAYERS", "all"),
        ("GPU_LAYERS", "-1"),
        ("GPU_LAYERS", "1.5"),
        ("GPU_LAYERS", "²"),
        ("GPU_LAYERS", "10001"),
        ("GPU_LAYERS", "9" * 5000),
        ("GPU_LAYERS", "\x1b[31m3"),
        ("HOT_CACHE", "much"),
        ("HOT_CACHE", "²GB"),
        ("HOT_CACHE", "9" * 5000),
        ("HOT_CACHE", "1\x1b[31mGB"),
        ("MODELS", "~nobody-here/m"),
    ],
)
def test_impossible_environments_are_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"BEYONDRAG_{name}", value)
    with pytest.raises(UsageError) as caught:
        settings_from(Namespace())
    assert caught.value.subject == f"BEYONDRAG_{name}"
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "", "9" * 13, "²"])
def test_numbers_are_whole(value: str, beyondrag) -> None:
    shown = beyondrag("library", "list", f"--context={value}")
    assert shown.code == 2
    assert "--context" in shown.err


def test_the_threads_are_those_of_this_process() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("name", ["archive", "archive-fine", "archive-small", "archive@1.35", "exact"])
def test_the_codec_is_an_option_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("BEYONDRAG_CODEC", "k4v3")
    for line in (["library", "list", "--codec", name], ["--codec", name, "library", "list"]):
        assert settings(*line).codec == name
    assert settings("library", "list").codec == "k4v3"


@pytest.mark.parametrize("name", ["", "zip", "archive@0", "archive@9", "archive@1e0", "archive@\x1b", "k9v9"])
def test_a_codec_that_there_is_not_names_the_option(name: str) -> None:
    with pytest.raises(UsageError, match="unknown codec") as caught:
        settings("library", "list", "--codec", name)
    assert caught.value.subject == "--codec"
    assert "\x1b" not in str(caught.value)
