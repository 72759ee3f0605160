"""Runs a program and says what it cost; run by its path.

Small on purpose: the most memory that Linux reports for a process is at least that of whoever started
it, so the bench itself cannot start what it measures.

::

    python launch.py FILE-FOR-OUTPUT PROGRAM [ARGUMENT ...]     prints a JSON object
"""

import json
import os
import sys
import time


def main() -> None:
    """Seconds on the clock, seconds of CPU of all processes, bytes of the largest, the exit code."""
    output, *command = sys.argv[1:]
    started = time.perf_counter()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    child = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, output, flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    _, status, used = os.wait4(child, 0)
    cost = {
        "code": os.waitstatus_to_exitcode(status),
        "wall_s": time.perf_counter() - started,
        "cpu_s": used.ru_utime + used.ru_stime,
        # macOS counts bytes, others kilobytes.
        "peak_bytes": used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024,
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
