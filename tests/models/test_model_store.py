from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from loopback import gguf_bytes, known_model

from beyondrag.errors import DownloadError, ModelNotFound
from beyondrag.models import Address, InstalledModel, ModelStore, default_root
from kvfiles.errors import ModelFileError, StorageError

CONTENT = gguf_bytes(5000)
TINY = known_model(CONTENT, Address("https://example.org/tiny.gguf"))


@pytest.fixture
def store(root: Path) -> ModelStore:
    return ModelStore(root, (TINY,))


def put(store: ModelStore, file_name: str, content: bytes = CONTENT) -> Path:
    store.root.mkdir(exist_ok=True)
    path = store.root / file_name
    path.write_bytes(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def test_default_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_root() == tmp_path / "data" / "beyondrag" / "models"
    monkeypatch.setenv("BEYONDRAG_MODELS", str(tmp_path / "elsewhere"))
    assert default_root() == tmp_path / "elsewhere"


def test_looking_creates_nothing(store: ModelStore) -> None:
    assert store.list() == ()
    with pytest.raises(ModelNotFound):
        store.path("tiny")
    with pytest.raises(ModelNotFound):
        store.remove("tiny")
    assert not store.root.exists()


def test_list_shows_complete_models_only(store: ModelStore) -> None:
    known = put(store, "tiny.gguf")
    other = put(store, "My own model.gguf")
    put(store, "tiny.gguf.0123abcd.part")
    put(store, ".hidden.gguf")
    put(store, "evil\x1b[31m.gguf")
    put(store, "notes.txt")
    (store.root / "folder.gguf").mkdir()
    (store.root / "dangling.gguf").symlink_to("nowhere")
    assert store.list() == (
        InstalledModel("My own model", other, 5000, None, None, None),
        InstalledModel("tiny", known, 5000, None, TINY, None),
    )


def test_a_hash_shows_in_the_list_until_the_file_changes(store: ModelStore) -> None:
    path = put(store, "tiny.gguf")
    assert store.sha256(path) == TINY.sha256
    (model,) = store.list()
    assert model.sha256 == TINY.sha256
    assert model.verified_at is not None
    put(store, "tiny.gguf", CONTENT + b"more")
    assert store.list()[0].sha256 is None


def test_a_file_with_a_known_name_and_another_hash_is_not_the_known_model(store: ModelStore) -> None:
    path = put(store, "tiny.gguf", gguf_bytes(5000, seed=1))
    assert store.list()[0].known == TINY
    store.sha256(path)
    assert store.list()[0].known is None


def test_every_listed_name_leads_to_its_file(store: ModelStore) -> None:
    put(store, "tiny.gguf")
    put(store, "TINY.gguf")  # the catalogue's name, but not its file
    put(store, "other.gguf")
    models = store.list()
    assert len({model.name for model in models}) == 3
    for model in models:
        assert store.path(model.name) == model.path
        assert store.resolve(model.name) == model.path


def test_path_by_name_and_file_name(store: ModelStore) -> None:
    path = put(store, "tiny.gguf")
    assert store.path("tiny") == store.path("TINY") == store.path("tiny.gguf") == path


@pytest.mark.parametrize(
    "name", ["../etc/passwd", "a/b", "", ".", "..", "a\\b", "x\0y", "\x1b[31m", "n" * 5000]
)
def test_hostile_names_are_just_not_there(store: ModelStore, name: str) -> None:
    put(store, "tiny.gguf")
    for question in (store.path, store.remove):
        with pytest.raises(ModelNotFound) as caught:
            question(name)
        assert str(caught.value).isprintable()


def test_a_missing_model_says_how_to_get_it(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound) as caught:
        store.path("tiny")
    assert caught.value.remedy == "beyondrag models pull tiny"
    assert caught.value.exit_code == 5
    with pytest.raises(ModelNotFound, match="did you mean tiny"):
        store.path("tinyy")
    with pytest.raises(ModelNotFound, match="the catalogue has tiny"):
        store.path("mistral")


def test_resolve_takes_any_gguf_file(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "any.gguf"
    path.write_bytes(CONTENT)
    other = tmp_path / "no-suffix"
    other.write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    assert store.resolve(str(path)) == path
    assert store.resolve("./no-suffix") == other
    assert store.resolve("any.gguf") == path
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "mine.gguf").write_bytes(CONTENT)
    assert store.resolve("~/mine.gguf") == tmp_path / "home" / "mine.gguf"


def test_resolve_refuses_what_is_no_model(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_bytes(b"<html>")
    (tmp_path / "empty.gguf").write_bytes(b"")
    (tmp_path / "folder.gguf").mkdir()
    os.mkfifo(tmp_path / "pipe.gguf")
    for name in ("page", "empty"):
        with pytest.raises(ModelFileError, match="not a GGUF"):
            store.resolve(str(tmp_path / f"{name}.gguf"))
    for name in ("folder", "pipe"):
        with pytest.raises(ModelFileError, match="not a file"):
            store.resolve(str(tmp_path / f"{name}.gguf"))
    for path in ("missing.gguf", "a\0b.gguf", "n" * 5000):
        with pytest.raises(ModelFileError) as caught:
            store.resolve(str(tmp_path / path))
        assert str(caught.value).isprintable()
    with pytest.raises(ModelNotFound):
        store.resolve("missing.gguf")


def test_remove_takes_the_model_and_its_leftovers_and_no_others(store: ModelStore) -> None:
    gone = [put(store, "a.gguf"), put(store, "a.gguf.01234567.part"), put(store, "a.gguf.01234567.part.json")]
    kept = [put(store, "a.gguf.gguf"), put(store, "a.gguf.gguf.01234567.part"), put(store, "ab.gguf")]
    store.remove("a")
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)
    assert {path.name for path in store.root.iterdir()} == {path.name for path in kept}


def test_remove_takes_a_link_and_leaves_its_target(store: ModelStore, tmp_path: Path) -> None:
    target = tmp_path / "big.gguf"
    target.write_bytes(CONTENT)
    store.root.mkdir()
    (store.root / "linked.gguf").symlink_to(target)
    assert store.path("linked") == store.root / "linked.gguf"
    store.remove("linked")
    assert target.exists()
    assert store.list() == ()


def test_a_model_that_is_being_pulled_is_not_removed(store: ModelStore) -> None:
    path = put(store, "tiny.gguf")
    with (
        store.lock(path),
        pytest.raises(DownloadError, match=f"process {os.getpid()} is pulling it"),
    ):
        store.remove("tiny")
    store.remove("tiny")
    assert not path.exists()


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="BEYONDRAG_MODELS"):
        ModelStore(tmp_path / "file").list()


def test_sum_of_any_file(store: ModelStore, tmp_path: Path) -> None:
    path = tmp_path / "any.gguf"
    path.write_bytes(CONTENT)
    assert store.sha256(path) == hashlib.sha256(CONTENT).hexdigest()
