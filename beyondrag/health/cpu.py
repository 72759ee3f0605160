"""What this machine's processor can do, in the names that llama.cpp uses for it."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from pathlib import Path

_LIMIT = 1 << 20

X86: Mapping[str, str] = {
    "SSE3": "pni",
    "SSSE3": "ssse3",
    "AVX": "avx",
    "AVX_VNNI": "avx_vnni",
    "AVX2": "avx2",
    "F16C": "f16c",
    "FMA": "fma",
    "BMI2": "bmi2",
    "AVX512": "avx512f",
    "AVX512_VBMI": "avx512vbmi",
    "AVX512_VNNI": "avx512_vnni",
    "AVX512_BF16": "avx512_bf16",
    "AMX_INT8": "amx_int8",
}
"""llama.cpp's name -> the kernel's flag in /proc/cpuinfo."""

ARM: Mapping[str, str] = {
    "NEON": "asimd",
    "FP16_VA": "asimdhp",
    "DOTPROD": "asimddp",
    "MATMUL_INT8": "i8mm",
    "SVE": "sve",
    "SME": "sme",
}

MATTERS = ("AVX", "AVX2", "F16C", "FMA", "NEON", "DOTPROD")
"""A build that lacks one of these where the processor has it reads documents several times slower."""

_FLAGS = re.compile(r"^(?:flags|Features)\s*:\s*(.*)$", re.MULTILINE)
_MODEL = re.compile(r"^(?:model name|Model)\s*:\s*(.*)$", re.MULTILINE)


def cpu_features(cpuinfo: str) -> frozenset[str] | None:
    """llama.cpp's names of what the first processor of a Linux /proc/cpuinfo has; None: it does not say."""
    match = _FLAGS.search(cpuinfo)
    if match is None:
        return None
    flags = set(match[1].split())
    names = ARM if "asimd" in flags else X86
    return frozenset(name for name, flag in names.items() if flag in flags)


def cpu_name(cpuinfo: str) -> str:
    """The processor's name, or the kind of machine where nothing better is known."""
    match = _MODEL.search(cpuinfo)
    return match[1].strip() if match and match[1].strip() else platform.machine()


def read_cpuinfo(path: Path = Path("/proc/cpuinfo")) -> str:
    """The text of /proc/cpuinfo; "" where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LIMIT)
    except OSError:
        return ""


def build_features(system_info: str) -> frozenset[str]:
    """The features in what `llama_print_system_info` says: pairs such as ``AVX2 = 1``, zeros left out."""
    pairs = re.findall(r"([A-Z][A-Z0-9_]*) = (\d+)", system_info)
    return frozenset(name for name, value in pairs if int(value))
