"""What a run does next, decided purely: no clock, no I/O, no threads."""
