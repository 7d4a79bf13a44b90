"""Every command with its one line, its arguments and an example. The README is checked against it."""

from __future__ import annotations

from gameday.cli.experimentoptions import EXPERIMENT
from gameday.cli.help_around import AROUND, EXPORT, MODES
from gameday.cli.help_programme import PROGRAMME
from gameday.cli.help_shapes import BY as _BY
from gameday.cli.help_shapes import JSON as _JSON
from gameday.cli.help_shapes import PLAN as _PLAN
from gameday.cli.help_shapes import POLICY as _POLICY
from gameday.cli.help_shapes import RUN as _RUN
from gameday.cli.help_shapes import Argument, Text

TOP = "Run a failure drill, stop it in time, take its faults back, and prove what happened."
TOP_EPILOG = """exit codes:
  0 pass    1 fail    2 bad usage or plan    3 refused, nothing touched
  4 unknown or not tested    5 a person is needed    70 a defect of gameday

begin with:
  gameday drill            the whole thing on this machine, in half a minute
  gameday COMMAND --help   each command, with an example"""

_REASON: Argument = (("--reason",), {"metavar": "TEXT", "required": True, "help": "why; it is recorded"})
_NOTE: Argument = (("--note",), {"metavar": "TEXT", "default": "", "help": "what you saw; it is recorded"})
_STEP: Argument = (("--step",), {"metavar": "STEP", "default": "", "help": "which one, when several wait"})
_PLAIN: Argument = (("--plain",), {"action": "store_true", "help": "plain lines instead of the live view"})

COMMANDS: dict[str, Text] = {
    "init": Text(
        "make a ready project folder: drills, a load profile, runbooks",
        "gameday init my-drills",
        ((("dir",), {"metavar": "DIR", "nargs": "?", "default": ".", "help": "the folder (this one)"}),),
    ),
    "new": AROUND["new"],
    "brief": AROUND["brief"],
    "notify": AROUND["notify"],
    "runbook": AROUND["runbook"],
    "validate": Text(
        "check plans and show every problem at once",
        "gameday validate experiments/*.yaml",
        (
            (("plans",), {"metavar": "PLAN", "nargs": "+", "help": "plan files"}),
            (("--format",), {"choices": ("text", "json"), "default": "text", "help": "text or json"}),
        ),
    ),
    "plan": Text(
        "say in words what a plan will do; touches nothing",
        "gameday plan experiments/primary-loss.yaml",
        (
            _PLAN,
            _POLICY,
            _JSON,
            *EXPERIMENT,
            (("--iam",), {"action": "store_true", "help": "the least IAM policy of its AWS steps, as JSON"}),
            (
                ("--rbac",),
                {
                    "metavar": "ACCOUNT",
                    "nargs": "?",
                    "const": "gameday/gameday",
                    "help": "its least Kubernetes roles, for this NAMESPACE/ACCOUNT (gameday/gameday)",
                },
            ),
        ),
    ),
    "run": Text(
        "run a drill",
        "gameday run experiments/primary-loss.yaml",
        (
            _PLAN,
            (("--rehearse",), {"action": "store_true", "help": "every read and check, and no write"}),
            *MODES,
            (("--run-dir",), {"metavar": "DIR", "help": "where to put the run folder"}),
            (
                ("--yes",),
                {"action": "store_true", "help": "do not ask before the start (a lab is never asked for)"},
            ),
            _POLICY,
            _BY,
            _PLAIN,
            *EXPERIMENT,
        ),
    ),
    "drill": Text(
        "run the main drill on the built-in lab, which is brought up and down for it",
        "gameday drill",
        (
            (
                ("plan",),
                {
                    "metavar": "PLAN",
                    "nargs": "?",
                    "default": "experiments/primary-loss.yaml",
                    "help": "another plan for the lab",
                },
            ),
            _POLICY,
            (("--keep-lab",), {"action": "store_true", "help": "leave the lab up afterwards"}),
            _PLAIN,
        ),
    ),
    "approve": Text(
        "sign for a plan, or for the gate at which a run waits, with your SSH key",
        "gameday approve experiments/primary-loss.yaml --as a.chen",
        (
            (("what",), {"metavar": "PLAN|RUN", "nargs": "?", "help": "a plan file, or a run (the latest)"}),
            _POLICY,
            (("--by-hand",), {"action": "store_true", "help": "the plan as `gameday run --by-hand` runs it"}),
            (
                ("--as",),
                {"metavar": "NAME", "dest": "who", "default": "", "help": "your name in allowed_signers"},
            ),
            (
                ("--role",),
                {"metavar": "ROLE", "default": "", "help": "in which role (the first that is needed)"},
            ),
            (("--key",), {"metavar": "FILE", "help": "your SSH key (~/.ssh/id_ed25519)"}),
            (("--expires",), {"metavar": "TIME", "default": "24h", "help": "for how long it holds (24h)"}),
            (
                ("--unsigned",),
                {"action": "store_true", "help": "only claim it: recorded, counts for nothing"},
            ),
            (("--write",), {"metavar": "FILE", "help": "write what is to be signed, to sign it elsewhere"}),
            (("--statement",), {"metavar": "FILE", "help": "hand in FILE and FILE.sig, signed elsewhere"}),
        ),
    ),
    "done": Text(
        "say that what a running drill asks of you is done",
        'gameday done --note "traffic is on site B"',
        (_RUN, _NOTE, _STEP, _BY),
    ),
    "failed": Text(
        "say that what a running drill asks of you cannot be done; it halts",
        'gameday failed --note "no access to the console"',
        (_RUN, _NOTE, _STEP, _BY),
    ),
    "halt": Text(
        "halt a running drill, from any terminal; it undoes its faults",
        'gameday halt --reason "real incident on orders"',
        (_RUN, _REASON, _BY),
    ),
    "note": Text(
        "add a note to a running drill's history",
        'gameday note "the pager went off"',
        ((("text",), {"metavar": "TEXT", "help": "the note"}), _RUN, _BY),
    ),
    "mark": Text(
        "mark the moment a running drill was detected, acknowledged or mitigated",
        "gameday mark detected --by a.chen",
        (
            (("mark",), {"choices": ("detected", "acknowledged", "mitigated"), "help": "what happened now"}),
            _RUN,
            _BY,
        ),
    ),
    "lever": Text(
        "the safety lever: engaged, it halts what runs and refuses new runs",
        'gameday lever engage --reason "change freeze"',
        (
            (("do",), {"choices": ("engage", "release", "status"), "help": "what to do with it"}),
            (("--reason",), {"metavar": "TEXT", "default": "", "help": "why; needed to engage it"}),
            (("--shared",), {"action": "store_true", "help": "those on shared paths that the policy names"}),
            _POLICY,
            _BY,
            _JSON,
        ),
    ),
    "recover": Text(
        "finish the undos of a run whose runner died",
        "gameday recover",
        (
            _RUN,
            (("--runner-is-gone",), {"metavar": "NAME", "help": "who vouches that the runner is dead"}),
            _BY,
        ),
    ),
    "runs": Text("list the runs of this project", "gameday runs", (_JSON,)),
    "show": Text("show one run: how it ended and what was found", "gameday show latest", (_RUN, _JSON)),
    "check": Text("recompute the findings from the history alone", "gameday check latest", (_RUN, _JSON)),
    "report": Text("render the report again and say where it is", "gameday report latest", (_RUN,)),
    "publish": Text(
        "tell Prometheus, an OTLP receiver and Grafana how a run goes; never in its way",
        "gameday publish latest --metrics 127.0.0.1:9464 --traces http://127.0.0.1:4318",
        (
            _RUN,
            (("--metrics",), {"metavar": "HOST:PORT", "help": "serve Prometheus metrics at /metrics there"}),
            (("--traces",), {"metavar": "URL", "help": "send spans there by OTLP over HTTP, as JSON"}),
            (
                ("--grafana",),
                {"metavar": "URL", "help": "annotate there; the token is in GAMEDAY_GRAFANA_TOKEN"},
            ),
            (
                ("--stay",),
                {"action": "store_true", "help": "go on with whatever run is the latest, until Ctrl-C"},
            ),
            (
                ("--beyond-loopback",),
                {"action": "store_true", "help": "others may read the metrics: there is no password"},
            ),
        ),
    ),
    "console": Text(
        "the web page of a run: follow it, halt it, sign, note, report what was done by hand",
        "gameday console latest",
        (
            (("run",), {"metavar": "RUN", "nargs": "?", "help": "one run (whatever is the latest, in turn)"}),
            (
                ("--listen",),
                {"metavar": "HOST:PORT", "default": "127.0.0.1:8470", "help": "where (127.0.0.1:8470)"},
            ),
            (
                ("--beyond-loopback",),
                {"action": "store_true", "help": "others than this machine may come: nothing is encrypted"},
            ),
        ),
    ),
    "export": Text(
        "write a run in a format that other tools read",
        "gameday export latest --as oscal -o results.json",
        (
            _RUN,
            (
                ("--as",),
                {
                    "dest": "form",
                    "required": True,
                    "choices": ("oscal", "poam", "junit", "in-toto", "csv", "pdf", "chaos-journal"),
                    "help": "oscal (assessment results), poam, junit, in-toto, csv, pdf, chaos-journal",
                },
            ),
            (("-o", "--output"), {"metavar": "FILE", "default": "-", "help": "where to (standard output)"}),
            (
                ("--unknown-as",),
                {
                    "choices": ("failure", "skipped"),
                    "default": "failure",
                    "help": "junit: what an unknown finding is (failure)",
                },
            ),
        ),
    ),
    "finding": Text(
        "track what a run found: who mends it until when, and what shows that it is mended",
        "gameday finding add latest --owner m.okafor --due 2027-01-31",
        (
            (
                ("do",),
                {
                    "choices": ("add", "assign", "close", "accept", "list", "export"),
                    "help": "add what a run left open; assign, close, accept; list, export what is open",
                },
            ),
            (
                ("what",),
                {"metavar": "RUN|FINDING", "nargs": "?", "help": "add: a run (the latest); else a finding"},
            ),
            (("--name",), {"metavar": "NAME", "default": "", "help": "add: this finding of the run alone"}),
            (("--text",), {"metavar": "TEXT", "default": "", "help": "add: what a person saw in the run"}),
            (("--owner",), {"metavar": "NAME", "default": "", "help": "add, assign: who mends it"}),
            (
                ("--due",),
                {"metavar": "DAY", "default": "", "help": "add, assign: until which day (2027-01-31)"},
            ),
            (
                ("--severity",),
                {"choices": ("critical", "high", "medium", "low"), "default": "", "help": "add, assign"},
            ),
            (("--retest",), {"metavar": "RUN", "help": "close: a later run in which it passes"}),
            (("--reason",), {"metavar": "TEXT", "default": "", "help": "close, accept: why"}),
            (("--accepted-by",), {"metavar": "NAME", "default": "", "help": "accept: who answers for it"}),
            (("--until",), {"metavar": "DAY", "default": "", "help": "accept: until which day"}),
            (("--all",), {"action": "store_true", "help": "list, export: closed and accepted ones, too"}),
            *EXPORT,
            _BY,
            _JSON,
        ),
    ),
    "writeup": AROUND["writeup"],
    **PROGRAMME,
    "seal": Text(
        "seal a run that has ended into a bundle that anybody can check",
        "gameday seal latest",
        (
            _RUN,
            (
                ("--to",),
                {
                    "metavar": "S3URL",
                    "help": "send it to s3://BUCKET/PREFIX under Object Lock (the policy's sink)",
                },
            ),
            (("--endpoint-url",), {"metavar": "URL", "help": "of an S3 that is not Amazon's"}),
            _JSON,
        ),
    ),
    "signoff": Text(
        "sign off a sealed run with your SSH key",
        "gameday signoff latest --as a.chen --role owner",
        (
            _RUN,
            (("--role",), {"metavar": "ROLE", "help": "owner, capacity-owner, reviewer, management…"}),
            (
                ("--as",),
                {"metavar": "NAME", "dest": "who", "default": "", "help": "your name in allowed_signers"},
            ),
            (("--key",), {"metavar": "FILE", "help": "your SSH key (~/.ssh/id_ed25519)"}),
            (("--statement",), {"metavar": "TEXT", "default": "", "help": "what you say about it"}),
            (("--signers",), {"metavar": "FILE", "help": "allowed_signers (that of the plan)"}),
            (
                ("--check",),
                {"action": "store_true", "help": "say whether a capacity sign-off still holds, or LAPSED"},
            ),
            (("--artefact",), {"metavar": "DIGEST", "help": "which artefact it is now (else it is read)"}),
            _JSON,
        ),
    ),
    "register": Text(
        "list all drills that were begun here, and how they ended; or void one",
        'gameday register void 20261124T201500Z --reason "wrong target" --by a.chen',
        (
            (
                ("do",),
                {"choices": ("list", "void"), "nargs": "?", "default": "list", "help": "what to do (list)"},
            ),
            (("run",), {"metavar": "RUN", "nargs": "?", "help": "which one to void, or how its id begins"}),
            (("--reason",), {"metavar": "TEXT", "default": "", "help": "why it is void; it is recorded"}),
            _POLICY,
            _BY,
            _JSON,
        ),
    ),
    "verify": Text(
        "check a sealed bundle, believing only your own keys: what an auditor runs",
        "gameday verify runs/primary-loss/latest --trust trust.yaml",
        (
            (("bundle",), {"metavar": "BUNDLE", "help": "a bundle's folder, or a run's that holds one"}),
            (("--trust",), {"metavar": "FILE", "required": True, "help": "what you trust: trust.yaml"}),
            _JSON,
        ),
    ),
    "load": Text(
        "load from elsewhere: `worker` serves a plan's `workers:`, `record` makes real traffic a forecast",
        "gameday load record /var/log/nginx/access.log --every 1m > forecast.csv",
        (
            (("do",), {"choices": ("worker", "record"), "help": "what to do"}),
            (
                ("log",),
                {"metavar": "LOG", "nargs": "?", "help": "record: the log, .gz too; - is standard input"},
            ),
            (("--format",), {"default": "combined", "help": "record: common, combined or json (combined)"}),
            (("--every",), {"metavar": "TIME", "default": "1m", "help": "record: how long a row is (1m)"}),
            (
                ("--time-field",),
                {"metavar": "NAME", "default": "", "help": "record: where a JSON line says when"},
            ),
            (
                ("--bad-share",),
                {"metavar": "SHARE", "default": "1%", "help": "record: unreadable lines, at most (1%%)"},
            ),
            (("--master",), {"metavar": "HOST:PORT", "help": "worker: what the plan's `bind` says"}),
            (("--profile",), {"metavar": "FILE", "help": "worker: the Locust file, the same as the plan's"}),
            (("--sha256",), {"metavar": "HEX", "default": "", "help": "worker: refuse any other file"}),
        ),
    ),
    "lab": Text("the built-in system under drill: up, down, status", "gameday lab up"),
    "doctor": Text("say what this machine can do", "gameday doctor", (_JSON,)),
    "actions": Text(
        "show which actions and probes are installed, and how each is taken back",
        "gameday actions latency",
        (
            (("search",), {"metavar": "SEARCH", "nargs": "*", "help": "words, or the name of one action"}),
            _JSON,
            (("--markdown",), {"action": "store_true", "help": "as the reference page, docs/actions.md"}),
        ),
    ),
    "schema": Text("print the JSON schema of a plan, for editors", "gameday schema > plan.schema.json"),
}
