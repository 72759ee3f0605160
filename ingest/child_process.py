"""A Python module run as a child process that answers one framed request at a time, within a time.

The child leads its own process group, so that it can be killed with whatever it started and a
Ctrl-C at the terminal reaches the program alone.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import site
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ingest.frames import PREFIX

MAX_STDERR_BYTES = 8_192
_CHUNK_BYTES = 1 << 20
_EXIT_WAIT_S = 5.0


class ChildTimeout(Exception):
    """No whole reply came in time; the child was killed."""


class ReplyTooLarge(Exception):
    """The reply announces more bytes than allowed; the child was killed."""


class ChildDied(Exception):
    """The child ended without a reply.

    `returncode` is negative for a signal (as in `subprocess`); `stderr` is the end of what it wrote there.
    """

    def __init__(self, returncode: int, stderr: str) -> None:
        super().__init__(f"exit {returncode}: {stderr}")
        self.returncode = returncode
        self.stderr = stderr


def python_module(module: str) -> list[str]:
    """The command that runs `module` with this Python, never importing from the working directory."""
    return [sys.executable, "-P", "-m", module]


class ChildProcess:
    """One child.  After any of the exceptions above it is gone; `close` is then harmless."""

    def __init__(self, command: Sequence[str]) -> None:
        self._stderr = bytearray()
        self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=os.sep,
            env=_environment(),
            start_new_session=True,
        )
        self._requests = _opened(self._process.stdin)
        self._replies = _opened(self._process.stdout)
        self._errors = _opened(self._process.stderr)
        os.set_blocking(self._replies.fileno(), False)
        os.set_blocking(self._errors.fileno(), False)

    @property
    def pid(self) -> int:
        """Process id, and id of the process group."""
        return self._process.pid

    def exchange(self, frame: bytes, *, timeout_s: float, max_reply_bytes: int) -> bytes:
        """Send a frame and return the payload of the reply.

        Raises:
            ChildTimeout, ReplyTooLarge, ChildDied: see there.
        """
        deadline = time.monotonic() + timeout_s
        try:
            # Requests are smaller than a pipe's buffer (64 KiB): this cannot block.
            self._requests.write(frame)
            return self._reply(deadline, max_reply_bytes)
        except BrokenPipeError:
            raise self._died() from None
        except BaseException:  # also Ctrl-C: a reply may be half read, so the child is of no more use
            self.close()
            raise

    def _reply(self, deadline: float, max_reply_bytes: int) -> bytes:
        reply = bytearray()
        needed = PREFIX.size
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            selector.register(self._errors, selectors.EVENT_READ)
            while len(reply) < needed:
                left_s = deadline - time.monotonic()
                ready = selector.select(left_s) if left_s > 0 else []
                if not ready:
                    raise ChildTimeout
                for key, _ in ready:
                    chunk = _read_some(key.fd)
                    if key.fileobj is self._errors:
                        self._note(chunk)
                        if not chunk:
                            selector.unregister(self._errors)
                    elif chunk:
                        reply += chunk
                    else:
                        raise self._died()
                if needed == PREFIX.size <= len(reply):
                    (length,) = PREFIX.unpack_from(reply)
                    if length > max_reply_bytes:
                        raise ReplyTooLarge
                    needed += length
        return bytes(memoryview(reply)[PREFIX.size : needed])

    def _note(self, chunk: bytes) -> None:
        self._stderr += chunk
        del self._stderr[:-MAX_STDERR_BYTES]

    def _died(self) -> ChildDied:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_WAIT_S)
        while chunk := _read_some(self._errors.fileno()):
            self._note(chunk)
        self.close()
        return ChildDied(self._process.returncode, self._stderr.decode("utf-8", errors="replace"))

    def kill(self) -> None:
        """Kill the process group; may be called from any thread."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the process group and free the pipes."""
        self.kill()
        self._process.wait()
        for stream in (self._requests, self._replies, self._errors):
            stream.close()


def _opened(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # every stream was asked for as a pipe
    return stream


def _read_some(fd: int) -> bytes:
    """What is there, b"" at the end and when nothing is."""
    try:
        return os.read(fd, _CHUNK_BYTES)
    except BlockingIOError:
        return b""


def _environment() -> dict[str, str]:
    """This environment; with the place of this package, when that is a checkout and no installation."""
    environment = dict(os.environ)
    root = Path(__file__).resolve().parent.parent
    if root not in (
        Path(folder).resolve() for folder in (*site.getsitepackages(), site.getusersitepackages())
    ):
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join((inherited, str(root)) if inherited else (str(root),))
    return environment
