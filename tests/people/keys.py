"""Real SSH keys in a folder, an allowed_signers file, and the commands people type."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.commands import Done, in_this_process
from tests.drills import ROOT


class People:
    """People with an ed25519 key each; those in `allowed` stand in the project's allowed_signers."""

    def __init__(self, folder: Path, project: Path, allowed: tuple[str, ...] = ("a.chen", "b.dee")) -> None:
        self.folder, self.project = folder, project
        folder.mkdir(exist_ok=True)
        (project / "approvals").mkdir(exist_ok=True)
        self.allow(*allowed)

    def key(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True
            )
        return path

    def allow(self, *names: str, **keys: str) -> None:
        """Write allowed_signers anew: each name with its own key, or with that of somebody else."""
        lines = []
        for name, owner in [*((n, n) for n in names), *((n.replace("_", "."), o) for n, o in keys.items())]:
            kind, data = self.key(owner).with_suffix(f"{self.key(owner).suffix}.pub").read_text().split()[:2]
            lines.append(f'{name} namespaces="gameday-approval" {kind} {data}\n')
        (self.project / "approvals" / "allowed_signers").write_text("".join(lines))

    def gameday(self, *words: str, env: dict | None = None) -> Done:
        """Carry out one command here, or with `env` in a process of its own."""
        if env is not None:
            done = subprocess.run(
                [sys.executable, "-m", "gameday", *words],
                cwd=self.project,
                env={**os.environ, "PYTHONPATH": str(ROOT), **env},
                capture_output=True,
                text=True,
                timeout=60,
            )
            return Done(done.returncode, done.stdout, done.stderr)
        return in_this_process(self.project, *words)

    def approve(self, what: str, who: str, *more: str, key: str = "") -> Done:
        return self.gameday("approve", what, "--as", who, "--key", str(self.key(key or who)), *more)
