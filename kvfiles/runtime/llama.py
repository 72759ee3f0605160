"""The one place that imports llama-cpp-python (about 0.4 s), and where llama.cpp's log goes.

llama.cpp writes to stderr by default, which would tear a terminal app; its messages go to the
logger `beyondrag.llama` instead, at the matching level.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import logging
from typing import Any

logger = logging.getLogger("beyondrag.llama")
logger.addHandler(logging.NullHandler())

_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}


@functools.cache
def api() -> Any:
    """The module `llama_cpp.llama_cpp`, with its log redirected and the backend initialised."""
    import llama_cpp.llama_cpp as c_api  # noqa: PLC0415  # deferred: half a second that `--help` need not pay

    _redirect_log(c_api)
    c_api.llama_backend_init()
    return c_api


def _redirect_log(c_api: Any) -> None:
    """Send llama.cpp's log to `logger`; debug lines only where nothing was compiled to drop them earlier."""
    callback = _log_callback(c_api)
    try:
        compiled = importlib.import_module("kvfiles._kernels")
    except ImportError:
        c_api.llama_log_set(callback, None)
        return
    without_debug = ctypes.cast(compiled.LOG_WITHOUT_DEBUG, c_api.llama_log_callback)
    c_api.llama_log_set(without_debug, ctypes.cast(callback, ctypes.c_void_p))


@functools.cache
def _log_callback(c_api: Any) -> Any:
    """Cached, because llama.cpp keeps the pointer for the life of the process."""

    def on_log(level: int, text: bytes, _user: object) -> None:
        logger.log(_LEVELS.get(level, logging.DEBUG), "%s", text.decode("utf-8", "replace").rstrip("\n"))

    return c_api.llama_log_callback(on_log)
