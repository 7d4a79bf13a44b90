"""What each key of a plan file means, in a line. Read by `gameday schema` and by the reference alone.

They stand here and not in the shapes, because a plan is validated without anybody reading them. A test
holds that every key has a meaning and that every meaning has a key.
"""

from __future__ import annotations

_PLAN = """
title: what the drill is called
hypothesis: what must come true; the report is held against it
kind: game-day, dr (needs objectives), or capacity (needs `capacity`)
service: the service that is drilled; coverage and scorecard count by it
tier: how critical the service is, 0 is the most; approvals of a policy may depend on it
author: who wrote the plan, and never approves it
owner: who answers for the service
approvers: who is expected to approve; a note for people, `approvals` is what is enforced
approvals: who must sign before the first fault
roles: who holds which role: commander, operator, observer, scribe, and others
people: who takes part, and who is absent on purpose
scenario: the threat, why it is worth a drill, `severe_but_plausible`, and a `briefing` for participants
population: a note on all that could have been drilled
excluded: what was left out, each with the reason
change_ticket: the ticket of the change, where the policy wants one
retention: a note on how long the record is kept; the policy's `retention` is what is enforced
notes: anything else; it stands in the record
target: the system under drill
objectives: what recovery must achieve; fixed before the first fault
recovery: who brings service back: the plan's steps, or the system itself
load: Locust files that run from the baseline to the end
probes: what is measured at a fixed rate, by name
slos: shares of good events over a window, by name
slos_from: files of OpenSLO or sloth from which more SLOs are taken
steady_state: which SLOs must hold before any fault and after recovery
stop_conditions: what ends the drill early; each halts it when it is breached or cannot be read
blast_radius: the most it may touch, and for how long
capacity: the sign-off of a `kind: capacity`
steps: what happens, in order
ledger: numbered writes by which lost data is measured; one, or a list of named ones
"""
_RUNBOOK_FILE = """
title: what the runbook is called
purpose: what it is for
owner: who keeps it
steps: what is done, in order; the same steps as in a plan, but no runbook and no parallel
"""
_HTTP = """
url: where the request goes
method: GET unless said
status: which status codes are good; 200 to 299 unless said
contains: text that a good answer holds
json: what a good JSON answer holds
body: sent as JSON where it is a mapping, as text otherwise
headers: sent along; a secret as `${env.NAME}`
resolver: `target`: names are looked up as the target's own resolver does
"""
_DO = """
do: the action
undo: the action that takes it back; known by itself for gameday's own actions
in_place: a probe that reads back whether it is there; known by itself for gameday's own actions
target: what it touches, like `node:a`; known by itself for gameday's own actions
timeout: how long the action may take; then its processes are killed and its effect is unknown
undo_timeout: the same for the undo
grace: how long the action's processes have between SIGTERM and SIGKILL
"""
_RETURN = """
segment: which part of the recovery time it counts to
point_of_no_return: once it has happened, a halt goes on with the `complete` steps
supersedes: targets whose old undo is replaced by this step's undo
complete: is finished also after a halt, once past the point of no return
returns_home: after it, service is where it was before the drill
"""
_ASKED = """
people: only these may sign; anybody in the role unless said
apart_from: who does not count: the author, the operator
"""
_PROMETHEUS = """
url: the server's address
query: an instant query
bad_above: the value is bad above it
bad_below: the value is bad below it
series: which of several series must be good: `one` (several are unreadable), `any`, `all`
alert: bad while this alert fires
labels: only the alert with these labels
token_env: the variable that holds the bearer token
"""
MEANINGS: dict[str, str] = {
    "PlanIn": _PLAN,
    "RunbookFileIn": _RUNBOOK_FILE,
    "FilesIn": "plan: a plan\nrunbook: a runbook",
    "ActivityIn": """
action: module.function of a Chaos Toolkit extension or of gameday
with: its arguments
provider: the whole Chaos Toolkit provider instead: python, process or http
""",
    "ActivityProbeIn": "tolerance: which value is good; any Chaos Toolkit tolerance",
    "TargetIn": """
environment: which environment the target must say that it is; the policy has rules for each
identity: where the target says who it is
lab: which of the built-in systems is brought up for it
""",
    "IdentityIn": "http: a URL that answers with JSON: `environment`, and `name` or `id`, `nodes`, `targets`",
    "ObjectiveIn": """
service: which service must recover
measured_by: the probe whose samples say when service was lost and came back
rto: recovery time objective
rpo: recovery point objective; needs a ledger
mtpd: the longest disruption that could be tolerated at all
minimum_capacity: the share of the load that must be served for service to count as recovered
source: where the objective comes from
ledger: which ledger the RPA is read from; all of them unless said
held: so many good samples in a row make a recovery
""",
    "ProbeIn": """
http: an HTTP request
tcp: a TCP connection
sql: a query on PostgreSQL
process: a program that must end with 0
prometheus: a query or an alert of Prometheus
alertmanager: an alert of Alertmanager
activity: a Chaos Toolkit probe
every: the time between two samples
timeout: when a sample counts as bad because nothing came
writes: must be `synthetic` where a sample writes: its marked data are removed at the end
""",
    "HttpIn": _HTTP,
    "JsonIn": """
path: where in the answer, like `series.0.value`
bad_above: the number there is bad above it
bad_below: the number there is bad below it
equals: the value that must stand there
""",
    "TcpIn": """
host: where to
port: which port
resolver: `target`: the name is looked up as the target's own resolver does
""",
    "SqlIn": """
dsn: a connection string of PostgreSQL; a password as `${env.NAME}`
query: what is asked
expect: the first value that a good answer holds; any answer unless said
resolver: `target`: the name is looked up as the target's own resolver does
""",
    "ProcessIn": "argv: the program and its arguments; never a shell",
    "PrometheusIn": _PROMETHEUS,
    "AlertmanagerIn": """
url: the server's address
alert: bad while this alert is there, silenced or not
labels: only the alert with these labels
token_env: the variable that holds the bearer token
""",
    "SloIn": """
probe: the probe whose samples are counted
load: instead of a probe: a percentile of the load's latency, or its errors
objective: the share that must be good
below: with a percentile: a request is good when it is faster
window: over how much time the share is taken
""",
    "SlosFromIn": """
file: a file of OpenSLO v1 or sloth, in the project
prometheus: the Prometheus that its queries are for
only: which SLOs of the file; all unless said
token_env: the variable that holds the bearer token
every: how often Prometheus is asked
timeout: how long it may take to answer
over: the range that each query looks back over
window: over how much time the share is taken
alerts: which of its burn-rate alerts become stop conditions
budget_spent: also halt when the drill has spent this share of the error budget
""",
    "SteadyStateIn": """
slos: which SLOs must hold
baseline: for how long before the first fault
stabilise: for how long after recovery
patience: how long to wait for the baseline before the drill is given up
""",
    "StopConditionIn": """
name: what it is called; made from what it says unless said
slo: a limit on this SLO
probe: a limit on this probe
load: a limit on the load: a percentile, errors, achieved, answered
failed_requests: `above N` failed requests since the drill began, or `within` a time
prometheus: a query or an alert of Prometheus, asked for this condition
alertmanager: an alert of Alertmanager, asked for this condition
duration: breached when the drill runs longer
silence: breached when a probe has had no readable sample for so long
bad: `3 in a row`, `5` with `within`, or `above 50%`
unreadable: `3 in a row`, or for a time like `2s`
burn_rate: how fast an error budget may burn
budget_spent: the share of an error budget that the drill may spend
of: the window of that error budget
above: breached above it: a time, a share or a number
below: breached below it: a share or a number
within: over how much time it is taken
for: breached only when it has been so for this long
every: how often Prometheus or Alertmanager is asked
timeout: how long they may take to answer
then: halt, or only warn
stops: what a halt stops at once: the faults, the load, or both
""",
    "BurnRateIn": """
above: how many times as fast as the objective allows
long: the long window
short: the short window; both must exceed it
""",
    "BlastRadiusIn": """
select: labels by which targets are chosen, of those that the identity names
max: how many targets at most: a count, `1 of 2`, or a share
at_once: how many at the same time
only: the only targets allowed
protect: targets that no step may touch
duration: how long faults may be there in all
""",
    "LoadIn": """
profile: the Locust file, in the project
name: what the load is called; the file's name unless said
rate: an open loop: so many arrivals, whatever the target does
users: a closed loop: so many users who wait for answers
stages: straight lines to rates or to users
shape: true: the file's own LoadTestShape decides
arrivals: constant, or poisson: drawn at random from `seed`
seed: from which times between arrivals are drawn
max_users: an open loop's most users; an arrival that finds all of them hanging is dropped
timeout: of a request, where the file sets none
trace: true: each request carries a W3C `traceparent` that names the drill and the step
processes: generators on this machine
workers: generators on other machines
host: the address that users take
options: Locust's own options, and those that the file defines
""",
    "StageIn": """
over: how long the line takes; 0s is a step
rate: the rate at its end
users: the users at its end
""",
    "WorkersIn": """
expect: how many come; the drill does not begin without them
bind: the address that they come to
""",
    "LedgerIn": """
writer: who writes: orders (the lab's), http, sql, redis, s3, or python: a module of yours
name: what it is called; the only ledger of a plan needs none
every: the time between two writes
timeout: how long a write may take
url: where writes go
read_url: where they are read back from, and removed
headers: sent along; a secret as `${env.NAME}`
rows: the key of the list in the answer
sentinels: Redis Sentinels, instead of a URL
master: the name that the sentinels watch
password: of Redis, as `${env.NAME}`
bucket: the bucket of S3
prefix: of the objects' keys
endpoint: of another store than AWS
region: of the bucket
module: a module of the project with `write` and `read_all`
with: its arguments
""",
    "FaultIn": f"""
fault: what it is called
{_DO}
ttl: it is taken back then at the latest, whatever happens
for: it is taken back after this time, while the steps go on
survives: in words, what becomes of it when runner, watchdog or host die
""",
    "FailoverIn": f"""
failover: a step of the recovery, by this name
change: any other reversible change, by this name
{_DO}
{_RETURN}
""",
    "ManualIn": f"""
manual: what a person does
who: who does it
instructions: how; shown when the step begins
undo: how it is taken back: an action, or words for a person
in_place: a probe that reads back whether it is there
target: what it touches
timeout: how long the person has
undo_timeout: how long the person has to take it back
{_RETURN}
""",
    "UndoIn": """
undo: the target whose owed undo is carried out now
name: what the step is called
timeout: how long it may take
segment: which part of the recovery time it counts to
""",
    "HoldIn": """
hold: how long nothing is changed
name: what the step is called
""",
    "LoadStepIn": """
load: which load is changed
rate: to this rate
users: to so many users
""",
    "ExperimentIn": """
experiment: a Chaos Toolkit experiment, in the project
name: what the step is called; the experiment's title unless said
target: what it touches
rollbacks: its rollback strategy, as of `chaos run --rollback-strategy`
hypothesis: its hypothesis strategy, as of `chaos run --hypothesis-strategy`
frequency: how often a continuous hypothesis is looked at
fail_fast: true: a deviating continuous hypothesis ends its method
compat: true: the sequence of `chaos run` to the letter
variables: values of its configuration, as of `--var`
variable_files: files of them, as of `--var-file`
ttl: it is ended and rolled back then at the latest
undo_timeout: how long its rollbacks may take
""",
    "ApprovalIn": f"""
approval: what is approved
roles: one person in each of these must sign
{_ASKED}
timeout: then the drill halts: a gate never times out to go
""",
    "RequirementIn": f"""
role: in which role
count: how many different people
live: true: over the run and its frozen targets; otherwise beforehand, over the plan
{_ASKED}
""",
    "ApprovalsIn": """
before_faults: who must sign before the first fault
allowed_signers: the file of who may sign with which key (ssh-keygen); approvals/allowed_signers unless said
timeout: how long a live signature is waited for
""",
    "PersonIn": """
name: who
role: as what
absent: true: is away on purpose, and may not be asked
""",
    "RunbookIn": """
runbook: a file of steps, in the project
mode: by-hand: people carry out each of its automatic steps
""",
    "ParallelIn": "parallel: steps that begin together; the next begins when all have ended",
    "CapacityIn": """
load: the load whose rate is judged
forecast: the peak that must be held
headroom: so much more than the peak
slos: what must hold at that rate
duration: judged time of a trial, at least
at_most: and at most; three times the duration unless said
warm_up: cut from the beginning of each trial
confidence: of each judgement
n_minus_one: a fault under which it is tried again, or the name of one among the steps
expires: for how long a sign-off holds
artefact: what is signed for; a sign-off lapses when it changes
price: what the system costs, for the cost of a request
search: for the limit, after the sign-off
""",
    "ForecastIn": """
peak: as a rate
file: or a CSV: start_utc,seconds,requests; its highest rate is the peak
source: where the forecast comes from
""",
    "ArtefactIn": """
digest: as text
http: or a URL that says it, as JSON
key: under which key of the answer
argv: or a program that prints it
""",
    "PriceIn": "per_hour: what the tested system costs in an hour\ncurrency: ISO 4217, like EUR",
    "SearchIn": """
from: the first rate; the proven one unless said
up_to: no rate beyond it is tried
width: the search ends when lowest refuted and highest proven rate are this close
trials: how many at most
each: judged time of a trial, at least
at_most: and at most
""",
}


def meaning(owner: str, key: str) -> str:
    """Return what a key of a shape means; empty where nothing is said."""
    for line in MEANINGS.get(owner, "").splitlines():
        name, _, words = line.partition(": ")
        if name == key:
            return words
    return ""
