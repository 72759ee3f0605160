"""The settings in effect, and where each came from: the command line, the environment or a default."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import dataclass

from beyondrag.models.store import ENVIRONMENT_VARIABLE as MODELS_VARIABLE
from beyondrag.settings import (
    CACHE_TYPE_VARIABLE,
    CODEC_VARIABLE,
    GPU_LAYERS_VARIABLE,
    HOT_CACHE_VARIABLE,
    MODEL_VARIABLE,
    Settings,
)
from kvfiles.kernels import VARIANT_ENV
from library.paths import LIBRARY_VARIABLE

_SOURCES: dict[str, tuple[str, str]] = {
    "library": ("--library", LIBRARY_VARIABLE),
    "models": ("", MODELS_VARIABLE),
    "model": ("--model", MODEL_VARIABLE),
    "context": ("--context", ""),
    "threads": ("--threads", ""),
    "codec": ("--codec", CODEC_VARIABLE),
    "hot_cache": ("--hot-cache", HOT_CACHE_VARIABLE),
    "cache_type": ("", CACHE_TYPE_VARIABLE),
    "gpu_layers": ("", GPU_LAYERS_VARIABLE),
}
"""Each setting's option and environment variable; "" where there is none."""


@dataclass(frozen=True, slots=True)
class SettingInEffect:
    """`origin` is the option, the environment variable, or "default"."""

    name: str
    value: str
    origin: str


def settings_in_effect(settings: Settings, args: Namespace) -> tuple[SettingInEffect, ...]:
    """Every setting of a run with these arguments, in a fixed order; also the choice of kernels, if any."""
    found = [
        SettingInEffect(name, str(getattr(settings, name)), _origin(args, name, *_SOURCES[name]))
        for name in _SOURCES
    ]
    if kernels := os.environ.get(VARIANT_ENV, "").strip():
        found.append(SettingInEffect("kernels", kernels, VARIANT_ENV))
    return tuple(found)


def _origin(args: Namespace, name: str, option: str, variable: str) -> str:
    if option and getattr(args, name, None) is not None:
        return option
    if variable and os.environ.get(variable, "").strip():
        return variable
    return "default"
