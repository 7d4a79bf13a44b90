"""The loop that carries decisions out, and the watchdog that takes over when it cannot."""
