"""What a report was measured on: processor, memory, system, versions.  Nothing that names a person."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from eval.page.model import Machine
from eval.report import versions

_CPU_INFO = Path("/proc/cpuinfo")
_CPU_KEYS = ("model name", "Model", "Hardware")


def this_machine(extra: Mapping[str, str] | None = None) -> Machine:
    """The machine that runs this, today's date (UTC), versions, then `extra` (model, threads, ...)."""
    found = versions()
    facts = {
        "Date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "Processor": processor(),
        "Cores": str(os.cpu_count() or "unknown"),
        "Memory": _memory(),
        "System": f"{platform.system()} {platform.release()}, {found.pop('machine')}",
        **{name.capitalize() if name == "python" else name: version for name, version in found.items()},
        **(extra or {}),
    }
    return Machine(tuple(facts.items()))


def processor() -> str:
    """The name of the processor, as the system tells it."""
    with suppress(OSError):
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in _CPU_KEYS and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _memory() -> str:
    try:
        n_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return "unknown"
    return f"{n_bytes / 2**30:.0f} GiB"
