"""The wire between the program and its parser process: JSON values, each behind its length.

A frame is a 4-byte big-endian length and that many bytes of JSON.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import orjson

PREFIX = struct.Struct(">I")


def pack(value: Any) -> bytes:
    """One frame."""
    payload = orjson.dumps(value)
    return PREFIX.pack(len(payload)) + payload


def read(stream: BinaryIO) -> Any:
    """The next value, None at the end of the stream.

    Raises:
        EOFError: the stream ends inside a frame.
        orjson.JSONDecodeError: the payload is not JSON.
    """
    prefix = stream.read(PREFIX.size)
    if not prefix:
        return None
    if len(prefix) < PREFIX.size:
        raise EOFError("the stream ends inside a length")
    (length,) = PREFIX.unpack(prefix)
    payload = stream.read(length)
    if len(payload) < length:
        raise EOFError("the stream ends inside a frame")
    return orjson.loads(payload)
