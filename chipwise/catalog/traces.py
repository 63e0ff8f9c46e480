"""Files of recorded requests → Trace; every fault names file, line and column.

Two forms are read, either of them also compressed (.gz, .xz): CSV with the columns ``arrival_s``,
``prompt``, ``output`` and, where wanted, ``priority``; and Mooncake's JSONL [1]_ with
``timestamp`` in ms, ``input_length``, ``output_length`` and ``hash_ids``, each of which stands for
512 tokens of the prompt that are all equal and particular to it.

References
----------
.. [1] R. Qin et al., "Mooncake: Trading more storage for less computation," FAST 2025.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from chipwise.catalog.files import DATA
from chipwise.errors import BadInput, UnknownName
from chipwise.types import Prompts, Served, Trace
from chipwise.units import to_base

__all__ = ["read_trace", "served", "trace", "trace_ids"]

CHUNK = 512  # tokens that a hash id of Mooncake stands for
COLUMNS = ("arrival_s", "prompt", "output")
# What a server's log tells besides.
SERVED = ("first_token_s", "last_token_s")
LONGEST = 2**40
_FOLDER = DATA / "traces"
_OPEN = {".gz": gzip.decompress, ".xz": lzma.decompress}


def trace_ids() -> tuple[str, ...]:
    """Traces that come with the catalog."""
    return tuple(sorted(p.name.split(".")[0] for p in _FOLDER.glob("*.xz")))


def trace(name: str) -> Trace:
    """A trace of the catalog by its id, or of a user's own file by its path.

    Raises
    ------
    UnknownName
        If there is neither.
    BadInput
        If the file is not as it must be.

    Examples
    --------
    >>> len(trace("azure2023_code").isl)
    8819
    """
    if name in trace_ids():
        return read_trace(next(_FOLDER.glob(f"{name}.*")))
    path = Path(name)
    if path.suffix or path.exists():
        return read_trace(path)
    raise UnknownName("trace", name, trace_ids())


def read_trace(path: Path) -> Trace:
    """Requests of a CSV or JSONL file, in order of arrival.

    Raises
    ------
    BadInput
        With file, line and column of the first fault.
    """
    suffixes = [s.lower() for s in path.suffixes]
    lines = _text(path).splitlines()
    if ".jsonl" in suffixes:
        return _mooncake(path, lines)
    if ".csv" in suffixes:
        return _csv(path, lines)
    raise BadInput(f"{path}: a trace is a .csv or a .jsonl file, or one of them as .gz or .xz")


def _text(path: Path) -> str:
    """Text of a file, unpacked by the end of its name."""
    try:
        packed = path.read_bytes()
        unpack = _OPEN.get(path.suffix.lower())
        return (unpack(packed) if unpack else packed).decode("utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file") from None
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile, zlib.error):
        raise BadInput(f"{path}: not a whole {path.suffix} file") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not a text file in UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def _fault(path: Path, line: int, column: str, message: str) -> NoReturn:
    """Refuse a value."""
    raise BadInput(f"{path}: line {line}, column {column}: {message}")


def _number(path: Path, line: int, column: str, value: object) -> float:
    """A finite number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        _fault(path, line, column, f"{value!r} is not a finite number")
    return number


def _arrival(path: Path, line: int, column: str, value: object, last: float) -> float:
    """A time of arrival that is not before the last one."""
    number = _number(path, line, column, value)
    if number < 0:
        _fault(path, line, column, f"{value} is negative; a trace begins at 0 or later")
    if number < last:
        message = f"{value} is before the arrival of the request above it ({last:g})"
        _fault(path, line, column, f"{message}; sort the requests by arrival")
    return number


def _length(path: Path, line: int, column: str, value: object) -> int:
    """A whole number of tokens, at least one."""
    number = _number(path, line, column, value)
    if number != int(number) or not 1 <= number <= LONGEST:
        _fault(path, line, column, f"{value} must be a whole number of at least 1 token")
    return int(number)


def _csv(path: Path, lines: list[str]) -> Trace:
    """Requests of a CSV table."""
    rows = csv.reader(lines)
    names = [name.strip() for name in next(_rows(path, rows), [])]
    absent = [c for c in COLUMNS if c not in names]
    if absent:
        missing = ", ".join(absent)
        raise BadInput(f"{path}: line 1: no column {missing}; a trace has {', '.join(COLUMNS)}")
    places = [names.index(c) for c in COLUMNS]
    ranked = names.index("priority") if "priority" in names else None
    arrival, isl, osl, rank, last = [], [], [], [], 0.0
    for row in _rows(path, rows):
        if not row:
            continue
        line = rows.line_num
        if len(row) != len(names):
            message = f"{len(row)} values where the heading has {len(names)}"
            _fault(path, line, str(min(len(row), len(names)) + 1), message)
        at, prompt, output = (row[p] for p in places)
        last = _arrival(path, line, COLUMNS[0], at, last)
        arrival.append(last)
        isl.append(_length(path, line, COLUMNS[1], prompt))
        osl.append(_length(path, line, COLUMNS[2], output))
        if ranked is not None:
            rank.append(_number(path, line, "priority", row[ranked]))
    _some(path, arrival)
    return Trace(
        arrival=np.array(arrival),
        isl=np.array(isl, np.int64),
        osl=np.array(osl, np.int64),
        priority=np.array(rank) if ranked is not None else None,
    )


def served(path: Path) -> Served | None:
    """Requests of a CSV file as a server served them; None where it does not tell.

    Beside a trace's columns it has ``first_token_s`` and ``last_token_s``: the times of the first
    and the last token, by the clock of the arrivals.

    Raises
    ------
    BadInput
        With file, line and column of the first fault.
    """
    sent = read_trace(path)
    if ".csv" not in [s.lower() for s in path.suffixes]:
        return None
    rows = csv.reader(_text(path).splitlines())
    names = [name.strip() for name in next(_rows(path, rows), [])]
    if not set(SERVED) <= set(names):
        return None
    places = [names.index(column) for column in SERVED]
    times: list[tuple[float, float]] = []
    for row in _rows(path, rows):
        if not row:
            continue
        line, arrival = rows.line_num, float(sent.arrival[len(times)])
        first, last = (
            _number(path, line, column, row[place])
            for column, place in zip(SERVED, places, strict=True)
        )
        if not arrival <= first <= last:
            message = (
                f"arrival {arrival:g}, first token {first:g} and last {last:g} are not in order"
            )
            _fault(path, line, SERVED[0], message)
        times.append((first, last))
    both = np.array(times)
    return Served(sent.arrival, sent.isl, sent.osl, both[:, 0], both[:, 1])


def _rows(path: Path, rows: Any) -> Iterator[list[str]]:
    """Rows of a reader, where each can be read."""
    try:
        yield from rows
    except csv.Error as error:
        raise BadInput(f"{path}: line {rows.line_num}: not valid CSV: {error}") from None


def _some(path: Path, requests: list[float]) -> None:
    """Refuse a trace without a request."""
    if not requests:
        raise BadInput(f"{path}: no request in it; a trace has at least one row")


def _record(path: Path, line: int, text: str) -> dict[str, Any]:
    """One line of JSON, with the keys of Mooncake."""
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        _fault(path, line, str(error.colno), f"not valid JSON: {error.msg}")
    except (ValueError, RecursionError):
        _fault(path, line, "1", "numbers too long or lists nested too deep to be read")
    if not isinstance(record, dict):
        _fault(path, line, "1", "not a JSON object")
    for key in ("timestamp", "input_length", "output_length", "hash_ids"):
        if key not in record:
            _fault(path, line, key, "missing")
    return record


def _hashes(path: Path, line: int, ids: object, isl: int) -> list[int]:
    """Ids of a prompt's chunks, as many as it has."""
    need = -(-isl // CHUNK)
    if not isinstance(ids, list) or not all(type(k) is int and abs(k) < 2**62 for k in ids):
        _fault(path, line, "hash_ids", "not a list of whole numbers")
    if len(ids) != need:
        message = f"{len(ids)} ids for {isl} tokens, which are {need} chunks of {CHUNK}"
        _fault(path, line, "hash_ids", message)
    return ids


def _mooncake(path: Path, lines: list[str]) -> Trace:
    """Requests of Mooncake's JSONL."""
    arrival, isl, osl, runs, idents, last = [], [], [], [0], [], 0.0
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        record = _record(path, line, text)
        last = _arrival(path, line, "timestamp", record["timestamp"], last)
        arrival.append(to_base(last, "ms"))
        isl.append(_length(path, line, "input_length", record["input_length"]))
        osl.append(_length(path, line, "output_length", record["output_length"]))
        idents += _hashes(path, line, record["hash_ids"], isl[-1])
        runs.append(len(idents))
    _some(path, arrival)
    return Trace(
        arrival=np.array(arrival),
        isl=np.array(isl, np.int64),
        osl=np.array(osl, np.int64),
        prompts=Prompts(
            offset=np.array(runs, np.int64),
            ident=np.array(idents, np.int64),
            length=np.full(len(idents), CHUNK, np.int64),
            # Output tokens are the same for all, and unlike any prompt's.
            output=np.full(len(isl), min(idents) - 1, np.int64),
        ),
    )
