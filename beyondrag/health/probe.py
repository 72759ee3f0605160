"""Run in a child process by `beyondrag.health.child`: what could crash llama.cpp, crashes here.

    python -m beyondrag.health.probe llama
    python -m beyondrag.health.probe model PATH THREADS GPU_LAYERS

The last line of stdout is one JSON object.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from kvfiles.errors import BeyondragError


def main(arguments: Sequence[str]) -> int:
    """One probe; returns 0 whenever a JSON object was written."""
    try:
        found = _probe(arguments)
    except BeyondragError as error:
        found = {"error": error.message, "subject": error.subject, "remedy": error.remedy}
    except Exception as error:  # the parent shows it in one line
        found = {"error": f"{type(error).__name__}: {error}", "subject": "", "remedy": ""}
    sys.stdout.write("\n" + orjson.dumps(found).decode() + "\n")
    return 0


def _probe(arguments: Sequence[str]) -> dict[str, object]:
    match list(arguments):
        case ["llama"]:
            return probe_llama()
        case ["model", path, threads, gpu_layers]:
            from beyondrag.health.model_probe import probe_model  # noqa: PLC0415  # needs llama.cpp

            return probe_model(Path(path), int(threads), int(gpu_layers))
        case _:
            raise ValueError("no such probe")


def probe_llama() -> dict[str, object]:
    """llama-cpp-python's version and what it was built with."""
    import llama_cpp  # noqa: PLC0415  # what is probed

    from kvfiles.runtime.llama import api  # noqa: PLC0415  # as above

    c = api()
    return {
        "version": str(llama_cpp.__version__),
        "system_info": bytes(c.llama_print_system_info()).decode("utf-8", "replace"),
        "gpu": bool(c.llama_supports_gpu_offload()),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
