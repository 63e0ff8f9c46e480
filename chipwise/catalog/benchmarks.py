"""Results of benchmark tools → rows of the serving table, with where each came from.

A file's tool is told by its content. What the tool does not write (chip, tp, weights …) is asked
for by name and never assumed.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from chipwise.catalog.files import read_text
from chipwise.errors import BadInput

__all__ = ["COLUMNS", "TOOLS", "read_results"]

Row = dict[str, str]

# Those of the serving table, then what is known of the measurement itself.
COLUMNS = (
    *("id", "model", "chip", "backend", "backend_version", "weight_format", "isl", "osl"),
    *("concurrency", "gpus", "tp", "dp", "ep", "pp", "kv", "ttft_ms", "tpot_ms", "n"),
    *("measured_on", "source", "tool", "tool_version"),
)
_NEEDED = (
    *("model", "chip", "backend", "backend_version", "weight_format", "isl", "osl", "concurrency"),
    *("tp", "ttft_ms", "tpot_ms", "measured_on"),
)
_WHOLE = ("isl", "osl", "concurrency", "tp", "dp", "ep", "pp")
_MEASURED = ("ttft_ms", "tpot_ms")
# Of a column, the option that gives it.
_OPTIONS = {"weight_format": "weights", "backend_version": "version", "measured_on": "on"}
_NOTE = "chipwise_"


def _number(value: Any) -> str:
    """A finite number as text, whole where it is; empty where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return ""
    return str(int(value)) if value == int(value) else repr(float(value))


def _mean(total: Any, count: Any) -> str:
    """Tokens of a request, from those of all; to the nearest whole one."""
    if not isinstance(total, (int, float)) or not isinstance(count, (int, float)) or not count:
        return ""
    return str(max(round(total / count), 1))


def _vllm(found: Mapping[str, Any]) -> Iterator[Row]:
    """`vllm bench serve --save-result`; what `--metadata chipwise_…` noted comes along."""
    notes = {k.removeprefix(_NOTE): str(v) for k, v in found.items() if k.startswith(_NOTE)}
    day = re.match(r"(\d{4})(\d\d)(\d\d)-", str(found.get("date", "")))
    done = found.get("completed")
    yield {
        "model": str(found.get("model_id") or ""),
        "isl": _mean(found.get("total_input_tokens"), done),
        "osl": _mean(found.get("total_output_tokens"), done),
        "concurrency": _number(found.get("max_concurrency")),
        "ttft_ms": _number(found.get("mean_ttft_ms")),
        "tpot_ms": _number(found.get("mean_tpot_ms")),
        "measured_on": "-".join(day.groups()) if day else "",
        **notes,
    }


def _sglang(found: Mapping[str, Any]) -> Iterator[Row]:
    """`sglang.bench_serving --output-file`; what `--tag "chipwise …"` noted comes along."""
    tag = str(found.get("tag") or "")
    words = tag.split()[1:] if tag.startswith("chipwise ") else []
    notes = dict(word.split("=", 1) for word in words if "=" in word)
    server = found.get("server_info") or {}
    done = found.get("completed")
    own = {"model": server.get("model_path"), "backend_version": server.get("version")}
    yield {
        **{k: str(v) for k, v in own.items() if v},
        "isl": _mean(found.get("total_input_tokens"), done),
        "osl": _mean(found.get("total_output_tokens"), done),
        "concurrency": _number(found.get("max_concurrency")),
        "ttft_ms": _number(found.get("mean_ttft_ms")),
        "tpot_ms": _number(found.get("mean_tpot_ms")),
        **notes,
    }


def _guidellm(found: Mapping[str, Any]) -> Iterator[Row]:
    """A guidellm report: a row for each of its benchmarks that kept a number of clients."""
    version = str((found.get("metadata") or {}).get("guidellm_version") or "")
    model = _named((found.get("config") or {}).get("spec") or {}, "model")
    for bench in found["benchmarks"]:
        metrics, strategy = bench["metrics"], bench["config"]["strategy"]
        start = bench.get("start_time")
        clients = strategy.get("streams") or strategy.get("max_concurrency")
        if strategy.get("type_") not in ("concurrent", "synchronous", "throughput"):
            clients = None
        yield {
            "model": model,
            "isl": _rounded(_succeeded(metrics, "prompt_token_count")),
            "osl": _rounded(_succeeded(metrics, "output_token_count")),
            "concurrency": "1" if strategy.get("type_") == "synchronous" else _number(clients),
            "ttft_ms": _number(_succeeded(metrics, "time_to_first_token_ms")),
            # Its time_per_output_token counts the first token; between tokens is what others mean.
            "tpot_ms": _number(_succeeded(metrics, "inter_token_latency_ms")),
            "measured_on": _day(start),
            "tool_version": version,
        }


def _succeeded(metrics: Mapping[str, Any], name: str) -> Any:
    return ((metrics.get(name) or {}).get("successful") or {}).get("mean")


def _rounded(value: Any) -> str:
    return str(max(round(value), 1)) if isinstance(value, (int, float)) else ""


def _day(stamp: Any) -> str:
    """The day of a stamp of the clock in seconds."""
    if not isinstance(stamp, (int, float)):
        return ""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=stamp)).date().isoformat()


def _aiperf(found: Mapping[str, Any]) -> Iterator[Row]:
    """The JSON that aiperf or genai-perf exports: metrics with unit and average."""
    asked = found.get("input_config") or found.get("config") or {}
    yield {
        "model": _named(asked, "model_names", "model") or _named(asked.get("models"), "name"),
        "isl": _rounded(_average(found, "input_sequence_length", "")),
        "osl": _rounded(_average(found, "output_sequence_length", "")),
        "concurrency": _number(_deep(asked, "concurrency")),
        "ttft_ms": _number(_average(found, "time_to_first_token", "ms")),
        "tpot_ms": _number(_average(found, "inter_token_latency", "ms")),
        "measured_on": str(found.get("start_time") or "")[:10],
        "tool_version": str(found.get("aiperf_version") or ""),
    }


def _average(found: Mapping[str, Any], name: str, unit: str) -> Any:
    told = found.get(name) or {}
    if unit and str(told.get("unit")) not in (unit, ""):
        raise BadInput(f"{name} is in {told.get('unit')}; {unit} was expected")
    return told.get("avg")


def _deep(asked: Any, name: str) -> Any:
    """The first value under a name, wherever in nested tables it stands."""
    if isinstance(asked, Mapping):
        if name in asked and not isinstance(asked[name], Mapping):
            return asked[name]
        values: Iterable[Any] = asked.values()
    else:
        values = asked if isinstance(asked, list) else ()
    return next((v for v in (_deep(a, name) for a in values) if v is not None), None)


def _named(asked: Any, *names: str) -> str:
    for name in names:
        value = _deep(asked, name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str):
            return value
    return ""


# Tool, keys that its results all have, reader.
_SIGNS: Sequence[tuple[str, frozenset[str], Callable[[Mapping[str, Any]], Iterator[Row]]]] = (
    ("vllm bench serve", frozenset({"model_id", "mean_ttft_ms", "completed"}), _vllm),
    ("sglang.bench_serving", frozenset({"mean_ttft_ms", "dataset_name", "completed"}), _sglang),
    ("guidellm", frozenset({"benchmarks"}), _guidellm),
    ("aiperf", frozenset({"time_to_first_token", "aiperf_version"}), _aiperf),
    ("genai-perf", frozenset({"time_to_first_token", "input_config"}), _aiperf),
)
TOOLS = (*(name for name, _, _ in _SIGNS), "csv")


def read_results(path: Path, given: Mapping[str, str | None]) -> list[Row]:
    """Measurements of a result file, a row each with the columns of `COLUMNS`.

    Parameters
    ----------
    path : Path
        What a benchmark tool wrote, or a CSV with columns of the serving table.
    given : mapping
        Columns that the file lacks, or says wrongly, by name.

    Raises
    ------
    BadInput
        If it is of no known tool, or lacks what the row needs; names each missing thing with the
        option that gives it.
    """
    rows = [_completed(path, number, row, given) for number, row in enumerate(_raw(path), 1)]
    if not rows:
        raise BadInput(f"{path}: it holds no measurement")
    return rows


def _raw(path: Path) -> Iterator[Row]:
    text = read_text(path)
    for found in list(_documents(path, text)):
        if not isinstance(found, Mapping):
            raise BadInput(f"{path}: its content is of no known tool: {', '.join(TOOLS)}")
        if "\0csv" in found:
            yield {**{k: str(v) for k, v in found.items() if k != "\0csv"}, "tool": "csv"}
            continue
        tool, reader = _tool(path, found)
        try:
            for row in reader(found):
                yield {**row, "tool": tool}
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise BadInput(f"{path}: not a whole result of {tool}: {error}") from None


def _tool(path: Path, found: Mapping[str, Any]) -> tuple[str, Any]:
    for name, signs, reader in _SIGNS:
        if signs <= set(found):
            return name, reader
    raise BadInput(f"{path}: its content is of no known tool: {', '.join(TOOLS)}")


def _documents(path: Path, text: str) -> Iterator[Any]:
    """One JSON document, one on each line, YAML, or the rows of a CSV."""
    start = text.lstrip()[:1]
    if start in ("{", "["):
        yield from _json(path, text)
    elif re.match(r"^[\w ]+(,[\w ]*)+\s*$", text.partition("\n")[0]):
        try:
            reader = csv.DictReader(text.splitlines(), strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise BadInput(f"{path}: line {reader.line_num}: fields unlike those of line 1")
                yield {**row, "\0csv": ""}
        except csv.Error as error:
            raise BadInput(f"{path}: not CSV: {error}") from None
    else:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            yield yaml.load(text, Loader=loader)  # noqa: S506 -- a safe one
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            told = " ".join(str(error).split())[:200]
            raise BadInput(f"{path}: neither JSON, YAML nor CSV: {told}") from None


def _json(path: Path, text: str) -> Iterator[Any]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        yield from _lines(path, text)
    else:
        yield whole


def _lines(path: Path, text: str) -> Iterator[Any]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{path}: line {number}: not JSON: {error}") from None


def _completed(path: Path, number: int, row: Row, given: Mapping[str, str | None]) -> Row:
    """A row with what was given, checked, in the columns of the table."""
    if row.get("apart"):
        raise BadInput(
            f"{path}: prefill and decode ran apart; the serving table has no columns for that"
        )
    told = {k: v for k, v in given.items() if v}
    whole = {**{k: v for k, v in row.items() if v}, **told}
    missing = [n for n in _NEEDED if not whole.get(n)]
    if missing:
        options = ", ".join(f"--{_OPTIONS.get(n, n).replace('_', '-')}" for n in missing)
        raise BadInput(
            f"{path}: measurement {number} does not say {', '.join(missing)}; give {options}"
        )
    for name in _WHOLE:
        whole[name] = _checked(path, name, whole.get(name) or "1")
    for name in _MEASURED:
        if not _positive(whole[name]):
            raise BadInput(f"{path}: {name} is {whole[name]!r}; a positive number was expected")
    try:
        datetime.strptime(whole["measured_on"], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        message = f"{path}: measured_on is {whole['measured_on']!r}; a day like 2026-11-28"
        raise BadInput(message) from None
    return _alone(path, whole, number)


def _alone(path: Path, whole: Row, number: int) -> Row:
    """The measurement of one replica: of several, each has its share of the clients."""
    replicas = int(_checked(path, "replicas", whole.pop("replicas", "") or "1"))
    clients, left = divmod(int(whole["concurrency"]), replicas)
    if left:
        raise BadInput(f"{path}: {whole['concurrency']} clients do not divide over {replicas}")
    whole["concurrency"] = str(clients)
    whole["gpus"] = str(math.prod(int(whole[n]) for n in ("tp", "dp", "pp")))
    whole |= {"id": whole.get("id") or f"{path.stem}-{number}", "source": path.name}
    whole["n"] = whole.get("n") or "1"
    return {name: whole.get(name, "") for name in COLUMNS}


def _checked(path: Path, name: str, text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (1 <= value < 1e9 and value == int(value)):
        raise BadInput(f"{path}: {name} is {text!r}; a whole number of at least 1 was expected")
    return str(int(value))


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False
