"""Links through the lab's proxies: each toxic is felt by a real client, and gone after its undo."""

from __future__ import annotations

import socket
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from gameday.actions import http, network
from gameday.actions.http import ActionError

PATH = "/payments/health"


def ask(lab, timeout_s=5.0):
    return http.call("GET", lab["lab.url"] + PATH, timeout_s=timeout_s)


def test_requests_fail_with_the_status_asked_for_and_the_service_never_hears_of_them(lab):
    assert not network.has_toxic("users", "gameday-http-error", configuration=lab)
    network.fail_requests("users", status=502, configuration=lab)
    assert network.has_toxic("users", "gameday-http-error", configuration=lab)
    assert [ask(lab)[0] for _ in range(5)] == [502] * 5
    order = {"marker": "never", "item": "x", "quantity": 1}
    assert http.call("POST", lab["lab.url"] + "/orders", order)[0] == 502
    network.remove_toxic("users", "gameday-http-error", configuration=lab)
    network.remove_toxic("users", "gameday-http-error", configuration=lab)
    assert not network.has_toxic("users", "gameday-http-error", configuration=lab)
    assert ask(lab)[0] == 200
    assert http.ask("GET", lab["lab.url"] + "/orders?marker=never")["orders"] == []


def test_a_share_of_requests_fails_also_on_one_connection_that_was_open_before(lab):
    parts = urlsplit(lab["lab.url"])
    link = HTTPConnection(parts.hostname, parts.port, timeout=5)

    def once():
        link.request("GET", PATH)
        reply = link.getresponse()
        reply.read()
        return reply.status

    assert once() == 200
    network.fail_requests("users", percent=50, configuration=lab)
    found = [once() for _ in range(60)]
    assert 10 <= found.count(503) <= 50
    assert found.count(200) == 60 - found.count(503)
    network.remove_toxic("users", "gameday-http-error", configuration=lab)
    assert [once() for _ in range(5)] == [200] * 5
    link.close()


def test_bandwidth_is_limited(lab):
    network.limit_bandwidth("users", kilobytes_per_s=1, configuration=lab)
    began = time.monotonic()
    ask(lab)
    assert time.monotonic() - began > 0.08  # about 160 bytes at 1 kB/s
    network.remove_toxic("users", "gameday-bandwidth", configuration=lab)
    assert not network.has_toxic("users", "gameday-bandwidth", configuration=lab)


def test_connections_are_reset_the_open_ones_too(lab):
    parts = urlsplit(lab["lab.url"])
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as link:
        link.sendall(b"GET /payments/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.1 200")
        network.reset_connections("users", configuration=lab)
        with pytest.raises(ConnectionResetError):
            while link.recv(4096):
                pass
    with pytest.raises(ActionError):
        ask(lab)
    network.remove_toxic("users", "gameday-reset", configuration=lab)
    network.remove_toxic("users", "gameday-reset", configuration=lab)
    assert ask(lab)[0] == 200


def test_a_share_of_connections_is_lost(lab):
    network.lose_connections("users", percent=50, configuration=lab)
    lost = 0
    for _ in range(16):
        try:
            ask(lab, timeout_s=0.1)
        except ActionError:
            lost += 1
    assert 1 <= lost <= 15
    network.remove_toxic("users", "gameday-loss", configuration=lab)
    assert ask(lab)[0] == 200


def test_a_partition_cuts_all_of_its_links_or_none(lab):
    links = ["replication-a", "replication-b"]
    with pytest.raises(ActionError, match="no proxy"):
        network.partition([*links, "nowhere"], configuration=lab)
    assert not network.is_partitioned(links, configuration=lab)
    network.partition(links, configuration=lab)
    assert network.is_partitioned(links, configuration=lab)
    network.restore(links[0], configuration=lab)
    assert network.is_partitioned(links, configuration=lab), "one that is still cut counts"
    network.heal(links, configuration=lab)
    network.heal(links, configuration=lab)
    assert not network.is_partitioned(links, configuration=lab)
    with pytest.raises(ActionError, match="no target"):
        network.partition([], configuration=lab)


def test_the_very_same_toxic_is_adopted_and_another_of_its_name_refused(lab):
    network.add_latency("users", 5, configuration=lab)
    network.add_latency("users", 5, configuration=lab)
    with pytest.raises(ActionError, match="choose another"):
        network.add_latency("users", 900, configuration=lab)
    network.remove_toxic("users", "gameday-latency", configuration=lab)


def test_values_out_of_range_are_refused(lab):
    for call in (
        lambda: network.fail_requests("users", status=200, configuration=lab),
        lambda: network.fail_requests("users", percent=0, configuration=lab),
        lambda: network.lose_connections("users", percent=101, configuration=lab),
    ):
        with pytest.raises(ActionError, match="expected"):
            call()


class Echo:
    """A TCP server that sends back what it gets."""

    def __init__(self):
        import threading

        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        import threading

        while True:
            try:
                link, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(link,), daemon=True).start()

    def _talk(self, link):
        with link:
            while data := link.recv(4096):
                link.sendall(data)


def test_the_published_chaos_toolkit_extension_drives_the_labs_proxies(lab):
    actions = pytest.importorskip("chaostoxi.proxy.actions", reason="chaostoolkit-toxiproxy is not installed")
    from chaostoxi.proxy import probes
    from chaostoxi.toxic import actions as toxics

    echo = Echo()
    found = {"toxiproxy_url": lab["lab.toxiproxy"]}
    name = f"ext{echo.port}"

    def talk(data=b"x" * 50, timeout_s=5.0):
        with socket.create_connection(("127.0.0.1", int(found[f"{name}_PORT"])), timeout=timeout_s) as link:
            link.sendall(data)
            got = b""
            while len(got) < len(data) and (part := link.recv(4096)):
                got += part
            return got

    assert actions.create_proxy(name, "127.0.0.1", echo.port, configuration=found)
    try:
        assert probes.proxy_exist(name, configuration=found)
        assert talk() == b"x" * 50
        began = time.monotonic()
        assert toxics.create_latency_toxic(name, "slow", 150, configuration=found)
        assert talk() == b"x" * 50
        assert time.monotonic() - began >= 0.15
        assert toxics.delete_toxic(name, "slow", configuration=found)
        assert toxics.create_limiter_toxic(name, "short", 10, configuration=found)
        assert talk() == b"x" * 10
        assert toxics.delete_toxic(name, "short", configuration=found)
        assert toxics.create_slicer_toxic(name, "thin", 10, 0, 1000, configuration=found)
        assert talk() == b"x" * 50
        assert toxics.delete_toxic(name, "thin", configuration=found)
        assert toxics.create_timeout_toxic(name, "silent", 100, configuration=found)
        try:
            assert talk() == b""
        except ConnectionResetError:
            pass
        assert actions.reset(configuration=found)
        assert toxics.create_bandwith_degradation_toxic(name, "narrow", 1000, configuration=found)
        assert toxics.create_slow_connection_close_toxic(name, "lingering", 10, configuration=found)
        assert talk() == b"x" * 50
        assert actions.reset(configuration=found)
        actions.disable_proxy(name, configuration=found)
        with pytest.raises(OSError):
            talk()
        actions.enable_proxy(name, configuration=found)
        assert talk() == b"x" * 50
    finally:
        actions.delete_proxy(name, configuration=found)
        echo.server.close()
    assert not probes.proxy_exist(name, configuration=found)


def test_the_labs_own_proxies_stay_what_they_are(lab):
    api = lab["lab.toxiproxy"]
    assert http.call("DELETE", api + "/proxies/users")[0] == 400
    assert http.call("POST", api + "/proxies/users", {"upstream": "127.0.0.1:9"})[0] == 400
    for address in ("10.0.0.1:80", "127.0.0.1:x", ""):
        assert http.call("POST", api + "/proxies", {"name": "far", "upstream": address})[0] == 400
