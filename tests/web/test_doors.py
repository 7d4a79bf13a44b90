"""Who may do what: sessions, links, Origin, Host, sizes, paths; and that texts stay texts."""

from __future__ import annotations

import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.cli.main import main
from gameday.console.web.feed import place_of
from gameday.console.web.guard import BODY_MAX, is_ours
from gameday.console.web.sessions import Sessions
from gameday.errors import UsageError
from gameday.evidence.register import Register
from gameday.history.events import HaltAsked, Noted
from tests.golden import unpack
from tests.web.doors import COOKIE, HOST, Doors

WRITES = {
    "/api/halt": {"by": "a.chen"},
    "/api/notes": {"by": "a.chen", "text": "hm"},
    "/api/steps": {"step": "x", "outcome": "taken"},
    "/api/approvals": {"statement": "{}", "signature": "-----BEGIN SSH SIGNATURE-----"},
    "/api/invitations": {},
    "/api/leave": {},
}
READS = (
    "/",
    "/page/app.js",
    "/page/report.css",
    "/programme",
    "/api/programme",
    "/api/story",
    "/api/stream",
    "/api/openapi.json",
    "/api/statement?gate=start&name=a&role=b",
)


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doors")
    doors = Doors(unpack("primary-loss", folder / "run"), folder)
    yield doors
    doors.close()


def test_without_a_session_nothing_is_read_and_nothing_written(doors):
    for path in READS:
        assert doors.ask("GET", path, inside=False).status_code == 401, path
    for path, body in WRITES.items():
        assert doors.ask("POST", path, inside=False, json=body).status_code == 401, path
    wrong = {"cookie": f"{COOKIE}={'x' * 43}"}
    assert doors.ask("POST", "/api/halt", inside=False, headers=wrong, json={}).status_code == 401
    assert doors.heard() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"origin": f"http://{HOST}.evil.example"},
        {"origin": f"file://{HOST}"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"x-gameday-console": "0"},
    ],
)
def test_a_write_from_another_origin_is_refused(doors, headers):
    for path, body in WRITES.items():
        assert doors.ask("POST", path, headers=headers, json=body).status_code == 403, path
    assert doors.heard() == []


def test_a_write_without_what_only_our_page_sends_is_refused(doors):
    for path, body in WRITES.items():
        assert doors.ask("POST", path, ours=False, json=body).status_code == 403, path
    form = doors.ask("POST", "/api/halt", ours=False, headers={"origin": f"http://{HOST}"}, data={"by": "x"})
    assert form.status_code == 403 and doors.heard() == []


def test_a_name_that_others_control_is_no_name_of_ours(doors):
    assert doors.ask("GET", "/api/story", headers={"host": "rebound.example:8470"}).status_code == 421
    assert all(
        is_ours(host, beyond_loopback=False) for host in (HOST, "localhost", "[::1]:1", "127.0.0.2:80")
    )
    for host in ("", "evil", "10.0.0.7:8470", "127.0.0.1.evil.example", "[::1", "localhost.evil.example"):
        assert not is_ours(host, beyond_loopback=False), host
    assert is_ours("10.0.0.7:8470", beyond_loopback=True)
    assert not is_ours("rebound.example", beyond_loopback=True)


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py", "/page/..%2fapp.py", "/page/%2e%2e/sessions.py", "/page//etc/passwd",
        "/page/%2fetc%2fpasswd", "/page/app.js%00", "/../../plan.json", "/page/..\\app.py", "/page/",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(doors, path):
    answer = doors.ask("GET", path)
    assert answer.status_code == 404 and set(answer.json()) == {"error"}


def test_every_answer_forbids_what_is_not_ours(doors):
    for answer in (doors.ask("GET", "/"), doors.ask("GET", "/nothing"), doors.ask("GET", "/", inside=False)):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(doors):
    page = doors.ask("GET", "/").text
    assert "<style" not in page and " style=" not in page and " onclick" not in page
    for name in ("app", "ask", "dom", "halt", "lanes", "panels", "people", "stream"):
        text = doors.ask("GET", f"/page/{name}.js").text
        assert text.count("\n") <= 400
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https:"):
            assert word not in text, (name, word)


@given(after=st.text(max_size=60), last=st.text(st.characters(codec="latin-1"), max_size=60))
def test_no_place_in_the_stream_is_too_wild(after, last):
    for text in (after, last):
        generation, number = place_of(text)
        assert isinstance(generation, str) and 0 <= number < 10**16


def test_what_is_too_large_or_not_what_is_expected_is_said_in_one_line(doors):
    big = doors.ask("POST", "/api/notes", content=b"x" * (BODY_MAX + 1))
    assert big.status_code == 413
    for body in (
        b"{",
        b"[]",
        b'{"text": 7}',
        b'{"more": 1}',
        b'{"mark": "exploded"}',
        b"\xff",
        b'{"by": "' + b"x" * 61 + b'"}',
    ):
        answer = doors.ask("POST", "/api/notes", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422) and "Traceback" not in answer.text, body
        assert set(answer.json()) == {"error"} and "\n" not in answer.json()["error"]
    assert doors.ask("POST", "/api/steps", json={"step": "x", "outcome": "failed"}).status_code == 422
    assert doors.ask("PUT", "/api/halt", json={}).status_code == 405
    assert doors.heard() == []


def test_what_people_say_reaches_the_run_under_a_name_that_is_only_claimed(doors):
    assert doors.ask("POST", "/api/halt", json={"by": "a.chen", "reason": "real incident"}).json()["ok"]
    assert doors.ask("POST", "/api/halt", json={}).json()["ok"]
    assert doors.ask("POST", "/api/notes", json={"by": "<b>x</b>", "mark": "detected"}).json()["ok"]
    first, second, mark = doors.heard()
    assert isinstance(first, HaltAsked) and first.reason == "real incident"
    assert first.by.startswith("operator a.chen, as typed in the web console (uid ")
    assert "somebody, as typed" in second.by and "HALT was pressed" in second.reason
    assert isinstance(mark, Noted) and mark.mark == "detected" and "<b>x</b>, as typed" in mark.by


def test_what_the_run_refuses_is_a_conflict_with_its_words(doors):
    answer = doors.ask("POST", "/api/approvals", json=WRITES["/api/approvals"])
    assert answer.status_code == 409 and "takes no approvals now" in answer.json()["error"]
    assert (
        doors.ask("POST", "/api/approvals", json={"statement": "{}", "signature": "yes"}).status_code == 422
    )
    taken = doors.ask("POST", "/api/steps", json={"step": "x", "outcome": "taken"})
    assert taken.status_code == 409 and "no step 'x'" in taken.json()["error"]
    done = doors.ask("POST", "/api/steps", json={"step": "x", "outcome": "done"})
    assert done.status_code == 409 and "nobody is asked" in done.json()["error"]


def test_a_link_works_once_and_what_is_kept_lets_nobody_in(doors):
    url = doors.ask("POST", "/api/invitations", json={}).json()["url"]
    assert url.startswith(f"http://{HOST}/enter?token=")
    entered = doors.ask("GET", url, inside=False, ours=False)
    assert entered.status_code == 200
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Max-Age=43200" in cookie
    assert doors.ask("GET", url, inside=False, ours=False).status_code == 403
    assert doors.ask("GET", "/enter?token=guess", inside=False).status_code == 403
    secret = cookie.partition("=")[2].partition(";")[0]
    assert stat.S_IMODE(doors.file.stat().st_mode) == 0o600
    kept = doors.file.read_text()
    assert secret not in kept and url.rpartition("=")[2] not in kept
    again = Sessions(doors.file)
    assert again.holds(secret) and not again.holds(next(iter(json.loads(kept))))
    again.leave(secret)
    assert not Sessions(doors.file).holds(secret)


def test_a_session_ends(tmp_path, monkeypatch):
    sessions = Sessions(tmp_path / "s.json")
    link = sessions.invite()
    secret = sessions.enter(sessions.invite())
    assert sessions.holds(secret)
    monkeypatch.setattr("gameday.console.web.sessions._now_s", lambda: 10**11)
    assert not sessions.holds(secret) and sessions.enter(link) is None
    assert not Sessions(tmp_path / "s.json").holds(secret)


@pytest.mark.parametrize(
    "place", ["0.0.0.0:8470", "10.0.0.1:80", "[::]:1", "nowhere:1", "127.0.0.1", "127.0.0.1:x"]
)
def test_nothing_listens_off_loopback_unless_asked(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["console", "--listen", place]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_address_in_use_is_one_line(doors):
    from gameday.console.web.serve import listen

    taken = listen("127.0.0.1", 0)
    with taken, pytest.raises(UsageError, match="cannot be listened on"):
        listen(*taken.getsockname()[:2])


def test_a_console_outside_a_project_says_that_it_knows_no_programme(doors):
    page, told = doors.ask("GET", "/programme"), doors.ask("GET", "/api/programme")
    assert (page.status_code, told.status_code) == (409, 409)
    assert "started outside a project" in page.text and "started outside a project" in told.json()["error"]


def test_what_a_register_says_stays_text_on_the_programme_page(tmp_path):
    hostile = "<script>document.title='owned'</script>"
    register = Register(tmp_path / "register")
    leaf = {
        "kind": "started",
        "run": "r1",
        "plan": f"experiments/{hostile}.yaml",
        "service": hostile,
        "drill_kind": "dr",
    }
    register.enter(leaf, at_utc="2026-11-01T10:00:00Z")
    register.enter({"kind": "finished", "run": "r1", "verdict": hostile}, at_utc="2026-11-01T10:01:00Z")
    doors = Doors(unpack("primary-loss", tmp_path / "run"), tmp_path, project=tmp_path)
    try:
        page = doors.ask("GET", "/programme")
        assert page.status_code == 200 and "<script" not in page.text and "&lt;script" in page.text
    finally:
        doors.close()
