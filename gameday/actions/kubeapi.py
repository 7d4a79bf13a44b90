"""The way to a Kubernetes API server: one named context, every request with a deadline, errors in one line.

Chaos Toolkit's Kubernetes extension sets no timeout, takes whichever context happens to be current, and
reads an empty selector as "everything". Here the kubeconfig and the context are arguments (paths and names:
credentials stay where they are), and its functions get a client that already keeps to that. They carry out
what needs no model of a pod: building those models costs a process two seconds of a core and 100 MB, each
time before the fault begins; pods, deployments and nodes are therefore asked for as plain JSON.

What a change must put back stands beside what was changed, as an annotation of the object itself

    gameday/NAME: {"kind": "scale", "prior": {"replicas": 3}}

written before the effect. So any machine can undo it that reaches the API server, whatever became of the
one that ran the drill; and who finds the object can read what is going on.

Source: Kubernetes API Concepts; JSON Merge Patch, RFC 7396.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

import chaosk8s
import websocket
import yaml
from kubernetes import client, config

from gameday.actions.http import ActionError

TIMEOUT_S = 5.0
PAUSE_S = 0.1
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
LABEL = "gameday-fault"
_TRIES = 10  # A node's status changes every few seconds, and a busy runner is slow between two requests.
_CONFLICT, _ABSENT = 409, 404
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?\Z")
_PAIR = re.compile(r"([A-Za-z0-9][\w./-]{0,250})=([A-Za-z0-9][\w.-]{0,62})\Z")
_SYSTEM = ("kube-system", "kube-public", "kube-node-lease")


class Refusal(ActionError):
    """The API server answered with an error; `status` is its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """A connection to one cluster, and where on it the action stays: one namespace, or none."""

    def __init__(self, link: client.ApiClient, namespace: str) -> None:
        self.link = link
        self.namespace = namespace

    def ask(self, method: str, path: str, body: Any = None, *, kind: str = "", **query: str) -> Any:
        """Send one request and return the JSON answer.

        Raises:
            Refusal: The server said no.
            ActionError: It did not answer in time.
        """
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = kind or "application/json"
        with plainly(f"{method} {path}"):
            request = self.link.param_serialize(
                method, path, query_params=sorted(query.items()), header_params=headers, body=body,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            answer = self.link.call_api(*request)
            text = cast("Any", answer).read()
        found = _json(text)
        if answer.status >= 300:
            said = found.get("message", "") if isinstance(found, dict) else ""
            raise Refusal(answer.status, f"{method} {path}: HTTP {answer.status}: {said or answer.reason}")
        return found

    def find(self, path: str) -> dict[str, Any] | None:
        """Return an object; None when there is none.

        Raises:
            ActionError: It cannot be read.
        """
        try:
            return dict(self.ask("GET", path))
        except Refusal as error:
            if error.status == _ABSENT:
                return None
            raise

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Return the objects of a list.

        Raises:
            ActionError: It cannot be read.
        """
        return list(self.ask("GET", path, **query).get("items") or ())

    def core(self, kind: str, name: str = "") -> str:
        """Return the path of a core object or list of this namespace."""
        return f"/api/v1/namespaces/{self.namespace}/{kind}" + _last(name)

    def group(self, group: str, kind: str, name: str = "") -> str:
        """Return the path of an object or list of this namespace in a group such as `apps/v1`."""
        return f"/apis/{group}/namespaces/{self.namespace}/{kind}" + _last(name)

    def socket(self, path: str, query: Sequence[tuple[str, str]], protocol: str) -> Any:
        """Open a websocket, for what is heard of while it goes on.

        Raises:
            Exception: Whichever the libraries below have; `plainly` says it in one line.
        """
        settings = self.link.configuration
        headers = []
        if token := settings.get_api_key_with_prefix("BearerToken", alias="authorization"):
            headers.append(f"authorization: {token}")
        proxy = urlsplit(settings.proxy or "")
        return websocket.create_connection(
            f"ws{settings.host.removeprefix('http')}{path}?{urlencode(query)}",
            timeout=TIMEOUT_S, header=headers, subprotocols=[protocol], sslopt=_tls(settings),
            http_proxy_host=proxy.hostname, http_proxy_port=proxy.port,
        )  # fmt: skip

    def through(self, function: Callable[..., Any], **arguments: Any) -> Any:
        """Carry out a function of Chaos Toolkit's Kubernetes extension over this connection.

        Raises:
            ActionError: It failed.
        """
        with _lent(function, self.link), plainly(function.__name__):
            return function(**arguments)


def _tls(settings: client.Configuration) -> dict[str, Any]:
    """Return how a websocket trusts the server and says who we are; Kubernetes' own one has no time limit."""
    given: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED if settings.verify_ssl else ssl.CERT_NONE}
    files = {"ca_certs": settings.ssl_ca_cert, "certfile": settings.cert_file, "keyfile": settings.key_file}
    names = {"server_hostname": settings.tls_server_name, "check_hostname": settings.verify_ssl}
    return given | {key: value for key, value in (files | names).items() if value is not None}


def connect(kubeconfig: str, context: str, namespace: str = "") -> Api:
    """Return a connection by one context of a kubeconfig file.

    Args:
        kubeconfig: The path of one file; `~` is this user's home.
        context: The name of a context in it. Never the one that is current.
        namespace: Where the action stays; empty for what stands in no namespace.

    Raises:
        ActionError: The file, the context or the namespace is not what it should be.
    """
    path = Path(kubeconfig).expanduser() if kubeconfig else Path("/nonexistent")
    if not path.is_file():
        raise ActionError(f"kubeconfig {kubeconfig!r}: expected the path of one file")
    if not context:
        raise ActionError("context: expected the name of a context; the current one is never taken")
    _check_context(path, context, namespace)
    settings = type.__call__(client.Configuration)
    settings.retries = False
    try:
        load: Any = config.load_kube_config
        load(config_file=str(path), context=context, client_configuration=settings, persist_config=False)
    except (config.ConfigException, OSError, ValueError) as error:
        raise ActionError(f"kubeconfig {kubeconfig!r}, context {context!r}: {_line(error)}") from None
    link: Any = client.ApiClient(settings)
    call = link.call_api

    def in_time(*words: Any, **more: Any) -> Any:
        more["_request_timeout"] = more.get("_request_timeout") or TIMEOUT_S
        return call(*words, **more)

    link.call_api = in_time
    websocket.setdefaulttimeout(TIMEOUT_S)
    return Api(link, namespace)


def _check_context(path: Path, context: str, namespace: str) -> None:
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        contexts = {item["name"]: item["context"] for item in given["contexts"]}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ActionError(f"kubeconfig {str(path)!r} cannot be read: {_line(error)}") from None
    if context not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        raise ActionError(f"context {context!r} is not in {path}: there are {known}")
    bound = (contexts[context] or {}).get("namespace")
    if not namespace:
        return
    check_name(namespace, "namespace")
    if namespace in _SYSTEM:
        raise ActionError(f"namespace {namespace!r} is the cluster's own: no drill touches it")
    if bound and bound != namespace:
        raise ActionError(f"namespace {namespace!r}: context {context!r} is bound to {bound!r}")


def check_name(name: str, what: str = "name") -> str:
    """Return the name of an object.

    Raises:
        ActionError: It is none.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise ActionError(f"{what} {name!r}: expected small letters, digits, - and ., 63 at most")
    return name


def parse_selector(selector: str) -> dict[str, str]:
    """Return the labels of a selector such as `app=web,tier=front`.

    Raises:
        ActionError: It is empty, which would be everything, or no list of key=value.
    """
    pairs = [_PAIR.match(part.strip()) for part in str(selector or "").split(",")]
    if not all(pairs):
        said = "empty selects everything, which is no target" if not selector else "and nothing else"
        raise ActionError(f"selector {selector!r}: expected key=value, or several with commas; {said}")
    return {pair[1]: pair[2] for pair in pairs if pair}


def ready(pod: dict[str, Any]) -> bool:
    """Tell whether a pod answers and is not on its way out."""
    conditions = pod.get("status", {}).get("conditions") or ()
    is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return is_ready and not pod["metadata"].get("deletionTimestamp")


# --- what has to be put back, written at the object itself -----------------------------------


def note(
    api: Api,
    path: str,
    name: str,
    kind: str,
    prior: Callable[[dict[str, Any]], Any],
    spec: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write down at an object what a change will have to put back, and return the object as it was.

    With `spec` the change itself (a merge patch of its spec) is made in the same request.

    Raises:
        ActionError: A change of that name or kind is in place, or the object cannot be annotated.
    """
    for _ in range(_TRIES):
        item: dict[str, Any] = api.ask("GET", path)
        check_free(item, path, name, kind)
        text = json.dumps({"kind": kind, "prior": prior(item)}, sort_keys=True)
        patch = {} if spec is None else {"spec": spec}
        if _is_patched(api, path, item, {_key(name): text}, patch, MERGE):
            return item
    raise ActionError(f"{path} is changed by somebody else all the time; nothing was changed here")


def check_free(item: dict[str, Any], path: str, name: str, kind: str) -> None:
    """Check that no change of that name or kind is in place at an object.

    Raises:
        ActionError: One is.
    """
    key = _key(name)
    for other, text in (item["metadata"].get("annotations") or {}).items():
        if other == key or (other.startswith("gameday/") and _said(text).get("kind") == kind):
            raise ActionError(f"{path}: {other} is in place already: undo it first")


def noted(item: dict[str, Any] | None, name: str) -> Any:
    """Return what a change of that name will put back; None when it is not in place."""
    text = ((item or {}).get("metadata", {}).get("annotations") or {}).get(_key(name))
    return _said(text).get("prior")


def put_back(
    api: Api, path: str, name: str, body: Callable[[dict[str, Any], Any], dict[str, Any]], kind: str = MERGE
) -> None:
    """Put back what `note` wrote down and remove the note, in one request; harmless when there is none.

    Args:
        api: The connection.
        path: The object.
        name: The change's name.
        body: From the object and what stood there before, the patch that restores it.
        kind: How the patch is merged.

    Raises:
        ActionError: It cannot be done; an object that is gone has nothing to put back.
    """
    for _ in range(_TRIES):
        item = api.find(path)
        prior = noted(item, name)
        if item is None or prior is None:
            return
        if _is_patched(api, path, item, {_key(name): None}, body(item, prior), kind):
            return
    raise ActionError(f"{path} is changed by somebody else all the time; undone was nothing")


def _is_patched(
    api: Api, path: str, item: dict[str, Any], note: dict[str, str | None], patch: dict[str, Any], kind: str
) -> bool:
    """Patch an object together with its note; tell whether it was still what was read."""
    metadata = {"resourceVersion": item["metadata"]["resourceVersion"], "annotations": note}
    try:
        api.ask("PATCH", path, {**patch, "metadata": metadata}, kind=kind)
    except Refusal as error:
        if error.status != _CONFLICT:
            raise
        return False
    return True


def wait(until: Callable[[], str], timeout_s: float) -> None:
    """Wait until nothing is missing any more: `until` says what is.

    Raises:
        ActionError: Something still is when the time is up.
    """
    give_up_s = time.monotonic() + timeout_s
    while missing := until():
        if time.monotonic() >= give_up_s:
            raise ActionError(f"after {timeout_s:g} s {missing}")
        time.sleep(PAUSE_S)


def names(found: Sequence[dict[str, Any]]) -> str:
    """Return the names of objects for a sentence."""
    return ", ".join(sorted(str(item["metadata"]["name"]) for item in found))


def _key(name: str) -> str:
    return f"gameday/{check_name(name)}"


def _last(name: str) -> str:
    return f"/{quote(check_name(name), safe='')}" if name else ""


def _said(text: str | None) -> dict[str, Any]:
    found = _json(text)
    return found if isinstance(found, dict) else {}


def _json(text: Any) -> Any:
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return {}


@contextmanager
def _lent(function: Callable[..., Any], link: client.ApiClient) -> Iterator[None]:
    """Let the extension's function find our client: it asks its own module for a new one each time."""
    space = function.__globals__
    makers = [s for s in (space, vars(chaosk8s)) if "create_k8s_api_client" in s]
    before = [s["create_k8s_api_client"] for s in makers]
    for scope in makers:
        scope["create_k8s_api_client"] = lambda *_, **__: link
    try:
        yield
    finally:
        for scope, maker in zip(makers, before, strict=True):
            scope["create_k8s_api_client"] = maker


@contextmanager
def plainly(what: str) -> Iterator[None]:
    """Say in one line what went wrong, whichever of the libraries below says it in which way.

    Raises:
        ActionError: Whatever it was.
    """
    try:
        yield
    except ActionError:
        raise
    except client.ApiException as error:
        said = _json(error.body)
        text = said.get("message", "") if isinstance(said, dict) else ""
        raise Refusal(error.status or 0, f"{what}: HTTP {error.status}: {text or error.reason}") from None
    except Exception as error:  # noqa: BLE001 - urllib3, websocket, pydantic, chaoslib: no common base
        raise ActionError(f"{what}: {_line(error)}") from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
