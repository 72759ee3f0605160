"""The bench of a large library as a command.

::

    python -m eval.bench.library [--documents 100000] [--files 8000] [--folder DIR]
    python -m eval.bench.library --no-library --no-ingest --messages 1000200
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from eval.bench.library.commands import CommandCost, run_probe, run_program
from eval.bench.library.mailbox import Mailbox, measure_mailbox, needed_bytes
from eval.bench.library.mailbox import rows as mailbox_rows
from eval.bench.library.synthetic import fill, questions, write_files
from eval.command import positive, run_command, say
from eval.report import json_line, markdown_table, versions
from kvfiles.errors import StorageError

N_DOCUMENTS, N_WORDS, N_QUESTIONS = 100_000, 120, 300
N_FILES, FILE_WORDS = 8_000, 150
MESSAGE_WORDS = 60
SEED = 7
OPENINGS = 5
_BYTES_OF_A_DOCUMENT = 4_000


@dataclass(frozen=True, slots=True)
class LargeLibrary:
    """Times in seconds, sizes in bytes.  Each of `OPENINGS` processes opened the library anew."""

    n_documents: int
    make_catalogue_s: float
    make_index_s: float
    size_bytes: int
    import_s: float
    open_s: float
    first_search_s: float
    n_searches: int
    search_p50_s: float
    search_p95_s: float
    list_first_s: float
    list_last_s: float
    find_path_s: float
    find_name_s: float
    totals_s: float
    verify_s: float
    opened_bytes: int
    searched_bytes: int
    verified_bytes: int
    list_command: CommandCost


@dataclass(frozen=True, slots=True)
class Ingest:
    """`beyondrag ingest --index-only` of `n_files`, and the same again with nothing changed."""

    n_files: int
    first: CommandCost
    again: CommandCost

    @property
    def files_per_s(self) -> float:
        return self.n_files / self.first.wall_s


@dataclass(frozen=True, slots=True)
class Results:
    """What one run measured; None for a part that was left out."""

    library: LargeLibrary | None
    ingest: Ingest | None
    mailbox: Mailbox | None
    load_average: float
    n_cores: int


def measure_library(folder: Path, n_documents: int) -> LargeLibrary:
    """Make a library of `n_documents` in `folder` and look at it from fresh processes."""
    root, asked = folder / "library", folder / "questions"
    catalogue_s, index_s = fill(root, n_documents, N_WORDS, SEED, say)
    asked.write_text("\n".join(questions(N_QUESTIONS, n_documents, N_WORDS, SEED)))
    say("searching")
    probes = [run_probe(root, asked, folder) for _ in range(OPENINGS)]
    listing = ["library", "list", "--library", str(root)]
    searches = np.array([seconds for probe in probes for seconds in probe.searches_s])

    def typical(name: str) -> float:
        return float(np.median([getattr(probe, name) for probe in probes]))

    def most(name: str) -> int:
        return max(int(getattr(probe, name)) for probe in probes)

    return LargeLibrary(
        n_documents=n_documents,
        make_catalogue_s=catalogue_s,
        make_index_s=index_s,
        size_bytes=sum(path.stat().st_size for path in root.rglob("*") if path.is_file()),
        import_s=typical("import_s"),
        open_s=typical("open_s"),
        first_search_s=typical("first_search_s"),
        n_searches=len(searches),
        search_p50_s=float(np.percentile(searches, 50)),
        search_p95_s=float(np.percentile(searches, 95)),
        list_first_s=typical("list_first_s"),
        list_last_s=typical("list_last_s"),
        find_path_s=typical("find_path_s"),
        find_name_s=typical("find_name_s"),
        totals_s=typical("totals_s"),
        verify_s=typical("verify_s"),
        opened_bytes=most("opened_bytes"),
        searched_bytes=most("searched_bytes"),
        verified_bytes=most("verified_bytes"),
        list_command=run_program(listing, folder),
    )


def measure_ingest(folder: Path, n_files: int) -> Ingest:
    """Ingest `n_files` small files, then the same folder again."""
    files = folder / "files"
    write_files(files, n_files, FILE_WORDS, SEED)
    say(f"ingesting {n_files:,} files")
    command = ["ingest", str(files), "--index-only", "--json", "--library", str(folder / "ingested")]
    return Ingest(n_files, run_program(command, folder), run_program(command, folder))


def table(results: Results) -> str:
    """The results for people."""
    rows: list[list[str]] = []
    if (large := results.library) is not None:
        n = large.n_searches
        rows += [
            ["open (import the program, open)", _ms(large.import_s + large.open_s), f"{OPENINGS} processes"],
            ["search, half take less", _ms(large.search_p50_s), f"{n:,} questions"],
            ["search, 19 of 20 take less", _ms(large.search_p95_s), f"{n:,} questions"],
            ["first search after opening", _ms(large.first_search_s), ""],
            ["first 200 of the list", _ms(large.list_first_s), ""],
            ["last 200 of the list", _ms(large.list_last_s), ""],
            ["`beyondrag library list`, whole command", _ms(large.list_command.wall_s), ""],
            ["find a document by path", _ms(large.find_path_s), ""],
            ["find a document by file name", _ms(large.find_name_s), "goes through all"],
            ["verify", _ms(large.verify_s), "reads every text"],
            ["build the search index again", _ms(large.make_index_s), ""],
        ]
        memory = [
            (large.opened_bytes, "opened"),
            (large.searched_bytes, "searched and listed"),
            (large.verified_bytes, "verified"),
        ]
        rows += [[f"memory at most, {what}", f"{size / 1e6:,.0f} MB", ""] for size, what in memory]
        rows.append(["size on disk", f"{large.size_bytes / 1e6:,.0f} MB", f"{large.n_documents:,} documents"])
    if (ingest := results.ingest) is not None:
        cpu = ingest.first.cpu_s
        rows += [
            [
                f"ingest of {ingest.n_files:,} small files",
                f"{ingest.files_per_s:,.0f} files/s",
                f"{cpu:.0f} s of CPU",
            ],
            ["memory of its largest process", f"{ingest.first.peak_bytes / 1e6:,.0f} MB", ""],
            ["the same again, nothing changed", _ms(ingest.again.wall_s), ""],
        ]
    if results.mailbox is not None:
        rows += mailbox_rows(results.mailbox)
    return markdown_table(["", "measured", ""], rows, left=(0, 2))


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:,.1f} ms"


def to_json(results: Results) -> dict[str, object]:
    """The last line's object."""
    told: dict[str, object] = asdict(results)
    if results.ingest is not None:
        told["files_per_s"] = results.ingest.files_per_s
    if results.mailbox is not None:
        told["messages_per_s"] = results.mailbox.messages_per_s
    return told | {"seed": SEED, "versions": versions()}


@contextmanager
def _scratch(parent: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="beyondrag-bench-", dir=parent) as name:
        yield Path(name)


def _require_room(folder: Path, n_documents: int, n_messages: int) -> None:
    needed = max(n_documents * _BYTES_OF_A_DOCUMENT, needed_bytes(n_messages))
    if shutil.disk_usage(folder).free < needed:
        raise StorageError(
            f"{needed / 1e9:.1f} GB are needed", subject=str(folder), remedy="choose another --folder"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.bench.library", description="How a large library feels, and index-only ingest."
    )
    parser.add_argument("--documents", type=positive, default=N_DOCUMENTS, help="(default: %(default)s)")
    parser.add_argument("--files", type=positive, default=N_FILES, help="(default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder)")
    parser.add_argument("--no-ingest", action="store_true", help="only the large library")
    parser.add_argument("--no-library", action="store_true", help="only the ingest of many files")
    parser.add_argument("--messages", type=positive, help="also a mailbox of so many messages")
    options = parser.parse_args(arguments)

    def command() -> None:
        with _scratch(options.folder) as folder:
            _require_room(folder, options.documents, options.messages or 0)
            load = os.getloadavg()[0]
            ingest = None if options.no_ingest else measure_ingest(folder, options.files)
            library = None if options.no_library else measure_library(folder, options.documents)
            mailbox = (
                measure_mailbox(folder, options.messages, MESSAGE_WORDS, SEED) if options.messages else None
            )
            results = Results(library, ingest, mailbox, load, os.cpu_count() or 1)
        print(table(results))
        print(f"\nLoad of the machine before: {load:.1f} on {results.n_cores} cores.")
        print(json_line(to_json(results)))

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
