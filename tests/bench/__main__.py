"""`make bench`: everything that compares side by side."""

import sys

from tests.bench import halt, start, truth

codes = [truth.main(), start.main([]), halt.main([])]
sys.exit(max(codes))
