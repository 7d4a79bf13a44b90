"""File an issue at GitHub, GitLab or Jira, once: whatever carries its mark already is left as it is.

Each is spoken to by its own public API; the token comes from the environment and goes nowhere else. A tracker
that is asked over plain HTTP must be on this machine, because the token would be read on the way.

Source: GitHub REST, "Issues"; GitLab REST, "Issues API"; Jira REST v2, "Issues" and "Issue search".
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from gameday.errors import Refused, UsageError
from gameday.hosts.httpprobe import exchange
from gameday.hosts.words import one_line

LABEL = "gameday"
TIMEOUT_S = 20.0
BODY_MAX = 32 << 20
PAGE = 100
PAGES_MAX = 100
URLS = {"github": "https://api.github.com", "gitlab": "https://gitlab.com", "jira": ""}
TOKENS = {"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN", "jira": "JIRA_TOKEN"}


class Filed(Protocol):
    """What is asked of an issue: see `gameday.evidence.issues`."""

    @property
    def mark(self) -> str:
        """How it is known again."""

    @property
    def title(self) -> str:
        """Its one line."""

    @property
    def due(self) -> str:
        """Its day, or nothing."""

    def as_markdown(self) -> str:
        """Return its text for GitHub and GitLab."""

    def as_jira(self) -> str:
        """Return its text for Jira."""


@dataclass(frozen=True, slots=True)
class Tracker:
    """Where issues are kept. `place` is owner/name, a project's path or number, or a project's key."""

    kind: str
    place: str
    token: str
    url: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.base)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise UsageError(f"--url {self.base!r}: expected the address of {self.kind}, like https://host")
        if parts.scheme == "http" and not _is_here(parts.hostname):
            raise UsageError(
                f"--url {self.base}: the token would be read on the way", todo="Give an https address."
            )

    @property
    def base(self) -> str:
        """The address of the API's root."""
        return (self.url or URLS[self.kind]).rstrip("/")

    def file(self, issue: Filed) -> tuple[str, bool]:
        """Return where an issue is, and whether it was made now.

        Raises:
            Refused: The tracker cannot be reached, or does not take it.
        """
        match self.kind:
            case "github":
                return self._listed(issue, f"/repos/{quote(self.place)}/issues", "body", "html_url")
            case "gitlab":
                path = f"/api/v4/projects/{quote(self.place, safe='')}/issues"
                return self._listed(issue, path, "description", "web_url")
            case _:
                return self._jira(issue)

    def _listed(self, issue: Filed, path: str, text: str, address: str) -> tuple[str, bool]:
        """Look through the list, which is always up to date, as a search is not."""
        for item in self._every(path):
            if f"gameday-finding-{issue.mark}" in str(item.get(text) or ""):
                return str(item.get(address, "")), False
        body: dict[str, Any] = {"title": issue.title, text: issue.as_markdown()}
        body["labels"] = [LABEL] if self.kind == "github" else LABEL
        if issue.due and self.kind == "gitlab":
            body["due_date"] = issue.due
        made = self._ask("POST", path, body)
        return str(made.get(address, "")) if isinstance(made, dict) else "", True

    def _every(self, path: str) -> Iterator[dict[str, Any]]:
        for page in range(1, PAGES_MAX + 1):
            query = {"labels": LABEL, "state": "all", "scope": "all", "per_page": PAGE, "page": page}
            found = self._ask("GET", f"{path}?{urlencode(query)}")
            if not isinstance(found, list):
                raise Refused(f"{self.kind}: {path} is no list of issues")
            yield from (item for item in found if isinstance(item, dict))
            if len(found) < PAGE:
                return
        raise Refused(f"{self.kind}: more than {PAGE * PAGES_MAX} issues carry the label {LABEL}")

    def _jira(self, issue: Filed) -> tuple[str, bool]:
        mark = f"gameday-finding-{issue.mark}"
        query = urlencode({"jql": f'labels = "{mark}"', "fields": "key", "maxResults": 1})
        found = self._ask("GET", f"/rest/api/2/search/jql?{query}", absent=(404, 405))
        if found is None:  # Jira on one's own machines knows only the older one.
            found = self._ask("GET", f"/rest/api/2/search?{query}")
        there = found.get("issues") if isinstance(found, dict) else None
        if not isinstance(there, list):
            raise Refused("jira: its search gave no list of issues")
        if there:
            return f"{self.base}/browse/{there[0].get('key')}", False
        fields: dict[str, Any] = {
            "project": {"key": self.place},
            "summary": issue.title,
            "description": issue.as_jira(),
            "issuetype": {"name": "Task"},
            "labels": [LABEL, mark],
        }
        if issue.due:
            fields["duedate"] = issue.due
        made = self._ask("POST", "/rest/api/2/issue", {"fields": fields})
        return f"{self.base}/browse/{made.get('key')}" if isinstance(made, dict) else "", True

    def _ask(self, method: str, path: str, body: Any = None, absent: tuple[int, ...] = ()) -> Any:
        data = json.dumps(body, ensure_ascii=False).encode() if body is not None else None
        headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": LABEL}
        url = f"{self.base}{path}"
        answer = exchange(
            url,
            method=method,
            body=data,
            headers=headers | self._signed(),
            timeout_s=TIMEOUT_S,
            body_max=BODY_MAX,
        )
        what = f"{self.kind}: {method} {url.partition('?')[0]}"
        if answer.status in absent:
            return None
        if answer.status is None:
            raise Refused(
                f"{what}: {answer.error}", todo="Nothing more was filed; ask again, it files none twice."
            )
        if not 200 <= answer.status < 300:
            said = one_line(answer.body[:300].decode("utf-8", "replace").replace(self.token, "…"), 200)
            raise Refused(
                f"{what}: HTTP {answer.status}: {said}", todo="Look at the token, the place and the URL."
            )
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            raise Refused(f"{what}: its answer is no JSON") from None

    def _signed(self) -> dict[str, str]:
        if self.kind == "gitlab":
            return {"PRIVATE-TOKEN": self.token}
        if self.kind == "jira" and ":" in self.token:  # Jira's cloud: mail address and token.
            return {"Authorization": f"Basic {base64.b64encode(self.token.encode()).decode()}"}
        return {"Authorization": f"Bearer {self.token}"}


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
