"""`python -m eval.recall`."""

from __future__ import annotations

import sys

from eval.recall.command import main

if __name__ == "__main__":
    sys.exit(main())
