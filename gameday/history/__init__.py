"""The only record of a run: append-only, totally ordered, hash-chained."""
