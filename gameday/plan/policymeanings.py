"""What each key of a policy file means, in a line; as `meanings` for a plan."""

from __future__ import annotations

MEANINGS: dict[str, str] = {
    "RulesIn": """
windows: when drills may run; all of the drill must lie inside one
ttl: no fault may live longer
duration: no drill may last longer
targets: how many targets at most: a count, `1 of 2`, or a share, rounded down
at_once: never more targets under fault at the same time
only: the only targets allowed, like `node:*`
protect: targets that no step may touch
stop_conditions: kinds of stop condition that must be there and halt
native_ttl: true: faults must end by themselves, also when their host is lost
modules: nothing outside of these is imported, like `gameday.actions.*`
providers: which kinds of Chaos Toolkit provider are allowed
synchronised_clock: true: without a synchronised clock no drill begins
papers: keys of the plan that must be filled in, like `change_ticket` or `roles.commander`
not_red: probes that must read good before the start
approvals: who must have approved before the first fault
error_budget: no drill of a service of which less than a floor is left
""",
    "PolicyIn": """
environments: which environments may be drilled, each with rules of its own; one that is not named is refused
time_zone: of windows and blackouts; UTC unless said
blackouts: days on which nothing may run
waivers: rules set aside for a while, by name
levers: shared safety levers beside the project's own: a path, an http(s) URL or an S3 object
lever_silence: a running drill halts when a lever cannot be read for so long
leases: a shared path or S3 prefix that keeps drills from two machines apart
lease_expires: when a lease that is not renewed may be taken
experiments: what Chaos Toolkit experiments do not say of themselves
retest_days: a scenario is overdue so many days after it was demonstrated
readiness: what people sign for, besides what drills show
notices: who is told before, at the start, on a halt and at the end
""",
    "KeepingIn": """
time_stamps: which time stamp authority is asked
retention: for how long sealed records are held
sink: a bucket with Object Lock that sealed records are sent to
seal: true: each run is sealed when it ends
register: another folder for the register than the project's
""",
    "WindowIn": "days: of the week, like tue\nhours: like 09:00-16:00",
    "BlackoutIn": "from: the first day\nto: the last day\nreason: why",
    "ApprovalIn": """
roles: in one of these roles
number: how many people
tiers: only for services of these tiers
author_may: true: the plan's author counts
live: true: over the run and its frozen targets
""",
    "WaiverIn": """
rule: which rule is set aside
plan: for this plan only
environment: in this environment only
reason: why
by: who waives it
until: the last day
""",
    "ExperimentsIn": "environment: which environment's rules hold for them",
    "BudgetIn": """
service: of which service
floor: no drill while less is left
prometheus: where what is left is read
left: or what is left, given by hand
until: the last day on which that holds
""",
    "LeftIn": """
url: the Prometheus
query: gives the share that is left; 1 is all of it
token_env: the variable that holds the bearer token
""",
    "NoticeIn": """
to: the channel's address, as `${env.NAME}`, in the form of apprise
when: which of before, start, halt, end; all unless said
environments: only for drills of these; all unless said
""",
    "TimeStampsIn": """
url: the authority's address (RFC 3161)
required: true: without its stamp no drill begins
""",
    "RetentionIn": """
class: what the records are called
years: how long they are held
legal_hold: true: a court or regulator wants them kept for now
""",
    "SinkIn": """
to: s3://BUCKET/PREFIX
endpoint_url: of another store than AWS
""",
}
