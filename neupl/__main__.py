"""`python -m neupl` is the `neupl` command."""

import sys

from neupl.cli import main

if __name__ == "__main__":
    sys.exit(main())
