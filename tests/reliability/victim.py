"""A process that forks children which work on a library until they are killed.

Reads one job a line (JSON) from stdin: {"root", "archive", "exported", "log", "seed"}.  Answers with
the child's process number, and with its exit status when it has ended.  Forking from a process that
has imported everything, and never opened a library itself, makes a round short.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import orjson
from steps import Steps

from library.store import Library

MAX_STEPS = 10_000


def work(job: dict[str, Any]) -> None:
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(what: str, step: dict[str, Any]) -> None:
        os.write(log, orjson.dumps([what, step]) + b"\n")

    with Library.create_or_open(Path(job["root"])) as library:
        steps = Steps(library, Path(job["archive"]), Path(job["exported"]), job["seed"], say)
        for _ in range(MAX_STEPS):
            steps.one()


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                work(orjson.loads(line))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
