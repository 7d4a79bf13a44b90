"""The two figures of a report: the whole run on one time axis, and the disruption seen closer.

Top to bottom: phases, the time out of service, faults, steps (a lane each), undos, what each probe
read, and the load. Behind everything the time a fault was in place is shaded lightly, the time out
of service more strongly, so the eye can follow either down through all the lanes.
"""

from __future__ import annotations

from collections.abc import Iterable

from gameday.checkers.data import Write, reconcile, writes_of
from gameday.evidence import charts
from gameday.evidence.account import Account, Outage, StepRun
from gameday.evidence.figure import LANE, LETTER, Canvas, Figure
from gameday.evidence.series import Stretch, Window, load_points, stretches, whole_run
from gameday.evidence.words import WHY_UNDONE, at, span
from gameday.history.events import LedgerMark, Phase, Reading, Sample
from gameday.plan.model import Ledger, Probe, StepKind

STEP_LANES_MAX = 40
READINGS_MAX = 400
Read = dict[str, tuple[Sample, ...]]


def timeline(account: Account, read: Read) -> Figure:
    """Return the figure of the whole run."""
    canvas = Canvas(whole_run(account.view.trace))
    canvas.y += 2
    top = canvas.y
    _phases(canvas, account)
    for outage in account.outages:
        _outage(canvas, outage)
    _faults(canvas, account)
    _halt_lane(canvas, account)
    _steps(canvas, account)
    _undos(canvas, account)
    _probes(canvas, account.view.plan.probes, read)
    _load(canvas, account)
    _shades(canvas, account, top)
    _halt(canvas, account, top)
    canvas.axis()
    return canvas.finish("Timeline of the whole run")


def closeup(account: Account, read: Read) -> Figure | None:
    """Return the figure of the disruption alone; None when there was none, or it fills the run."""
    outage = next((o for o in account.outages if o.recovered is not None), None)
    if outage is None or outage.recovered is None:
        return None
    low, high = outage.onset[0], outage.recovered[1]
    margin = max((high - low) // 2, 100_000_000)
    run = whole_run(account.view.trace)
    window = Window(max(low - margin, 0), min(high + margin, run.end_ns))
    if window.span_ns * 5 > run.span_ns * 4:
        return None
    canvas = Canvas(window)
    top = canvas.y
    _parts(canvas, outage)
    _bounds(canvas, outage)
    _faults(canvas, account)
    _steps(canvas, account)
    name = outage.finding.name.partition(" ")[2]
    objective = next((o for o in account.view.plan.objectives if o.service == name), None)
    probes = [p for p in account.view.plan.probes if objective and p.name == objective.measured_by]
    for probe in probes:
        _readings(canvas, probe.name, read[probe.name], probe.every_ns)
    _writes(canvas, account)
    _load(canvas, account)
    _shades(canvas, account, top)
    canvas.axis()
    return canvas.finish("The disruption, closer")


def _phases(canvas: Canvas, account: Account) -> None:
    canvas.lane("phase")
    begun_ns, phase = 0, Phase.ARMING
    entered = [(at_ns, event.phase) for at_ns, _, event in account.view.phases]
    for at_ns, following in [*entered, (canvas.window.end_ns, Phase.FINISHED)]:
        if phase is not Phase.FINISHED and at_ns > begun_ns:
            title = f"{phase}: {span(at_ns - begun_ns)}"
            canvas.box(begun_ns, at_ns, f"phase p-{phase}", title, top=0, height=15)
            if canvas.x(at_ns) - canvas.x(begun_ns) > LETTER * len(phase) + 10:
                canvas.text(canvas.x(begun_ns) + 5, canvas.y + 11.5, str(phase))
        begun_ns, phase = at_ns, following
    canvas.y += LANE + 5


def _outage(canvas: Canvas, outage: Outage) -> None:
    canvas.lane("out of service")
    end_ns = outage.recovered[1] if outage.recovered else canvas.window.end_ns
    canvas.box(outage.onset[0], end_ns, "outage", f"{outage.finding.name}: {outage.finding.observed}")
    canvas.beside(outage.onset[0], end_ns, f"{outage.finding.name}: {outage.finding.observed}", "label")
    canvas.y += LANE


def _parts(canvas: Canvas, outage: Outage) -> None:
    """Draw detect, decide, fail over and come up, which sum to the upper end of the RTA."""
    canvas.lane("parts of the RTA")
    assert outage.recovered is not None
    begun_ns = outage.onset[0]
    small = []
    for number, (name, length_ns) in enumerate(outage.parts):
        words = f"{name} {span(length_ns)}"
        canvas.box(begun_ns, begun_ns + length_ns, f"seg s{number}", words, height=14)
        x, end = canvas.x(begun_ns), canvas.x(begun_ns + length_ns)
        if end - x > LETTER * len(words) + 8:
            canvas.text((x + end) / 2, canvas.y + 13, words, "on-seg", "middle")
        else:
            small.append(words)
        begun_ns += length_ns
    if not outage.parts:
        canvas.box(outage.onset[0], outage.recovered[1], "outage", outage.finding.observed, height=14)
    if small:
        canvas.beside(outage.onset[0], outage.recovered[1], ", ".join(small))
    canvas.y += LANE + 3


def _bounds(canvas: Canvas, outage: Outage) -> None:
    """Draw what is not known: within these two stretches lie the true onset and the true recovery."""
    assert outage.recovered is not None
    canvas.lane("known to within")
    for name, (low, high) in (("onset", outage.onset), ("recovery", outage.recovered)):
        canvas.box(low, high, "unsure", f"{name} between {at(low)} and {at(high)}: {span(high - low)}")
    gap = canvas.x(outage.recovered[0]) - canvas.x(outage.onset[1])
    words = f"RTA {outage.finding.observed}"
    if gap > LETTER * len(words) + 8:
        middle = (canvas.x(outage.recovered[0]) + canvas.x(outage.onset[1])) / 2
        canvas.text(middle, canvas.y + 12, words, "label", "middle")
    canvas.beside(outage.recovered[0], outage.recovered[1], f"recovery, to within {span(_width(outage))}")
    canvas.y += LANE + 4


def _width(outage: Outage) -> int:
    assert outage.recovered is not None
    return outage.recovered[1] - outage.recovered[0]


def _faults(canvas: Canvas, account: Account) -> None:
    for number, fault in enumerate(account.faults):
        if number == 0:
            canvas.lane("faults")
        end_ns = canvas.window.end_ns if fault.gone_ns is None else fault.gone_ns
        long = (
            "never read back as gone"
            if fault.gone_ns is None
            else f"in place for {span(end_ns - fault.start_ns)}"
        )
        if end_ns < canvas.window.start_ns or fault.start_ns > canvas.window.end_ns:
            continue
        canvas.box(fault.start_ns, end_ns, "fault", f"{fault.step.name}: {long}")
        canvas.beside(fault.start_ns, end_ns, f"{fault.step.name}, {long}", "label")
        canvas.y += LANE


def _steps(canvas: Canvas, account: Account) -> None:
    inside = [
        run
        for run in account.steps
        if run.start_ns <= canvas.window.end_ns
        and (run.end_ns is None or run.end_ns >= canvas.window.start_ns)
        and run.step.kind != "fault"
    ]
    if len(inside) > STEP_LANES_MAX:
        _steps_together(canvas, inside)
        return
    heading = None
    for run in inside:
        mine = _heading(run)
        if mine != heading:
            canvas.lane(mine)
            heading = mine
        _step(canvas, run)
        canvas.beside(run.start_ns, _end(canvas, run), _step_words(run))
        canvas.y += LANE - 2
    canvas.y += 2


def _steps_together(canvas: Canvas, runs: list[StepRun]) -> None:
    """Too many for a lane each: one lane a runbook, names where one points."""
    for heading in dict.fromkeys(_heading(run) for run in runs):
        canvas.lane(heading)
        for run in runs:
            if _heading(run) == heading:
                _step(canvas, run)
        canvas.y += LANE


def _step(canvas: Canvas, run: StepRun) -> None:
    effect = str(run.ended.effect) if run.ended else "no reply"
    kind = f"step k-{run.step.kind} e-{effect.replace(' ', '-')}"
    canvas.box(run.start_ns, _end(canvas, run), kind, _step_words(run), height=10)


def _step_words(run: StepRun) -> str:
    if run.end_ns is None:
        return f"{run.step.name}: never reported"
    effect = str(run.ended.effect if run.ended else "").replace("_", " ")
    if run.step.kind is StepKind.HOLD and effect == "indeterminate":
        effect = "cut short"
    fate = "" if effect == "happened" else f", {effect}"
    return f"{run.step.name} {span(run.end_ns - run.start_ns)}{fate}"


def _end(canvas: Canvas, run: StepRun) -> int:
    return canvas.window.end_ns if run.end_ns is None else run.end_ns


def _heading(run: StepRun) -> str:
    return run.step.runbook.rpartition("/")[2].rpartition(".")[0] if run.step.runbook else "steps"


def _undos(canvas: Canvas, account: Account) -> None:
    for number, undo in enumerate(account.undos):
        if number == 0:
            canvas.lane("undos")
        end_ns = undo.gone_ns or undo.end_ns or canvas.window.end_ns
        result = "gone" if undo.gone_ns is not None else "NOT shown to be gone"
        why = WHY_UNDONE.get(undo.why, undo.why)
        name = undo.step.undo.name if undo.step.undo else undo.step.name
        words = f"{name}: {result} after {span(end_ns - undo.start_ns)}"
        canvas.box(
            undo.start_ns, end_ns, "undo" if undo.gone_ns else "undo stuck", f"{words}; {why}", height=10
        )
        canvas.beside(undo.start_ns, end_ns, words)
        canvas.y += LANE - 2


def _probes(canvas: Canvas, probes: tuple[Probe, ...], read: Read) -> None:
    canvas.y += 6
    for probe in probes:
        _strip(canvas, probe.name, stretches(read[probe.name], probe.every_ns, canvas.window))


def _strip(canvas: Canvas, name: str, parts: list[Stretch]) -> None:
    canvas.lane(name)
    for part in parts:
        _reading(canvas, part, f"{part.reading}: {at(part.start_ns)} to {at(part.end_ns)}")
    canvas.y += LANE


def _reading(canvas: Canvas, part: Stretch, title: str) -> None:
    """Good is low, bad is high, unreadable is hatched: never colour alone."""
    top, height = {Reading.GOOD: (9, 5), Reading.BAD: (1, 13), Reading.UNREADABLE: (5, 9)}[part.reading]
    canvas.box(part.start_ns, part.end_ns, f"r-{part.reading}", title, top=top, height=height)


def _readings(canvas: Canvas, name: str, readings: Iterable[Sample], every_ns: int) -> None:
    """Draw each sample from its sending to its end, as long as there are not too many."""
    start_ns, end_ns = canvas.window.start_ns, canvas.window.end_ns
    inside = [r for r in readings if start_ns <= r.sent_ns <= end_ns]
    if len(inside) > READINGS_MAX:
        _strip(canvas, name, stretches(inside, every_ns, canvas.window))
        return
    canvas.lane(name)
    for part in inside:
        took = f"{part.reading}: sent {at(part.sent_ns)}, took {span(part.ended_ns - part.sent_ns)}"
        _reading(canvas, Stretch(part.sent_ns, part.ended_ns, part.reading), took)
    canvas.y += LANE


def _writes(canvas: Canvas, account: Account) -> None:
    """Draw the ledgers: what was acknowledged, what was not, and what was acknowledged and is gone."""
    for ledger in account.view.plan.ledgers:
        _writes_of(canvas, account, ledger)


def _writes_of(canvas: Canvas, account: Account, ledger: Ledger) -> None:
    writes = writes_of(account.view, ledger.name)
    made = [_drawn(w, Reading.GOOD if w.mark is LedgerMark.ACKED else Reading.BAD) for w in writes.values()]
    where = f" ({ledger.name})" if ledger.name else ""
    _readings(canvas, f"ledger writes{where}", made, ledger.every_ns)
    reads = (reconcile(account.view, writes, when, ledger.name) for when in ("after-failover", "end"))
    read = next(filter(None, reads), None)
    lost = [_drawn(writes[number], Reading.BAD) for number in read.lost] if read else []
    if lost:
        _readings(canvas, f"acknowledged, lost{where}", lost, ledger.every_ns)


def _drawn(write: Write, reading: Reading) -> Sample:
    """Return a write as what is drawn of it: from its sending to its acknowledgement."""
    return Sample("", write.sent_ns, write.acked_ns or write.sent_ns, reading)


def _load(canvas: Canvas, account: Account) -> None:
    points = load_points(account.view.trace.load, canvas.window)
    if not points:
        return
    charts.rates(canvas, points)
    if any(point.bad for point in points):
        charts.errors(canvas, points)
    charts.latencies(canvas, points, account.view.plan.slos)
    canvas.y += 2


def _shades(canvas: Canvas, account: Account, top: float) -> None:
    for fault in account.faults:
        end_ns = canvas.window.end_ns if fault.gone_ns is None else fault.gone_ns
        canvas.shade(fault.start_ns, end_ns, "shade-fault", top)
    for outage in account.outages:
        end_ns = outage.recovered[1] if outage.recovered else canvas.window.end_ns
        canvas.shade(outage.onset[0], end_ns, "shade-outage", top)


def _halt(canvas: Canvas, account: Account, top: float) -> None:
    if account.view.halted is None:
        return
    x = canvas.x(account.view.halted[0])
    canvas.line(x, top, x, canvas.y, "halt")


def _halt_lane(canvas: Canvas, account: Account) -> None:
    if account.view.halted is None:
        return
    at_ns, _, halted = account.view.halted
    canvas.lane("halt")
    canvas.box(at_ns, at_ns, "outage", f"halted {at(at_ns)} by {halted.by}: {halted.reason}")
    canvas.beside(at_ns, at_ns, f"halted {at(at_ns)} by {halted.by}", "halt-word")
    canvas.y += LANE
