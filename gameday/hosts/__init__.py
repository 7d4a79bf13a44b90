"""Processes and threads that touch the world, so that the deciding process never does."""
