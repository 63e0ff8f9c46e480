"""What a command prints, for pages: `from shown import show` in a block of cog."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cog


def show(command: str, blocks: Sequence[int] = (), width: int = 110) -> None:
    """The command and its output as a console block.

    Parameters
    ----------
    command : str
        As a user types it, after the prompt.
    blocks : sequence of int
        Which of the output's paragraphs to show, from 0; what lies between is "…". All unless
        given.
    width : int
        Columns of the terminal.
    """
    program, *arguments = shlex.split(command)
    found = Path(sys.executable).with_name(program)
    env = {**os.environ, "COLUMNS": str(width), "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([found, *arguments], capture_output=True, text=True, env=env, check=False)
    told = (done.stdout.strip() or done.stderr.strip()).split("\n\n")
    chosen = [at % len(told) for at in blocks] or range(len(told))
    shown: list[str] = []
    for before, at in zip([-1, *chosen], [*chosen, len(told)], strict=True):
        if at > before + 1:
            shown.append("…")
        if at < len(told):
            shown.append(told[at])
    cog.outl(f"```console\n$ {command}")
    for line in "\n\n".join(shown).splitlines():
        cog.outl(line.rstrip())
    cog.outl("```")
