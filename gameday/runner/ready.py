"""From a plan to the right to begin: policy, levers, preflight, target, leases; in this order.

Nothing foreign is imported and nothing is written at the target in here. The order matters: the policy
judges before anything is asked of the target, and whether the target is whole is asked once it is ours,
because the faults of a drill that runs are no leftovers.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gameday.engine.people import missing, said_of
from gameday.engine.state import State
from gameday.history.events import Phase
from gameday.history.policyevents import PolicyApplied
from gameday.hosts.whoami import login_name
from gameday.plan.approvals import START, parse_utc
from gameday.plan.lasting import left_ns
from gameday.plan.model import NS, Plan
from gameday.plan.objecturl import SCHEME, ObjectUrl, object_url
from gameday.plan.permit import Permit, judge, waiver_for
from gameday.plan.policy import Policy, Rule, Rules, policy_digest
from gameday.plan.policyfile import find_policy
from gameday.runner.approvals import Paper, Terms, given_beforehand, terms_of
from gameday.runner.arming import Resolved, check_whole, resolve
from gameday.runner.budgets import budgets
from gameday.runner.generators import generators
from gameday.runner.lease import SharedLease
from gameday.runner.lever import Levers
from gameday.runner.machinelease import MachineLease
from gameday.runner.preflight import OK, Check, at_home, eased, of_target, refuse


@dataclass(slots=True)
class Ready:
    """What a run needs to know and to hold before it may begin."""

    policy: Policy
    rules: Rules
    permit: Permit
    levers: Levers
    terms: Terms
    papers: tuple[Paper, ...]
    found: Resolved
    checks: tuple[Check, ...]
    lease: SharedLease | None = None

    def applied(self) -> PolicyApplied:
        """Return the policy as it stands in the history."""
        return PolicyApplied(
            sha256=policy_digest(self.policy),
            file=self.policy.file,
            values=tuple((v.name, v.value, v.origin) for v in self.permit.values),
            waived=tuple(
                (str(item.rule), item.reason, waiver.by, waiver.until, waiver.reason)
                for item, waiver in self.permit.waived
            ),
        )

    def against(self, state: State, now: datetime | None = None) -> str:
        """Return why a drill that has touched nothing may not go on to `state` now, or nothing.

        The gate may have opened late, and the baseline takes its time: windows, blackouts and waivers
        are judged anew by what the drill may still take, and what was signed must not have expired.
        """
        now = now or datetime.now(UTC)
        left = left_ns(state.plan, baseline_held=state.phase is not Phase.BASELINE)
        refusals = judge(self.policy, state.plan, now, left).refusals
        reasons = [f"{item.rule}: {item.reason}" for item in refusals]
        signed = state.people.given(START)
        holds = tuple(given for given in signed if (parse_utc(given.expires_utc) or now) > now)
        lacking = missing(state.people.start_needs, holds)
        if lacking and len(holds) < len(signed):
            reasons.append(f"approvals: what {said_of(lacking)} signed has expired")
        return f"no longer permitted, nothing was injected: {'; '.join(reasons)}" if reasons else ""

    def halting(self) -> tuple[str, str] | None:
        """Return by whom and why a drill that runs must halt now, or nothing. Never waits."""
        reason = self.levers.halting()
        if reason:
            by = "operator (safety lever)" if reason.startswith("engaged") else "safety lever"
            return by, reason
        lost = self.lease.lost() if self.lease is not None else ""
        return ("lease", lost) if lost else None


def make_ready(
    plan: Plan, project: Path, policy: Policy | None, stack: ExitStack, *, operator: str, run: str
) -> Ready:
    """Judge, look, find the target and take its leases. What must be given back is left with `stack`.

    Args:
        plan: The plan, unbound.
        project: The project's folder.
        policy: The policy in force; None to find it as always.
        stack: Ends the threads that read the levers, and gives the leases back.
        operator: Who runs it, as claimed; stands in the lease.
        run: What runs, as it stands in the lease.

    Raises:
        PlanError: The policy file is wrong.
        Refused: The policy, a lever, a check or the target says no, or another drill is at it.
    """
    now = datetime.now(UTC)
    policy = policy if policy is not None else find_policy(project)
    permit = judge(policy, plan, now)
    permit.check(policy)
    levers = Levers(project, policy)
    stack.callback(levers.close)
    levers.check()
    checks = [Check("levers", OK, f"released: {', '.join(levers.names)}")]
    terms = terms_of(plan, project, policy)
    papers = given_beforehand(plan, terms, project, operator, login_name())
    checks += approvals(terms, papers)
    checks += at_home(plan, project, policy, now)
    rules = policy.rules(plan.target.environment) or Rules()
    checks += [
        eased(policy, Rule.ERROR_BUDGET, plan, now, check)
        for check in budgets(plan, rules, f"{now:%Y-%m-%d}")
    ]
    checks += generators(plan)
    refuse(checks)
    found = resolve(plan, project, policy, now)
    lease = _take_leases(policy, found, stack, operator=operator, run=run)
    check_whole(found.values)
    checks += of_target(found)
    if waiver_for(policy, Rule.NOT_RED, plan, now) is not None:
        rules = replace(rules, not_red=())
    return Ready(policy, rules, permit, levers, terms, papers, found, tuple(checks), lease)


def approvals(terms: Terms, papers: tuple[Paper, ...]) -> list[Check]:
    """Say what was approved beforehand, and what is still to be signed while the run waits."""
    if not terms.before_faults:
        return [Check("approvals", OK, "none needed before the first fault")]
    signed = [paper.given for paper in papers if paper.given.verified]
    said = [f"as {given.role} by {given.principal}, until {given.expires_utc}" for given in signed]
    live = [need.role for need in terms.before_faults if need.live]
    later = f"; to be signed live: {', '.join(live)}" if live else ""
    return [Check("approvals", OK, f"{'; '.join(said) or 'none beforehand'}{later}")]


def _take_leases(
    policy: Policy, found: Resolved, stack: ExitStack, *, operator: str, run: str
) -> SharedLease | None:
    """Take this machine's lease on the target, and the shared one where the policy names a path."""
    here = MachineLease(found.names)
    here.take()
    stack.callback(here.release)
    if not policy.leases:
        return None
    lease = SharedLease(
        lease_place(policy.leases),
        found.system,
        holder=operator,
        run=run,
        expires_s=policy.lease_expires_ns / NS,
    )
    lease.take()
    stack.callback(lease.release)
    return lease


def lease_place(text: str) -> Path | ObjectUrl:
    """Return where a policy's leases lie: a shared path, or a prefix on S3."""
    return object_url(text, is_prefix=True) if text.startswith(SCHEME) else Path(text)
