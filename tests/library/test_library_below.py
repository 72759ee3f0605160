"""The ranges of paths: what lies at or below a folder, and nothing that is only called like it."""

from __future__ import annotations

import os
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library.below import at_or_below, bounds

NAMES = st.sampled_from(["a", "a-", "a.txt", "a b", "A", "aa", "\udcff", "ü", "0", "/"])
PATHS = st.lists(NAMES.filter(lambda name: name != "/"), min_size=1, max_size=4).map(
    lambda p: "/" + "/".join(p)
)


def found(paths: set[str], condition: str, scope: dict[str, bytes]) -> set[str]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE sources (path BLOB PRIMARY KEY)")
    connection.executemany("INSERT INTO sources VALUES (?)", [(os.fsencode(path),) for path in paths])
    rows = connection.execute("SELECT path FROM sources WHERE " + condition, scope).fetchall()
    connection.close()
    return {os.fsdecode(path) for (path,) in rows}


@given(paths=st.sets(PATHS, max_size=20), folder=PATHS, slash=st.sampled_from(["", "/"]))
def test_at_or_below(paths: set[str], folder: str, slash: str) -> None:
    below = {path for path in paths if path.startswith(folder + "/")}
    condition, scope = at_or_below(folder + slash)
    assert found(paths, condition, dict(scope)) == below | (paths & {folder})
    assert found(paths, "path >= :first AND path < :last", dict(bounds(folder + slash))) == below


@given(paths=st.sets(PATHS, max_size=20), folder=st.sampled_from([None, "/"]))
def test_everywhere(paths: set[str], folder: str | None) -> None:
    condition, scope = at_or_below(folder)
    assert found(paths, condition, dict(scope)) == paths


@pytest.mark.parametrize("folder", ["/docs", "/docs/inner"])
def test_the_index_of_the_column_is_used(folder: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE sources (sequence INTEGER PRIMARY KEY, path BLOB UNIQUE)")
    condition, scope = at_or_below(folder)
    plan = connection.execute("EXPLAIN QUERY PLAN SELECT * FROM sources WHERE " + condition, scope).fetchall()
    connection.close()
    assert "SEARCH" in plan[0][3]
