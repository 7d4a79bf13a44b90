"""A real time stamp authority on loopback: `openssl ts` behind an HTTP server, with a CA of its own."""

from __future__ import annotations

import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/ca.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
"""


def openssl(*words, **more):
    return subprocess.run(
        ["openssl", *map(str, words)], capture_output=True, check=True, timeout=20, **more
    ).stdout


def make_authority(folder: Path) -> None:
    """Make a CA and a TSA certificate under it: ca.pem is what an auditor trusts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "serial").write_text("01\n")
    config = folder / "tsa.cnf"
    config.write_text(_CONFIG.format(folder=folder))
    for name in ("ca", "tsa"):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / f"{name}.key")
    openssl("req", "-new", "-x509", "-days", "3650", "-key", folder / "ca.key", "-subj", "/CN=test root",
            "-config", config, "-extensions", "ca", "-out", folder / "ca.pem")  # fmt: skip
    openssl("req", "-new", "-key", folder / "tsa.key", "-subj", "/CN=test tsa", "-config", config,
            "-out", folder / "tsa.csr")  # fmt: skip
    openssl("x509", "-req", "-days", "3650", "-in", folder / "tsa.csr", "-CA", folder / "ca.pem", "-CAkey",
            folder / "ca.key", "-CAcreateserial", "-extfile", config, "-extensions", "leaf", "-out",
            folder / "tsa.pem")  # fmt: skip


@contextmanager
def authority(folder: Path):
    """Serve the authority in `folder`; gives its URL."""
    make_authority(folder)
    turn = threading.Lock()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            query = self.rfile.read(int(self.headers["Content-Length"]))
            with turn:
                (folder / "query").write_bytes(query)
                reply = openssl("ts", "-reply", "-queryfile", folder / "query", "-config", folder / "tsa.cnf")
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tsr"
    finally:
        server.shutdown()
        server.server_close()
