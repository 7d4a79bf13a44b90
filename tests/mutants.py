"""Change the engine on purpose, one edit at a time; the engine's tests must notice every one.

    make mutants            all of them
    python -m tests.mutants 7   only number 7, with the tests' output

A mutant that lives is a promise nobody checks. Each edit is applied to a copy of the tree, never
to the tree itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINE = "gameday/engine/"

MUTANTS = [
    ("undo in order of injection", "undo.py", "for owed in reversed(state.owed):", "for owed in state.owed:"),
    ("no stagger between undos", "undo.py", ">= STAGGER_NS", ">= 0"),
    (
        "wait for a hanging undo for ever",
        "undo.py",
        "return state.now_ns - last_ns >= STAGGER_NS",
        "return False",
    ),
    (
        "one hanging undo holds up each of the others",
        "undo.py",
        "all(undo.started_ns < last_ns for undo in state.undoing)",
        "not state.undoing",
    ),
    ("undos of one target at once", "undo.py", "if owed.target in blocked or", "if"),
    ("undo while the action may still act", "undo.py", "if _may_still_act(state, owed):", "if False:"),
    ("undo within the grace", "undo.py", "state.step(owed.step).grace_ns + DEATH_WAIT_NS", "DEATH_WAIT_NS"),
    (
        "undo before the fail-over is completed",
        "undo.py",
        "or _waits_for_completion(state, owed):\n            blocked",
        "or False:\n            blocked",
    ),
    (
        "a ttl that never ends",
        "undo.py",
        "elif owed.ttl_at_ns is not None and state.now_ns >= owed.ttl_at_ns:",
        "elif False:",
    ),
    (
        "a duration that never ends",
        "undo.py",
        "elif owed.for_until_ns is not None and state.now_ns >= owed.for_until_ns:",
        "elif False:",
    ),
    ("an undo step that does nothing", "undo.py", "elif owed.target in asked:", "elif False:"),
    ("no undo after a halt", "undo.py", 'return "halt"', 'return ""'),
    ("no undo at the end", "undo.py", 'return "end" if state.phase is Phase.UNDOING else ""', 'return ""'),
    ("no undo after the runner is lost", "undo.py", 'return "lost"', 'return ""'),
    ("no second try of an undo", "apply.py", "undo.attempts < 3", "undo.attempts < 1"),
    ("tries without end", "apply.py", "undo.attempts < 3", "undo.attempts < 300"),
    ("complete what was never started", "undo.py", "and step.runbook in state.past_return", ""),
    ("complete nothing", "undo.py", "        if step.complete\n", "        if False\n"),
    (
        "complete again after a failure",
        "undo.py",
        "if any(name in tried and name in state.failed for name in state.ended):",
        "if False:",
    ),
    ("a step without a deadline", "decide.py", "if state.now_ns >= running.deadline_ns:", "if False:"),
    ("an undo without a deadline", "decide.py", "if state.now_ns >= undo.deadline_ns:", "if False:"),
    (
        "wait for a killed host for ever",
        "decide.py",
        "if state.now_ns - running.killed_ns < state.step(running.step).grace_ns + DEATH_WAIT_NS + NS:",
        "if True:",
    ),
    (
        "wait for a killed undo for ever",
        "decide.py",
        "if state.now_ns - undo.killed_ns < DEATH_WAIT_NS:",
        "if True:",
    ),
    (
        "nobody can halt",
        "decide.py",
        "if state.halt_asked is not None:\n        return state.halt_asked",
        "if False:\n        return None",
    ),
    ("a failed step does not halt", "decide.py", "    if state.failed:\n", "    if False:\n"),
    (
        "a stuck undo does not halt",
        "decide.py",
        "    if state.stuck:\n        name",
        "    if False:\n        name",
    ),
    ("limits do not halt", "decide.py", "return breach(state)", "return None"),
    (
        "inject without a baseline",
        "decide.py",
        "if held_for(state, state.plan.steady_state.baseline_ns):",
        "if True:",
    ),
    (
        "wait for a baseline for ever",
        "decide.py",
        "if state.phase is Phase.BASELINE and _waited(state):",
        "if False:",
    ),
    (
        "a halt kills nothing",
        "decide.py",
        '            return (KillAsked(item.id, "do", "halt"),)',
        "            continue",
    ),
    (
        "a halt kills the promotion",
        "decide.py",
        "return item.point_of_no_return or (item.complete and item.runbook in state.past_return)",
        "return False",
    ),
    ("go on after a halt", "decide.py", 'return (PhaseChanged(Phase.UNDOING, "halted"),)', "pass"),
    (
        "no read-back after the fail-over",
        "decide.py",
        'or "after-failover" in state.ledger_read:',
        "or True:",
    ),
    ("no read-back at the end", "decide.py", 'if "end" not in state.ledger_read:', "if False:"),
    ("a hurried person skips nothing", "decide.py", "or state.hurried", ""),
    (
        "an undo is owed only after success",
        "apply.py",
        "    return _owe(state, step)\n\n\ndef _owe",
        "    return state\n\n\ndef _owe",
    ),
    (
        "superseding forgets the first undo's ttl",
        "apply.py",
        "ttls = [owed.ttl_at_ns for owed in replaced if owed.ttl_at_ns is not None]",
        "ttls = []",
    ),
    (
        "superseding keeps the old undo too",
        "apply.py",
        "for owed in state.owed if owed not in replaced",
        "for owed in state.owed",
    ),
    (
        "a refused promotion brings nothing back",
        "apply.py",
        "item.replaced if item.step == step.id else (item,)",
        "() if item.step == step.id else (item,)",
    ),
    ("what did not happen is owed", "apply.py", "if event.effect is Effect.DID_NOT_HAPPEN:", "if False:"),
    (
        "failed over and nobody says so",
        "apply.py",
        "        state = replace(state, failed_over=True)\n",
        "        pass\n",
    ),
    ("home again and nobody says so", "apply.py", "    if step.returns_home and happened:", "    if False:"),
    ("lost undos are not owed again", "apply.py", "        undoing=(),\n", ""),
    (
        "what ran when the runner died did not happen",
        "apply.py",
        "            failed_over=state.failed_over or step.point_of_no_return,\n",
        "",
    ),
    ("unreadable is a reading", "meters.py", "sample.reading is not Reading.UNREADABLE or", "True or"),
    ("good samples do not end a bad run", "meters.py", "meter.row + 1 if hit else 0", "meter.row + hit"),
    (
        "one bad sample fewer",
        "meters.py",
        "meter.row >= (condition.in_a_row or 1)",
        "meter.row > (condition.in_a_row or 1)",
    ),
    (
        "bad is what is meant, always",
        "meters.py",
        "sample.reading == meter.condition.reading",
        "sample.reading == 'bad'",
    ),
    ("a count without its time", "meters.py", "<= condition.within_ns", "< 10**18"),
    ("a count of one more", "meters.py", "len(ends_ns) >= most", "len(ends_ns) > most"),
    (
        "a share of nothing valid",
        "meters.py",
        "window.bad * PPM > _limit_ppm(condition) * window.valid",
        "False",
    ),
    (
        "all the load is always achieved",
        "meters.py",
        "return window.good * PPM <",
        "return False and window.good * PPM <",
    ),
    (
        "whatever waits is answered",
        "meters.py",
        "return answered * PPM <",
        "return False and answered * PPM <",
    ),
    ("half of the window is no time", "meters.py", "else condition.within_ns // 2", "else 0"),
    ("a dead generator's requests wait for ever", "unanswered.py", "and picture[2] >= gone_ns", "and True"),
    (
        "an age counts before it is certain",
        "unanswered.py",
        "upper_us(index - 1) * 1000",
        "upper_us(index) * 1000",
    ),
    (
        "a level does not see what waits",
        "windows.py",
        "if share is None and not self.overdue():",
        "if share is None:",
    ),
    ("late arrivals were on time", "meters.py", "max(bucket.intended - bucket.started, 0)", "0"),
    (
        "failed requests are not counted",
        "meters.py",
        "meter.windows[0].bad > (condition.failed_above or 0)",
        "False",
    ),
    (
        "dropped arrivals do not fail",
        "meters.py",
        "good, bad = bucket.good, bucket.bad + bucket.dropped",
        "good, bad = bucket.good, bucket.bad",
    ),
    (
        "requests that all fail are fast",
        "meters.py",
        "return True if meter.windows[0].valid else None",
        "return None",
    ),
    ("latency has no limit", "meters.py", "latency_ns > (meter.condition.above_ns or 0)", "False"),
    ("every percentile is the same", "meters.py", 'PERCENTILE_PPM[meter.condition.load or "p99"]', "990_000"),
    ("one window burns for both", "meters.py", "all(burn is not None", "any(burn is not None"),
    ("a budget that never burns", "meters.py", "window.bad * PPM * 1000 //", "0 //"),
    ("slow requests spend no budget", "meters.py", "good, bad = good - slow, bad + slow", "pass"),
    (
        "a budget spent in no time",
        "meters.py",
        "window.bad * elapsed_ns * PPM * PPM",
        "window.bad * PPM * PPM",
    ),
    (
        "a limit that stays crossed",
        "meters.py",
        "max(meter.kept_ns, sent_ns), crossed_ns=None)",
        "max(meter.kept_ns, sent_ns))",
    ),
    (
        "crossed anew with each sample",
        "meters.py",
        "return meter if meter.crossed_ns is not None else",
        "return",
    ),
    ("nobody knows since when", "meters.py", "kept_ns=max(meter.kept_ns, sent_ns), ", ""),
    ("totals from before the drill", "meters.py", "w if w.length_ns else Window(0)", "w"),
    (
        "what was crossed before the drill counts",
        "meters.py",
        "            since_ns=now_ns,\n            crossed_ns=None,\n",
        "            since_ns=now_ns,\n",
    ),
    ("an idle generator looks read", "meters.py", "if is_fresh else meter", "if True else meter"),
    (
        "meters that never forget",
        "meters.py",
        "if slot.number <= number - self.length_ns // slot_ns",
        "if False",
    ),
    (
        "totals that never forget",
        "meters.py",
        "self.bad + bad - sum(slot.bad for slot in gone)",
        "self.bad + bad",
    ),
    ("latencies that never go", "meters.py", "left = total[index] - count", "left = total[index]"),
    (
        "meters are not fed",
        "apply.py",
        "metered_sample(state.meters, sample, state.now_ns, gauges)",
        "state.meters",
    ),
    (
        "meters see no load",
        "apply.py",
        "metered_bucket(state.meters, bucket, state.now_ns, gauges)",
        "state.meters",
    ),
    (
        "meters do not begin with the drill",
        "apply.py",
        "return begun_meters(state.meters, state.now_ns) if",
        "return state.meters if",
    ),
    ("silence is health", "limits.py", "max(ended_ns, state.phase_since_ns) > silence_ns:", "0 < 0:"),
    (
        "a limit that is not read is kept",
        "limits.py",
        "if state.now_ns - last_ns <= condition.fresh_ns:",
        "if True:",
    ),
    ("silence of other people's probes", "limits.py", "and not probe.of_condition)", ")"),
    ("a condition on time never trips", "limits.py", "over = state.now_ns > end_ns", "over = False"),
    ("the load goes on", "decide.py", "    if not state.load_stopped:\n", "    if True:\n"),
    ("every halt stops the load", "state.py", 'c.name == name and c.stops != "faults"', "c.name == name"),
    (
        "wait for load that was stopped",
        "limits.py",
        "and not (state.load_stopped and gauge.slo.probe is None)",
        "",
    ),
    ("nobody sees that all is blind", "decide.py", " or is_blind(state)", ""),
    (
        "stopped load is a steady state",
        "decide.py",
        "LOAD_STOPPED if state.load_stopped else reason",
        "reason",
    ),
    (
        "a drill without a longest time",
        "limits.py",
        "if radius is not None and state.now_ns - state.phase_since_ns > radius.duration_ns:",
        "if False:",
    ),
    ("a warning halts", "limits.py", 'if condition.then == "halt":', "if True:"),
    ("warn for ever", "limits.py", "if condition.name not in state.warned:", "if True:"),
    (
        "no data is a steady state",
        "limits.py",
        "    if None in met or not met:\n        return replace(state, held_since_ns=None)\n",
        "",
    ),
    ("a bad window is a steady state", "limits.py", "    if False in met:", "    if False:"),
    ("a limit without its time", "limits.py", "state.now_ns - crossed_ns >= condition.for_ns", "True"),
    ("an SLO limit that never trips", "meters.py", "bad_ppm > _limit_ppm(condition)", "False"),
    (
        "windows that never forget",
        "windows.py",
        "slots = tuple(slot for slot in slots if slot.number > oldest)",
        "pass",
    ),
    (
        "latency is not judged",
        "windows.py",
        "if latency_ns is None or latency_ns >= self.slo.below_ns:",
        "if False:",
    ),
    ("dropped arrivals are nobody's fault", "windows.py", "bucket.bad + bucket.dropped", "bucket.bad"),
    (
        "a gate times out to go",
        "gates.py",
        "late = GateEnded(gate.gate, passed=False",
        "late = GateEnded(gate.gate, passed=True",
    ),
    (
        "a step's gate times out to go",
        "gates.py",
        "step_late = StepEnded(gate.gate, Effect.DID_NOT_HAPPEN",
        "step_late = StepEnded(gate.gate, Effect.HAPPENED",
    ),
    ("a gate that waits for ever", "gates.py", "if state.now_ns >= gate.deadline_ns:", "if False:"),
    ("a gate that needs nobody", "gates.py", "    if left:\n        return ()\n", ""),
    ("a halted run waits at its gate", "gates.py", "    if state.halted is not None:\n", "    if False:\n"),
    ("a gate among the steps asks for nobody", "gates.py", "needs_of(item.needs), running", "(), running"),
    (
        "a signature from before counts live",
        "gates.py",
        "event.verified and (waits or not event.live)",
        "event.verified",
    ),
    ("a claim is named as an approval", "gates.py", "return event.verified and (", "return ("),
    ("a claim counts", "people.py", "if not approval.verified or known or", "if known or"),
    ("one name counts twice", "people.py", "name in names or ", ""),
    ("one key counts twice", "people.py", " or key in keys", ""),
    (
        "any role will do",
        "people.py",
        "    return tuple(Need(role, count, live) for (role, live), count in left.items() if count)",
        "    return () if names else tuple(needs)",
    ),
    ("start before it is approved", "decide.py", "    if not gates.is_open(state):\n", "    if False:\n"),
    (
        "a closed gate does not halt",
        "decide.py",
        "if (refusal := gates.refusal(state)) is not None:",
        "if (refusal := None) is not None:",
    ),
    ("a plan's own approvals are forgotten", "state.py", "People(start_needs=needs, ", "People("),
    (
        "what the policy adds is forgotten",
        "gates.py",
        "replace(known, start_needs=event.needs, ",
        "replace(known, ",
    ),
    ("a refusal after an effect", "state.py", " and not self.people.touched", ""),
    (
        "a halt that touched nothing",
        "gates.py",
        "    if state.step(event.step).kind in _HARMLESS:\n",
        "    if False:\n",
    ),
    (
        "watch the recovery of nothing",
        "decide.py",
        "return gates_only and not state.stuck",
        "return not state.ended and not state.stuck",
    ),
    ("a manual step waits for ever", "gates.py", "if state.now_ns < running.deadline_ns:", "if True:"),
    (
        "a manual step ends by itself",
        "decide.py",
        "case StepKind.HOLD if state",
        "case StepKind.HOLD | StepKind.MANUAL if state",
    ),
    (
        "failed is done",
        "gates.py",
        "Effect.HAPPENED if said.done else Effect.INDETERMINATE",
        "Effect.HAPPENED",
    ),
    (
        "silence is done",
        "gates.py",
        "return StepEnded(running.step, Effect.INDETERMINATE",
        "return StepEnded(running.step, Effect.HAPPENED",
    ),
    (
        "an undo by hand is not owed",
        "apply.py",
        "if not step.owes_undo or any(",
        "if step.undo is None or any(",
    ),
    (
        "an undo nobody did is undone",
        "gates.py",
        'undone=False, detail=f"nobody',
        'undone=True, detail=f"nobody',
    ),
    ("an undo by hand waits for ever", "gates.py", "if state.now_ns < undo.deadline_ns:", "if True:"),
    ("an undo that failed by hand is undone", "gates.py", "undone=said.done", "undone=True"),
    ("ask for an undo by hand again and again", "apply.py", "retry = not by_hand and ", "retry = "),
    ("a stuck undo is cleared by `failed`", "gates.py", "return event.done and bool(", "return bool("),
    ("nobody can clear a stuck undo", "gates.py", "    for name in state.stuck:\n", "    for name in ():\n"),
    (
        "a word about anything counts",
        "gates.py",
        "return any(kind is StepKind.MANUAL for kind in kinds)",
        "return True",
    ),
    (
        "a word counts for the next try too",
        "gates.py",
        "    return state if said == state.people.said else replace(",
        "    return state if True else replace(",
    ),
    (
        "a word about an action's undo counts",
        "gates.py",
        "return undoing and bool(state.step(event.step).undo_by_hand)",
        "return True",
    ),
    (
        "a trial that never ends",
        "decide.py",
        "    if over is None:\n        return ()\n    name",
        "    return ()\n    name",
    ),
    (
        "the load stays up after a trial",
        "decide.py",
        'return over, LoadAsked(name, "ease"',
        'return over, LoadAsked(name, "change"',
    ),
    (
        "the load is not eased",
        "decide.py",
        "    if name not in state.load_running:\n        return (over,)",
        "    if True:\n        return (over,)",
    ),
    (
        "a halt leaves the trial open",
        "decide.py",
        'stopped="" if is_running else "the run was halted"',
        'stopped=""',
    ),
    (
        "two trials at once",
        "decide.py",
        "if known is None or known.now is not None or state",
        "if known is None or state",
    ),
    (
        "a fault without proof",
        "decide.py",
        "        if skipped := _left_out(state, due):",
        "        if skipped := ():",
    ),
    ("a missed SLO halts the search", "limits.py", "if is_tried(state.trials, condition.slo):", "if False:"),
    (
        "no SLO halts in a sign-off",
        "trials.py",
        "if trials is None or slo not in trials.capacity.slos:",
        "if trials is None:",
    ),
    (
        "an SLO of the load never halts",
        "trials.py",
        "return trials.now is not None or bool(trials.ended)",
        "return True",
    ),
    (
        "trials before the target is calm",
        "trials.py",
        "    settled = _is_calm(trials)\n",
        "    settled = True\n",
    ),
    ("wait for calm for ever", "trials.py", "and now_ns - trials.watch.from_ns < SETTLE_NS:", "and True:"),
    ("what is overdue is calm", "trials.py", " + over(last.ages, level.below_us)[0]", ""),
    (
        "a fault tells about the limit",
        "trials.py",
        "if search is not None and _tells(trials, trial):",
        "if search is not None:",
    ),
    (
        "buckets from before a trial count",
        "trials.py",
        "or bucket.start_ns < first_ns:",
        "or False:",
    ),
    ("another load is judged", "trials.py", "if bucket.load != trials.capacity.load or bucket", "if bucket"),
    (
        "the verdict of the record is not believed",
        "trials.py",
        "found = found if found.verdict is verdict else replace(found, verdict=verdict)",
        "verdict = found.verdict",
    ),
    (
        "the first rate is not the plan's",
        "trials.py",
        'return Trial(wanted.first_per_1000s, "search")',
        "pass",
    ),
    (
        "a trial outlives its runner",
        "apply.py",
        "        trials=state.trials and replace(state.trials, now=None),\n",
        "",
    ),
]


def run(number: int, *, show: bool = False) -> str:
    name, file, old, new = MUTANTS[number]
    source = (ROOT / ENGINE / file).read_text(encoding="utf-8")
    if source.count(old) < 1:
        return "absent"
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        shutil.copytree(ROOT / "gameday", tree / "gameday", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(
            ROOT / "tests" / "engine", tree / "tests" / "engine", ignore=shutil.ignore_patterns("__pycache__")
        )
        (tree / "tests" / "__init__.py").touch()
        (tree / ENGINE / file).write_text(source.replace(old, new, 1), encoding="utf-8")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:locust",
                "tests/engine",
            ],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=600,
        )
    if show:
        print(done.stdout)
    if done.returncode == 0:
        return "lives"
    return "dies" if done.returncode == 1 else f"pytest ended with {done.returncode}"


def main() -> int:
    if len(sys.argv) > 1:
        print(run(int(sys.argv[1]), show=True))
        return 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(run, range(len(MUTANTS))))
    for number, (result, mutant) in enumerate(zip(results, MUTANTS, strict=True)):
        if result != "dies":
            print(f"{number:3}  {result:8} {mutant[0]} ({mutant[1]})")
    dead = results.count("dies")
    print(f"{dead} of {len(MUTANTS)} mutants die")
    return 0 if dead == len(MUTANTS) else 1


if __name__ == "__main__":
    sys.exit(main())
