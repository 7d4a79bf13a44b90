"""Makes a container image from single files: an archive that `ctr images import` takes; no registry, no docker.

Source: Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path, PurePosixPath


def make(path: Path, name: str, command: list[str], files: dict[str, Path], links: dict[str, str]) -> Path:
    """Write an image with one layer.

    Args:
        path: The archive.
        name: As pods name it, tag included.
        command: What it runs.
        files: Programs, by where they lie in the image.
        links: Symbolic links, by where they lie, and what to.
    """
    layer = _layer(files, links)
    digest = hashlib.sha256(layer).hexdigest()
    settings = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": command, "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    config = json.dumps(settings).encode()
    config_name, layer_name = f"{hashlib.sha256(config).hexdigest()}.json", f"{digest}/layer.tar"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]).encode()
    with tarfile.open(path, "w") as archive:
        for member, data in ((layer_name, layer), (config_name, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def _layer(files: dict[str, Path], links: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for folder in ("bin", "etc", "tmp", "www"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder in ("tmp", "www") else 0o755
            archive.addfile(entry)
        for place, source in files.items():
            entry = tarfile.TarInfo(str(PurePosixPath(place).relative_to("/")))
            entry.mode, entry.size = 0o755, source.stat().st_size
            with source.open("rb") as data:
                archive.addfile(entry, data)
        for place, target in links.items():
            entry = tarfile.TarInfo(str(PurePosixPath(place).relative_to("/")))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return out.getvalue()
