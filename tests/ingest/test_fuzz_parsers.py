"""Damaged files of every format, through the parser process as ingest uses it.

Whatever the damage, a small file ends in a text or a typed failure, in bounded time and memory, and the
process lives on.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from effort import Effort
from fuzz_corpus import corpus, damaged

from ingest.errors import FAILURE_CODES, ParseFailure
from ingest.parsers import is_container, parser_for_suffix, readable_suffixes
from ingest.parsers.base import Limits
from ingest.sandbox import ParsedFile, ParserPool
from ingest.scan import scan

LIMITS = Limits(
    max_unpacked_bytes=50_000_000,
    max_reply_bytes=20_000_000,
    memory_bytes=700_000_000,
    cpu_s=200,
    wall_s=900.0,
)
_CRASH = re.compile(r"crashed with signal|reply makes no sense|the parser ended with")
_CAUGHT = re.compile(r"\((\w*(?:Error|Exception|Warning)): ")
"""An exception that only the process's own last resort caught: a failure, but not one that was thought of."""


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    with ParserPool(LIMITS) as warm:
        yield warm


def read(pool: ParserPool, path: Path) -> str:
    """ "read", or the failure's code; of a mailbox the first messages are read."""
    (file,) = scan([path]).files
    found: ParseFailure | None = None
    try:
        if is_container(file.parser) and (page := pool.members(file, 0)) is not None:
            for member in page.members[:20]:
                check(pool.parse_member(file, member))
        else:
            check(pool.parse(file))
    except ParseFailure as failure:
        found = failure
    return "read" if found is None else refusal(found)


def refusal(failure: ParseFailure) -> str:
    """The code of a failure that says what it should."""
    assert failure.code in FAILURE_CODES
    assert failure.remedy
    assert failure.message.isprintable()
    assert not _CRASH.search(failure.message), failure.message
    caught = _CAUGHT.search(failure.message)
    return f"caught {caught[1]}" if caught else failure.code


def check(parsed: ParsedFile) -> None:
    """A text that the library can store."""
    text = parsed.text.text
    assert text.strip()
    assert 0 < len(parsed.title) <= 200
    assert not {unicodedata.category(character) for character in parsed.title} & {"Cc", "Cs", "Zl", "Zp"}
    parsed.title.encode()
    text.encode()
    assert not set(text) & {chr(code) for code in range(32)} - {"\t", "\n"}


def test_the_corpus_has_every_format_and_is_sound(pool: ParserPool, tmp_path: Path) -> None:
    parsers = {parser_for_suffix(suffix) for suffix in readable_suffixes()}
    assert {parser_for_suffix(suffix) for suffix in corpus()} == parsers
    for suffix, files in corpus().items():
        for number, data in enumerate(files):
            path = tmp_path / f"{number}{suffix}"
            path.write_bytes(data)
            assert read(pool, path) == "read", path.name


@pytest.mark.slow
@pytest.mark.parametrize("suffix", sorted(corpus()))
def test_damaged_files_end_in_a_text_or_a_failure(
    pool: ParserPool, tmp_path: Path, effort: Effort, suffix: str
) -> None:
    rng = np.random.default_rng(effort.seed)
    found: Counter[str] = Counter()
    slowest = 0.0
    path = tmp_path / f"file{suffix}"
    for number in range(effort.rounds(short=25, long=1_000)):
        data = damaged(rng, suffix)
        path.write_bytes(data)
        started = time.monotonic()
        outcome = read(pool, path)
        slowest = max(slowest, time.monotonic() - started)
        found[outcome] += 1
        if outcome in ("timeout", "memory"):
            keep = tmp_path / f"kept-{number}{suffix}"
            keep.write_bytes(data)
            pytest.fail(f"{outcome} for {len(data):,} bytes of round {number}: {keep}")
    effort.tell(outcomes=dict(found.most_common(12)), slowest_s=round(slowest, 2))
