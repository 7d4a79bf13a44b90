"""Our Chaos Toolkit extension: faults with their undo and read-back, failover steps, probes."""
