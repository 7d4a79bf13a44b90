"""Real nodes for the control plane: containerd, runc and Debian's kubelet of 1.20, as root, in namespaces of the caller's.

Nodes share the caller's network namespace, each with an address and a bridge of its own; each has a mount
namespace of its own, because kubelets share fixed paths under /var/log. A node that dies loses everything at
once: first nothing answers at its pods' addresses any more, then kubelet, containerd and every container are
killed. One that is started again comes up as after a reboot: its disk is as it was, and nothing of /run is left.

What it took to get there: the unified cgroup tree is unmounted (runc would make groups in it that this
kubelet never removes), each node has a cgroup of its own at the root, and names of sockets stay short.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["die", "is_dead", "start"]

PAUSE_S = 0.1
CGROUPS = Path("/sys/fs/cgroup")
_ENTER = """
mount --make-rslave /
mkdir -p /var/log/pods /var/log/containers
mount --bind {folder}/podlogs /var/log/pods
mount --bind {folder}/containerlogs /var/log/containers
mkdir -p /run/netns && mount -t tmpfs none /run/netns
umount /sys/fs/cgroup/unified 2> /dev/null
exec sleep infinity
"""


class Node:
    """One node. What `die`, `start` and `is_dead` need stands in its folder, for other processes too."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder / name, name
        self.socket = f"/run/gd-{name}.sock"
        self._facts = json.loads((self.folder / "facts.json").read_text())

    @classmethod
    def make(cls, folder: Path, name: str, number: int, kubeconfig: Path, binaries: Path) -> Node:
        """Prepare a node of that number: its address is 10.88.0.NUMBER, its pods' are in 10.200.NUMBER.0/24."""
        own = folder / name
        for part in ("cni", "log", "podlogs", "containerlogs", "kubelet"):
            (own / part).mkdir(parents=True)
        facts = {"number": number, "kubeconfig": str(kubeconfig), "binaries": str(binaries)}
        (own / "facts.json").write_text(json.dumps(facts))
        node = cls(folder, name)
        node._write_settings()
        return node

    @property
    def address(self) -> str:
        return f"10.88.0.{self._facts['number']}"

    @property
    def pods(self) -> str:
        return f"10.200.{self._facts['number']}.0/24"

    def start(self) -> None:
        """Bring the node up, as a machine comes up: returns when containerd answers and the kubelet was started."""
        shutil.rmtree(f"/run/gd-{self.name}", ignore_errors=True)
        self._remember("space", subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", _ENTER.format(folder=self.folder)],
            start_new_session=True, env=_own(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        ))  # fmt: skip
        time.sleep(0.3)
        self._make_cgroups()
        _run("ip", "route", "del", "blackhole", self.pods, check=False)
        self._launch("containerd", "containerd", "-c", str(self.folder / "containerd.toml"))
        _until(lambda: self.ctr("version").returncode == 0, f"{self.name}: containerd does not answer", 20)
        facts = self._facts
        self._launch(
            "kubelet", f"{facts['binaries']}/kubelet", f"--config={self.folder / 'kubelet.json'}",
            f"--kubeconfig={facts['kubeconfig']}", f"--hostname-override={self.name}",
            f"--node-ip={self.address}", "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{self.socket}", f"--root-dir={self.folder / 'kubelet'}",
            f"--cert-dir={self.folder / 'kubelet' / 'pki'}", f"--volume-plugin-dir={self.folder / 'plugins'}",
            "--pod-infra-container-image=gameday.local/pause:1",
        )  # fmt: skip

    def die(self) -> None:
        """Lose the node without a word: its pods' addresses first, then every process of it."""
        _run("ip", "route", "add", "blackhole", self.pods, check=False)
        _run("ip", "link", "del", f"cni-{self.name}", check=False)
        for what in ("kubelet", "containerd"):
            self._kill(what)
        self._kill_containers()
        self._kill("space")

    def is_dead(self) -> bool:
        """Tell whether neither kubelet nor any container of it runs."""
        return not _alive(self._pid("kubelet")) and not self._in_cgroups()

    def import_image(self, archive: Path) -> None:
        done = self.ctr("images", "import", str(archive))
        assert done.returncode == 0, done.stderr

    def ctr(self, *words: str) -> subprocess.CompletedProcess[str]:
        return _run("ctr", "-a", self.socket, "-n", "k8s.io", *words, check=False)

    # --- processes ------------------------------------------------------------------------------

    def _launch(self, what: str, *command: str) -> None:
        with (self.folder / "log" / f"{what}.log").open("ab") as log:
            inside = ["nsenter", f"--mount=/proc/{self._pid('space')}/ns/mnt", *command]
            process = subprocess.Popen(
                inside, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=_own()
            )
        self._remember(what, process)

    def _remember(self, what: str, process: subprocess.Popen[bytes]) -> None:
        (self.folder / f"{what}.pid").write_text(str(process.pid))

    def _pid(self, what: str) -> int:
        with suppress(FileNotFoundError):
            return int((self.folder / f"{what}.pid").read_text())
        return 0

    def _kill(self, what: str) -> None:
        pid = self._pid(what)
        if pid:
            _kill(pid)
            _until(lambda: not _alive(pid), f"{what} of {self.name} lives on", 10)

    def _kill_containers(self) -> None:
        """Kill shims and containers, until there is none: those of this node by its cgroup and its socket."""
        mark = self.socket.encode()

        def left() -> set[int]:
            shims = {pid for pid in _pids() if mark in _command(pid) and b"containerd-shim" in _command(pid)}
            return shims | self._in_cgroups()

        give_up = time.monotonic() + 20
        while found := left():
            assert time.monotonic() < give_up, f"{self.name}: {found} live on"
            for pid in found:
                _kill(pid)
            time.sleep(PAUSE_S)

    def _in_cgroups(self) -> set[int]:
        found: set[int] = set()
        for place in CGROUPS.glob(f"memory/gd-{self.name}/**/cgroup.procs"):
            with suppress(OSError):
                found |= {int(line) for line in place.read_text().split()}
        return found

    def _make_cgroups(self) -> None:
        for controller in CGROUPS.iterdir():
            if controller.name == "unified" or controller.is_symlink():
                continue
            own = controller / f"gd-{self.name}"
            own.mkdir(exist_ok=True)
            if controller.name == "cpuset":
                for item in ("cpuset.cpus", "cpuset.mems"):
                    (own / item).write_text((controller / item).read_text())

    def remove_cgroups(self) -> None:
        for own in CGROUPS.glob(f"*/gd-{self.name}"):
            for folder in sorted((p for p in own.rglob("*") if p.is_dir()), reverse=True):
                with suppress(OSError):
                    folder.rmdir()
            with suppress(OSError):
                own.rmdir()

    # --- settings -------------------------------------------------------------------------------

    def _write_settings(self) -> None:
        (self.folder / "containerd.toml").write_text(
            f"""
version = 2
root = "{self.folder}/containerd"
state = "/run/gd-{self.name}"
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "gameday.local/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{self.folder}/cni"
"""
        )
        ranges = {"ranges": [[{"subnet": self.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
        bridge = {
            "type": "bridge", "bridge": f"cni-{self.name}", "isGateway": True, "ipMasq": False,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "dataDir": str(self.folder / "ipam"), **ranges},
        }  # fmt: skip
        plugins = {"cniVersion": "0.4.0", "name": f"gd-{self.name}", "plugins": [bridge]}
        (self.folder / "cni" / "10-gd.conflist").write_text(json.dumps(plugins))
        kubelet = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "port": 10250,
            "healthzPort": 0,
            # Only what is in this network namespace can ask, and that is the test alone.
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/gd-{self.name}",
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "syncFrequency": "5s",
            "clusterDNS": ["10.88.0.1"],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "nodeStatusUpdateFrequency": "2s",
            "evictionHard": {},
            "registryPullQPS": 0,
        }
        (self.folder / "kubelet.json").write_text(json.dumps(kubelet))


def _own() -> dict[str, str]:
    """The environment without the mark by which a drill ends what its action left running: a node is to stay."""
    return {key: value for key, value in os.environ.items() if key != "GAMEDAY_HOST"}


def _run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=check)


def _until(is_so, what: str, timeout_s: float) -> None:
    give_up = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < give_up, what
        time.sleep(PAUSE_S)


def _pids() -> list[int]:
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _alive(pid: int) -> bool:
    with suppress(OSError):
        return pid > 0 and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# --- what a plan calls -------------------------------------------------------------------------


def die(folder: str, name: str) -> None:
    Node(Path(folder), name).die()


def start(folder: str, name: str) -> None:
    node = Node(Path(folder), name)
    if node.is_dead():
        node.start()


def is_dead(folder: str, name: str) -> bool:
    return Node(Path(folder), name).is_dead()
