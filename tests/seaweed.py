"""A real S3 with Object Lock on loopback: SeaweedFS from PyPI, in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCESS, SECRET = "test-access", "test-secret-key"
UP_S = 60.0


def program() -> str | None:
    """The `weed` of this environment, or of the machine."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.is_file() else shutil.which("weed")


def free_ports(count: int) -> list[int]:
    """Ports that are free with their gRPC twins, which lie 10 000 above."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        if not 1024 < port < 50_000 or port in found:
            port = 12_000 + (port * 7919) % 30_000
        with socket.socket() as one, socket.socket() as twin:
            try:
                one.bind(("127.0.0.1", port))
                twin.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        if port not in found and abs(port - 10_000) not in found:
            found.append(port)
    return found


def client(url: str):
    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET, region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=10),
    )  # fmt: skip


@contextmanager
def seaweed(folder: Path):
    """Serve S3 from `folder`; gives its URL."""
    (folder / "data").mkdir(parents=True)
    identity = {
        "name": "t",
        "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
        "actions": ["Admin"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, s3 = free_ports(4)
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [program(), "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder / 'data'}",
         f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}",
         f"-s3.config={folder / 's3.json'}", f"-s3.localSocket={folder / 'sock'}",
         "-volume.max=20", "-master.volumeSizeLimitMB=64"],
        cwd=folder, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    url = f"http://127.0.0.1:{s3}"
    try:
        give_up = time.monotonic() + UP_S
        while True:
            try:
                client(url).list_buckets()
                break
            except (BotoCoreError, ClientError):
                assert time.monotonic() < give_up, (folder / "log").read_text()[-2000:]
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                time.sleep(0.1)
        yield url
    finally:
        process.kill()  # It takes half a minute to say goodbye to itself.
        process.wait(20)
        log.close()
