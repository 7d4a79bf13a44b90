"""`python -m gameday` is the same as `gameday`."""

import sys

from gameday.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
