"""Fills a library with documents and snapshots until nothing fits any more; run as a program.

::

    python filler.py LIBRARY [HOW-MANY]

Prints how many documents were there before, each with its snapshot, and "done N" for each that it adds.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from small_kv import PROFILE, write_kv
from steps import add

from kvfiles.errors import BeyondragError
from library.records import Volume
from library.store import Library

N_TOKENS = 900


def main() -> int:
    root, limit = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    try:
        with Library.create_or_open(root) as library:
            whole = [d for d in library.documents() if library.snapshot(d.id, 0, PROFILE.id)]
            print(f"there before: {len(whole)}", flush=True)
            library.put_profile(PROFILE)
            for number in range(library.count(), limit):
                _add(library, number)
                print(f"done {number}", flush=True)
    except BeyondragError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return error.exit_code
    return 0


def _add(library: Library, number: int) -> None:
    rng = random.Random(number)
    text = " ".join(f"{rng.randrange(1 << 40):x}" for _ in range(800))
    document = add(library, f"/docs/{number}.txt", text)
    library.put_volumes(document.id, PROFILE.id, [Volume(document.id, 0, 0, len(text), N_TOKENS, "")])
    scratch = library.snapshot_scratch()
    try:
        write_kv(scratch, document.id, N_TOKENS)
        library.put_snapshot(document.id, 0, PROFILE.id, scratch, N_TOKENS, "exact")
    finally:
        scratch.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
