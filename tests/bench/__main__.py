"""`make bench`: everything that compares side by side."""

import sys

from tests.bench import halt, truth

codes = [truth.main(), halt.main([])]
sys.exit(max(codes))
