"""Capacity against the truth: is the limit of a queueing server inside the interval, and who is let through?

    python -m tests.bench.capacity            in virtual time: searches, sign-offs
    python -m tests.bench.capacity real [N]   N searches (2) of a real server under real Locust load

The true limit is the rate at which, in its steady state, exactly the allowed share of requests is slower than
the level's limit: in closed form for M/M/c; by long simulation elsewhere.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter

from gameday.capacity.goal import SECOND_NS, Goal, Level
from gameday.capacity.judge import Verdict, judge, looks_ns
from gameday.capacity.search import TRIALS_MAX, Search, bounds, next_trial, take
from tests.queueing import Server, limit_of

SHARE = 0.05
# name, server, latency limit in us, true limit per second (None: closed form), shortest and longest trial in s,
# searches. The limits that are numbers: 1.5 million requests at each of 12 rates; so done, M/M/4 gives 86.20.
SYSTEMS = (
    ("M/M/4", {"c": 4, "mean_s": 0.04}, 250_000, None, 120, 1200, 20),
    ("log-normal service", {"c": 4, "mean_s": 0.04, "sigma": 1.0}, 250_000, 81.13, 120, 1200, 5),
    (
        "stalls",
        {"c": 4, "mean_s": 0.04, "stall_every_s": 20.0, "stall_s": 0.5},
        400_000,
        78.35,
        1200,
        7200,
        2,
    ),
    ("cold start", {"c": 4, "mean_s": 0.04, "warm_s": 60.0}, 250_000, None, 120, 1200, 5),
)


def truth(kw, limit_us, known):
    if known is None:
        return limit_of(Server(kw["c"], kw["mean_s"]), limit_us, SHARE)
    return known


def goal_of(limit_us, least_s, most_s):
    level = Level("p95", round((1 - SHARE) * 1e6), limit_us)
    return Goal(
        (level,),
        duration_min_ns=least_s * SECOND_NS,
        duration_max_ns=most_s * SECOND_NS,
        warm_up_ns=30 * SECOND_NS,
    )


def run_trial(goal, server, rate_per_1000s, seed):
    """Offer a rate in virtual time until its judgement is final."""
    slices = []
    looks = {ns + goal.warm_up_ns for ns in looks_ns(goal)}
    for s in server.trial(rate_per_1000s / 1000, seed):
        slices.append(s)
        if s.end_ns in looks:  # Between looks nothing changes.
            judgement = judge(goal, slices, rate_per_1000s=rate_per_1000s)
            if judgement.final:
                return judgement


def search_limit(goal, server, first, seed):
    search = Search(goal.shared_by(TRIALS_MAX), first_per_1000s=round(first * 1000))
    while (trial := next_trial(search)) is not None:
        judgement = run_trial(search.goal, server, trial.rate_per_1000s, seed * 1000 + len(search.tried))
        search = take(search, trial, judgement)
    return search


def searches(name, kw, limit_us, limit, least_s, most_s, count):
    tally, widths, trials, began_s = Counter(), [], [], time.monotonic()
    rng = random.Random(7)
    for seed in range(count):
        search = search_limit(
            goal_of(limit_us, least_s, most_s), Server(**kw), limit * rng.uniform(0.5, 1.6), seed
        )
        b = bounds(search)
        low, high = b.proven_per_1000s, b.refuted_per_1000s
        tally["contain"] += (low or 0) <= limit * 1000 <= (high or float("inf"))
        tally["narrow"] += b.narrow
        tally[b.hysteresis] += 1
        trials.append(b.trials)
        widths.append((b.width_ppm or 1_000_000) / 10_000)
    print(
        f"{name}: true limit {limit:.1f}/s; {tally['contain']} of {count} intervals contain it, {tally['narrow']} are "
        f"at most 10 % wide (mean {sum(widths) / count:.1f}, widest {max(widths):.1f} %), {sum(trials) / count:.1f} trials "
        f"(most {max(trials)}), hysteresis held in {tally['held']}; {time.monotonic() - began_s:.0f} s",
        flush=True,
    )
    return tally["contain"] == count


def sign_offs(name, kw, limit_us, limit, count, percents=(89, 95, 101, 105)):
    goal = goal_of(limit_us, 300, 900)
    sound = True
    for percent in percents:
        said = Counter(
            run_trial(goal, Server(**kw), round(limit * 10 * percent), seed * 1000 + percent).verdict
            for seed in range(count)
        )
        go, no_go = said[Verdict.HOLDS], said[Verdict.FAILS]
        print(
            f"{name}: at {percent} % of the limit, of {count} sign-offs GO {go}, NO-GO {no_go}, UNDECIDED {said[Verdict.UNDECIDED]}",
            flush=True,
        )
        sound &= (
            not (percent >= 105 and go)
            and not (percent < 90 and no_go)
            and not (percent == 101 and go > 0.05 * count)
        )
    return sound


def real(count):
    from tests.bench.real_search import search_for_real

    sound = True
    for seed, (c, mean_s, limit_us, start) in enumerate(
        [(8, 0.025, 120_000, 0.8), (12, 0.04, 160_000, 1.3)][:count]
    ):
        limit, began_s = limit_of(Server(c, mean_s), limit_us, SHARE), time.monotonic()
        print(
            f"real M/M/{c}, {1000 * mean_s:g} ms: true limit {limit:.1f}/s (95 % below {limit_us / 1000:g} ms)",
            flush=True,
        )

        b = bounds(
            search_for_real(
                c,
                mean_s,
                limit_us,
                SHARE,
                round(limit * 1000 * start),
                seed,
                lambda text: print("  " + text, flush=True),
            )
        )
        holds = (b.proven_per_1000s or 0) <= limit * 1000 <= (b.refuted_per_1000s or 0)
        print(
            f"  [{(b.proven_per_1000s or 0) / 1000:.1f}, {(b.refuted_per_1000s or 0) / 1000:.1f}]/s "
            f"{'contains' if holds else 'DOES NOT CONTAIN'} {limit:.1f}/s; width {(b.width_ppm or 0) / 1e4:.1f} %, {b.trials} trials, "
            f"hysteresis {b.hysteresis}, {time.monotonic() - began_s:.0f} s {'; '.join(b.reasons)}",
            flush=True,
        )
        sound &= holds and b.narrow
    return sound


def main(args) -> int:
    if args[:1] == ["real"]:
        return 0 if real(int(args[1]) if len(args) > 1 else 2) else 1
    sound = True
    for i, (name, kw, limit_us, known, least_s, most_s, count) in enumerate(SYSTEMS):
        limit = truth(kw, limit_us, known)
        sound &= searches(name, kw, limit_us, limit, least_s, most_s, count)
        if i == 0:
            sound &= sign_offs(name, kw, limit_us, limit, 100)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
