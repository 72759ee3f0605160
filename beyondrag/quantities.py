"""Sizes, rates and times as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(|B|bytes|kB|MB|GB|TB)", re.IGNORECASE | re.ASCII)


def bytes_in_words(n_bytes: float) -> str:
    """`n_bytes` in decimal units: "812 bytes", "98.4 MB", "1.12 GB"."""
    size, unit = float(n_bytes), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    if unit == 0:
        return f"{size:.0f} bytes"
    decimals = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{size:.{decimals}f} {_UNITS[unit]}"


def bytes_from_words(text: str) -> int | None:
    """The bytes that a person writes: "2GB", "1.5 TB", "0", decimal units; None for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    unit = match[2].casefold()
    powers = {name.casefold(): power for power, name in enumerate(_UNITS)}
    return round(float(match[1]) * 1000.0 ** powers.get(unit, 0))


def seconds_in_words(seconds: float) -> str:
    """A length of time: "0.4 s", "42 s", "3 min 05 s", "2 h 10 min"."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def amount_in_words(amount: float, unit: str) -> str:
    """An amount of `unit`; "bytes" are scaled, everything else is counted: "12,345 tokens"."""
    return bytes_in_words(amount) if unit == "bytes" else f"{amount:,.0f} {unit}"


def counted(n: int, one: str, many: str = "") -> str:
    """`n` of something: "1 document", "2,000 documents"; `many` where an s is not enough."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def moment_in_words(seconds_since_1970: float) -> str:
    """A moment in local time, to the minute."""
    return datetime.fromtimestamp(seconds_since_1970, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
