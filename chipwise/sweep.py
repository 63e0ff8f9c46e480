"""Many plans at once: in processes here or on a Ray cluster, part by part, to be gone on with.

A question has options that are the same everywhere and a grid of others; each combination of the
grid is a point, told by its number alone, so that nothing grows with the grid but its answers.
Points are answered in parts. A part is written whole, as one file of the folder, by the process
that hands out the work; what a killed sweep has written stays, and the same call goes on with the
parts that are not there. Answers depend on the question alone, so that the folder is the same
however often it was interrupted, wherever it ran.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from chipwise.errors import BadInput, ChipwiseError, Infeasible

__all__ = ["FORMS", "Question", "Summary", "answered", "case", "points", "run", "spread"]

FORMS = ("parquet", "csv")
# Parts in flight for each process: one at work, one that waits.
_AHEAD = 2
# How often in a row workers may die without a part done.
_PATIENCE = 3
# Seconds in which a cluster must open its door.
_KNOCK = 5.0
_NAME = "question.json"

_TEXTS = (
    *("chip", "why", "deployment_text", "deployment_weights", "deployment_kv"),
    *("deployment_backend", "deployment_prefill_chip", "bound", "status", "basis"),
    *("price_basis", "rests_on_unverified", "notes"),
)
_QUANTITIES = (
    *("ttft_s", "tpot_s", "output_tokens_per_s", "output_tokens_per_s_per_chip", "power_w"),
    *("usd_per_hour", "usd_per_million_output_tokens", "joule_per_output_token"),
)
_COUNTS = tuple(
    f"deployment_{side}{name}"
    for side in ("decode_", "prefill_")
    for name in ("tp", "pp", "ep", "dp", "batch", "replicas")
)
# Of every row, in this order, beside the point's number and its place in the grid; names and
# units are those of `chipwise plan --format csv`.
COLUMNS: Mapping[str, type] = {
    "apart": bool,
    "feasible": bool,
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys((*_COUNTS, "chip_count"), int),
    **{f"{name}{end}": float for name in _QUANTITIES for end in ("", "_low", "_high")},
    "gco2_per_output_token": float,
    "memory_bytes_total": float,
    "simulated_ttft_s": float,
    "simulated_tpot_s": float,
    "error": str,
}

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: options that hold everywhere, and values to combine.

    Keys are names of `chipwise.questions`; `grid` has a sequence of values for each.
    """

    fixed: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a sweep came to: all its points, parts made now and before, rows and errors of all."""

    points: int
    parts: int
    kept: int
    rows: int
    feasible: int
    errors: Mapping[str, int]


def points(of: Question) -> int:
    """Combinations of the grid.

    Examples
    --------
    >>> points(Question({}, {"isl": (1024, 2048), "osl": (128, 256, 512)}))
    6
    """
    return math.prod(len(values) for values in of.grid.values())


def case(of: Question, point: int) -> dict[str, Any]:
    """The options at a point; the last key of the grid changes first.

    Examples
    --------
    >>> case(Question({"model": "m"}, {"isl": (1024, 2048), "osl": (128, 256)}), 2)
    {'model': 'm', 'isl': 2048, 'osl': 128}
    """
    chosen = {}
    for key, values in reversed([*of.grid.items()]):
        point, at = divmod(point, len(values))
        chosen[key] = values[at]
    return {**of.fixed, **{key: chosen[key] for key in of.grid}}


def answered(of: Question, point: int) -> list[dict[str, Any]]:
    """Rows of a point's plan; a point that cannot be asked has one row with the reason.

    Every row has the point, its values of the grid, and all of `COLUMNS`, None where unknown.
    """
    from chipwise import questions  # noqa: PLC0415 -- slow to import for whoever only asks

    options = case(of, point)
    place = {key: _plain(options[key]) for key in of.grid}
    blank = {"point": point, **place, **dict.fromkeys(COLUMNS)}
    try:
        answer = questions.plan(options)
    except ChipwiseError as error:
        return [{**blank, "feasible": False, "error": str(error)}]
    limit = options.get("percentile") or answer["workload"]["percentile"]
    return [
        {**blank, **_columns(row, limit), "apart": kind == "apart"}
        for kind in ("chips", "apart")
        for row in answer[kind]
    ]


def _columns(row: Mapping[str, Any], percentile: float) -> dict[str, Any]:
    """Fields of a plan's row under the names of `COLUMNS`."""
    from chipwise.tables import flat  # noqa: PLC0415

    found = flat(row)
    simulated = row.get("simulated") or {}
    for name in ("ttft", "tpot"):
        found[f"simulated_{name}_s"] = simulated.get(f"{name}_p{percentile:g}")
    return {name: _as(kind, found.get(name)) for name, kind in COLUMNS.items()}


def _as(kind: type, value: Any) -> Any:
    return None if value is None or value == "" else kind(value)


def _plain(value: Any) -> Any:
    """A value of the grid as a cell."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value.isoformat() if isinstance(value, date) else value


# -- parts and their files -----------------------------------------------------------------------


def _part(of: Question, form: str, made_by: str, span: tuple[int, int]) -> bytes:
    """The file of the points of a span; runs where the work is done."""
    if version("chipwise") != made_by:
        raise BadInput(f"chipwise {version('chipwise')} works here; the sweep is of {made_by}")
    rows = [row for point in range(*span) for row in answered(of, point)]
    return (_parquet if form == "parquet" else _csv)(of, rows)


def _kinds(of: Question) -> dict[str, type]:
    """Columns of a sweep's rows and what is in them."""
    found: dict[str, type] = {"point": int}
    for key, values in of.grid.items():
        kinds = {type(_plain(value)) for value in values}
        found[key] = kinds.pop() if len(kinds) == 1 else float if kinds <= {int, float} else str
    return {**found, **COLUMNS}


def _parquet(of: Question, rows: Sequence[Mapping[str, Any]]) -> bytes:
    import polars as pl  # noqa: PLC0415 -- an extra

    kinds: Any = {str: pl.String, bool: pl.Boolean, int: pl.Int64}
    schema = {name: kinds.get(kind, pl.Float64) for name, kind in _kinds(of).items()}
    file = io.BytesIO()
    pl.DataFrame(rows, schema=schema, strict=False).write_parquet(file)
    return file.getvalue()


def _csv(of: Question, rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_kinds(of)), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _file(out: Path, form: str, span: tuple[int, int]) -> Path:
    return out / f"part-{span[0]:012d}.{form}"


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a name of its own first, then renamed."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)


def _claim(out: Path, asked: Mapping[str, Any]) -> None:
    """Make the folder a sweep's, or see that it is this one's."""
    told = json.loads(json.dumps(asked, default=str))
    file = out / _NAME
    if file.exists():
        if json.loads(file.read_text(encoding="utf-8")) != told:
            raise BadInput(
                f"{out}: holds another sweep (its {_NAME} differs: options, size of parts, or "
                "the version of chipwise, catalog or calibration); name another folder"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: is no empty folder, and no sweep's; name another")
    else:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(told, ensure_ascii=False, indent=1)
        _write(file, f"{text}\n".encode())
    for left in out.glob(".part-*"):
        left.unlink()


def run(
    of: Question,
    out: Path,
    *,
    part: int = 100,
    form: str = "parquet",
    on: str = "here",
    processes: int | None = None,
    address: str | None = None,
    tell: Callable[[int, int], Any] = lambda done, points: None,
) -> Summary:
    """Answer a question's points that the folder does not hold yet.

    Parameters
    ----------
    of : Question
        Options and grid.
    out : Path
        Folder, made if it is not there; its files together are the answer.
    part : int
        Points of a file. [1]
    form : str
        ``parquet`` (needs polars) or ``csv``.
    on : str
        ``here`` (processes) or ``ray`` (a cluster that runs already).
    processes : int, optional
        Processes here; as many as there are cores unless given.
    address : str, optional
        Of the cluster; that of RAY_ADDRESS, or the one on this machine, unless given.
    tell : callable
        Told points done and points in all, after each part.

    Raises
    ------
    BadInput
        If the folder holds something else, or a library that is needed is not installed.
    Infeasible
        If workers keep dying: what was done stays.
    """
    from chipwise import catalog  # noqa: PLC0415

    _needed("polars", "frames", form == "parquet")
    _needed("ray", "ray", on == "ray")
    count, here = points(of), version("chipwise")
    named = of.grid.get("calibration") or [of.fixed.get("calibration") or "general"]
    asked = {
        "chipwise_version": here,
        "catalog_as_of": catalog.as_of(),
        "calibration_ids": [catalog.calibration(name).id for name in named],
        "points": count,
        "part": part,
        "form": form,
        "fixed": of.fixed,
        "grid": of.grid,
    }
    _claim(out, asked)
    spans = [(at, min(at + part, count)) for at in range(0, count, part)]
    todo = [span for span in spans if not _file(out, form, span).exists()]
    done = sum(b - a for a, b in spans) - sum(b - a for a, b in todo)
    tell(done, count)
    work = partial(_part, of, form, here)
    for span, content in spread(work, todo, on=on, processes=processes, address=address):
        _write(_file(out, form, span), content)
        done += span[1] - span[0]
        tell(done, count)
    return _summary(out, form, count, len(todo), len(spans) - len(todo))


def _needed(name: str, extra: str, wanted: bool) -> None:  # noqa: FBT001
    from importlib.util import find_spec  # noqa: PLC0415

    if wanted and find_spec(name) is None:
        instead = ", or ask for --parts csv" if extra == "frames" else ""
        raise BadInput(f"{name} is not installed; pip install 'chipwise[{extra}]'{instead}")


def _summary(out: Path, form: str, count: int, made: int, kept: int) -> Summary:
    rows, feasible, errors = 0, 0, dict[str, int]()
    for path in sorted(out.glob(f"part-*.{form}")):
        for able, error in _outcomes(path, form):
            rows += 1
            feasible += able
            if error:
                errors[error] = errors.get(error, 0) + 1
    return Summary(count, made, kept, rows, feasible, errors)


def _outcomes(path: Path, form: str) -> Iterable[tuple[bool, str | None]]:
    if form == "parquet":
        import polars as pl  # noqa: PLC0415

        # A folder may be called `*`.
        rows = pl.read_parquet(path, columns=["feasible", "error"], glob=False)
        return list(rows.iter_rows())
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["feasible"] == "True", row["error"]) for row in csv.DictReader(file)]


# -- who does the work ---------------------------------------------------------------------------


def spread(
    function: Callable[[_T], _R],
    items: Sequence[_T],
    *,
    on: str = "here",
    processes: int | None = None,
    address: str | None = None,
) -> Iterator[tuple[_T, _R]]:
    """Items with what a function makes of them, as they are done.

    Parameters
    ----------
    function : callable
        Importable where the work is done.
    items : sequence
        Its arguments.
    on, processes, address
        As in `run`.

    Raises
    ------
    Infeasible
        If workers die again and again with nothing done between.
    """
    if not items:
        return iter(())
    if on == "ray":
        return _on_ray(function, items, address)
    return _here(function, items, min(processes or os.cpu_count() or 1, len(items)))


def _here(
    function: Callable[[_T], _R], items: Sequence[_T], processes: int
) -> Iterator[tuple[_T, _R]]:
    """In processes; when one is killed its item, and what the others had begun, is done again."""
    left = dict.fromkeys(items)
    deaths = 0
    while left:
        before = len(left)
        try:
            for item, result in _pooled(function, list(left), processes):
                del left[item]
                yield item, result
        except BrokenProcessPool:
            deaths = deaths + 1 if len(left) == before else 0
            if deaths == _PATIENCE:
                raise Infeasible(
                    f"workers were killed {_PATIENCE} times with nothing done between, for want "
                    "of memory perhaps; ask for fewer --processes. What is done is kept"
                ) from None


def _pooled(
    function: Callable[[_T], _R], items: Sequence[_T], processes: int
) -> Iterator[tuple[_T, _R]]:
    # A fresh interpreter for each: a fork copies the threads' locks of compiled libraries.
    context = multiprocessing.get_context("spawn")
    waiting = iter(items)
    running: dict[Future[_R], _T] = {}
    pool = ProcessPoolExecutor(processes, context, _begin)
    try:
        while True:
            for item in waiting:
                running[pool.submit(function, item)] = item
                if len(running) == _AHEAD * processes:
                    break
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """A worker leaves interrupts to its parent, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _on_ray(
    function: Callable[[_T], _R], items: Sequence[_T], address: str | None
) -> Iterator[tuple[_T, _R]]:
    """On a cluster that runs already; Ray itself does again what a dead worker had."""
    import ray  # noqa: PLC0415

    found = address or os.environ.get("RAY_ADDRESS", "auto")
    try:
        _knock(found)
        ray.init(found, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BadInput(f"no Ray cluster at {found!r}: {reason}; start one, or leave --on") from None
    try:
        task = ray.remote(num_cpus=1, max_retries=_PATIENCE)(_call)
        ahead = _AHEAD * max(int(ray.cluster_resources().get("CPU", 1)), 1)
        waiting = iter(items)
        running: dict[Any, _T] = {}
        while True:
            for item in waiting:
                running[task.remote(function, item)] = item
                if len(running) == ahead:
                    break
            if not running:
                return
            done, _ = ray.wait(list(running))
            for each in done:
                yield running.pop(each), _got(ray, each)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """See that somebody is there: Ray itself waits for ever."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), _KNOCK).close()


def _call(function: Callable[[_T], _R], item: _T) -> _R:
    return function(item)


def _got(ray: Any, each: Any) -> Any:
    """A result; an error of ours as itself, a node's end in one sentence."""
    try:
        return ray.get(each)
    except ray.exceptions.RayTaskError as error:
        raise error.as_instanceof_cause() from None
    except ray.exceptions.RayError as error:
        reason = str(error).partition("\n")[0]
        raise Infeasible(f"the cluster gave up a part: {reason}. What is done is kept") from None
