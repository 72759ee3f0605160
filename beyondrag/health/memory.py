"""Is there enough memory for the model and its context?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from beyondrag.health.check import Check, bad, ok, warn
from beyondrag.quantities import bytes_in_words
from kvfiles.state_blob import GGML_TYPE_F16, GGML_TYPE_Q8_0, row_bytes

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts

_BATCH_TOKENS = 512
_F32_BYTES = 4
_LIMIT = 1 << 16
_REMEDY = "use a smaller --context or --model, or close other programs"


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes: the model's `weights`, the `cache` of a context of `n_ctx` tokens, and buffers of a `batch`.

    Measured against llama.cpp's own log for two models: the cache is exact, the buffers are within 6 %.
    Weights that llama.cpp repacks for the processor are held twice at first, but the file's own pages
    can be dropped again by the system, so they count once.
    """

    n_ctx: int
    weights: int
    cache: int
    batch: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.batch


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that this process could use at all, and those free now (None where that is not known)."""

    total: int
    available: int | None


def needed(facts: Facts) -> Need | None:
    """What the configured model takes with the configured context; None without a usable model."""
    path, shape, header = facts.model_path, facts.model_shape, facts.model_header
    if path is None or shape is None or header is None:
        return None
    trained = header.arch("context_length")
    n_ctx = min(facts.settings.context, trained) if isinstance(trained, int) else facts.settings.context
    kind = GGML_TYPE_F16 if facts.settings.cache_type == "f16" else GGML_TYPE_Q8_0
    per_token = shape.n_layer * (row_bytes(shape.k_width, kind) + row_bytes(shape.v_width, kind))
    n_vocab = header.array_lengths.get("tokenizer.ggml.tokens", 0)
    batch = min(n_ctx, _BATCH_TOKENS) * n_vocab * _F32_BYTES
    return Need(n_ctx, path.stat().st_size, n_ctx * per_token, batch)


def memory(root: Path = Path("/")) -> Memory:
    """Of this machine, or of the container (control group) that this process runs in.

    `root` is where /proc and /sys lie.
    """
    meminfo = _meminfo(root / "proc/meminfo")
    total = meminfo.get("MemTotal") or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available = meminfo.get("MemAvailable")
    for limit, used in _groups(root):
        if limit < total:
            total = limit
            free = max(limit - used, 0)
            available = free if available is None else min(available, free)
    return Memory(total, available)


def check_memory(facts: Facts) -> Iterator[Check]:
    """Compare the two."""
    need = needed(facts)
    if need is not None:
        yield judge(need, memory())


def judge(need: Need, memory: Memory) -> Check:
    """What cannot fit is bad, what does not fit now is worth a warning."""
    name = "memory"
    there = f"{bytes_in_words(memory.total)} in all"
    if memory.available is not None:
        there = f"{bytes_in_words(memory.available)} available of {bytes_in_words(memory.total)}"
    line = (
        f"{bytes_in_words(need.total)} needed (model {bytes_in_words(need.weights)}, "
        f"context of {need.n_ctx:,} tokens {bytes_in_words(need.cache)}, "
        f"buffers {bytes_in_words(need.batch)}); {there}"
    )
    if need.total > memory.total:
        return bad(name, line, _REMEDY)
    if memory.available is not None and need.total > memory.available:
        return warn(name, line, _REMEDY)
    return ok(name, line)


def _meminfo(path: Path) -> dict[str, int]:
    """/proc/meminfo in bytes; {} where there is none."""
    found = {}
    for line in _text(path).splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found


def _groups(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) in bytes of every control group around this process that has a limit; v2, then v1.

    Pages of files that can be dropped do not count as used.
    """
    paths: dict[str, str] = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths["v2"] = path
        elif "memory" in controllers.split(","):
            paths["v1"] = path
    trees = (
        ("v2", root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        (
            "v1",
            root / "sys/fs/cgroup/memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    )
    for version, top, limit_name, used_name, droppable in trees:
        inside = paths.get(version, "/").strip("/")
        parts = [] if ".." in inside.split("/") else inside.split("/")
        for depth in range(len(parts), -1, -1):
            group = top.joinpath(*parts[:depth])
            limit, used = (_text(group / name).strip() for name in (limit_name, used_name))
            if limit.isdigit() and used.isdigit():
                yield int(limit), max(int(used) - _stat(group / "memory.stat", droppable), 0)


def _stat(path: Path, name: str) -> int:
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0


def _text(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return file.read(_LIMIT)
    except OSError:
        return ""
