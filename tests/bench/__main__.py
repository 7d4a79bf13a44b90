"""`make bench`: everything that compares side by side."""

import sys

from tests.bench import truth

sys.exit(truth.main())
