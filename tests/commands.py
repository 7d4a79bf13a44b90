"""What people type, carried out in this process: nothing is started for it, so it costs little."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

from gameday.cli.main import main


@dataclass(frozen=True)
class Done:
    """What a command said and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def in_this_process(folder: Path, *words: str) -> Done:
    """Carry out one command as if it were typed in `folder`."""
    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    except SystemExit as left:
        code = int(left.code or 0)
    finally:
        os.chdir(before)
    return Done(code, out.getvalue(), err.getvalue())
