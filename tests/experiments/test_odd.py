"""Odd but valid experiments: both journals are the same, line for line, but for times, places and secrets."""

import http.server
import json
import threading

import pytest

from tests.answers import JsonAnswers
from tests.experiments.sidebyside import both, expected_code

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MODULE = """
import pathlib, time
def value(it=None): return it
def boom(): raise RuntimeError("boom")
def echo(**given): return given
def nap(s): time.sleep(s); return s
def sees(configuration=None, secrets=None): return [configuration, sorted(secrets or {})]
def nested(): return {"items": [{"n": 1}, {"n": 2}], "status": 200}
def count():
    path = pathlib.Path("n")
    path.write_text("x" + (path.read_text() if path.exists() else ""))
    return len(path.read_text())
"""
CONTROL = """
said = []
def note(name):
    def control(context, state=None, **more):
        what = context if isinstance(context, str) else context.get("name") or context.get("title") if isinstance(context, dict) else ""
        said.append([name, what])
        if name == "after_experiment":
            state["said"] = list(said)
        if name == "after_activity":
            state["extra"] = True
    return control
for level in ("experiment", "hypothesis", "method", "rollback", "activity"):
    for scope in ("before", "after"):
        globals()[f"{scope}_{level}_control"] = note(f"{scope}_{level}")
def configure_control(control=None, experiment=None, configuration=None, secrets=None, settings=None, **more):
    said.append(["configure", control and control["name"]])
"""  # fmt: skip
SECRET = "canary-odd-5b1d"


def python(func, **arguments):
    return {"type": "python", "module": "mine", "func": func, "arguments": arguments}


def program(path, arguments=None, **more):
    return {
        "type": "process",
        "path": path,
        **({} if arguments is None else {"arguments": arguments}),
        **more,
    }


def act(name, provider, **more):
    return {"type": "action", "name": name, "provider": provider, **more}


def look(name, provider, tolerance=None, **more):
    return {**act(name, provider, **more), "type": "probe"} | (
        {} if tolerance is None else {"tolerance": tolerance}
    )


def whole(method, rollbacks=(), probes=None, **more):
    hypothesis = {} if probes is None else {"steady-state-hypothesis": {"title": "h", "probes": probes}}
    return {"title": "odd ${nobody}", "description": "d", "method": method, "rollbacks": list(rollbacks), **hypothesis, **more}  # fmt: skip


def control(name, **more):
    return {"name": name, "provider": {"type": "python", "module": "control"}, **more}


def dynamic(provider, **more):
    return {"type": "probe", "name": "d", "provider": provider, **more}


ENV = {"type": "env", "key": "ODD_NUMBER"}
RANGE = {"type": "range", "range": [1, 1]}  # Met before the method, and by no look after that.
UNDO = act("undo", python("value", it=1))
FAULT = act("fault", python("count"))
ODD = {
    "refs everywhere": (
        whole(
            [act("one", python("value", it=1)), {"ref": "one"}, {"ref": "h"}, look("p", python("value", it="${a}")), {"ref": "p"}],
            [{"ref": "one"}, UNDO], [look("h", python("value", it=5), 5)], configuration={"a": "x"},
        ), (),
    ),
    "configuration by probes": (
        whole(
            [act("sees", python("sees")), act("echo", program("echo", "${dyn} ${deep} ${lit} $lit $$lit ${nope}"))], [],
            [look("h", python("value", it="${number}"), 7)],
            configuration={
                "dyn": dynamic(python("value", it="found")), "deep": dynamic(program("echo", "${lit}"), timeout=2),
                "number": dynamic(python("value", it=7)), "bad": dynamic(python("boom"), default="fallback"), "lit": "literal",
                "env": {**ENV, "env_var_type": "int"}, "unset": {"type": "env", "key": "NOT_SET_7", "default": 3.5},
                "nested": {"k": ENV, "z": [1, 2]},
            },
        ), (),
    ),
    "background and pauses": (
        whole(
            [
                act("bg1", python("nap", s=1.5), background=True, pauses={"before": 0.2}),
                act("fg", python("nap", s=0.2), pauses={"after": 0.3}), look("bg2", program("sleep", "1"), background=True),
                act("bg3", python("boom"), background=True), act("last", python("value", it="ok")),
            ],
            [act("later", python("nap", s=0.5), background=True), UNDO],
        ), (),
    ),
    "tolerances": (
        whole(
            [], [],
            [
                look("regex", program("echo", ["world 42"]), {"type": "regex", "pattern": "w.*\\d+", "target": "stdout"}),
                look("range", python("value", it=2.5), {"type": "range", "range": [2.5, 3]}),
                look("target", python("nested"), {"type": "range", "target": "status", "range": [199, 201]}),
                look("two", python("value", it=5), [4, 6]), look("three", python("value", it="b"), ["a", "b", "c"]),
                look("status", program("false"), 1), look("true", python("value", it=True), True),
                look("probe", python("value", it=3), {"type": "probe", "name": "t", "provider": python("echo", value=None)}),
                look("program", python("value", it=3), {"type": "probe", "name": "t", "provider": program("true", {"-x": "${value}"})}),
                look("path", python("nested"), {"type": "jsonpath", "path": "$.items[*].n", "expect": [1, 2]}),
                look("count", python("nested"), {"type": "jsonpath", "path": "$.items[*].n", "count": 2}),
            ],
        ), (),
    ),
    "rollbacks: deviated, and it did": (whole([FAULT], [UNDO], [look("h", python("count"), 1)]), ("--rollback-strategy", "deviated")),
    "rollbacks: deviated, and it did not": (whole([FAULT], [UNDO], [look("h", python("value", it=1), 1)]), ("--rollback-strategy", "deviated")),
    "rollbacks: never": (whole([FAULT], [UNDO], [look("h", python("count"), 1)], runtime={"rollbacks": {"strategy": "never"}}), ()),
    "rollbacks: always, and nothing was begun": (
        whole([FAULT], [UNDO], [look("h", python("value", it=0), 1)], runtime={"rollbacks": {"strategy": "always"}}), (),
    ),
    "during the method only": (
        whole(
            [act(f"n{n}", python("nap", s=0.4)) for n in range(3)], [UNDO], [look("h", python("count"), {"type": "range", "range": [1, 99]})],
            runtime={"hypothesis": {"strategy": "during-method-only"}},
        ), ("--hypothesis-frequency", "0.3"),
    ),
    "continuously, and it deviates": (
        whole(
            [act(f"n{n}", python("nap", s=0.4)) for n in range(4)], [UNDO], [look("h", python("count"), RANGE)],
            runtime={"hypothesis": {"strategy": "continuously"}},
        ), ("--hypothesis-frequency", "0.3"),
    ),
    "controls at every level": (
        whole(
            [act("a", python("value", it=1), controls=[control("act")]), act("b", python("boom"))], [UNDO],
            [look("h", python("value", it=1), 1, controls=[control("probe")])],
            controls=[control("top"), control("off", automatic=False), control("half", scope="after")],
        ), (),
    ),
    "programs": (
        whole(
            [
                act("text", program("echo", "a 'b c' $HOME ${v}")), act("list", program("echo", ["a", "b c", "", None, 3, "${v}"])),
                act("mapping", program("echo", {"-n": "x", "--flag": None})), act("code", program("sh", ["-c", "echo o; echo e >&2; exit 3"])),
                act("bare", program("true")), act("late", program("sleep", "50", timeout=0.5)), act("killed", program("sh", ["-c", "kill -9 $$$$"])),
            ], configuration={"v": "V"},
        ), (),
    ),
    "HTTP": (
        whole(
            [
                look("get", {"type": "http", "url": "URL/x?q=${q}", "headers": {"Authorization": "${token}", "X-Q": "${q}"}, "secrets": ["api"], "timeout": 30}),
                act("post", {"type": "http", "url": "URL/", "method": "POST", "arguments": {"a": 1, "b": "${q}"}, "timeout": [5, 30]}),
                act("missing", {"type": "http", "url": "URL/missing"}), act("refused", {"type": "http", "url": "http://127.0.0.1:9/"}),
            ], [], [look("ok", {"type": "http", "url": "URL/"}, 200), look("either", {"type": "http", "url": "URL/"}, [200, 204])],
            configuration={"q": "quux"}, secrets={"api": {"token": {"type": "env", "key": "ODD_SECRET"}}},
        ), (),
    ),
    "secrets of some groups": (
        whole(
            [act("one", {**python("sees"), "secrets": ["g"]}), act("two", {**python("sees"), "secrets": ["g", "h"]}), act("none", python("sees"))],
            secrets={"g": {"k": {"type": "env", "key": "ODD_SECRET"}}, "h": {"l": "inline-secret-9"}},
        ), (),
    ),
    "extensions, contributions, tags": (
        whole([act("a", python("value"))], extensions=[{"name": "e", "x": {"y": 1}}], contributions={"a": "high", "b": "none"}, tags=["a"], version="1"), (),
    ),
    "a probe that raises": (whole([FAULT], [UNDO], [look("h", python("boom"), True)]), ()),
}  # fmt: skip
NOT_COMPARED = {"start", "end", "duration", "node", "platform", "exception"}


class _Answers(JsonAnswers):
    def do_GET(self):
        given = {"q": self.headers.get("X-Q"), "token": len(self.headers.get("Authorization") or "")}
        self.reply(404 if "missing" in self.path else 200, given)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(201, {"body": body.decode()})

    def date_time_string(self, timestamp=None):
        return "a day"


@pytest.fixture(scope="module")
def url():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def differences(theirs, ours, where=""):
    """Yield where two journals differ, as a path with both values."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            if key in NOT_COMPARED or (
                key not in ours and theirs[key] == {}
            ):  # `secrets: {}`, which chaoslib adds.
                continue
            yield from differences(theirs.get(key, "nothing"), ours.get(key, "nothing"), f"{where}/{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(one, other, f"{where}/{number}")
    elif theirs != ours and not (ours == "[redacted]" and where.startswith("/experiment/secrets/")):
        yield f"{where}: {theirs!r}, ours {ours!r}"


@pytest.mark.parametrize("name", ODD)
def test_both_journals_are_the_same(tmp_path, url, name):
    data, options = ODD[name]
    for module, text in (("mine", MODULE), ("control", CONTROL)):
        (tmp_path / f"{module}.py").write_text(text)
    path = tmp_path / "it.json"
    path.write_text(json.dumps(data).replace("URL", url))
    env = {"PYTHONPATH": str(tmp_path), "ODD_NUMBER": "17", "ODD_SECRET": SECRET}
    chaos, ours = both(
        path, *options, folder=tmp_path, env=env, between=lambda: (tmp_path / "n").unlink(missing_ok=True)
    )
    assert (ours.word, ours.code) == (chaos.word, expected_code(chaos)), ours.said
    if "during" in name or "continuously" in name:  # How many looks there is time for is no part of it.
        del chaos.journal["steady_states"]["during"], ours.journal["steady_states"]["during"]
    assert not list(differences(chaos.journal, ours.journal))
    assert not [file for file in (tmp_path / "run").rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]  # fmt: skip
