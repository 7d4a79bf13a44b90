"""Whole drills in real browsers: signed, done by hand, watched by two, halted; the server dies meanwhile."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import time

import pytest

from gameday.hosts.clock import wall_ns
from tests.browser.console import ConsoleProcess, axe, picture
from tests.commands import in_this_process
from tests.drills import SHORT, Run, make_project
from tests.people.keys import People

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

GATE = "approvals: {before_faults: [{role: approver, live: true}], timeout: 180s}\n"
HAND = """\
  - manual: tell the support desk
    who: the observer
    instructions: call 1234 and say that orders will be slow
    timeout: 180s
"""
HOSTILE = "=HYPERLINK(1)<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
HOLD_S = 0.4
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "color_scheme": "dark",
}


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("project"), **SHORT)
    text = (project / "experiments" / "latency.yaml").read_text()
    text = text.replace("latency_ms: 350, jitter_ms: 50", "latency_ms: 40").replace("hold: 15s", "hold: 4m")
    text = text.replace("ttl: 30s", "ttl: 3m").replace("duration: 1m", "duration: 15m")
    # A drill that lasts until somebody halts it: a busy machine makes users slow, which is not the subject.
    text = text.replace("{silence: 3s", "{silence: 60s").replace("for: 1s, then: halt", "for: 4m, then: halt")
    text = text.replace("20 in a row", "2000 in a row").replace("hold: 4m", "hold: 5m")
    (project / "experiments" / "slow.yaml").write_text(text)
    head, steps = text.split("steps:\n")
    (project / "experiments" / "asks.yaml").write_text(f"{head}{GATE}steps:\n{HAND}{steps}")
    return People(tmp_path_factory.mktemp("keys"), project)


@pytest.fixture(scope="module")
def console(team):
    found = ConsoleProcess(team.project)
    yield found
    found.kill()


def sign(team, who, statement):
    """Sign with ssh-keygen alone, as the page says; return the signature's file."""
    signed = statement.with_name(f"{statement.name}.sig")
    signed.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "gameday-approval", "-f", str(team.key(who)), str(statement)],
        check=True, capture_output=True,
    )  # fmt: skip
    return signed


def event_ns(run, kind):
    """Unix time of the first record of a kind, in nanoseconds."""
    for line in (run.folder / "history.jsonl").read_text().splitlines():
        item = json.loads(line)
        if item["kind"] == kind:
            return wall_ns(item["utc"])
    raise AssertionError(run.explain())


def approve(team, page, folder):
    card = page.locator("article.ask", has_text="the start waits for")
    card.wait_for(timeout=90_000)
    card.locator("summary").click()
    card.get_by_label("Your name").fill("a.chen")
    assert "--as a.chen --role approver" in card.inner_text()
    card.get_by_role("button", name="Prepare what you sign").click()
    with page.expect_download() as download:
        card.get_by_role("link", name="Download").click()
    statement = folder / download.value.suggested_filename
    download.value.save_as(statement)
    assert "a.chen approves as approver" in card.locator("pre").inner_text()
    picture(page, "approval-light")
    axe(page, "approval-light")
    card.get_by_label("Signature", exact=True).fill(sign(team, "mallory", statement).read_text())
    card.get_by_role("button", name="Hand in the signature").click()
    card.get_by_text("Not taken: the runner refused").wait_for()
    card.get_by_label("Or its file").set_input_files(sign(team, "a.chen", statement))
    page.wait_for_timeout(200)
    card.get_by_role("button", name="Hand in the signature").click()
    card.wait_for(state="detached")


def test_a_whole_drill_by_several_people(team, console, people, lab, tmp_path):
    run = Run(team.project, "asks")
    ann = people(console.link)
    ann.get_by_label("Your name (kept as claimed)").fill("Ann")
    ann.get_by_role("button", name="Invite somebody").click()
    link = ann.locator("#invited", has_text="/enter?token=").inner_text().split()[-1]
    bob = people(link, **PHONE)
    bob.get_by_label("Your name (kept as claimed)").fill("Bob")
    approve(team, ann, tmp_path)

    hers, his = (page.locator("article.ask", has_text="tell the support desk") for page in (ann, bob))
    his.get_by_role("button", name="I take it").click()
    hers.get_by_text("Taken by operator Bob, as typed in the web console").wait_for()
    picture(bob, "by-hand-phone-dark")
    axe(bob, "by-hand-phone-dark")
    hers.get_by_label("What you saw").fill("they know")
    hers.get_by_role("button", name="Done", exact=True).click()

    for page in (ann, bob):
        page.locator(".faults li", has_text="in place").wait_for(timeout=60_000)
    counting(ann)
    bob.get_by_label("What you saw").fill(HOSTILE)
    bob.get_by_role("button", name="Add note").click()
    ann.locator("#log").get_by_text("=HYPERLINK(1)<img src=x").wait_for()
    ann.get_by_role("button", name="Detected").click()
    bob.locator("#log li", has_text="detected").wait_for()
    for page in (ann, bob):
        assert page.locator("#log img, #log script, #lanes img").count() == 0 and "owned" not in page.title()
    ann.locator("#watching", has_text="2 watching").wait_for()
    looks(ann)
    axe(bob, "running-phone-dark")
    picture(bob, "running-phone-dark")

    console.kill()
    ann.locator("#lost", has_text="the drill goes on").wait_for()
    assert run.process.poll() is None
    picture(ann, "lost", full=False)
    axe(ann, "lost")
    console.start()
    ann.locator("#lost").wait_for(state="hidden", timeout=90_000)
    bob.locator("#lost").wait_for(state="hidden", timeout=90_000)

    cy = people(console.link)  # A late joiner, by the new link.
    cy.locator("#log").get_by_text("they know").first.wait_for()
    cy.locator("#log").get_by_text("=HYPERLINK(1)").wait_for()
    after_s = halted(run, ann)
    bob.locator("#halted", has_text="HALTED: every fault verified gone").wait_for()
    picture(ann, "halted-light")
    code, out = run.end(120)
    ann.locator("#end", has_text="was halted").wait_for(timeout=60_000)
    cy.locator("#end table").wait_for()
    picture(ann, "ended-light")
    axe(ann, "ended")
    kept(run, team)
    assert code in (1, 4), out
    assert after_s <= 1.0, run.explain()


def counting(page):
    """The ttl counts down on the page."""

    def left():
        return float(page.locator(".faults progress").first.get_attribute("value"))

    before = left()
    page.wait_for_timeout(2500)
    assert left() < before - 1


def looks(page):
    page.wait_for_timeout(1500)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)
        axe(page, f"running-{scheme}")
        picture(page, f"running-{scheme}")
    page.emulate_media(color_scheme="light")


def halted(run, page):
    """Hold HALT, and see in the history when the fault was read back as gone."""
    box = page.locator("#halt").bounding_box()
    assert box["width"] * box["height"] > 3 * max(
        other["width"] * other["height"]
        for other in map(lambda b: b.bounding_box(), page.locator("button:not(#halt):visible").all())
        if other
    )
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    pressed_ns = time.time_ns()
    page.wait_for_timeout(420)
    page.mouse.up()
    page.locator("#halted", has_text="HALTED: every fault verified gone").wait_for()
    shown_s = (time.time_ns() - pressed_ns) / 1e9
    gone_s = (event_ns(run, "UndoEnded") - pressed_ns) / 1e9
    asked_s = (event_ns(run, "HaltAsked") - pressed_ns) / 1e9
    print(
        f"HALT: asked {asked_s:.2f} s, gone {gone_s:.2f} s after the press began, {gone_s - HOLD_S:.2f} s after it was complete; shown after {shown_s:.2f} s"
    )
    return gone_s - HOLD_S


def kept(run, team):
    """What people wrote is text in everything that is made of the run."""
    report = (run.folder / "report.html").read_text()
    assert "<img src=x" not in report and "<script>document" not in report
    assert "as typed in the web console" in report
    for form in ("csv", "junit", "oscal", "in-toto"):
        done = in_this_process(team.project, "export", str(run.folder), "--as", form)
        assert done.returncode == 0, done.stderr
        if form == "junit":
            assert "<img" not in done.stdout and "<script" not in done.stdout
        if form == "csv":
            cells = [cell for row in csv.reader(io.StringIO(done.stdout)) for cell in row]
            assert not [cell for cell in cells if cell.startswith(("=", "@", "+H", "-H"))]


def test_halt_by_keyboard_and_by_assistive_technology(team, console, people, lab):
    run = Run(team.project, "slow")
    page = people(console_link(console))
    page.locator(".faults li", has_text="in place").wait_for(timeout=90_000)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "halt"
    page.keyboard.press("Enter")
    page.get_by_text("hold it a little longer").wait_for()
    assert page.locator("#halted").is_hidden()
    page.wait_for_timeout(1700)
    page.keyboard.down("Enter")
    began_ns = time.time_ns()
    page.wait_for_timeout(450)
    page.keyboard.up("Enter")
    page.locator("#halted", has_text="HALTED: every fault verified gone").wait_for()
    gone_s = (event_ns(run, "UndoEnded") - began_ns) / 1e9
    print(f"HALT by keyboard: gone {gone_s:.2f} s after the key went down")
    run.end(120)
    again = Run(team.project, "slow")
    page.locator("#run", has_text=again.folder.name).wait_for(timeout=60_000)
    page.locator(".faults li", has_text="in place").wait_for(timeout=90_000)
    page.evaluate("document.getElementById('halt').click()")  # As a screen reader clicks.
    page.locator("#halted", has_text="HALTED: every fault verified gone").wait_for()
    again.end(120)


def console_link(console):
    """A fresh link: the console is started again, which prints one."""
    console.kill()
    console.start()
    return console.link
