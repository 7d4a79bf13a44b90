"""The `gameday` command. Imports stay inside commands, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gameday import __version__
from gameday.cli import exits, help_texts
from gameday.errors import GameDayError


class _Parser(argparse.ArgumentParser):
    """One clear line for a wrong command line, and exit code 2."""

    def error(self, message: str) -> None:  # type: ignore[override]
        print(f"gameday: {message}\n  `{self.prog} --help` shows how.", file=sys.stderr)
        raise SystemExit(exits.USAGE)


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the command line's parser: every command with its help and an example.

    With `only`, no other command has its arguments: making all of them takes longer than most commands.
    """
    top = _Parser(
        prog="gameday",
        description=help_texts.TOP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=help_texts.TOP_EPILOG,
    )
    top.add_argument("--version", action="version", version=f"gameday {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, text in help_texts.COMMANDS.items():
        command = commands.add_parser(
            name,
            help=text.line,
            description=text.line[0].upper() + text.line[1:] + ".",
            epilog=f"example:\n  {text.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for flags, options in text.arguments if only in (None, name) else ():
            command.add_argument(*flags, **options)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. A traceback never reaches the terminal."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["lab"], ["verify"]):
        return _alone(words[0], words[1:])
    command = next((word for word in words if not word.startswith("-")), "")
    asked = parser(command).parse_args(words)
    if asked.command is None:
        parser().print_help()
        return exits.USAGE
    try:
        from gameday.cli.commands import carry_out  # noqa: PLC0415 - `--help` must not wait for it

        return carry_out(asked)
    except GameDayError as error:
        print(f"gameday: {error.diagnostics()}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return exits.PASS
    except KeyboardInterrupt:
        print("gameday: interrupted", file=sys.stderr)
        return exits.UNKNOWN
    except Exception as error:  # noqa: BLE001 - the last boundary: our own defect, said in one line
        return _defect(error)


def program() -> NoReturn:
    """Be the process that `gameday` starts: one command, then its exit code.

    Nobody looks for cycles in memory that ends with the process: a tenth of what `gameday validate` takes.
    """
    code = main()
    gc.freeze()
    sys.exit(code)


def _alone(room: str, words: list[str]) -> int:
    """The lab and the verifier are programs of their own; this only passes the words on."""
    words = words or (["--help"] if room == "lab" else [])
    os.execv(sys.executable, [sys.executable, "-m", f"gameday.{room}", *words])  # noqa: S606 - ours


def _defect(error: Exception) -> int:
    import traceback  # noqa: PLC0415 - only for this

    path = Path(".gameday") / "defect.txt"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        where = f"its trace is in {path}"
    except OSError:
        where = "its trace could not be written"
    text = " ".join(str(error).split())
    print(
        f"gameday: a defect of gameday itself, {where}: {type(error).__name__}: {text}\n"
        "  Please report it. If a drill was running, `gameday runs` and `gameday recover` say how it stands.",
        file=sys.stderr,
    )
    return exits.DEFECT


if __name__ == "__main__":
    program()
