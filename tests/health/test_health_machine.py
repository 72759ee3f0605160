"""Processor, llama.cpp's build, kernels and memory, on machines made of files."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from guards import PATIENCE_S

from beyondrag.health import child, llama
from beyondrag.health.check import Check, isolated, ok
from beyondrag.health.child import ProbeFailed, run_probe
from beyondrag.health.cpu import build_features, cpu_features, cpu_name
from beyondrag.health.llama import build_check, check_kernels, check_llama
from beyondrag.health.memory import Memory, Need, judge, memory
from kvfiles.errors import StorageError

X86 = "model name\t: A CPU\nflags\t\t: fpu sse ssse3 pni avx avx2 f16c fma bmi2\nmodel name\t: A CPU\n"
ARM = "Features\t: fp asimd aes asimdhp asimddp\n"
INFO = "CPU : SSE3 = 1 | AVX = 1 | AVX2 = 1 | F16C = 1 | FMA = 1 | AVX512 = 0 | OPENMP = 1 | "


def test_processors_are_read_in_the_names_of_llama_cpp() -> None:
    assert cpu_features(X86) == {"SSSE3", "SSE3", "AVX", "AVX2", "F16C", "FMA", "BMI2"}
    assert cpu_features(ARM) == {"NEON", "FP16_VA", "DOTPROD"}
    assert cpu_features("") is None
    assert cpu_name(X86) == "A CPU"
    assert cpu_name("")


def test_a_build_is_what_it_says_and_not_zero() -> None:
    assert build_features(INFO) == {"SSE3", "AVX", "AVX2", "F16C", "FMA", "OPENMP"}
    assert build_features("") == frozenset()


@pytest.mark.parametrize(
    ("build", "machine", "status", "word"),
    [
        ({"AVX", "AVX2", "OPENMP"}, {"AVX", "AVX2"}, "ok", "all that CPU has"),
        ({"AVX", "AVX2"}, {"AVX", "AVX2", "AVX512"}, "ok", "also has AVX512"),
        ({"AVX"}, {"AVX", "AVX2", "FMA"}, "warn", "AVX2, FMA: reading is slow"),
        ({"AVX", "AVX2", "AVX512"}, {"AVX", "AVX2"}, "bad", "has no AVX512"),
        ({"AVX", "AVX2"}, None, "ok", "not known"),
        (set(), {"NEON", "DOTPROD"}, "warn", "DOTPROD, NEON"),
    ],
)
def test_the_build_is_compared_with_the_processor(
    build: set[str], machine: set[str] | None, status: str, word: str
) -> None:
    found = build_check("1.0", frozenset(build), None if machine is None else frozenset(machine), "CPU")
    assert found.status == status
    assert word in found.line
    assert bool(found.remedy) == (status != "ok")


def test_the_build_that_is_here_suits_this_machine() -> None:
    (found,) = check_llama(0)
    assert found.status in ("ok", "warn")
    assert "llama-cpp-python" in found.line


def test_layers_for_a_gpu_need_a_build_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"version": "1.0", "system_info": INFO, "gpu": False}
    monkeypatch.setattr(llama, "run_probe", lambda *_, **__: said)
    assert [check.name for check in check_llama(0)] == ["llama.cpp"]
    assert [check.status for check in check_llama(9) if check.name == "gpu"] == ["warn"]
    said["gpu"] = True
    assert [check.name for check in check_llama(9)] == ["llama.cpp"]


def test_kernels_are_named_and_a_wrong_choice_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    (usual,) = check_kernels()
    assert usual.status in ("ok", "warn")
    monkeypatch.setenv("BEYONDRAG_KERNELS", "abacus\x1b")
    (wrong,) = check_kernels()
    assert wrong.status == "warn"
    assert "'abacus'" in wrong.line
    monkeypatch.setenv("BEYONDRAG_KERNELS", "numpy")
    (slow,) = check_kernels()
    assert slow.status == "warn"
    assert "numpy" in slow.line


# -------------------------------------------------------------------------- a child that dies


def interpreter(folder: Path, script: str) -> str:
    """A program that stands in for Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kill -ILL $$", "another processor"),
        ("kill -KILL $$", "memory ran out"),
        ("kill -ABRT $$", "it crashed (SIGABRT)"),
        ("exit 3", "ended with code 3"),
        ("echo bang >&2; exit 1", "bang"),
        ("echo '[1]'", "ended with code 0"),
        ('echo noise; echo \'{"error": "it is broken\\u001b", "remedy": "mend it"}\'', "it is broken"),
        ("sleep 600", "no answer within"),
    ],
)
def test_whatever_the_child_does_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    monkeypatch.setattr(child.sys, "executable", interpreter(tmp_path, script))
    with pytest.raises(ProbeFailed) as caught:
        run_probe("llama", timeout_s=0.5 if "sleep" in script else PATIENCE_S)
    assert message in caught.value.message
    assert "\x1b" not in caught.value.message


def test_without_an_interpreter_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(child.sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(ProbeFailed, match="no process"):
        run_probe("llama", timeout_s=5)


def test_the_child_does_not_import_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beyondrag").mkdir()
    (tmp_path / "beyondrag" / "__init__.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    assert sys.executable
    assert run_probe("llama", timeout_s=PATIENCE_S)["version"]


# ------------------------------------------------------------------------------- isolation


class PanicException(BaseException):
    """What a Rust library raises."""


@pytest.mark.parametrize("error", [ValueError("\x1b[1mno"), PanicException("panicked"), MemoryError()])
def test_a_check_that_fails_is_a_finding(error: BaseException) -> None:
    def examine() -> list[Check]:
        raise error

    (found,) = isolated("it", examine)
    assert (found.name, found.status) == ("it", "bad")
    assert type(error).__name__ in found.line
    assert found.line.isprintable()


def test_known_errors_keep_their_words_and_ctrl_c_goes_through() -> None:
    def full() -> list[Check]:
        raise StorageError("the disk is full", subject="/lib", remedy="free some space")

    def stop() -> list[Check]:
        raise KeyboardInterrupt

    assert isolated("it", full) == (Check("it", "bad", "/lib: the disk is full", "free some space"),)
    assert isolated("it", lambda: [ok("it", "fine")]) == (Check("it", "ok", "fine"),)
    with pytest.raises(KeyboardInterrupt):
        isolated("it", stop)


# ---------------------------------------------------------------------------------- memory


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    600 kB\nHugePages_Total: 7\n"


def test_the_memory_of_a_machine(tmp_path: Path) -> None:
    assert memory(machine(tmp_path, {"proc/meminfo": MEMINFO})) == Memory(1_024_000, 614_400)


def test_a_container_has_what_its_group_may_use(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/a/b/memory.current": "100\n",
            "sys/fs/cgroup/a/memory.max": "500000\n",
            "sys/fs/cgroup/a/memory.current": "400000\n",
            "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 150000\n",
        },
    )
    assert memory(root) == Memory(500_000, 250_000)


def test_the_older_kind_of_group_counts_too(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "5:cpu:/x\n3:memory:/c\n",
            "sys/fs/cgroup/memory/c/memory.limit_in_bytes": "300000",
            "sys/fs/cgroup/memory/c/memory.usage_in_bytes": "400000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1",
        },
    )
    assert memory(root) == Memory(300_000, 0)


def test_a_machine_without_proc_says_how_much_there_is(tmp_path: Path) -> None:
    found = memory(tmp_path)
    assert found.total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found.available is None


@pytest.mark.parametrize(
    ("there", "status"),
    [
        (Memory(100, 61), "ok"),
        (Memory(100, None), "ok"),
        (Memory(100, 59), "warn"),
        (Memory(59, 59), "bad"),
    ],
)
def test_memory_is_enough_or_not(there: Memory, status: str) -> None:
    found = judge(Need(2048, 30, 20, 10), there)
    assert found.status == status
    assert "2,048 tokens" in found.line
