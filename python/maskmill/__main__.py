"""python -m maskmill: the command line."""

import sys

from maskmill.cli import main

if __name__ == "__main__":
    sys.exit(main())
