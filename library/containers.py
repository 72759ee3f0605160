"""Rows about containers: files that hold many documents, such as mailboxes.

A member of the container ``/mail/box.mbox`` is a source like any other, with a path below the container's::

    /mail/box.mbox/2021-03-04 Hello #0f1e2d3c4b5a69788796a5b4

so whatever concerns a folder concerns a container too.  Members are told by their content, never by their
place: taking one out moves no other.  Size and time of a member's source are those of the container
when the member was last seen in it; what has others when a container was gone through is not in it any more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import orjson

from library.below import at_or_below, bounds
from library.catalogue import Catalogue
from library.documents import Documents
from library.records import SourceFile

_CONTAINERS = "SELECT path FROM containers "


class Containers:
    """The containers of one library.  Whoever changes something holds the writer's lock."""

    def __init__(self, catalogue: Catalogue, documents: Documents) -> None:
        self._catalogue = catalogue
        self._documents = documents

    # -- reading

    def n_members(self, container: SourceFile) -> int | None:
        """The number of documents in a container that was gone through to its end when it had this size
        and time, and of which all are still there; None for any other."""
        rows = self._catalogue.read(
            "SELECT size, mtime_ns, n_members FROM containers WHERE path = ?", (os.fsencode(container.path),)
        )
        if not rows or rows[0][:2] != (container.size, container.mtime_ns) or rows[0][2] is None:
            return None
        known = int(str(rows[0][2]))
        present = self._catalogue.read(
            "SELECT count(*) FROM sources WHERE NOT missing AND path >= :first AND path < :last",
            bounds(container.path),
        )
        return known if int(str(present[0][0])) == known else None

    def below(self, folder: str) -> list[str]:
        """The paths of the known containers at or below a folder."""
        condition, scope = at_or_below(folder)
        rows: Sequence[Sequence[Any]] = self._catalogue.read(
            _CONTAINERS + "WHERE " + condition + " ORDER BY path", scope
        )
        return [os.fsdecode(path) for (path,) in rows]

    def held(self, path: str, document_ids: Sequence[str]) -> dict[str, str]:
        """Which of these documents are known as members of the container at `path`: member path by id."""
        rows: Sequence[Sequence[Any]] = self._catalogue.read(
            "SELECT document_id, path FROM sources "
            "WHERE document_id IN (SELECT value FROM json_each(:ids)) AND path >= :first AND path < :last",
            {"ids": orjson.dumps(list(document_ids)).decode(), **bounds(path)},
        )
        return {str(document_id): os.fsdecode(member) for document_id, member in rows}

    def document_ids(self, path: str) -> list[str]:
        """The documents in the container at `path`, each once, in the order in which they were added."""
        rows = self._catalogue.read(
            "SELECT document_id FROM sources WHERE NOT missing AND path >= :first AND path < :last "
            "GROUP BY document_id ORDER BY min(sequence)",
            bounds(path),
        )
        return [str(row[0]) for row in rows]

    # -- changing

    def begin(self, path: str) -> None:
        """Note that the file at `path` is a container that is being gone through."""
        with self._catalogue.transaction() as connection:
            connection.execute(
                "INSERT INTO containers(path, size, mtime_ns) VALUES (?, 0, 0) "
                "ON CONFLICT(path) DO UPDATE SET n_members = NULL",
                (os.fsencode(path),),
            )

    def finish(self, container: SourceFile) -> int:
        """Note that all members of a container were added or touched with its size and time.

        Members with others are not in it any more and are marked missing; returns how many.  A document that
        was made of the whole file before loses it.
        """
        stamp: dict[str, bytes | int] = {"size": container.size, "mtime_ns": container.mtime_ns}
        scope = stamp | bounds(container.path)
        with self._catalogue.transaction() as connection:
            gone = connection.execute(
                "UPDATE sources SET missing = 1 WHERE NOT missing AND path >= :first AND path < :last "
                "AND (size != :size OR mtime_ns != :mtime_ns)",
                scope,
            ).rowcount
            connection.execute(
                "DELETE FROM failures WHERE path >= :first AND path < :last "
                "AND (size != :size OR mtime_ns != :mtime_ns)",
                scope,
            )
            (n_members,) = connection.execute(
                "SELECT count(*) FROM sources WHERE NOT missing AND path >= :first AND path < :last", scope
            ).fetchone()
            connection.execute(
                "INSERT OR REPLACE INTO containers(path, size, mtime_ns, n_members) "
                "VALUES (:path, :size, :mtime_ns, :n_members)",
                stamp | {"path": os.fsencode(container.path), "n_members": n_members},
            )
            self._documents.forget_path(container.path)
        return int(gone)

    def forget(self, path: str) -> None:
        """The container at `path` is gone, or is none any more: its members are marked missing.

        It goes itself, with the next `clear`, when none of them is known any more.
        """
        with self._catalogue.transaction() as connection:
            known = connection.execute(
                "UPDATE containers SET n_members = NULL WHERE path = ?", (os.fsencode(path),)
            ).rowcount
            if known:
                scope = bounds(path)
                connection.execute(
                    "UPDATE sources SET missing = 1 WHERE path >= :first AND path < :last", scope
                )
                connection.execute("DELETE FROM failures WHERE path >= :first AND path < :last", scope)

    def clear(self) -> None:
        """Forget the containers that were not gone through to their end and have no members."""
        with self._catalogue.transaction() as connection:
            connection.execute(
                "DELETE FROM containers WHERE n_members IS NULL AND NOT EXISTS ("
                "SELECT 1 FROM sources WHERE sources.path >= CAST(containers.path || ? AS BLOB) "
                "AND sources.path < CAST(containers.path || ? AS BLOB))",
                (os.sep.encode(), bytes([ord(os.sep) + 1])),
            )
