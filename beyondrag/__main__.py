"""`python -m beyondrag` is the command `beyondrag`."""

import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from beyondrag.cli import main


def leave() -> NoReturn:
    """Run the command and end the process.

    A thread that could not be waited for may be inside llama.cpp; it would come back into an interpreter that
    is gone.  Nothing is lost by not tidying up: what was reported done is on the disk.
    """
    code = main()
    if any(thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave()
