"""Fixtures for every room: an isolated user, the models that tests may open, the public question sets."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Outcome, Run
from effort import Effort, effort_of
from hypothesis import HealthCheck, settings

from kvfiles.runtime.model import Model

REPOSITORY = Path(__file__).resolve().parent.parent
SMALL_MODEL = REPOSITORY / ".models" / "smollm2-135m.gguf"
DEFAULT_MODEL = REPOSITORY / ".models" / "qwen2.5-coder-1.5b.gguf"
DATA = REPOSITORY.parent / "shared" / "data"

# Hypothesis fails examples that take long: a busy machine is no failure of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def nothing_left_open() -> Iterator[None]:
    """llama_cpp opens the null device twice when it is imported, and never closes it."""
    yield
    opened = sys.modules.get("llama_cpp._utils")
    if opened is not None:
        opened.outnull_file.close()
        opened.errnull_file.close()


@pytest.fixture(autouse=True)
def isolated_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test, and no setting inherited from the caller's environment."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for kind in ("DATA", "CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / f"xdg-{kind.lower()}"))
    monkeypatch.setenv("BEYONDRAG_LIBRARY", str(home / "library"))
    monkeypatch.setenv("BEYONDRAG_MODELS", str(home / "models"))
    for choice in ("KERNELS", "MODEL", "CODEC", "CACHE_TYPE", "GPU_LAYERS", "HOT_CACHE"):
        monkeypatch.delenv(f"BEYONDRAG_{choice}", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return home


@pytest.fixture
def beyondrag(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process; whatever happens, no traceback may come out."""
    from beyondrag import cli

    def run(*arguments: str | Path) -> Outcome:
        code = cli.main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def small_model_path() -> Path:
    """SmolLM2-135M: Llama architecture, NORM RoPE, 30 layers, 3 KV heads of 64."""
    path = Path(os.environ.get("BEYONDRAG_TEST_MODEL") or SMALL_MODEL)
    if not path.is_file():
        reason = (
            f"the small test model is not at {path}; "
            f"run: BEYONDRAG_MODELS={SMALL_MODEL.parent} beyondrag models pull {SMALL_MODEL.stem}"
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def small_model(small_model_path: Path) -> Iterator[Model]:
    model = Model(small_model_path)
    yield model
    model.close()


@pytest.fixture(scope="session")
def default_model_path() -> Path:
    """Qwen2.5-Coder-1.5B: NEOX RoPE, 28 layers, 2 KV heads of 128; 1.1 GB, so never pulled for a test."""
    if not DEFAULT_MODEL.is_file():
        pytest.skip(
            f"the default model (1.1 GB) is not at {DEFAULT_MODEL}; "
            f"run: BEYONDRAG_MODELS={DEFAULT_MODEL.parent} beyondrag models pull {DEFAULT_MODEL.stem}"
        )
    return DEFAULT_MODEL


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The public question sets that may lie next to the checkout."""
    if not DATA.is_dir():
        pytest.skip(f"the public question sets are not at {DATA}")
    return DATA


@pytest.fixture
def effort(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Effort:
    """The seed is told at the beginning: it must be known of a run that hangs or is killed, too."""

    def write(line: str) -> None:
        with capfd.disabled():
            print(f"\n{line}", flush=True)

    found = effort_of(request.node.name, write)
    found.tell()
    return found
