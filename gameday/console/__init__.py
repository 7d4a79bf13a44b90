"""Live views of a history. Losing one changes nothing about the run."""
