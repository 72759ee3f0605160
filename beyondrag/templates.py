"""Chat templates of GGUF files: programs that somebody else wrote, filled in within limits.

Jinja's sandbox keeps a template from the rest of the program, but not from running for years (nested
loops) or taking all memory (a text doubled again and again).  So it runs in a child process with limits
on processor time, memory and output.  Starting that process costs about 0.1 s of processor time, so the
templates of the catalogue's models, which were read and cannot do either, are filled in right here.
"""

from __future__ import annotations

import functools
import hashlib
import signal
from dataclasses import dataclass
from typing import Final

import orjson

from beyondrag.template_sandbox import fill_in
from ingest import frames
from ingest.child_process import ChildDied, ChildProcess, ChildTimeout, ReplyTooLarge, python_module

Messages = tuple[tuple[str, str], ...]
"""Role and content of each message."""

KNOWN: Final = frozenset(
    {
        "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788",  # SmolLM2-135M-Instruct
        "d5495a1e5db0611132a97e46a65dbb64a642a499421228b9c8b93229097fa9a4",  # Qwen2.5-Coder-1.5B-Instruct
    }
)
"""SHA-256 (hex, of the UTF-8 text) of templates that were read: their loops run over messages alone."""

MAX_REQUEST_BYTES = 60_000  # less than a pipe holds: sending it cannot block


@dataclass(frozen=True, slots=True)
class TemplateLimits:
    """What filling in one template may cost.

    `memory_bytes` is the address space of the process with its interpreter, `cpu_s` its processor time,
    `wall_s` the time until its answer, start included, `max_chars` the length of the filled-in text.
    """

    memory_bytes: int = 256_000_000
    cpu_s: int = 3
    wall_s: float = 30.0  # a busy machine is no reason to refuse a model
    max_chars: int = 200_000


DEFAULT_LIMITS: Final = TemplateLimits()


class TemplateProblem(Exception):
    """The template is wrong, or refuses these messages; other messages may do."""


class TemplateExhausted(Exception):
    """The template went beyond a limit; other messages would not help.  The text says which limit."""


def filled_in(template: str, messages: Messages, limits: TemplateLimits = DEFAULT_LIMITS) -> str:
    """The `template` with the `messages`; the same ones are filled in once in the life of this process.

    Raises:
        TemplateProblem, TemplateExhausted: see there.
    """
    if hashlib.sha256(template.encode("utf-8", "replace")).hexdigest() not in KNOWN:
        return _filled_in_child(template, messages, limits)
    try:
        return fill_in(template, _as_dicts(messages))
    except Exception as error:
        raise TemplateProblem(str(error) or type(error).__name__) from error


@functools.lru_cache(maxsize=32)
def _filled_in_child(template: str, messages: Messages, limits: TemplateLimits) -> str:
    request = frames.pack(
        {
            "template": template.encode("utf-8", "replace").decode("utf-8"),
            "messages": _as_dicts(messages),
            "memory_bytes": limits.memory_bytes,
            "cpu_s": limits.cpu_s,
            "max_chars": limits.max_chars,
        }
    )
    if len(request) > MAX_REQUEST_BYTES:
        raise TemplateExhausted(f"it is longer than {MAX_REQUEST_BYTES:,} bytes")
    return _read(_ask(request, limits))


def _ask(request: bytes, limits: TemplateLimits) -> bytes:
    try:
        child = ChildProcess(python_module("beyondrag.template_child"))
    except OSError as error:
        raise TemplateProblem(f"the process for it does not start: {error}") from error
    try:
        room = 6 * limits.max_chars + 1024  # JSON writes a character in at most 6 bytes
        return child.exchange(request, timeout_s=limits.wall_s, max_reply_bytes=room)
    except ChildTimeout:
        raise TemplateExhausted(f"it takes longer than {limits.wall_s:g} s") from None
    except ReplyTooLarge:
        raise TemplateExhausted("its text is too long") from None
    except ChildDied as death:
        raise _cause_of(death, limits) from None
    finally:
        child.close()


def _cause_of(death: ChildDied, limits: TemplateLimits) -> Exception:
    if death.returncode == -signal.SIGXCPU:
        return TemplateExhausted(f"it takes longer than {limits.cpu_s} s of processor time")
    if death.returncode == -signal.SIGKILL or "MemoryError" in death.stderr:
        return TemplateExhausted("it takes too much memory")
    if death.returncode < 0:
        return TemplateExhausted(f"it crashed its process (signal {-death.returncode})")
    return TemplateProblem(death.stderr.strip().rpartition("\n")[2] or f"exit {death.returncode}")


def _read(reply: bytes) -> str:
    try:
        answer = orjson.loads(reply)
        if "text" in answer:
            return str(answer["text"])
        if "problem" in answer:
            raise TemplateProblem(str(answer["problem"]))
        raise TemplateExhausted(f"it takes too much {answer['exhausted']}")
    except (ValueError, KeyError, TypeError) as error:
        raise TemplateProblem("the answer of its process makes no sense") from error


def _as_dicts(messages: Messages) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in messages]
