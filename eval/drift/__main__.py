"""`python -m eval.drift`."""

from __future__ import annotations

import sys

from eval.drift.command import main

if __name__ == "__main__":
    sys.exit(main())
