"""``python -m fastdigit`` is the command ``fastdigit``."""

import sys

from fastdigit.cli import main

if __name__ == "__main__":
    sys.exit(main())
