"""What a plan says is to be run: its JSON → the deployment that exporters write down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chipwise import catalog, intervals
from chipwise.catalog.servers import Place, place
from chipwise.errors import BadInput, ChipwiseError, Infeasible
from chipwise.perf.engines import backends
from chipwise.types import Chip, Model

__all__ = ["Group", "Job", "read_job"]

# Lengths of the plan's simulation lie within a tenth of the nominal ones.
SPREAD = 0.1
_SLACK = 64
# Requests of the benchmark: of each client in a closed loop, and at a rate.
_EACH = 10
_FEWEST = 100
_AT_RATE = 1500


@dataclass(frozen=True, slots=True)
class Group:
    """Servers that do one job: ``serve`` both phases, or ``prefill`` or ``decode`` alone.

    Degrees and `batch` are of one replica, as in `types.Side`.
    """

    role: str
    chip: Chip
    place: Place
    tp: int
    pp: int
    ep: int
    dp: int
    batch: int
    replicas: int

    @property
    def chips(self) -> int:
        """Chips of a replica."""
        return self.tp * self.pp * self.dp

    @property
    def devices(self) -> int:
        """Devices over which an engine divides a layer: the tp of its command line."""
        return self.tp * self.place.devices

    @property
    def nodes(self) -> int:
        """Machines of a replica."""
        return math.ceil(self.chips / self.place.server)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A deployment of a plan with the load that it was planned for.

    `checkpoint` is what the engine loads; `load` and `row` are the plan's own JSON;
    `length` is the longest sequence. [token]
    """

    model: Model
    checkpoint: str
    own: bool
    weights: str
    kv: str
    backend: str
    version: str
    chunk: int
    seqs: int
    groups: tuple[Group, ...]
    load: Mapping[str, Any]
    row: Mapping[str, Any]
    made_by: Mapping[str, Any]

    @property
    def length(self) -> int:
        """Longest sequence that the load can have. [token]"""
        nominal = int(self.load["isl"] + self.load["osl"])
        return min(math.ceil(nominal * (1 + SPREAD)) + _SLACK, self.model.context or 10**9)

    @property
    def clients(self) -> int:
        """Clients of the closed loop: the batches of all replicas that decode."""
        return self.groups[-1].batch * self.groups[-1].replicas

    @property
    def requests(self) -> int:
        """Requests of the benchmark."""
        return _AT_RATE if self.load["rate_per_s"] else max(_EACH * self.clients, _FEWEST)

    @property
    def apart(self) -> bool:
        """Whether prefill and decode have servers of their own."""
        return len(self.groups) > 1


def read_job(
    plan: Mapping[str, Any],
    *,
    chip: str | None = None,
    mode: str = "agg",
    prefill: str | None = None,
    checkpoint: str | None = None,
) -> Job:
    """The deployment of a plan's JSON that is asked for.

    Parameters
    ----------
    plan : mapping
        What `chipwise plan --out` wrote.
    chip : str, optional
        Chip that decodes; without it the cheapest token of all feasible rows.
    mode : str
        ``agg`` or ``disagg``.
    prefill : str, optional
        Chip that prefills, where both are apart.
    checkpoint : str, optional
        Name or path of the weights, where they are not the maker's own.

    Raises
    ------
    BadInput
        If it is no plan, or names what the catalog lacks.
    Infeasible
        If the plan has no such deployment; says why.
    """
    if mode not in ("agg", "disagg"):
        raise BadInput(f"mode is {mode!r}; it is agg or disagg")
    try:
        rows, load = plan["apart" if mode == "disagg" else "chips"], plan["workload"]
        row = _chosen(rows, chip, prefill, mode)
        _check(row, load)
        return _job(plan, row, load, checkpoint)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        told = error.args[0] if isinstance(error, KeyError) else "its values are of other kinds"
        raise BadInput(f"not an answer of chipwise plan: {told}") from None


def _chosen(
    rows: Sequence[Mapping[str, Any]], chip: str | None, prefill: str | None, mode: str
) -> Mapping[str, Any]:
    """The row of a chip; of several that with the cheapest, else the most tokens for a chip.

    Where both phases are apart, sides of one kind of chip go before mixed ones unless asked for.
    """
    found = list(rows)
    if chip is not None:
        found = [r for r in found if r["chip"] == catalog.chip(chip).id]
        if not found:
            known = ", ".join(sorted({r["chip"] for r in rows})) or "none"
            raise BadInput(
                f"the plan has no {mode} deployment that decodes on {chip}; it has {known}"
            )
    if prefill is not None:
        first = catalog.chip(prefill).id
        found = [r for r in found if (_side(r, "prefill") or {}).get("chip") == first]
        if not found:
            raise BadInput(f"the plan has no {mode} deployment that prefills on {prefill}")
    able = [r for r in found if r["feasible"]]
    if not able:
        why = "; ".join(f"{r['chip']}: {r['why']}" for r in found) or f"it has no {mode} rows"
        raise Infeasible(f"nothing to export: {why}")
    alike = [r for r in able if (_side(r, "prefill") or {}).get("chip") == r["chip"]]
    return min(able if prefill else alike or able, key=_merit)


# What a README tells of a row; each may be null.
_QUANTITIES = (
    *("ttft_s", "tpot_s", "output_tokens_per_s", "power_w"),
    "usd_per_million_output_tokens",
)
_LOAD = ("percentile", "prefix_hit", "rate_per_s", "ttft_s", "tpot_s")


def _check(row: Mapping[str, Any], load: Mapping[str, Any]) -> None:
    """See that what the texts of an export say of a row and its load can be said.

    Raises
    ------
    BadInput
        With the first that cannot.
    """
    memory, simulated = row["memory_bytes"], dict(row["simulated"])
    spreads = {name: row[name] for name in _QUANTITIES if row[name] is not None}
    _numbers({f"{n}.{k}": each[k] for n, each in spreads.items() for k in ("value", "low", "high")})
    _numbers({f"memory_bytes.{k}": memory[k] for k in ("reserve", "capacity")}, least=1.0)
    _numbers({f"simulated.{k}": v for k, v in simulated.items() if v is not None})
    _numbers({k: load[k] for k in _LOAD if load[k] is not None}, least=0.0)
    _numbers({"percentile": load["percentile"]})
    for name, known in (("basis", intervals.BASES), ("rests_on_unverified", None)):
        told = [row[name]] if known else row[name]
        if not all(isinstance(each, str) and (not known or each in known) for each in told):
            raise BadInput(f"not an answer of chipwise plan: {name} is {row[name]!r}")


def _numbers(values: Mapping[str, Any], least: float = -math.inf) -> None:
    for name, value in values.items():
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if not real or not math.isfinite(value) or value < least:
            raise BadInput(f"not an answer of chipwise plan: {name} is {value!r}")


def _merit(row: Mapping[str, Any]) -> tuple[float, float]:
    cost = row["usd_per_million_output_tokens"]
    rate = row["output_tokens_per_s_per_chip"]["value"]
    return (math.inf if cost is None else cost["value"], -rate)


def _side(row: Mapping[str, Any], name: str) -> Any:
    made = row["deployment"]
    return made[name] if made else None


def _job(
    plan: Mapping[str, Any], row: Mapping[str, Any], load: Mapping[str, Any], checkpoint: str | None
) -> Job:
    made, model = row["deployment"], catalog.model(plan["model"])
    sides = [("serve" if made["prefill"] is None else "decode", made["decode"])]
    if made["prefill"] is not None:
        sides.insert(0, ("prefill", made["prefill"]))
    groups = tuple(_group(role, side) for role, side in sides)
    for group in groups:
        if made["backend"] not in backends(group.chip):
            raise BadInput(f"{made['backend']} does not run on {group.chip.name}")
    own = _same(made["weights"], model.weights)
    return Job(
        model,
        checkpoint or model.id,
        own or checkpoint is not None,
        made["weights"],
        made["kv"],
        made["backend"],
        made["backend_version"],
        _whole(made, "chunk"),
        _whole(made, "max_seqs"),
        groups,
        {**load, "isl": _whole(load, "isl"), "osl": _whole(load, "osl")},
        row,
        {k: plan[k] for k in ("chipwise_version", "catalog_as_of", "calibration_id")},
    )


def _same(weights: str, own: str) -> bool:
    """Whether the maker's checkpoint is in the format; engines turn fp16 and bf16 as they load."""
    half = {"bf16", "fp16"}
    return weights == own or {weights, own} <= half


def _whole(of: Mapping[str, Any], name: str) -> int:
    value = of[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 10**9:
        raise BadInput(f"not an answer of chipwise plan: {name} is {value!r}, no whole number")
    return value


def _group(role: str, side: Mapping[str, Any]) -> Group:
    try:
        chip = catalog.chip(side["chip"])
    except ChipwiseError as error:
        raise BadInput(f"a chip of the plan: {error}") from None
    degrees = {n: _whole(side, n) for n in ("tp", "pp", "ep", "dp", "batch", "replicas")}
    return Group(role, chip, place(chip), **degrees)
