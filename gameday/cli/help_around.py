"""Help for what is done before and after a run: a new plan, a briefing, notices, a runbook, a write-up."""

from __future__ import annotations

from gameday.cli.help_shapes import PLAN, POLICY, RUN, Argument, Text

OUTPUT: Argument = (
    ("-o", "--output"),
    {"metavar": "FILE", "default": "-", "help": "where to (standard output)"},
)

NEW: tuple[Argument, ...] = (
    (("kind",), {"choices": ("dr", "game-day", "capacity"), "help": "what it is to show"}),
    (("file",), {"metavar": "FILE", "nargs": "?", "help": "where to (experiments/SERVICE-KIND.yaml)"}),
    (("--service",), {"metavar": "NAME", "help": "which service; must be said where nobody can be asked"}),
    (("--owner",), {"metavar": "NAME", "help": "who answers for the service"}),
    (("--author",), {"metavar": "NAME", "help": "who writes the plan (you)"}),
    (("--environment",), {"metavar": "NAME", "help": "what the target must say that it is (lab)"}),
    (("--target",), {"metavar": "URL", "help": "the address that users take (the lab's)"}),
    (("--probe",), {"metavar": "PATH", "help": "what is asked there ten times a second (the lab: an order)"}),
    (("--action",), {"metavar": "ACTION", "help": "the fault: `gameday actions` lists them"}),
    (
        ("--with",),
        {"metavar": "KEY=VALUE", "dest": "arguments", "action": "append", "default": [], "help": "of it"},
    ),
    (("--rto",), {"metavar": "TIME", "help": "dr: how soon it must serve again (30s in the lab, else 15m)"}),
    (("--rpo",), {"metavar": "TIME", "help": "dr: how much may be lost (1s in the lab, else not measured)"}),
    (("--peak",), {"metavar": "RATE", "help": "capacity: the forecast peak (40/s)"}),
    (("--headroom",), {"metavar": "SHARE", "help": "capacity: how much more it must hold (50%%)"}),
    (("--profile",), {"metavar": "FILE", "help": "the Locust file of its load (the lab's: orders)"}),
    (
        ("--runbook",),
        {
            "dest": "runbooks", "metavar": "FILE", "action": "append", "default": [],
            "help": "dr: the runbook that brings it back; again for the way home",
        },
    ),
    (("--yes",), {"action": "store_true", "help": "ask nothing: what is not said is as proposed"}),
)  # fmt: skip

AROUND: dict[str, Text] = {
    "new": Text(
        "ask a few questions and write a plan with comments; never over another file",
        "gameday new dr --service orders --rto 30s --yes",
        NEW,
    ),
    "notify": Text(
        "tell the policy's channels of a drill to come; a run itself tells of its start, halt and end",
        "gameday notify experiments/primary-loss.yaml --before --at 2026-12-10T14:00Z",
        (
            PLAN,
            (("--before",), {"action": "store_true", "required": True, "help": "the notice before a drill"}),
            (("--at",), {"metavar": "TIME", "help": "when it will be, with its zone: 2026-12-10T14:00Z"}),
            POLICY,
        ),
    ),
    "runbook": Text(
        "render a runbook for the wiki, with what to do by hand",
        "gameday runbook runbooks/promote-standby.yaml --as md",
        (
            (("file",), {"metavar": "FILE", "help": "a runbook"}),
            (
                ("--as",),
                {"dest": "form", "choices": ("md", "html"), "default": "md", "help": "md, html (md)"},
            ),
            OUTPUT,
        ),
    ),
    "writeup": Text(
        "draft the write-up of a run: blameless, from its history and findings",
        "gameday writeup latest -o writeup.md",
        (
            RUN,
            (("--as",), {"dest": "form", "choices": ("md", "html"), "default": "md", "help": "md or html"}),
            OUTPUT,
        ),
    ),
    "brief": Text(
        "print the briefing: for participants with the inject hidden, for facilitators; or a calendar file",
        "gameday brief experiments/primary-loss.yaml --for participants --as html -o briefing.html",
        (
            PLAN,
            (
                ("--for",),
                {
                    "dest": "reader",
                    "choices": ("participants", "facilitators"),
                    "default": "participants",
                    "help": "who reads it (participants: nothing in it says what will happen)",
                },
            ),
            (
                ("--as",),
                {
                    "dest": "form",
                    "choices": ("md", "html", "ics"),
                    "default": "md",
                    "help": "md, html, ics (md)",
                },
            ),
            (("--at",), {"metavar": "TIME", "help": "when, with its zone: 2026-12-10T14:00Z"}),
            OUTPUT,
            POLICY,
        ),
    ),
}

MODES: tuple[Argument, ...] = (
    (
        ("--by-hand",),
        {"action": "store_true", "help": "people carry out the runbooks; all is measured as always"},
    ),
    (
        ("--table-top",),
        {"action": "store_true", "help": "people walk through it; nothing is touched, or tested"},
    ),
)

EXPORT: tuple[Argument, ...] = (
    (("--to",), {"choices": ("github", "gitlab", "jira", "file"), "help": "export: where to (file)"}),
    (
        ("--in",),
        {"metavar": "PLACE", "dest": "place", "default": "", "help": "export: its place there"},
    ),
    (
        ("--url",),
        {"metavar": "URL", "default": "", "help": "export: a tracker of your own"},
    ),
    OUTPUT,
)
