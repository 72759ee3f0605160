"""What one process sees of a library, from its first import on; prints a JSON object.

::

    python -m eval.bench.library.probe ROOT FILE-OF-QUESTIONS
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

_STATUS = Path("/proc/self/status")


def main() -> None:
    """Times in seconds, memory in bytes (the most this process ever had)."""
    root, questions = Path(sys.argv[1]), Path(sys.argv[2])
    started = time.perf_counter()
    from library.store import Library  # noqa: PLC0415 - what importing takes is part of opening

    imported = time.perf_counter()
    library = Library.open(root)
    opened = time.perf_counter()
    from beyondrag.document_state import document_states  # noqa: PLC0415 - as above
    from eval.bench.library.synthetic import PROFILE  # noqa: PLC0415 - as above
    from eval.report import json_line  # noqa: PLC0415 - as above

    found: dict[str, object] = {
        "import_s": imported - started,
        "open_s": opened - imported,
        "opened_bytes": _peak(),
    }
    asked = questions.read_text().splitlines()
    searches = [_seconds(lambda question=question: library.search(question, limit=5)) for question in asked]
    found["first_search_s"], found["searches_s"] = searches[0], searches[1:]
    n_documents = library.count()
    for name, offset in (("list_first_s", 0), ("list_last_s", max(0, n_documents - 200))):
        found[name] = _seconds(
            lambda offset=offset: document_states(library, PROFILE.id, limit=200, offset=offset)
        )
    wanted = library.page(1, n_documents // 2)[0]
    found["find_path_s"] = _seconds(lambda: library.find(wanted.path))
    found["find_name_s"] = _seconds(lambda: library.find(wanted.name))
    found["totals_s"] = _seconds(lambda: library.totals(PROFILE.id))
    found["searched_bytes"] = _peak()
    found["verify_s"] = _seconds(library.verify)
    found["verified_bytes"] = _peak()
    library.close()
    print(json_line(found))


def _seconds(action: object) -> float:
    assert callable(action)
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _peak() -> int:
    """The most resident memory so far."""
    if _STATUS.exists():  # Linux: what `getrusage` says may be that of the parent
        lines = _STATUS.read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
