"""gameday runs a failure drill, stops it in time, takes its faults back, and proves what happened."""

__version__ = "0.1.0"
