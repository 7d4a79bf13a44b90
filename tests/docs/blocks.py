"""The fenced blocks of the documentation, one by one, with where they stand and what they are."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```[ ]*$", re.M | re.S)
_HEREDOC = re.compile(r"<<-?'?(\w+)'?")


@dataclass(frozen=True)
class Block:
    path: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.path}:{self.line}"


def files() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> list[Block]:
    """Every fenced block of every page."""
    return [
        Block(path.relative_to(ROOT).as_posix(), text[: found.start()].count("\n") + 1, found[1], found[2])
        for path in files()
        for text in (path.read_text(),)
        for found in _FENCE.finditer(text)
    ]


def commands(block: Block) -> list[list[str]]:
    """The commands of a block of shell lines, each as words; comments, continuations and here-documents gone."""
    typed = [line for line in block.text.splitlines() if block.language == "sh" or line.startswith("$ ")]
    found, lines = [], iter(typed)
    for line in lines:
        while line.rstrip().endswith("\\"):
            line = line.rstrip()[:-1] + " " + next(lines).strip()
        here = _HEREDOC.search(line)
        if here:
            for inner in lines:
                if inner == here[1]:
                    break
        for part in re.split(r"\s(?:\|\|?|&&|;)\s", _uncommented(line).removeprefix("$ ")):
            words = shlex.split(part)
            if words:
                found.append(words)
    return found


def _uncommented(line: str) -> str:
    """Without a comment: `#` at the beginning or after white space, outside of quotes."""
    quote = ""
    for place, sign in enumerate(line):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "#" and (place == 0 or line[place - 1].isspace()):
            return line[:place]
    return line
