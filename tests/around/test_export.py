"""Findings go to trackers once, over real HTTP to stand-ins; nothing of theirs is markup or a formula there."""

from __future__ import annotations

import csv
import http.server
import io
import json
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from gameday.errors import UsageError
from gameday.evidence.issues import as_csv, as_markdown, issue_of
from gameday.evidence.trackfile import change, tracked
from gameday.evidence.tracking import Added, Assigned
from gameday.hosts.trackers import Tracker
from tests.commands import in_this_process

HOSTILE = "=cmd()\n/close @all #1 <script>x</script> {code} [a|b] ![i](http://e)"
TODAY = "2026-11-24"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "experiments").mkdir()
    added = Added(
        "20260101T000000Z-aaaaaa", "experiments/a.yaml", "orders", f"RTA {HOSTILE}", "fail", HOSTILE, "high"
    )
    one = Added(
        "20260101T000000Z-aaaaaa", "experiments/a.yaml", "orders", "RPA orders", "unknown", "why", "low"
    )
    change(
        tmp_path,
        lambda _: [("F-1", added), ("F-1", Assigned("=owner()", "2031-01-01", "")), ("F-2", one)],
        by="r.ito", at_utc="2026-11-24T12:00:00Z",
    )  # fmt: skip
    return tmp_path


@pytest.fixture
def tracker():
    """Stand-ins for the three APIs, in one server: what was filed, by path, and which tokens came."""
    seen = {"issues": [], "tokens": [], "status": 0, "old_jira": True}

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(seen["status"] or status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def note(self):
            seen["tokens"].append(self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN"))

        def do_GET(self):
            self.note()
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            if parts.path.endswith("/search/jql") and seen["old_jira"]:
                return self.answer(404, {})
            if "/search" in parts.path:
                label = query["jql"][0].split('"')[1]
                hits = [i for i in seen["issues"] if label in i["fields"]["labels"]]
                return self.answer(200, {"issues": hits[:1]})
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return self.answer(200, seen["issues"][(page - 1) * size : page * size])

        def do_POST(self):
            self.note()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number = len(seen["issues"]) + 1
            made = {**body, "html_url": f"gh/{number}", "web_url": f"gl/{number}", "key": f"PAY-{number}"}
            if not seen["status"]:
                seen["issues"].append({**made, "path": self.path})
            self.answer(201, made)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    server.server_close()


def export(project, kind, url, *more, place="acme/shop"):
    return in_this_process(project, "finding", "export", *more, "--to", kind, "--in", place, "--url", url)


@pytest.mark.parametrize(
    ("kind", "variable", "token", "path"),
    [
        ("github", "GITHUB_TOKEN", "Bearer t0ken-x", "/repos/acme/shop/issues"),
        ("gitlab", "GITLAB_TOKEN", "t0ken-x", "/api/v4/projects/acme%2Fshop/issues"),
        ("jira", "JIRA_TOKEN", "Bearer t0ken-x", "/rest/api/2/issue"),
    ],
)
def test_a_finding_is_filed_once_whoever_asks_again(
    project, tracker, monkeypatch, kind, variable, token, path
):
    url, seen = tracker
    monkeypatch.setenv(variable, "t0ken-x")
    seen["issues"] += [{"body": None, "description": "", "fields": {"labels": []}}] * (
        0 if kind == "jira" else 150
    )
    before = len(seen["issues"])
    first = export(project, kind, url)
    assert first.returncode == 0, first.stderr
    assert [line.split(":")[1].strip() for line in first.stdout.splitlines()] == ["filed", "filed"]
    again = export(project, kind, url)
    assert again.stdout.count("is there already") == 2 and len(seen["issues"]) == before + 2
    assert {item["path"] for item in seen["issues"][before:]} == {path}
    assert set(seen["tokens"]) == {token}
    text = seen["issues"][before].get("body") or seen["issues"][before].get("description")
    if kind != "jira":
        assert "@all" not in text and "#1" not in text and "<script" not in text.replace("\\<", "")
        assert not any(line.startswith("/") for line in text.splitlines())
    else:
        text = seen["issues"][before]["fields"]["description"]
        assert "\\{code\\}" in text and "\\@all" in text
        seen["old_jira"] = False
        assert export(project, kind, url).stdout.count("is there already") == 2


def test_what_the_tracker_says_no_to_is_one_line_without_the_token(project, tracker, monkeypatch):
    url, seen = tracker
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken-x")
    seen["status"] = 401
    done = export(project, "github", url)
    assert done.returncode == 3 and "github: GET" in done.stderr and "HTTP 401" in done.stderr
    assert "t0ken-x" not in done.stderr and len(done.stderr.strip().splitlines()) == 2
    seen["status"] = 302
    assert "HTTP 302" in export(project, "github", url).stderr
    done = export(project, "github", "http://127.0.0.1:1")
    assert done.returncode == 3 and "github: GET http://127.0.0.1:1/repos/acme/shop/issues:" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "github", "--in", "a/b"], "GITHUB_TOKEN is not set"),
        (["--to", "jira", "--in", "PAY"], "--url is missing"),
        (["--to", "gitlab"], "--in is missing"),
        (["F-9"], "there is no such finding"),
    ],
)
def test_what_is_missing_is_said(project, monkeypatch, words, said):
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN", "JIRA_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    done = in_this_process(project, "finding", "export", *words)
    assert done.returncode == 2 and said in done.stderr


@pytest.mark.parametrize(
    "url", ["http://tracker.example", "https://me:pw@tracker.example", "file:///etc/passwd"]
)
def test_a_token_goes_over_no_open_wire(url):
    with pytest.raises(UsageError):
        Tracker("github", "a/b", "token", url)


def test_a_file_holds_no_formula_and_no_markup(project):
    items = tracked(project)
    rows = list(csv.reader(io.StringIO(as_csv(items, TODAY), newline="")))
    assert len(rows) == 3 and rows[1][3] == "'=owner()" and rows[1][8].startswith("'=cmd()")
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    said = as_markdown(items, TODAY)
    assert "@all" not in said and "<script" not in said.replace("\\<", "") and said.count("\n| F-") == 2
    done = in_this_process(project, "finding", "export", "-o", "out.csv")
    assert done.returncode == 0 and (project / "out.csv").read_text().startswith("id,severity")
    done = in_this_process(project, "finding", "export", "-o", "out.md")
    assert done.returncode == 0 and (project / "out.md").read_text().startswith("# Findings")


def test_the_same_finding_has_the_same_mark_and_another_another(project):
    one, other = tracked(project)
    assert issue_of(one, TODAY).mark == issue_of(one, "2030-01-01").mark != issue_of(other, TODAY).mark
