"""A command in containers, and the command that takes it back in the same ones.

The extension's `exec_in_pods` runs nothing and succeeds without a container's name, knows no undo, and takes
two seconds to import. And whoever draws pods a second time to undo draws others. So each pod is marked before
the command runs (see `kubeapi`): what is marked gets the undo, whoever carries it out, from wherever; and a
pod that is gone took the effect with it.

    stdin none, tty none; every message begins with the number of its channel: 1 stdout, 2 stderr, 3 status

Source: Kubernetes, "v4.channel.k8s.io" of the remote command protocol.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from websocket import WebSocketTimeoutException

from gameday.actions import kubeapi
from gameday.actions.http import ActionError
from gameday.actions.kubeapi import Api, connect, noted
from gameday.actions.kubernetes import draw

__all__ = ["execute", "is_executed", "take_back"]
PROTOCOL = "v4.channel.k8s.io"
SAID_MAX = 65_536
TIMEOUT_S = 20.0
HEAL_S = 120.0
_STDOUT, _STDERR, _STATUS = 1, 2, 3


def execute(
    kubeconfig: str,
    context: str,
    namespace: str,
    selector: str,
    container: str,
    command: list[str],
    undo_command: list[str] | None = None,
    check: list[str] | None = None,
    count: int = 1,
    seed: int = 0,
    name: str = "gameday-exec",
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Any]:
    """Run a command in a container of `count` pods.

    Args:
        kubeconfig: The path of a kubeconfig file.
        context: One of its contexts.
        namespace: Where the pods are.
        selector: Labels, `app=web`; all must match.
        container: The container's name; each pod must have it.
        command: Words; no shell.
        undo_command: What takes it back, in the same pods; without one the container heals by itself.
        check: A command that ends with 0 there as long as the effect is in place.
        count: How many pods, drawn without replacement.
        seed: Which ones: the same pods and seed give the same draw.
        name: The fault's name.
        timeout_s: How long the command may take in one pod.

    Raises:
        ActionError: Too few pods match, they have no such container, or the command failed in one.
    """
    for words in (command, undo_command or ["true"], check or ["true"]):
        _check_words(words)
    api = connect(kubeconfig, context, namespace)
    chosen = draw(api, selector, count, seed)
    without = [p for p in chosen if container not in [c["name"] for c in p["spec"]["containers"]]]
    if without or not container:
        raise ActionError(f"{kubeapi.names(without or chosen)}: no container {container!r}")
    for pod in chosen:  # All of them before anything is touched.
        kubeapi.check_free(pod, _path(api, pod), name, "exec")
    said = []
    for pod in chosen:
        kubeapi.note(api, _path(api, pod), name, "exec", lambda _: {"container": container})
        code, out, err = _run(api, pod, container, command, timeout_s)
        if code:
            raise ActionError(f"{kubeapi.names([pod])}: {' '.join(command)}: exit code {code}: {err or out}")
        said.append(out)
    return {"says": f"ran in {kubeapi.names(chosen)}", "stdout": said}


def take_back(
    kubeconfig: str,
    context: str,
    namespace: str,
    selector: str,
    container: str,
    undo_command: list[str] | None = None,
    check: list[str] | None = None,
    name: str = "gameday-exec",
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Take a command back in the pods where it ran; harmless where it did not, or is taken back.

    Raises:
        ActionError: It failed in one, its effect is still there, or a container did not heal by itself.
    """
    api = connect(kubeconfig, context, namespace)
    for pod in _marked(api, selector, name):
        if undo_command and not (check and _code(api, pod, container, check, timeout_s)):
            code, out, err = _run(api, pod, container, undo_command, timeout_s)
            if code:
                words = " ".join(undo_command)
                raise ActionError(f"{kubeapi.names([pod])}: {words}: exit code {code}: {err or out}")
        elif not undo_command:
            kubeapi.wait(_healed(api, pod), HEAL_S)
        if check and not _code(api, pod, container, check, timeout_s):
            raise ActionError(f"{kubeapi.names([pod])}: {' '.join(check)} says that it is still in place")
        kubeapi.put_back(api, _path(api, pod), name, lambda *_: {})


def is_executed(
    kubeconfig: str,
    context: str,
    namespace: str,
    selector: str,
    container: str,
    check: list[str] | None = None,
    name: str = "gameday-exec",
    timeout_s: float = TIMEOUT_S,
) -> bool:
    """Tell whether the effect is in place in a pod where the command ran: as `check` says, or whether it ran.

    Raises:
        ActionError: It cannot be found out.
    """
    api = connect(kubeconfig, context, namespace)
    marked = _marked(api, selector, name)
    if not check:
        return bool(marked)
    return any(not _code(api, pod, container, check, timeout_s) for pod in marked)


def _marked(api: Api, selector: str, name: str) -> list[dict[str, Any]]:
    kubeapi.parse_selector(selector)
    found = api.items(api.core("pods"), labelSelector=selector)
    return [pod for pod in found if noted(pod, name) is not None]


def _healed(api: Api, pod: dict[str, Any]) -> Callable[[], str]:
    def missing() -> str:
        now = api.find(_path(api, pod))
        return "" if now is None or kubeapi.ready(now) else f"{kubeapi.names([pod])} is not ready again"

    return missing


def _code(api: Api, pod: dict[str, Any], container: str, command: list[str], timeout_s: float) -> int:
    return _run(api, pod, container, command, timeout_s)[0]


def _run(
    api: Api, pod: dict[str, Any], container: str, command: list[str], timeout_s: float
) -> tuple[int, str, str]:
    """Run a command in one container: its exit code, and what it said.

    Raises:
        ActionError: It could not be run, or its end was not heard of in time.
    """
    words = [("command", word) for word in command]
    query = [*words, ("container", container), ("stdout", "true"), ("stderr", "true")]
    give_up_s = time.monotonic() + timeout_s
    with kubeapi.plainly(f"{' '.join(command)} in {pod['metadata']['name']}"):
        socket = api.socket(f"{_path(api, pod)}/exec", query, PROTOCOL)
        try:
            return _listen(socket, give_up_s, timeout_s)
        finally:
            socket.shutdown()


def _listen(socket: Any, give_up_s: float, timeout_s: float) -> tuple[int, str, str]:
    said = {_STDOUT: b"", _STDERR: b"", _STATUS: b""}
    while not said[_STATUS]:
        socket.settimeout(max(give_up_s - time.monotonic(), 0.001))
        try:
            data = socket.recv()
        except WebSocketTimeoutException:
            raise ActionError(f"no end after {timeout_s:g} s; what it did is not known") from None
        if not data:
            raise ActionError("the connection was closed before it ended; what it did is not known")
        data = data.encode() if isinstance(data, str) else data
        if data[0] in said:
            said[data[0]] = (said[data[0]] + data[1:])[:SAID_MAX]
    out, err = (said[number].decode("utf-8", "replace").strip() for number in (_STDOUT, _STDERR))
    return _exit_code(said[_STATUS]), out, err


def _exit_code(status: bytes) -> int:
    """Return the exit code that a status tells.

    Raises:
        ActionError: It tells why there was none.
    """
    found = json.loads(status)
    if found.get("status") == "Success":
        return 0
    causes = (found.get("details") or {}).get("causes") or ()
    for cause in causes:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise ActionError(str(found.get("message") or "it could not be started"))


def _path(api: Api, pod: dict[str, Any]) -> str:
    return api.core("pods", pod["metadata"]["name"])


def _check_words(words: Any) -> None:
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise ActionError(f"command {words!r}: expected a list of words")
