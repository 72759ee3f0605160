"""What the user has chosen: the command line before the environment before the default."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from beyondrag.errors import UsageError
from library.wording import one_line

CacheType = Literal["f16", "q8_0"]

DEFAULT_CONTEXT = 16_384
MIN_CONTEXT = 512
MAX_CONTEXT = 1 << 20
MAX_THREADS = 1024

KNOWN_CODECS = (
    "use exact, kXvY with X and Y from 2 to 8 such as k4v4, archive, archive-fine, archive-small, "
    "or archive@G with G from 0.25 to 8"
)

MODEL_VARIABLE = "BEYONDRAG_MODEL"
CODEC_VARIABLE = "BEYONDRAG_CODEC"
CACHE_TYPE_VARIABLE = "BEYONDRAG_CACHE_TYPE"
GPU_LAYERS_VARIABLE = "BEYONDRAG_GPU_LAYERS"
MAX_GPU_LAYERS = 10_000
HOT_CACHE_VARIABLE = "BEYONDRAG_HOT_CACHE"
DEFAULT_HOT_CACHE = 1_000_000_000
"""About 22 documents of 4,096 tokens with the default model, and less than that model's own file takes.  A
library without archives never has a hot copy, so the cache can be on from the start."""
MAX_HOT_CACHE = 1 << 50


@dataclass(frozen=True, slots=True)
class Settings:
    """One run's choices.

    `library` and `models` are absolute folders that need not exist.  `model` is a model's name or the
    path of a GGUF file, `context` is in tokens, `codec` a name that `kvfiles.codecs.codec_named` knows,
    `cache_type` what llama.cpp keeps K and V as while it runs, `gpu_layers` how many of the model's
    layers go to a GPU (only with a llama-cpp-python that was built for one), `hot_cache` how many bytes the
    hot copies of archives may take (0: there are none).
    """

    library: Path
    models: Path
    model: str
    context: int
    threads: int
    codec: str
    cache_type: CacheType
    gpu_layers: int = 0
    hot_cache: int = 0


def settings_from(args: Namespace) -> Settings:
    """The settings of a run; what `args` does not hold or holds as None was not given.

    Raises:
        UsageError: a value makes no sense; names the option or the environment variable.
    """
    from beyondrag.models import DEFAULT_MODEL
    from beyondrag.models.store import ENVIRONMENT_VARIABLE, default_root
    from kvfiles.codecs import DEFAULT_CODEC
    from library import paths

    library = getattr(args, "library", None)
    return Settings(
        library=_folder("--library", lambda: Path(library))
        if library is not None
        else _folder(paths.LIBRARY_VARIABLE, paths.default_root),
        models=_folder(ENVIRONMENT_VARIABLE, default_root),
        model=_model(getattr(args, "model", None), DEFAULT_MODEL),
        context=_within(
            "--context", getattr(args, "context", None), DEFAULT_CONTEXT, MIN_CONTEXT, MAX_CONTEXT
        ),
        threads=_within("--threads", getattr(args, "threads", None), available_cores(), 1, MAX_THREADS),
        codec=_codec(getattr(args, "codec", None), DEFAULT_CODEC),
        cache_type=_cache_type(os.environ.get(CACHE_TYPE_VARIABLE, "").strip() or "f16"),
        gpu_layers=_gpu_layers(os.environ.get(GPU_LAYERS_VARIABLE, "").strip() or "0"),
        hot_cache=_hot_cache(getattr(args, "hot_cache", None)),
    )


def default_settings() -> Settings:
    """The settings without a command line: environment before defaults.  Raises UsageError."""
    return settings_from(Namespace())


def available_cores() -> int:
    """The CPU cores this process may use: fewer than the machine has inside many containers."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MAX_THREADS)
    return min(os.cpu_count() or 1, MAX_THREADS)


def _folder(source: str, chosen: Callable[[], Path]) -> Path:
    """The absolute folder; `source` is the option or variable that names it."""
    try:
        path = chosen()
        if path == Path() or "\0" in str(path):
            raise UsageError("names no folder", subject=source, remedy="give the path of a folder")
        return path.expanduser().absolute()
    except (RuntimeError, OSError) as error:  # ~nobody; a current folder that is gone
        raise UsageError(f"cannot be followed: {error}", subject=source) from error


def _model(given: str | None, default: str) -> str:
    model = os.environ.get(MODEL_VARIABLE, "").strip() or default if given is None else given.strip()
    if not model or "\0" in model:
        raise UsageError(
            "names no model",
            subject="--model",
            remedy="`beyondrag models list` shows the names; a path works too",
        )
    return model


def _within(option: str, given: int | None, default: int, lowest: int, highest: int) -> int:
    value = default if given is None else given
    if not lowest <= value <= highest:
        raise UsageError(f"must be from {lowest:,} to {highest:,}, not {value:,}", subject=option)
    return value


def _gpu_layers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise UsageError(f"{one_line(text, 40)!r} is not a whole number", subject=GPU_LAYERS_VARIABLE)
    return _within(GPU_LAYERS_VARIABLE, int(text), 0, 0, MAX_GPU_LAYERS)


def _hot_cache(given: str | None) -> int:
    from beyondrag.quantities import bytes_from_words

    source = HOT_CACHE_VARIABLE if given is None else "--hot-cache"
    text = os.environ.get(HOT_CACHE_VARIABLE, "").strip() if given is None else given.strip()
    if given is None and not text:
        return DEFAULT_HOT_CACHE
    n_bytes = bytes_from_words(text)
    if n_bytes is None or n_bytes > MAX_HOT_CACHE:
        raise UsageError(
            f"{one_line(text, 40)!r} is not a size",
            subject=source,
            remedy="give a number with its unit such as 2GB or 500MB, or 0 for no hot copies",
        )
    return n_bytes


def _codec(given: str | None, default: str) -> str:
    source = CODEC_VARIABLE if given is None else "--codec"
    name = os.environ.get(CODEC_VARIABLE, "").strip() or default if given is None else given.strip()
    check_codec(name, source)
    return name


def check_codec(name: str, source: str) -> None:
    """Raise UsageError, about the option or variable `source`, unless there is a codec of this name."""
    from kvfiles.codecs import is_codec_name

    if not is_codec_name(name):
        raise UsageError(
            f"unknown codec {one_line(name, 40)!r}",
            subject=source,
            remedy=KNOWN_CODECS,
        )


def _cache_type(name: str) -> CacheType:
    for known in get_args(CacheType):
        if name == known:
            cache_type: CacheType = known
            return cache_type
    raise UsageError(
        f"unknown cache type {one_line(name, 40)!r}", subject=CACHE_TYPE_VARIABLE, remedy="use f16 or q8_0"
    )
