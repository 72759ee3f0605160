"""All checks in order, each isolated from the others, down to the import of what it needs."""

from __future__ import annotations

import platform
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from beyondrag.health.check import Check, Status, isolated, ok
from beyondrag.health.origins import SettingInEffect, settings_in_effect
from beyondrag.settings import Settings, settings_from

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts

OnCheck = Callable[[Check], None]


@dataclass(frozen=True, slots=True)
class Report:
    """Every check in order; `settings` is empty when they make no sense (a check says why)."""

    checks: tuple[Check, ...]
    settings: tuple[SettingInEffect, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is bad; warnings do not count."""
        return self.count("bad") == 0

    def count(self, status: Status) -> int:
        return Counter(check.status for check in self.checks)[status]

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.healthy,
            "counts": {status: self.count(status) for status in ("ok", "warn", "bad")},
            "checks": [asdict(check) for check in self.checks],
            "settings": {one.name: {"value": one.value, "from": one.origin} for one in self.settings},
        }


def examine(args: Namespace, *, deep: bool = False, on_check: OnCheck | None = None) -> Report:
    """Check everything with the settings that `args` (a parsed command line) and the environment give.

    `on_check` hears of every check as it ends.  Raises nothing but KeyboardInterrupt.
    """
    found: list[Check] = []

    def run(name: str, examine_one: Callable[[], Iterable[Check]]) -> None:
        for check in isolated(name, examine_one):
            found.append(check)
            if on_check is not None:
                on_check(check)

    run("program", _program)
    settings: Settings | None = None

    def read_settings() -> Iterable[Check]:
        nonlocal settings
        settings = settings_from(args)
        return ()

    run("settings", read_settings)
    run("kernels", partial(_check, "llama", "check_kernels"))
    run("llama.cpp", partial(_check, "llama", "check_llama", settings.gpu_layers if settings else 0))
    run("error log", partial(_check, "leftovers", "check_error_log"))
    facts: Facts | None = None

    def gather_facts() -> Iterable[Check]:
        nonlocal facts
        if settings is not None:
            facts = import_module("beyondrag.health.facts").Facts(settings, deep=deep)
        return ()

    run("installation", gather_facts)
    if facts is not None:
        for name, module, function in _OF_THE_SETTINGS:
            run(name, partial(_check, module, function, facts))
    effective = settings_in_effect(settings, args) if settings else ()
    return Report(tuple(found), effective)


def _check(module: str, function: str, *about: object) -> Iterable[Check]:
    """Import a check and run it: what cannot be imported is what is wrong."""
    check: Callable[..., Iterable[Check]] = getattr(import_module(f"beyondrag.health.{module}"), function)
    return check(*about)


_OF_THE_SETTINGS = (
    ("model file", "model", "check_model_file"),
    ("architecture", "model", "check_architecture"),
    ("model", "model", "check_model_opens"),
    ("fidelity", "fidelity", "check_fidelity"),
    ("calibration", "calibration", "check_calibration"),
    ("memory", "memory", "check_memory"),
    ("disk of the models", "disk", "check_models_disk"),
    ("partial model", "leftovers", "check_partial_models"),
    ("temporary file", "leftovers", "check_temporary_files"),
    ("model lock", "locks", "check_pulls"),
    ("disk of the library", "disk", "check_library_disk"),
    ("library", "catalogue_file", "check_catalogue"),
    ("library lock", "locks", "check_library_lock"),
    ("snapshots", "library_state", "check_contents"),
)
"""Name, module and function of the checks that are given the `Facts`."""


def _program() -> Iterable[Check]:
    try:
        ours = version("beyondrag")
    except PackageNotFoundError:
        ours = "of an unknown version (not installed)"
    yield ok("program", f"beyondrag {ours}, Python {platform.python_version()}, {platform.platform()}")
