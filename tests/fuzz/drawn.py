"""What is drawn for a fuzz test, and what must hold whatever was drawn.

`CHIPWISE_FUZZ=10` draws ten times as many; a case is told by its line, and its seed is fixed.
"""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from chipwise.cli import app, main
from tests.test_fuzz import ODD, VALUES

TIMES = int(os.environ.get("CHIPWISE_FUZZ", "1"))
_PATIENCE = 30.0  # of the process's own CPU, so that a busy machine does not count [s]
_PLACE = re.compile(r"/(?!dev/null)[a-z]+/\S+\.py", re.IGNORECASE)


@contextmanager
def patience(what):
    """Fail where a case takes more CPU than any question of this size may."""

    def tired(*_):
        raise AssertionError(f"no answer within {_PATIENCE:g} s of CPU: {what!r}")

    before = signal.signal(signal.SIGVTALRM, tired)
    signal.setitimer(signal.ITIMER_VIRTUAL, _PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def leaves(command=app, path=()):
    """Every command that can be asked, with the words that call it."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from leaves(each, (*path, name))
    else:
        yield path, command


def state():
    """Files here and what is in them."""
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in Path().rglob("*") if p.is_file()}


def told(capsys, line):
    """Run a line: its exit code, where what it did and printed is as it must be."""
    before = state()
    with patience(line):
        code = main(line)
    out, err = capsys.readouterr()
    after = state()
    assert code in (0, 1, 2), line
    assert "Traceback" not in out + err, line
    assert not [p for p in after if p.suffix in (".tmp", ".part") or ".tmp" in p.name], line
    if code == 0:
        assert not err.startswith("error"), line
        if _asked(line, "--format") == "json":
            json.loads(out, parse_constant=pytest.fail)
        return code
    errors = [text for text in err.splitlines() if text.startswith(("error: ", "错误："))]
    assert len(errors) == 1, (line, err)
    assert not _PLACE.search(err), (line, err)
    if code == 2:
        assert out == "", line
        assert after == before, line
    return code


def _asked(line, option):
    """What an option says, where nothing else was asked for in its place."""
    at = [k for k, word in enumerate(line[:-1]) if word == option]
    return line[at[-1] + 1] if at and not {"-h", "--help"} & set(line) else None


def value(random_, param):
    """Something for an option or argument: often odd, sometimes what it would take."""
    choices = getattr(param.type, "choices", None)
    if choices and random_.random() < 0.7:
        return str(random_.choice(tuple(choices)))
    return random_.choice(VALUES)


def line(random_, path, command, begin):
    """A line of a command: one that works, with up to three values in place or beside."""
    made = [*path, *begin]
    params = [p for p in command.params if p.name not in ("help", "version")]
    for _ in range(random_.choice((1, 1, 2, 3))):
        param = random_.choice(params)
        if isinstance(param, click.Option):
            made.append(random_.choice(param.opts))
            if not param.is_flag:
                made.append(value(random_, param))
        elif begin and not begin[0].startswith("-"):
            made[len(path)] = value(random_, param)
        else:
            made.insert(len(path), value(random_, param))
    return made


# -- files ---------------------------------------------------------------------------------------

_TOKENS = (
    *("0", "-1", "1e309", "nan", "NaN", "Infinity", "true", "null", '""', "[]", "{}", "x", "é"),
    *("1e-320", "99999999999999999999", "[[", "]", "{", "=", ",", '"', "\n", "\x00", "'", "\u202e"),
    *("2026-02-30", "0001-01-01", "-0.0", "1_0", "0x1", ".", "1,2", "\ud800"),
)
_VALUE = re.compile(r'"[^"\n]*"|-?\d[\d.eE+-]*|\b[a-z]{2,}\b')


def spoilt(random_, text):
    """A file's text with one to three things wrong: a value, a line, a stretch."""
    for _ in range(random_.choice((1, 1, 2, 3))):
        found = list(_VALUE.finditer(text[:200_000]))
        lines = text.split("\n")
        at = random_.randrange(max(len(lines), 1))
        match random_.randrange(6):
            case 0 | 1 if found:
                one = random_.choice(found)
                text = text[: one.start()] + random_.choice(_TOKENS) + text[one.end() :]
                continue
            case 2:
                del lines[at]
            case 3:
                lines.insert(random_.randrange(len(lines) + 1), lines[at])
            case 4:
                text = text[: random_.randrange(len(text) + 1)]
                continue
            case _:
                cut = random_.randrange(len(text) + 1)
                text = text[:cut] + random_.choice(_TOKENS) + text[cut:]
                continue
        text = "\n".join(lines)
    return text


def spoilt_json(random_, content):
    """A JSON file's content with one to three values or keys that are odd or gone."""
    for _ in range(random_.choice((1, 1, 2, 3))):
        places = list(_places(content))
        if not places:
            break
        holder, key = random_.choice(places)
        if random_.random() < 0.25:
            del holder[key]
        else:
            holder[key] = random_.choice((*ODD, "x" * 99, [[]], {"x": 1}, -3, 0.5, "nan"))
    return content


def _places(content):
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, each in pairs:
        yield content, key
        if isinstance(each, dict | list):
            yield from _places(each)
