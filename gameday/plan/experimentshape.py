"""Whether an experiment has the shape that Chaos Toolkit needs: every problem at once, each with its line.

Chaos Toolkit stops at the first problem and answers many with a traceback, or not at all. Here an error is
what it refuses or would choke on. What it takes without a word and that may not be meant (a key it does
not read, a range that nothing can be in) is a warning: such a file runs, as it does there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from gameday.plan.experimentfile import ExperimentFile
from gameday.plan.experimenttolerance import check_tolerance
from gameday.plan.source import Source, Where

ROLLBACKS = ("default", "always", "never", "deviated")
HYPOTHESES = (
    "default", "before-method-only", "after-method-only", "during-method-only", "continuously",
)  # fmt: skip
SPELLINGS = {"continously": "continuously"}  # Chaos Toolkit takes this one as well.
_TOP = {
    "version", "title", "description", "tags", "configuration", "secrets", "contributions", "controls",
    "extensions", "steady-state-hypothesis", "method", "rollbacks", "runtime", "dry",
}  # fmt: skip
_ACTIVITY = {
    "type", "name", "ref", "provider", "tolerance", "pauses", "background", "controls", "timeout", "dry",
    "description", "tags", "contributions", "configuration", "secrets", "extensions",
}  # fmt: skip
ABORTS = "it is aborted here"
_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_PATTERN = re.compile(r"\$\{[^}]*\}\Z")


class Shape:
    """The checks over one experiment. Errors go to its source, warnings are kept here."""

    def __init__(self, read: ExperimentFile) -> None:
        self.source: Source = read.source
        self.warnings: list[str] = list(read.odd)
        self.names: set[str] = set()

    def check(self) -> bool:
        """Check it; tell whether it is sound."""
        data = self.source.data
        if not isinstance(data, dict):
            self._bad((), f"is {_kind(data)}: expected a mapping with title, description and method")
            return False
        if not data.get("title"):
            self._bad(("title",), f"`title` is {_shown(data.get('title'))}: an experiment needs it as text")
        elif not isinstance(data["title"], str):
            self._warn(("title",), f"`title` is {_kind(data['title'])}, not a text")
        if not data.get("description"):
            self._bad(("description",), f"`description` is {_shown(data.get('description'))}: it is needed")
        self._tags(data.get("tags"))
        self._configuration(data)
        self._secrets(data)
        self._extensions(data.get("extensions"))
        self._controls(data.get("controls"), ("controls",))
        self._keys(data, _TOP, (), only_close=True)
        parts = dict(self._parts(data))
        self.names = {
            str(item["name"])
            for part in ("method", "steady-state-hypothesis")
            for _, item in parts.get(part, ())
            if isinstance(item, dict) and isinstance(item.get("name"), str)
        }
        for part, items in parts.items():
            for where, item in items:
                self._activity(item, where, in_hypothesis=part == "steady-state-hypothesis")
        self._runtime(data.get("runtime"))
        self._variables(data)
        return not self.source.problems

    # --- parts -------------------------------------------------------------------------------

    def _parts(self, data: dict[str, Any]) -> Iterator[tuple[str, list[tuple[Where, Any]]]]:
        """Yield the lists of activities, as far as they are lists."""
        if "method" not in data:
            self._bad((), "has no `method`: expected a list of activities, which may be empty")
        for part in ("method", "rollbacks"):
            given = data.get(part, [])
            if not isinstance(given, list) and (given or given is None or part == "method"):
                self._bad((part,), f"`{part}` is {_kind(given)}: expected a list of activities")
                continue
            yield part, [((part, number), item) for number, item in enumerate(given or ())]
        hypothesis = data.get("steady-state-hypothesis")
        if "steady-state-hypothesis" not in data:
            return
        where: Where = ("steady-state-hypothesis",)
        if not isinstance(hypothesis, dict):
            self._bad(where, f"is {_kind(hypothesis)}: expected a mapping with title and probes")
            return
        if not hypothesis.get("title"):
            self._bad(where, "the hypothesis has no title")
        self._controls(hypothesis.get("controls"), (*where, "controls"))
        probes = hypothesis.get("probes", [])
        if not isinstance(probes, list):
            self._bad((*where, "probes"), f"`probes` is {_kind(probes)}: expected a list of probes")
            return
        if not probes:
            self._warn(where, "the hypothesis has no probes, so it says nothing")
        yield (
            "steady-state-hypothesis",
            [((*where, "probes", n), item) for n, item in enumerate(probes or ())],
        )

    def _activity(self, item: Any, where: Where, *, in_hypothesis: bool) -> None:
        if not isinstance(item, dict) or not item:
            self._bad(
                where, f"is {_kind(item)}: expected an activity, a mapping with type, name and provider"
            )
            return
        if item.get("ref") is not None:
            if not isinstance(item["ref"], str) or item["ref"] not in self.names:
                known = ", ".join(sorted(self.names)) or "none"
                self._bad((*where, "ref"), f"{item['ref']!r}: no such activity; there are {known}")
            if in_hypothesis:
                self._tolerance(item, where)
            return
        if item.get("type") not in ("probe", "action"):
            self._bad((*where, "type"), f"type {item.get('type')!r}: expected probe or action")
        elif in_hypothesis and item["type"] != "probe":
            self._warn((*where, "type"), "an action in the hypothesis: it is carried out at every look")
        if not item.get("name") or (isinstance(item["name"], list | dict) and where[0] != "rollbacks"):
            self._bad((*where, "name"), f"name {item.get('name')!r}: an activity needs one, as text")
        elif not isinstance(item["name"], str):
            self._warn((*where, "name"), f"name {item['name']!r} is no text, so no `ref` can mean it")
        self._times(item, where)
        self._controls(item.get("controls"), (*where, "controls"))
        self._keys(item, _ACTIVITY, where)
        self._provider(item.get("provider"), (*where, "provider"))
        if in_hypothesis:
            self._tolerance(item, where)

    def _tolerance(self, item: dict[str, Any], where: Where) -> None:
        if "tolerance" not in item:
            name = item.get("name") or item.get("ref")
            self._bad(where, f"probe {name!r} of the hypothesis has no tolerance")
        else:
            check_tolerance(self, item["tolerance"], (*where, "tolerance"), item.get("provider"))

    def _times(self, item: dict[str, Any], where: Where) -> None:
        """Check when it runs: pauses, in the background, and for how long."""
        self._pauses(item.get("pauses", {}), (*where, "pauses"))
        if not isinstance(item.get("background", False), bool):
            self._bad((*where, "background"), f"{item['background']!r}: expected true or false")
        timeout = item.get("timeout")
        if timeout is not None and not isinstance(timeout, int | float):
            self._bad((*where, "timeout"), f"{timeout!r}: expected a number of seconds")

    def _provider(self, provider: Any, where: Where) -> None:
        if not isinstance(provider, dict) or not provider:
            self._bad(where, f"is {_kind(provider)}: expected a provider, a mapping with a type")
            return
        match provider.get("type"):
            case "python":
                for key in ("module", "func"):
                    if not isinstance(provider.get(key), str) or not provider[key]:
                        self._bad((*where, key), f"{key} {provider.get(key)!r}: expected a name")
                if not isinstance(provider.get("arguments") or {}, dict):
                    said = _kind(provider["arguments"])
                    self._bad((*where, "arguments"), f"is {said}: expected a mapping of names to values")
            case "process":
                self._program(provider, where)
            case "http":
                self._http(provider, where)
            case other:
                self._bad((*where, "type"), f"type {other!r}: expected python, process or http")
        timeout = provider.get("timeout")
        pair = isinstance(timeout, list) and len(timeout) == 2 and all(map(_is_number, timeout))
        if timeout is not None and not (_is_number(timeout) or pair or _is_pattern(timeout)):
            self._warn((*where, "timeout"), f"{timeout!r}: expected a number of seconds; {ABORTS}")

    def _program(self, provider: dict[str, Any], where: Where) -> None:
        if not isinstance(provider.get("path"), str) or not provider["path"]:
            self._bad((*where, "path"), f"path {provider.get('path')!r}: expected a program")
        if not isinstance(provider.get("arguments", []), list | str | dict):
            said = f"is {_kind(provider['arguments'])}: expected a list of words; {ABORTS}"
            self._warn((*where, "arguments"), said)

    def _http(self, provider: dict[str, Any], where: Where) -> None:
        url = provider.get("url")
        if not url:
            self._bad((*where, "url"), f"url {url!r}: expected an address")
        elif not isinstance(url, str) or ("://" not in url and "$" not in url):
            self._warn((*where, "url"), f"{url!r} has no scheme: expected one like http://…; {ABORTS}")
        for key in ("headers",):
            if provider.get(key) and not isinstance(provider[key], dict):
                self._bad((*where, key), f"is {_kind(provider[key])}: expected a mapping")

    def _pauses(self, pauses: Any, where: Where) -> None:
        if not isinstance(pauses, dict):
            self._bad(where, f"is {_kind(pauses)}: expected a mapping like {{before: 2, after: 5}}")
            return
        for key, value in pauses.items():
            if key not in ("before", "after"):
                self._warn((*where, key), f"{key!r} is not read: a pause is `before` or `after`")
            elif isinstance(value, str) and not _is_pattern(value):
                self._bad((*where, key), f"{value!r}: expected a number of seconds")
            elif isinstance(value, list | dict):
                self._warn((*where, key), f"{value!r}: expected a number of seconds; {ABORTS}")
            elif _is_number(value) and value < 0:
                self._bad((*where, key), f"{value!r}: a pause cannot be negative")

    def _controls(self, controls: Any, where: Where) -> None:
        if not controls:
            return
        if not isinstance(controls, list):
            self._bad(where, f"is {_kind(controls)}: expected a list of controls")
            return
        for number, item in enumerate(controls):
            if not isinstance(item, dict):
                said = f"is {_kind(item)}: expected a control, a mapping with name and provider"
                self._bad((*where, number), said)
            elif "ref" not in item:
                self._control(item, (*where, number))

    def _control(self, item: dict[str, Any], place: Where) -> None:
        if "name" not in item:
            self._bad(place, "a control needs a name")
        elif not isinstance(item["name"], str) or not item["name"]:
            self._warn((*place, "name"), f"name {item['name']!r}: a control's name is a text")
        provider = item.get("provider")
        if not isinstance(provider, dict):
            self._bad((*place, "provider"), "a control needs a provider of type python")
        elif provider.get("type") != "python":
            said = f"type {provider.get('type')!r} is none that a control can have: it does nothing"
            self._warn((*place, "provider"), said)
        elif not isinstance(provider.get("module"), str) or not provider["module"]:
            self._bad((*place, "provider", "module"), "a control's provider needs a module")

    def _tags(self, tags: Any) -> None:
        if not tags:
            return
        if not isinstance(tags, list | str | dict) or not all(isinstance(t, str) and t for t in tags):
            self._bad(("tags",), f"{_shown(tags)}: expected a list of texts")
        elif not isinstance(tags, list):
            self._warn(("tags",), f"{_shown(tags)}: expected a list of texts")

    def _configuration(self, data: dict[str, Any]) -> None:
        given = data.get("configuration", {})
        if not isinstance(given, dict):
            self._bad(("configuration",), f"`configuration` is {_kind(given)}: expected a mapping")
            return
        for name, item in given.items():
            where: Where = ("configuration", name)
            if isinstance(item, dict) and item.get("type") == "env" and not isinstance(item.get("key"), str):
                self._bad(where, "type env needs a `key`, the variable's name")
            if isinstance(item, dict) and item.get("type") == "probe":
                self._dynamic(item.get("provider"), (*where, "provider"))

    def _dynamic(self, provider: Any, where: Where) -> None:
        """Check where a value is to come from. What is wrong there costs the value, not the run."""
        if not isinstance(provider, dict) or "type" not in provider:
            self._bad(where, f"is {_kind(provider)}: expected a provider, a mapping with a type")
            return
        apart = Shape(ExperimentFile(Source(self.source.file), "", []))
        apart.provider(provider, where)
        for problem in apart.source.problems:
            self._warn(where, f"{problem.message}; the value will not be there")

    def _secrets(self, data: dict[str, Any]) -> None:
        secrets = data.get("secrets", {})
        if not isinstance(secrets, dict):
            self._bad(("secrets",), f"`secrets` is {_kind(secrets)}: expected a mapping of groups")
            return
        for group, items in secrets.items():
            if not isinstance(items, dict):
                self._warn(("secrets", group), "no group of secrets: it reaches no activity")
                continue
            for name, item in (("", items), *items.items()):
                where: Where = ("secrets", group, name) if name else ("secrets", group)
                if (
                    isinstance(item, dict)
                    and item.get("type") == "env"
                    and not isinstance(item.get("key"), str)
                ):
                    self._bad(where, "type env needs a `key`, the variable's name")
                if name and not isinstance(item, dict) and "type" not in items:
                    self._warn(where, "a secret written out in the file; better taken from the environment")

    def _extensions(self, extensions: Any) -> None:
        if not extensions:
            return
        if not isinstance(extensions, list):
            self._bad(("extensions",), f"is {_kind(extensions)}: expected a list")
            return
        for number, item in enumerate(extensions):
            if not isinstance(item, dict) or not item.get("name"):
                self._bad(("extensions", number), "an extension needs a name")

    def _runtime(self, runtime: Any) -> None:
        if not runtime:
            return
        if not isinstance(runtime, dict):
            self._bad(("runtime",), f"is {_kind(runtime)}: expected a mapping")
            return
        for part, known in (("rollbacks", ROLLBACKS), ("hypothesis", (*HYPOTHESES, *SPELLINGS))):
            given = runtime.get(part)
            where: Where = ("runtime", part)
            if given is None:
                continue
            if not isinstance(given, dict):
                self._bad(where, f"is {_kind(given)}: expected a mapping with a strategy")
            elif given.get("strategy", "default") not in known:
                said = f"strategy {given.get('strategy')!r}: expected one of {', '.join(known)}"
                self._bad((*where, "strategy"), said)

    def _variables(self, data: dict[str, Any]) -> None:
        """Warn of `${x}` that nothing defines: it stays as it is written."""
        known = (
            {str(name) for name in data.get("configuration") or {}}
            if _is_map(data, "configuration")
            else set()
        )
        secrets = data.get("secrets") or {}
        for group, items in secrets.items() if isinstance(secrets, dict) else ():
            known |= {str(group)} | ({str(name) for name in items} if isinstance(items, dict) else set())
        for where, text in _texts(data, ()):
            for name in dict.fromkeys(_VARIABLE.findall(text)):
                if name.partition(".")[0] not in known:
                    self._warn(
                        where, f"nothing here defines ${{{name}}}: unless --var does, it stays as text"
                    )

    # --- words -------------------------------------------------------------------------------

    def _keys(self, item: dict[str, Any], known: set[str], where: Where, *, only_close: bool = False) -> None:
        for key in item:
            if key in known or not isinstance(key, str) or key.startswith(("x-", "$")):
                continue
            close = difflib.get_close_matches(key, sorted(known - set(item)), 1, 0.8)
            if close:
                more = ": this experiment runs without its undo" if close[0] == "rollbacks" else ""
                self._warn((*where, key), f"{key!r} is not read; did you mean `{close[0]}`?{more}")
            elif not only_close:
                self._warn((*where, key), f"{key!r} is not read")

    def _bad(self, where: Where, message: str) -> None:
        self.source.complain(where, message)

    def _warn(self, where: Where, message: str) -> None:
        line, _ = self.source.place(where)
        self.warnings.append(f"line {line}: {message}")

    def bad(self, where: Where, message: str) -> None:
        """Note an error."""
        self._bad(where, message)

    def warn(self, where: Where, message: str) -> None:
        """Note a warning."""
        self._warn(where, message)

    def provider(self, provider: Any, where: Where) -> None:
        """Check a provider."""
        self._provider(provider, where)


def _texts(data: Any, where: Where) -> Iterator[tuple[Where, str]]:
    if isinstance(data, str):
        yield where, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _texts(value, (*where, str(key)))
    elif isinstance(data, list):
        for number, item in enumerate(data):
            yield from _texts(item, (*where, number))


def _is_map(data: dict[str, Any], key: str) -> bool:
    return isinstance(data.get(key), dict)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_pattern(value: Any) -> bool:
    return isinstance(value, str) and _PATTERN.match(value) is not None


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value)[:80]


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", type(None): "empty", bool: "true or false"}
    return names.get(type(value), f"a {type(value).__name__}")
