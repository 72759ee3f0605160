"""The template process: ``python -m beyondrag.template_child``.

Answers one request, framed as in `ingest.frames`, and ends::

    {"template": TEXT, "messages": [{"role", "content"}], "memory_bytes": N, "cpu_s": N, "max_chars": N}

    {"text": TEXT}
    {"problem": TEXT}       what the template did wrong
    {"exhausted": TEXT}     what it had too little of

A template that uses up its processor time is killed by the system (SIGXCPU).  Nothing of the models or
the library is imported here: the process must start fast and stay small.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

from beyondrag.template_sandbox import fill_in
from ingest import frames

MAX_PROBLEM_CHARS = 300


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer the one request."""
    request = frames.read(requests)
    if request is None:
        return
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, request["memory_bytes"])
    _limit(resource.RLIMIT_CPU, request["cpu_s"])
    replies.write(frames.pack(answer(request)))
    replies.flush()


def answer(request: Mapping[str, Any]) -> dict[str, str]:
    """Fill in the template; every error becomes words."""
    try:
        text = fill_in(request["template"], request["messages"])
    except MemoryError:
        return {"exhausted": "memory"}
    except Exception as error:  # a template is a program that we did not write
        return {"problem": _words(error)}
    if len(text) > request["max_chars"]:
        return {"exhausted": f"room: its text is longer than {request['max_chars']:,} characters"}
    return {"text": text.encode("utf-8", "replace").decode("utf-8")}  # a lone surrogate is no JSON


def _words(error: Exception) -> str:
    try:
        said = str(error)[:MAX_PROBLEM_CHARS].encode("utf-8", "replace").decode("utf-8")
    except Exception:  # the template chose what the error holds
        said = ""
    return said or type(error).__name__


def _limit(what: int, value: int) -> None:
    """Lower a limit for good; systems that refuse (macOS for the address space) go on without."""
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    # A process that passes its soft limit of processor time gets SIGXCPU, whose default is to end it.
    try:
        resource.setrlimit(what, (value, hard))
    except (ValueError, OSError):
        return


def main() -> int:
    """Serve on standard input and output."""
    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
