"""What a history proves: pure functions from a plan and its history to findings."""
