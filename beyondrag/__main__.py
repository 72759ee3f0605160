"""`python -m beyondrag` is the command `beyondrag`."""

import sys

from beyondrag.cli import main

if __name__ == "__main__":
    sys.exit(main())
