"""What cannot be read off the code: exit codes and environment variables, in words."""

from __future__ import annotations

EXITS = {
    "DEFECT": "a defect of gameday itself; it is said in one line",
    "PERSON": "a person is needed: an undo is stuck, or service was left failed over",
    "USAGE": "bad usage, plan or policy; nothing was touched",
    "REFUSED": "refused before any effect: policy, preflight, approvals, lever, lease; nothing was touched",
    "FAIL": "the drill ended, and something was not as it must be",
    "UNKNOWN": "unknown or not tested: crashed, ended by a person, something could not be measured, or a table-top",
    "PASS": "everything was shown",
}
VARIABLES = {
    "AWS_CREDENTIAL_EXPIRATION": "when the AWS credentials end; the preflight refuses those that end before the drill may",
    "AWS_ENDPOINT_URL": "another endpoint for AWS calls: an emulator",
    "GAMEDAY_FAULT_DIR": "where actions note what they put in place (the private runtime folder)",
    "GAMEDAY_GRAFANA_TOKEN": "the token with which `gameday publish` writes annotations",
    "GAMEDAY_KEY": "the runner's key (`~/.config/gameday/runner.key`), made at first need",
    "GAMEDAY_LAB_DIR": "where the built-in lab lives (`.gameday/lab` of the project)",
    "GAMEDAY_LIBFAKETIME": "the library for clock skew, where it is not found by itself",
    "GAMEDAY_PG_BINDIR": "the PostgreSQL programs that the lab uses",
    "GAMEDAY_POLICY": "the policy file, where `--policy` names none",
    "OTEL_EXPORTER_OTLP_HEADERS": "headers of the OTLP receiver, as OpenTelemetry has them",
    "PGHOST": "as PostgreSQL has it, for faults at a server that is not the lab's",
    "PGPORT": "as PostgreSQL has it",
    "XDG_RUNTIME_DIR": "where sockets and sessions live; a private folder below the temporary one without it",
}
OURS = {  # Set by gameday for its own processes: marks by which they are found. Nobody else sets them.
    "GAMEDAY_FAULT", "GAMEDAY_HOST", "GAMEDAY_PROGRAM", "PYDANTIC_DISABLE_PLUGINS", "PYTHONPATH", "PATH", "HOME",
}  # fmt: skip
