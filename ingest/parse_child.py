"""The parser process: ``python -m ingest.parse_child``.

Reads requests from standard input and writes replies to standard output, as `ingest.frames`.  The
first request holds the limits and is answered with ``{"ready": true}``; every other one names a file::

    {"path": PATH, "parser": NAME}     PATH: the bytes of the path, each as the character of that code
    {"path", "parser", "stamp": [SIZE, MTIME_NS], "list": OFFSET}            the members of a container
    {"path", "parser", "stamp": [SIZE, MTIME_NS], "member": [START, STOP]}   one of them

    {"document": {"id", "size", "mtime_ns", "media_type", "title", "pages": [[label, text]], "warnings"}}
    {"members": [[START, STOP, SHA-256]], "next": OFFSET or null}            "members": null: no container
    {"failure": {"code", "detail", "remedy"}}

A container whose size or time is no longer that of its stamp is answered with the failure "changed".

Nothing of the library, the models or the screens is imported here: the process must start fast and
stay small.  It is no security boundary against code execution; it keeps runaway files from
taking the program, the memory or the evening with them.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any, BinaryIO

from ingest import frames
from ingest.errors import FAILURE_CODES, ParseFailure
from ingest.parsers import Limits, agreeing_parser, container_named
from ingest.parsers.base import ParsedDocument
from ingest.parsers.languages import language_of_suffix
from ingest.parsers.source_code import CodeParser
from ingest.reading import OpenFile, SourceBytes, read_whole


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until the stream ends or the memory ran out once."""
    first = frames.read(requests)
    if first is None:
        return
    limits = Limits(**first["limits"])
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    _send(replies, frames.pack({"ready": True}))
    while (request := frames.read(requests)) is not None:
        _limit(resource.RLIMIT_CPU, int(time.process_time()) + 1 + limits.cpu_s)
        path = os.fsdecode(request["path"].encode("latin-1"))
        reply = answer(path, request, limits)
        frame = frames.pack(reply)
        if len(frame) - frames.PREFIX.size > limits.max_reply_bytes:
            frame = frames.pack(_failure(ParseFailure("too-large", detail="too much text")))
        _send(replies, frame)
        if reply.get("failure", {}).get("code") == "memory":
            return  # whatever is left of the heap is not worth trusting


def answer(path: str, request: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Do what one request asks for; every error becomes a failure reply."""
    try:
        if "list" in request:
            return _listed(path, request, limits)
        if "member" in request:
            return _member(path, request, limits)
        source = read_whole(path, limits.max_file_bytes)
        parser = agreeing_parser(request["parser"], source.data)
        document = parser.parse(source.data, PurePath(path).stem, limits)
        if parser.name == CodeParser.name:  # parsers see no suffix
            document = replace(document, language=language_of_suffix(PurePath(path).suffix))
        return _document(document, parser.media_type, source)
    except ParseFailure as failure:
        return _failure(failure)
    except MemoryError:
        return _failure(ParseFailure("memory"))
    except Exception as error:  # a file must not be able to stop the run
        return _failure(ParseFailure("broken", detail=f"{type(error).__name__}: {error}"))


def _listed(path: str, request: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    container = container_named(request["parser"])
    with OpenFile(path, limits.max_container_bytes) as file:
        file.require_stamp(*request["stamp"])
        page = container.members(file.read_at, file.size, request["list"])
    if page is None:
        return {"members": None, "next": None}
    return {"members": [[m.start, m.stop, m.digest] for m in page.members], "next": page.next_offset}


def _member(path: str, request: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    container = container_named(request["parser"])
    start, stop = request["member"]
    with OpenFile(path, limits.max_container_bytes) as file:
        file.require_stamp(*request["stamp"])
        source = file.read_range(start, stop, limits.max_file_bytes)
    return _document(container.parse_member(source.data, limits), container.member_media_type, source)


def _document(document: ParsedDocument, media_type: str, source: SourceBytes) -> dict[str, Any]:
    if not any(page.text.strip() for page in document.pages):
        raise ParseFailure("empty")
    return {
        "document": {
            "id": source.document_id,
            "size": source.size,
            "mtime_ns": source.mtime_ns,
            "media_type": media_type,
            "title": document.title,
            "pages": [[page.label, page.text] for page in document.pages],
            "warnings": list(document.warnings),
            "language": document.language,
        }
    }


def _failure(failure: ParseFailure) -> dict[str, Any]:
    usual = FAILURE_CODES[failure.code][1]
    remedy = "" if failure.remedy == usual else failure.remedy
    return {"failure": {"code": failure.code, "detail": failure.detail, "remedy": remedy}}


def _limit(what: int, value: int) -> None:
    """Lower a soft limit; systems that refuse (macOS for the address space) go on without."""
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(what, (value, hard))
    except (ValueError, OSError):
        logging.getLogger(__name__).debug("limit %d refused", what)


def _send(stream: BinaryIO, frame: bytes) -> None:
    stream.write(frame)
    stream.flush()


def main() -> int:
    """Serve on standard input and output."""
    logging.getLogger("pypdf").addHandler(logging.NullHandler())
    logging.getLogger("pypdf").propagate = False
    # Only replies may reach the real standard output: a stray print goes to standard error.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        serve(sys.stdin.buffer, replies)
    except BrokenPipeError:  # the program that asked is gone
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
