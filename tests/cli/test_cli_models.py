"""`beyondrag models` with a catalogue and a server of its own."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from beyondrag.models import KNOWN, Address, KnownModel, ModelStore
from beyondrag.models.partial import Partial

CONTENT = b"GGUF" + bytes(range(256)) * 40


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a loopback server with `tiny.gguf`."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "tiny.gguf").write_bytes(CONTENT)
    (folder / "page.gguf").write_bytes(b"<html>not a model</html>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def tiny(served: str, monkeypatch: pytest.MonkeyPatch, isolated_user: Path) -> KnownModel:
    """A catalogue with one small model before the real ones."""
    model = KnownModel(
        "tiny",
        len(CONTENT),
        hashlib.sha256(CONTENT).hexdigest(),
        "MIT",
        8,
        "a test",
        (Address(f"{served}/tiny.gguf"),),
    )
    store = ModelStore(isolated_user / "models", known=(model, *KNOWN))
    monkeypatch.setattr("beyondrag.commands.models._store", lambda _args: store)
    return model


def test_the_list_before_anything_is_pulled(beyondrag, isolated_user: Path) -> None:
    shown = beyondrag("models", "list")
    assert shown.code == 0
    header, *lines = shown.out.splitlines()
    assert header.split() == ["name", "size", "licence", "state"]
    assert lines[0].startswith("qwen2.5-coder-1.5b (default)  1.12 GB  Apache-2.0  known")
    assert len(lines) == len(KNOWN)
    assert not (isolated_user / "models").exists()


def test_pull_list_path_remove(beyondrag, tiny: KnownModel, isolated_user: Path) -> None:
    path = isolated_user / "models" / "tiny.gguf"
    shown = beyondrag("models", "pull", "tiny")
    assert (shown.code, shown.out) == (0, f"tiny is ready: {path} (10.2 kB)\n")
    assert path.read_bytes() == CONTENT

    listed = beyondrag("models", "list", "--json").json
    assert listed["folder"] == str(path.parent)
    entry = listed["models"][0]
    assert (entry["name"], entry["state"], entry["licence"], entry["path"]) == (
        "tiny",
        "installed",
        "MIT",
        str(path),
    )
    assert entry["sha256"] == tiny.sha256

    assert beyondrag("models", "path", "tiny").out == f"{path}\n"
    assert beyondrag("models", "path", "tiny", "--json").json == {"path": str(path)}

    assert beyondrag("models", "remove", "tiny").code == 2
    assert path.exists()
    assert beyondrag("models", "remove", "tiny", "--yes").out == "removed tiny\n"
    assert not path.exists()
    assert beyondrag("models", "path", "tiny").code == 5


def test_pull_an_address(beyondrag, served: str, isolated_user: Path) -> None:
    result = beyondrag("models", "pull", f"{served}/tiny.gguf", "--name", "mine", "--json").json
    path = isolated_user / "models" / "mine.gguf"
    assert result == {
        "name": "mine",
        "path": str(path),
        "size_bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    entry = beyondrag("models", "list", "--json").json["models"][-1]
    assert (entry["name"], entry["state"], entry["licence"]) == ("mine", "installed", None)
    assert "mine" in beyondrag("models", "list").out


def test_what_is_no_model_is_refused(beyondrag, served: str, isolated_user: Path) -> None:
    shown = beyondrag("models", "pull", f"{served}/page.gguf")
    assert shown.code == 5
    assert "not a GGUF" in shown.err
    assert not list((isolated_user / "models").glob("*.gguf"))


def test_a_pull_that_was_stopped_is_listed_with_its_share(
    beyondrag, tiny: KnownModel, isolated_user: Path
) -> None:
    root = isolated_user / "models"
    root.mkdir()
    growing = Partial(root / "tiny.gguf", tiny.sources[0].key)
    growing.append(CONTENT[: len(CONTENT) // 2])
    growing.seal("0")
    growing.close()
    entry = beyondrag("models", "list", "--json").json["models"][0]
    assert (entry["state"], entry["partial_bytes"]) == ("partial", len(CONTENT) // 2)
    assert "partial, 50 %" in beyondrag("models", "list").out


@pytest.mark.parametrize(
    "line", [["path", "nosuch"], ["remove", "nosuch", "--yes"], ["path", "../../etc/passwd"]]
)
def test_an_unknown_model_names_the_catalogue(line: list[str], beyondrag) -> None:
    shown = beyondrag("models", *line)
    assert shown.code == 5
    assert "qwen2.5-coder-1.5b" in shown.err


def test_an_unknown_name_cannot_be_pulled(beyondrag) -> None:
    shown = beyondrag("models", "pull", "no\x1bsuch")
    assert shown.code == 2
    assert "\x1b" not in shown.err
