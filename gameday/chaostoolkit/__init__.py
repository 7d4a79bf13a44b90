"""What people who stay on `chaos run` can use of gameday: its guard, its evidence, its ledger.

An entry for another program: controls and actions in the shape that Chaos Toolkit asks for. They run
inside `chaos`, so they do next to nothing: all work is done by one companion process, which no action
can hold up and which outlives `chaos` when that is killed.

    chaos run ── controls: guard, evidence ──▶ link ══ lines of JSON ══▶ companion (`python -m`)
         │  actions: start_ledger, …                                      probes, limits, history, ledger
         ◀──────────────────── SIGUSR1, then SIGKILL ─────────────────────┘
"""
