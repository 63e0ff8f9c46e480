"""Commands → shell scripts that read as one would write them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

__all__ = ["PORT", "command", "script"]

# Variables that a script takes from its environment; the port has a default.
PORT = "${PORT:-8000}"
_VARIABLE = re.compile(r"\$[\w{(]")


def _quoted(word: str) -> str:
    return f'"{word}"' if _VARIABLE.search(word) else shlex.quote(word)


def command(program: str, words: Sequence[str], *, more: bool = False) -> str:
    """A command with one option on a line; `more` takes the caller's own options at the end."""
    lines = [program]
    for word in words:
        if word.startswith("-") or len(lines) == 1:
            lines.append(f"  {_quoted(word)}")
        else:
            lines[-1] += f" {_quoted(word)}"
    if more:
        lines.append('  "$@"')
    return " \\\n".join(lines)


def script(comments: Sequence[str], body: str) -> str:
    """A file that a shell runs."""
    told = "".join(f"# {line}\n" for line in comments)
    return f"#!/bin/sh\n{told}set -eu\n\n{body}\n"
