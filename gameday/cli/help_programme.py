"""Help for what looks at the year rather than at one run."""

from __future__ import annotations

from gameday.cli.help_shapes import JSON, POLICY, Argument, Text

_WHO: Argument = (
    ("--as",),
    {"metavar": "NAME", "dest": "who", "default": "", "help": "your name in allowed_signers"},
)
_ITEM: Argument = (
    ("--sign",),
    {"metavar": "ITEM", "default": "", "help": "sign for an item of the policy's `readiness:`"},
)

PROGRAMME: dict[str, Text] = {
    "coverage": Text(
        "which service is drilled by which scenario: when last, with which verdict, what is overdue",
        "gameday coverage",
        (POLICY, JSON),
    ),
    "scorecard": Text(
        "the programme of drills for leadership: coverage, quarters, trends of RTA and RPA, open findings",
        "gameday scorecard --as html -o scorecard.html",
        (
            POLICY,
            (
                ("--as",),
                {
                    "dest": "form",
                    "choices": ("text", "json", "html"),
                    "default": "text",
                    "help": "the format",
                },
            ),
            (
                ("-o", "--output"),
                {"metavar": "FILE", "default": "-", "help": "where to (stdout)"},
            ),
        ),
    ),
    "readiness": Text(
        "whether a service is ready for production: what its drills show, and what people sign for",
        "gameday readiness orders",
        (
            (("service",), {"metavar": "SERVICE", "help": "as plans name it"}),
            _ITEM,
            _WHO,
            (("--key",), {"metavar": "FILE", "help": "your SSH key (~/.ssh/id_ed25519)"}),
            (("--until",), {"metavar": "DAY", "default": "", "help": "sign: until which day (90 days)"}),
            (("--signers",), {"metavar": "FILE", "help": "allowed_signers (approvals/allowed_signers)"}),
            POLICY,
            JSON,
        ),
    ),
}
