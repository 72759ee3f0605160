"""llama-cpp-python: does it load, and does its build suit this processor?  And our own cache kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator

from beyondrag.health.check import Check, bad, ok, warn
from beyondrag.health.child import REINSTALL, run_probe
from beyondrag.health.cpu import (
    ARM,
    MATTERS,
    X86,
    build_features,
    cpu_features,
    cpu_name,
    read_cpuinfo,
)
from beyondrag.settings import GPU_LAYERS_VARIABLE
from kvfiles import kernels
from library.wording import one_line

_TIMEOUT_S = 60.0


def check_llama(gpu_layers: int) -> Iterator[Check]:
    """Version and build, in a child process.  Raises ProbeFailed."""
    found = run_probe("llama", timeout_s=_TIMEOUT_S)
    cpuinfo = read_cpuinfo()
    yield build_check(
        one_line(str(found["version"]), 40),
        build_features(str(found["system_info"])),
        cpu_features(cpuinfo),
        one_line(cpu_name(cpuinfo), 60),
    )
    if gpu_layers and not found["gpu"]:
        yield warn(
            "gpu",
            f"{gpu_layers:,} layers are to go to a GPU, but llama-cpp-python was built without one",
            f"unset {GPU_LAYERS_VARIABLE}, or install a build of llama-cpp-python for your GPU",
        )


def build_check(version: str, build: frozenset[str], machine: frozenset[str] | None, cpu: str) -> Check:
    """Compare what the build uses with what the processor has (None: not known here)."""
    name = "llama.cpp"
    used = sorted(build & (X86.keys() | ARM.keys()))
    about = f"llama-cpp-python {version}, built for {', '.join(used) or 'no processor features'}"
    if machine is None:
        return ok(name, f"{about}; what this processor ({cpu}) has is not known")
    if foreign := sorted(build & (X86.keys() | ARM.keys()) - machine):
        return bad(name, f"{about}; {cpu} has no {', '.join(foreign)}, so it may crash", REINSTALL)
    unused = sorted(machine - build)
    if slow := [feature for feature in unused if feature in MATTERS]:
        return warn(name, f"{about}; {cpu} also has {', '.join(slow)}: reading is slow without", REINSTALL)
    more = f"; {cpu} also has {', '.join(unused)}" if unused else f"; all that {cpu} has"
    return ok(name, about + more)


def check_kernels() -> Iterator[Check]:
    """Which implementation codes and decodes snapshots."""
    name = "kernels"
    wanted = os.environ.get(kernels.VARIANT_ENV, "").strip()
    choices = [choice.name for choice in kernels.available()]
    used = kernels.best().name
    others = f"; also here: {', '.join(other for other in choices if other != used)}"
    if wanted and wanted not in choices:
        yield warn(
            name,
            f"{used}; {kernels.VARIANT_ENV} asks for {one_line(wanted, 40)!r}, which is not here",
            f"unset it, or use one of: {', '.join(choices)}",
        )
    elif len(choices) == 1:
        yield warn(
            name,
            f"{used} only: nothing was compiled, so snapshots load several times slower",
            "install beyondrag where a C++ compiler is, or from a wheel for this platform",
        )
    elif used != choices[0]:
        yield warn(
            name,
            f"{used}, although {choices[0]} runs here and is faster",
            f"unset {kernels.VARIANT_ENV}",
        )
    else:
        yield ok(name, used + others)
