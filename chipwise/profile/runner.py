"""Timing all cases of a profile, into a file that a killed run goes on with.

The file is JSON lines: first where it was measured, then one line for each case and round. A line
is appended whole; what a kill left of a line is cut off when the run goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chipwise.errors import BadInput
from chipwise.profile.bodies import bodies
from chipwise.profile.cases import Case, key
from chipwise.profile.collective import sums
from chipwise.profile.devices import Device, load, pause, state
from chipwise.profile.timing import Timing, apart, clock, stopwatch, timed
from chipwise.profile.transformer import between, forward

__all__ = ["FORM", "measure", "read", "time_case"]

FORM = 2  # of the file
Time = Callable[[Case], Timing]


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Where a file was measured, and its measurements; a line that a kill cut short is left out.

    Raises
    ------
    BadInput
        If it cannot be read, or a line in it is not one of a profile.
    """
    try:
        whole = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    found = [_line(path, at, text) for at, text in enumerate(whole.split(b"\n")[:-1], 1)]
    form = found[0].get("chipwise_profile") if found else None
    if form != FORM:
        told = "not a file" if form is None else f"form {form}, not {FORM},"
        raise BadInput(f"{path}: line 1: {told} of chipwise profile; name another file")
    return found[0], found[1:]


def _line(path: Path, number: int, text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    needed = ("chipwise_profile",) if number == 1 else ("op", "format", "shape", "seconds", "round")
    if not isinstance(found, dict) or not set(needed) <= set(found):
        raise BadInput(f"{path}: line {number}: not a line of chipwise profile")
    return found


def measure(
    path: Path,
    header: Mapping[str, Any],
    cases: Sequence[Case],
    time: Callable[[Case], Mapping[str, Any]],
    *,
    rounds: int = 3,
    map: Callable[..., Iterable[Any]] = map,
) -> list[dict[str, Any]]:
    """Time the cases that the file does not hold yet, round by round, and append them.

    Rounds lie apart in time, so that a disturbance touches a case in one of them.

    Parameters
    ----------
    path : Path
        The file; made where it is not there.
    header : mapping
        Where it is measured; a file that was begun elsewhere is refused.
    cases : sequence of Case
        What is timed.
    time : callable
        Case → fields of its line.
    rounds : int
        Times that each case is timed. [1]
    map : callable
        Like the built-in; may show how far it is.

    Returns
    -------
    list of dict
        All measurements of the file.

    Raises
    ------
    BadInput
        If the file cannot be written, or was begun on another device.
    """
    done = _begin(path, header)
    held = {(line["round"], _key(line)) for line in done}
    left = [(r, c) for r in range(rounds) for c in cases if (r, key(c)) not in held]

    def one(item: tuple[int, Case]) -> dict[str, Any]:
        at, case = item
        fields = {"op": case.op, "format": case.format, "shape": dict(case.shape), "round": at}
        return _append(path, {**fields, **time(case)})

    return [*done, *map(one, left)]


def _key(line: Mapping[str, Any]) -> str:
    return key(Case(line["op"], line["format"], line["shape"]))


def _begin(path: Path, header: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Measurements of a file that was begun before, its last line mended; or a new file."""
    if not path.exists() or not path.read_bytes().partition(b"\n")[1]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}") from None
        _append(path, {"chipwise_profile": FORM, **header})
        return []
    begun, done = read(path)
    for name in ("device", "torch", "threads"):
        if begun.get(name) != header.get(name):
            raise BadInput(
                f"{path}: was begun with {name} {begun.get(name)!r}, not {header.get(name)!r}; "
                "name another file"
            )
    whole = path.read_bytes()
    os.truncate(path, whole.rfind(b"\n") + 1)
    return done


def _append(path: Path, line: dict[str, Any]) -> dict[str, Any]:
    """Add a line in one write, and see it on the disk."""
    text = json.dumps(line, ensure_ascii=False) + "\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(handle, text.encode())
        os.fsync(handle)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        os.close(handle)
    return line


def time_case(device: Device, config: Mapping[str, Any]) -> Callable[[Case], Mapping[str, Any]]:
    """How the cases of a profile are timed on a device; `config` is of the small model."""
    torch, named = load(), clock(device)
    watch, (partly, aside) = stopwatch(device, named), apart(device, named)

    def run(case: Case) -> Timing:
        match case.op:
            case "all_reduce":
                return sums(case, device)
            case "step":
                return timed(forward(case, config, device), watch, named)
            case "elementwise":
                return timed(between(case, device, aside), partly, named)
        return timed(bodies(case, device), watch, named)

    def time(case: Case) -> Mapping[str, Any]:
        with torch.inference_mode():
            found = run(case)
        pause(device)
        hertz, celsius = state(device)
        return {
            "seconds": found.seconds,
            "shortest_s": found.shortest,
            "repeats": found.repeats,
            "clock": found.clock,
            "clock_hz": hertz,
            "temperature_c": celsius,
        }

    return time
