"""The tables of the catalogue, as small migrations run in order; `PRAGMA user_version` counts them.

A migration that was released is never edited: a change is a new one at the end.
"""

from __future__ import annotations

import sqlite3


def m001_documents(connection: sqlite3.Connection) -> None:
    """Documents, their texts and the files that hold them.

    `key` is the number of a document in the search index; AUTOINCREMENT because a number must
    never come back for another document while the index still knows the old one.
    Paths are bytes: a file name need not be Unicode.
    """
    connection.execute(
        """CREATE TABLE documents (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            title TEXT NOT NULL,
            media_type TEXT NOT NULL,
            n_chars INTEGER NOT NULL,
            n_pages INTEGER NOT NULL,
            added_at REAL NOT NULL,
            warnings TEXT NOT NULL
        )"""
    )
    connection.execute(
        """CREATE TABLE texts (
            document_id TEXT PRIMARY KEY REFERENCES documents(id) ON DELETE CASCADE,
            text_zlib BLOB NOT NULL,
            n_bytes INTEGER NOT NULL,
            pages_zlib BLOB NOT NULL,
            pages_n_bytes INTEGER NOT NULL,
            checksum TEXT NOT NULL
        )"""
    )
    connection.execute(
        """CREATE TABLE sources (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            path BLOB NOT NULL UNIQUE,
            document_id TEXT NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            missing INTEGER NOT NULL DEFAULT 0
        )"""
    )
    connection.execute("CREATE INDEX sources_by_document ON sources(document_id)")


def m002_failures(connection: sqlite3.Connection) -> None:
    """Files that could not be read."""
    connection.execute(
        """CREATE TABLE failures (
            path BLOB PRIMARY KEY,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            code TEXT NOT NULL,
            reason TEXT NOT NULL,
            remedy TEXT NOT NULL,
            at REAL NOT NULL
        )"""
    )


def m003_readings(connection: sqlite3.Connection) -> None:
    """Reading profiles, volumes and snapshots."""
    connection.execute(
        """CREATE TABLE profiles (
            id TEXT PRIMARY KEY,
            model_name TEXT NOT NULL,
            model_sha256 TEXT NOT NULL,
            description TEXT NOT NULL
        )"""
    )
    connection.execute(
        """CREATE TABLE volumes (
            document_id TEXT NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
            profile_id TEXT NOT NULL REFERENCES profiles(id),
            ordinal INTEGER NOT NULL,
            char_start INTEGER NOT NULL,
            char_end INTEGER NOT NULL,
            n_tokens INTEGER NOT NULL,
            label TEXT NOT NULL,
            PRIMARY KEY (document_id, profile_id, ordinal)
        )"""
    )
    connection.execute(
        """CREATE TABLE snapshots (
            document_id TEXT NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
            ordinal INTEGER NOT NULL,
            profile_id TEXT NOT NULL REFERENCES profiles(id),
            content TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            n_tokens INTEGER NOT NULL,
            codec TEXT NOT NULL,
            created_at REAL NOT NULL,
            last_read_at REAL,
            PRIMARY KEY (document_id, ordinal, profile_id)
        )"""
    )
    connection.execute("CREATE INDEX snapshots_by_content ON snapshots(content)")


def m004_indexing(connection: sqlite3.Connection) -> None:
    """What the search index still has to learn, and which index is the current one.

    A key in the queue whose document is gone has to leave the index.
    """
    connection.execute("CREATE TABLE index_queue (key INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)")


def m005_containers(connection: sqlite3.Connection) -> None:
    """Files that hold many documents (see library.containers).

    `n_members` is NULL until such a file was gone through to its end; `size` and `mtime_ns` are its own
    at that moment.
    """
    connection.execute(
        """CREATE TABLE containers (
            path BLOB PRIMARY KEY,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            n_members INTEGER
        )"""
    )


def m006_conversations(connection: sqlite3.Connection) -> None:
    """Kept conversations (see library.conversations).  They refer to no document: those may go.

    `searched` is the question and the answer with their case folded.
    """
    connection.execute(
        """CREATE TABLE conversations (
            id TEXT PRIMARY KEY,
            title TEXT NOT NULL,
            started_at REAL NOT NULL,
            last_at REAL NOT NULL
        )"""
    )
    connection.execute("CREATE INDEX conversations_by_time ON conversations(last_at)")
    connection.execute(
        """CREATE TABLE turns (
            id TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
            ordinal INTEGER NOT NULL,
            question TEXT NOT NULL,
            asked_at REAL NOT NULL,
            searched TEXT NOT NULL,
            record TEXT NOT NULL,
            UNIQUE (conversation_id, ordinal)
        )"""
    )


def m007_language(connection: sqlite3.Connection) -> None:
    """What a document states about its language; NULL when it states nothing, or was read before."""
    connection.execute("ALTER TABLE documents ADD COLUMN language TEXT")


MIGRATIONS = (
    m001_documents,
    m002_failures,
    m003_readings,
    m004_indexing,
    m005_containers,
    m006_conversations,
    m007_language,
)
VERSION = len(MIGRATIONS)
