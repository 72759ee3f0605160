"""Is a `.kv` file sound, and is it the one that the catalogue's rows speak of?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kvfiles.codecs import codec_label
from kvfiles.container import Container
from kvfiles.errors import SnapshotError, StorageError
from library.errors import LibraryDamaged
from library.files import hash_regular_file, storage_error
from library.kvstore import KvStore
from library.readings import SnapshotRow
from library.wording import one_line


def file_problem(files: KvStore, rows: Sequence[SnapshotRow]) -> str:
    """What is wrong with the content of the file that these rows share, as the end of a sentence.

    Reads the whole file: its SHA-256 against its name, its sections' checksums, its header against
    the rows.  "" when all is well.

    Raises:
        StorageError: the file may not be read.
    """
    path = files.root
    try:
        path = files.path(rows[0].content)
        content, size = hash_regular_file(path)
    except LibraryDamaged as error:
        return f"cannot be used, {error.message}"
    except PermissionError as error:  # nothing is known of the file, so it is no damage
        raise storage_error(error, path) from error
    except OSError as error:
        return f"cannot be read, {(error.strerror or str(error)).lower()}"
    if size != rows[0].size_bytes:
        return f"has {size} bytes instead of {rows[0].size_bytes}"
    if content != rows[0].content:
        return "is damaged, its checksum does not fit"
    return container_problem(path, rows)


def container_problem(path: Path, rows: Sequence[SnapshotRow]) -> str:
    """As `file_problem`, without the comparison of hash and size: sections and header alone."""
    try:
        with Container(path) as container:
            container.verify()
            meta = container.meta
    except (SnapshotError, StorageError) as error:
        return f"is damaged, {one_line(error.message)}"
    try:
        told = (str(meta["profile"]), int(meta["n_tokens"]))
        about = dict(meta["about"])
        codecs = (str(meta["codec"]), codec_label(str(meta["codec"]), dict(meta["codec_params"])))
        volume = (str(about["document"]), int(about["volume"]))
    except (KeyError, TypeError, ValueError) as error:
        return f"has a header that makes no sense ({one_line(str(error), 60)})"
    for row in rows:
        if told != (row.profile_id, row.n_tokens):
            return "was made under another profile or of another text than noted"
        if row.codec not in codecs:
            return f"is coded as {one_line(codecs[-1], 40)} instead of {one_line(row.codec, 40)}"
    # Identical files are stored once, so of several rows it can speak of one only.
    if volume not in {(row.document_id, row.ordinal) for row in rows}:
        return "is that of another volume"
    return ""


def values_per_token(path: Path) -> int | None:
    """The K and V elements of one token, from a file's header; None when it cannot be used."""
    try:
        with Container(path) as container:
            layers, heads, k_dim, v_dim = (int(n) for n in container.meta["shape"])
    except (SnapshotError, StorageError, KeyError, TypeError, ValueError):
        return None
    n_values = layers * heads * (k_dim + v_dim)
    return n_values if 0 < n_values < 1 << 32 else None
