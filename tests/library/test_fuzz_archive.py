"""Damaged and forged archives: whatever is in them, the library that takes them in stays whole.

Members are damaged with their names (hashes) put right again, so that the damage gets past the checksums.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest
from effort import Effort
from mutations import mutate_bytes, mutate_json
from shelf import put
from small_kv import read

from kvfiles.errors import BeyondragError
from library.records import SourceFile
from library.store import Library
from library.upkeep import Upkeep

_JSON = ("manifest", "document", "end")
Members = list[tuple[str, bytes]]


@pytest.fixture
def archive(library: Library, tmp_path: Path) -> bytes:
    with library.writing():
        for number, path in enumerate(("/docs/a.txt", "/docs/b.txt")):
            read(library, put(library, path, f"zebra {number} " * 50, title="A title"), n_volumes=2)
        library.add_path(library.page(1)[0].id, SourceFile("/docs/copy.txt", 4, 5))
        put(library, "/docs/plain.txt", "okapi\fgiraffe")
    path = tmp_path / "library.tar"
    Upkeep(library).export(path)
    return path.read_bytes()


def members(archive: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return [(info.name.partition("/")[0], tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]  # all are files


def written(parts: Members) -> bytes:
    buffer = io.BytesIO()
    for kind, data in parts:
        info = tarfile.TarInfo(f"{kind}/{hashlib.sha256(data).hexdigest()}")
        info.size, info.mode = len(data), 0o600
        buffer.write(info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512))
    return buffer.getvalue() + bytes(1024)


def damaged(rng: np.random.Generator, archive: bytes) -> bytes:
    """The bytes themselves, the order of members, or what one of them says."""
    if rng.random() < 0.2:
        return mutate_bytes(rng, archive)
    parts = members(archive)
    at = int(rng.integers(len(parts)))
    kind, data = parts[at]
    fate = rng.random()
    if fate < 0.1:
        del parts[at]
    elif fate < 0.2:
        parts.insert(int(rng.integers(len(parts) + 1)), parts[at])
    elif fate < 0.25:
        parts[at] = (str(rng.choice([*_JSON, "text", "pages", "snapshot"])), data)
    elif fate < 0.35:
        parts[at] = (kind, mutate_bytes(rng, data))
    else:
        told = [n for n, (name, _) in enumerate(parts) if name in _JSON]
        at = told[int(rng.integers(len(told)))]
        said = orjson.loads(parts[at][1])
        for _ in range(int(rng.integers(1, 3))):
            said = mutate_json(rng, said)
        parts[at] = (parts[at][0], json.dumps(said).encode())
    return written(parts)


@pytest.mark.slow
def test_whatever_comes_in_leaves_a_whole_library(archive: bytes, tmp_path: Path, effort: Effort) -> None:
    rng = np.random.default_rng(effort.seed)
    outcomes: Counter[str] = Counter()
    path = tmp_path / "forged.tar"
    for number in range(effort.rounds(short=40, long=1_500)):
        path.write_bytes(damaged(rng, archive))
        root = tmp_path / "inbox" / f"library-{number}"
        with Library.create_or_open(root) as other:
            upkeep = Upkeep(other)
            try:
                report = upkeep.import_from(path)
            except BeyondragError as error:
                _check(error)
                outcomes[type(error).__name__] += 1
            else:
                outcomes["came in" if report.added else "nothing new"] += 1
            verdict = upkeep.verify(deep=True)
            assert not verdict.findings, (number, [finding.text for finding in verdict.findings])
            for document in other.documents():
                assert document.title.isprintable()
                assert len(other.text(document.id).text) == document.n_chars
                assert all(held.startswith("/") for held in document.paths)
            found = upkeep.collect_garbage(keep=True)
        assert {entry.name for entry in (tmp_path / "inbox").iterdir()} == {root.name}, "nothing beside it"
        assert not found.files, (number, found.files)
        _clear(root)
    effort.tell(outcomes=dict(outcomes))


def _check(error: BeyondragError) -> None:
    assert error.message
    assert (error.message + error.remedy).isprintable()


def _clear(root: Path) -> None:
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    root.rmdir()
