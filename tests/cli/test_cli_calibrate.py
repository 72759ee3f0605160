"""`beyondrag models calibrate`, and what the other actions say of a calibration."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tiny_calibration import short_texts, tiny_model


@pytest.fixture
def tiny(isolated_user: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed model that is calibrated with short texts."""
    models = isolated_user / "models"
    models.mkdir()
    monkeypatch.setattr("beyondrag.calibration.texts.shipped_texts", short_texts)
    return tiny_model(models / "tiny.gguf")


def calibration(model: Path) -> Path:
    return model.with_name("tiny.archive-tables")


def test_calibrate_list_remove(beyondrag, tiny: Path) -> None:
    before = beyondrag("models", "list", "--json").json["models"][-1]
    assert (before["name"], before["calibrated"]) == ("tiny", False)

    done = beyondrag("models", "calibrate", "tiny")
    first, second = done.out.splitlines()
    assert done.code == 0
    assert first.startswith("tiny is calibrated: ")
    assert second == str(calibration(tiny))

    assert beyondrag("models", "list", "--json").json["models"][-1]["calibrated"]
    assert "installed, calibrated" in beyondrag("models", "list").out
    doctor = beyondrag("doctor", "--model", "tiny", "--json").json
    (check,) = [check for check in doctor["checks"] if check["name"] == "calibration"]
    assert check["status"] == "ok"

    assert beyondrag("models", "remove", "tiny", "--yes").code == 0
    assert not calibration(tiny).exists()
    assert not tiny.exists()


def test_json_and_doing_it_again(beyondrag, tiny: Path) -> None:
    done = beyondrag("models", "calibrate", "--model", str(tiny), "--json").json
    assert done["calibrated_now"]
    assert done["model_sha256"] == hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert (done["path"], done["size_bytes"]) == (str(calibration(tiny)), calibration(tiny).stat().st_size)

    again = beyondrag("models", "calibrate", "tiny", "--json").json
    assert not again["calibrated_now"]
    assert again["tables_id"] == done["tables_id"]
    assert "calibrated already" in beyondrag("models", "calibrate", "tiny").out

    own = tiny.with_name("own.txt")
    own.write_text("The bridge at Fenwick was closed for repairs in March. " * 20)
    forced = beyondrag("models", "calibrate", "tiny", "--text", own, "--force", "--json").json
    assert forced["tables_id"] != done["tables_id"]
    assert forced["n_tokens"] > done["n_tokens"]
    older = tiny.with_name(f"tiny.{done['tables_id'][:16]}.archive-tables")
    assert older.is_file()


def test_a_damaged_calibration(beyondrag, tiny: Path) -> None:
    assert beyondrag("models", "calibrate", "tiny").code == 0
    raw = bytearray(calibration(tiny).read_bytes())
    raw[-100] ^= 1
    calibration(tiny).write_bytes(raw)
    damaged = beyondrag("models", "calibrate", "tiny")
    assert damaged.code == 5
    assert "try: beyondrag models calibrate tiny --force" in damaged.err
    assert beyondrag("models", "calibrate", "tiny", "--force").code == 0
    assert beyondrag("models", "calibrate", "tiny").code == 0

    calibration(tiny).write_bytes(raw[:40])
    assert not beyondrag("models", "list", "--json").json["models"][-1]["calibrated"]
    assert beyondrag("models", "calibrate", "tiny").code == 0  # what cannot even be opened is made anew


def test_what_cannot_be_calibrated(beyondrag, tiny: Path, tmp_path: Path) -> None:
    assert beyondrag("models", "calibrate", "nothing").code == 5
    assert beyondrag("models", "calibrate", "tiny", "--text", tmp_path / "none.txt").code == 4
    assert not calibration(tiny).exists()
    assert beyondrag("models", "calibrate", "tiny", "--text").code == 2


def test_ctrl_c_leaves_nothing(beyondrag, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from beyondrag.calibration import running

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "observe", interrupted)
    stopped = beyondrag("models", "calibrate", "tiny")
    assert stopped.code == 130
    assert not calibration(tiny).exists()
