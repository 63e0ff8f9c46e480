"""Op timings → the factors of operator classes, by engine, format and scope.

The timings are those of the package aiconfigurator-core (extra ``calibrate``): latencies of
single kernels on NVIDIA chips and one of Intel, by engine and shape. For each operator class and
format one form is fitted,

    t = start + ((F/(ηc·P))^p + (B/(ηm·W))^p + (depth·K)^p)^(1/p) + (passes·X + sweeps·Y)/W

with the Work counts of `chipwise.perf.ops` and the datasheet's P and W. K is the inner dimension,
through which a tile walks in series; X is what its operands hold (a product's left operand, that
is quantised; the rows of routed tokens, that are shuffled; an attention's queries and outputs).
Y are the routed rows of all ranks, which some kernels touch although they are shared by expert.
Experts pad each expert's rows and lose arithmetic on narrow shards besides. A collective is
(start^p + wire^p)^(1/p).

Factors of a scope are drawn to those of the scope above it: chip → architecture → vendor → any.
"""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chipwise.errors import BadInput
from chipwise.perf import ops
from chipwise.perf.formats import WEIGHT_WIDTH, compute_format
from chipwise.types import Array, Chip

__all__ = [
    "FIELDS",
    "Residual",
    "Timings",
    "fit",
    "leave_one_out",
    "predict",
    "prune",
    "read_timings",
    "record",
    "scopes",
]

PACKAGE, VERSION = "aiconfigurator-core", "0.12.0"

# The package's names of systems → the catalog's ids.
SYSTEMS = {
    "a100_sxm": "nvidia-a100-sxm-80",
    "b200_sxm": "nvidia-b200-sxm",
    "b300_sxm": "nvidia-b300-sxm",
    "b60": "intel-b60",
    "gb200": "nvidia-gb200",
    "gb300": "nvidia-gb300",
    "h100_sxm": "nvidia-h100-sxm",
    "h200_sxm": "nvidia-h200-sxm",
    "l40s": "nvidia-l40s",
    "rtx_pro_6000_server": "nvidia-rtxpro6000",
}
# Names of formats in the tables → (stored, key of the factors).
PRODUCTS = {
    "bfloat16": ("bf16", "bf16"),
    "fp8": ("fp8", "fp8"),
    "fp8_block": ("fp8", "fp8_block"),
    "nvfp4": ("nvfp4", "nvfp4"),
    "sq": ("int8", "int8"),
    "int4_wo": ("int4", "int4"),
    "int8_wo": ("int8", "w8"),
    "w4a16_mxfp4": ("mxfp4", "mxfp4"),
    "w4a8_mxfp4_mxfp8": ("mxfp4", "mxfp4"),
}
# Models whose experts have two weights instead of a gated three, by (hidden, ffn).
PLAIN = ((4096, 2688), (1024, 2688), (2688, 1856), (8192, 5120), (2048, 5120))
# The drawn routings of the tables reach as many experts as independent tokens at this exponent.
ROUTING = 0.94
REFERENCE = 1536.0  # width of a shard at which narrowing is counted as none

FIELDS = (
    "start",
    "compute",
    "memory",
    "exponent",
    "depth",
    "passes",
    "padding",
    "narrowing",
    "sweeps",
)
_ZERO = 1e-15  # below this a fitted term counts as absent
_SAMPLE = 1500  # timings of one chip that a fit sees
_WORTH = 100.0  # independent timings that one chip's table counts for, against the prior
_NOISE = 0.1  # of ln t; beyond it a residual weighs linearly


@dataclass(frozen=True, slots=True, eq=False)
class Timings:
    """Timings of one operator class on one chip, with the work at datasheet rates.

    `seconds` measured [s]; `flop`, `byte`, `operand`, `whole`, `wire` the seconds of the
    arithmetic, of the memory traffic, of one pass over the operands, over those of all ranks,
    and of the wire [s]; `inner` dimension [1];
    `starts` and `messages` multiply the start; `tiles` experts reached for each routed row,
    `shard` width of an expert on a rank [1]; `group` is the shape that a row belongs to, `weight`
    its share in the fit.
    """

    kind: str
    engine: str
    format: str
    chip: str
    seconds: Array
    flop: Array
    byte: Array
    inner: Array
    operand: Array
    whole: Array
    wire: Array
    starts: Array
    tiles: Array
    shard: Array
    group: Array
    weight: Array


@dataclass(frozen=True, slots=True)
class Residual:
    """Errors |ln(predicted/measured)| of a class on a chip: median and 90th percentile.

    `of` says what was predicted: shapes that the fit did not see, or a chip that it did not.
    """

    kind: str
    format: str
    engine: str
    chip: str
    of: str
    rows: int
    median: float
    p90: float
    bias: float


# Prior of each class, in the order of FIELDS, and which of them are free; absent terms are zero.
_PRIOR: dict[str, tuple[tuple[float, ...], str]] = {
    "gemm": ((3.3e-6, 0.6, 0.8, 2.0, 5e-10, 0.0, 0.0, 0.0, 0.0), "scmpd"),
    "gemm+": ((3.3e-6, 0.6, 0.8, 1.8, 6e-10, 1.5, 0.0, 0.0, 0.0), "scmpdx"),
    "experts": ((3.4e-5, 0.4, 0.85, 2.0, 0.0, 3.0, 20.0, 0.0, 3.0), "scmpxtnw"),
    "attention_decode": ((1.0e-5, 0.3, 0.85, 3.0, 0.0, 5.0, 0.0, 0.0, 0.0), "scmpx"),
    "attention_prefill": ((1.2e-5, 0.65, 1.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0), "scx"),
    "state_update": ((6e-6, 1.0, 0.7, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0), "sm"),
    "state_prefill": ((3e-5, 1.0, 1.0, 1.0, 0.0, 10.0, 0.0, 0.0, 0.0), "sx"),
    "all_reduce": ((4e-6, 1.0, 0.85, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0), "smp"),
}
_LETTERS = "scmpdxtnw"
# How far a scope may stray from the one above it, in ln (narrowing: as it is).
_SPREAD = np.array([0.5, 0.35, 0.25, 0.5, 0.5, 0.5, 0.7, 0.2, 0.7])


def _prior(kind: str, format: str) -> tuple[Array, Array]:
    """Prior in the fit's coordinates, and which coordinates are free."""
    quantises = kind == "gemm" and format not in ("bf16", "int4", "w8", "mxfp4")
    base = kind.removeprefix("latent_")
    values, free = _PRIOR["gemm+" if quantises else base]
    mask = np.array([letter in free for letter in _LETTERS])
    return _encode(np.array(values)), mask


def _encode(values: Array) -> Array:
    """Factors as they are fitted: their logarithms, but the narrowing as it is."""
    coded: Array = np.log(np.maximum(values, 1e-18))
    coded[7] = values[7]
    return coded


def _decode(coded: Array) -> Array:
    values: Array = np.exp(coded)
    values[values < _ZERO] = 0.0
    values[7] = coded[7]
    return values


def predict(factors: Array, x: Timings) -> Array:
    """Seconds of every timing of `x` under the factors, in the order of FIELDS. [s]

    Parameters
    ----------
    factors : array
        start [s], compute, memory, exponent [1], depth [s], passes, padding, narrowing, sweeps [1].
    x : Timings
        The work.
    """
    start, compute, memory, p, depth, passes, padding, narrowing, sweeps = factors
    if x.kind == "all_reduce":
        first, sent = start * x.starts, x.wire / memory
        both: Array = (first**p + sent**p) ** (1.0 / p)
        return both
    stretch = 1.0 + padding * x.tiles
    if narrowing:
        stretch = stretch * (REFERENCE / x.shard) ** narrowing
    terms = [x.flop * stretch / compute, x.byte / memory]
    if depth:
        terms.append(depth * x.inner)
    large = np.maximum(np.max(terms, axis=0), 1e-18)
    body = large * np.sum([(term / large) ** p for term in terms], axis=0) ** (1.0 / p)
    total: Array = start * x.starts + body + passes * x.operand + sweeps * x.whole
    return total


def _residuals(factors: Array, x: Timings) -> Array:
    error: Array = np.log(predict(factors, x) / x.seconds)
    return error


def _take(x: Timings, rows: NDArray[Any]) -> Timings:
    arrays = {
        name: getattr(x, name)[rows]
        for name in Timings.__dataclass_fields__
        if isinstance(getattr(x, name), np.ndarray)
    }
    return replace(x, **arrays)


def _seed(*parts: str) -> int:
    return zlib.crc32("/".join(parts).encode())


def _sample(x: Timings, count: int = _SAMPLE) -> Timings:
    """At most `count` timings, drawn by weight, the same ones every time."""
    if len(x.seconds) <= count:
        return x
    rng = np.random.default_rng(_seed(x.kind, x.engine, x.format, x.chip))
    share = x.weight / x.weight.sum()
    rows = rng.choice(len(x.seconds), count, replace=False, p=share)
    return _take(x, np.sort(rows))


def _held_out(x: Timings) -> NDArray[np.bool_]:
    """Which rows belong to the quarter of the shapes that a tested fit does not see."""
    groups = np.unique(x.group)
    rng = np.random.default_rng(_seed("held out", x.kind, x.format))
    chosen = rng.random(len(groups)) < 0.25
    if len(groups) < 4 or chosen.all():
        chosen[:] = False
    out: NDArray[np.bool_] = chosen[np.searchsorted(groups, x.group)]
    return out


def _solve(parts: list[Timings], centre: Array, free: Array, tight: float) -> Array:
    """Factors of one scope, drawn to `centre`; soft-L1 in ln t."""
    from scipy.optimize import least_squares  # noqa: PLC0415

    spread = _SPREAD[free] * tight
    scales = [math.sqrt(_WORTH / len(x.seconds)) for x in parts]

    def residuals(coded: Array) -> Array:
        whole = centre.copy()
        whole[free] = coded
        factors = _decode(whole)
        errors = [
            scale * _soft(_residuals(factors, x) / _NOISE)
            for x, scale in zip(parts, scales, strict=True)
        ]
        return np.concatenate([*errors, (coded - centre[free]) / spread])

    low = np.log([2e-8, 0.004, 0.05, 0.35, 1e-13, 1e-3, 0.01, 1.0, 1e-3])
    high = np.log([5e-3, 1.5, 3.0, 12.0, 1e-6, 400.0, 400.0, 1.0, 400.0])
    low[7], high[7] = -1.0, 1.5
    if not (parts and parts[0].kind == "all_reduce"):
        low[3] = math.log(1.0001)
    inside = np.clip(centre[free], low[free] + 1e-6, high[free] - 1e-6)
    found = least_squares(residuals, inside, bounds=(low[free], high[free]), xtol=1e-9)
    whole = centre.copy()
    whole[free] = found.x
    return whole


def _soft(z: Array) -> Array:
    """√ρ with ρ = 2(√(1+z²) − 1), signed: a least square of it is soft-L1 in z."""
    return np.sign(z) * np.sqrt(2.0 * (np.sqrt(1.0 + z * z) - 1.0))


def scopes(chip: Chip) -> tuple[str, ...]:
    """Scopes of a chip from the narrowest to the widest.

    Chips without a scale-up link are of other silicon than their generation's name tells
    (Blackwell with GDDR7 has other tensor cores than Blackwell with HBM), so that they form a
    scope of their own. A refreshed generation falls back on the one it is named after.

    Examples
    --------
    >>> from chipwise.types import Link
    >>> h20 = Chip("h20", "H20", "NVIDIA", "US", "Hopper", "", "", "", {}, None, 0.0, None,
    ...            Link("NVLink", 8, 450e9), None, None, None, None, {})
    >>> scopes(h20)
    ('h20', 'Hopper', 'NVIDIA', '')
    """
    if not chip.scaleup:
        return (chip.id, f"{chip.architecture} PCIe", chip.vendor, "")
    first = chip.architecture.split(" ")[0]
    generations = dict.fromkeys((chip.architecture, first))
    return (chip.id, *generations, chip.vendor, "")


def _tree(chips: Iterable[str], known: Mapping[str, Chip]) -> dict[str, list[str]]:
    """Scope → the chips below it, widest first; a vendor of one chip is left out."""
    chips = sorted(set(chips))
    below: dict[str, list[str]] = defaultdict(list)
    for height in range(1, 6):
        for chip in chips:
            chain = scopes(known[chip])
            if height <= len(chain):
                below[chain[-height]].append(chip)
    vendors = {known[chip].vendor for chip in chips}
    return {s: c for s, c in below.items() if not (s in vendors and len(c) < 2)}


def _parent(scope: str, chip: Chip, fitted: Mapping[str, Array]) -> str | None:
    chain = scopes(chip)
    return next((s for s in chain[chain.index(scope) + 1 :] if s in fitted), None)


def _fit_scopes(parts: list[Timings], chips: Mapping[str, Chip]) -> dict[str, Array]:
    """Coded factors by scope of timings of one class, format and engine (or all)."""
    prior, free = _prior(parts[0].kind, parts[0].format)
    by_chip: dict[str, list[Timings]] = defaultdict(list)
    for x in parts:
        by_chip[x.chip].append(x)
    fitted: dict[str, Array] = {}
    for scope, members in _tree(by_chip, chips).items():
        above = _parent(scope, chips[members[0]], fitted) if scope else None
        centre = prior if above is None else fitted[above]
        inside = [x for chip in members for x in by_chip[chip]]
        fitted[scope] = _solve(inside, centre, free, 4.0 if above is None else 1.0)
    return fitted


def _families(timings: Iterable[Timings]) -> dict[tuple[str, str, str], list[Timings]]:
    """Timings by (class, format, engine), the engine "" holding all engines."""
    groups: dict[tuple[str, str, str], list[Timings]] = defaultdict(list)
    for x in timings:
        groups[x.kind, x.format, x.engine].append(x)
        groups[x.kind, x.format, ""].append(x)
    return dict(sorted(groups.items()))


def _errors(coded: Array, x: Timings, of: str, engine: str) -> Residual:
    error = _residuals(_decode(coded), x)
    size = np.abs(error)
    return Residual(
        x.kind,
        x.format,
        engine,
        x.chip,
        of,
        len(size),
        float(np.median(size)),
        float(np.quantile(size, 0.9)),
        float(np.median(error)),
    )


Factors = dict[tuple[str, str, str], Array]


def fit(
    timings: Iterable[Timings], chips: Mapping[str, Chip]
) -> tuple[Factors, tuple[Residual, ...]]:
    """Factors by (class, format, scope), and how well shapes that were left out are predicted.

    A class is written as ``class@engine`` where the engine's own timings were fitted and as
    ``class`` over all engines.

    Parameters
    ----------
    timings : iterable of Timings
        As `read_timings` gives them.
    chips : mapping
        Chips by id, for their scopes.

    Returns
    -------
    dict
        Factors in the order of FIELDS.
    tuple of Residual
        One for each class, format, engine and chip.
    """
    factors: Factors = {}
    found: list[Residual] = []
    for (kind, format, engine), parts in _families(timings).items():
        held = {id(x): _held_out(x) for x in parts}
        seen = [_sample(_take(x, ~held[id(x)])) for x in parts]
        tested = _fit_scopes(seen, chips)
        for x in parts:
            rows = held[id(x)]
            unseen = _sample(_take(x, rows if rows.any() else ~rows), 4 * _SAMPLE)
            found.append(_errors(tested[x.chip], unseen, "shapes", engine))
        name = f"{kind}@{engine}" if engine else kind
        for scope, coded in _fit_scopes([_sample(x) for x in parts], chips).items():
            factors[name, format, scope] = _decode(coded)
    return factors, tuple(found)


def leave_one_out(timings: Iterable[Timings], chips: Mapping[str, Chip]) -> tuple[Residual, ...]:
    """Errors on each chip when it is predicted from the other chips' timings alone."""
    found: list[Residual] = []
    for (_, _, engine), parts in _families(timings).items():
        for chip in sorted({x.chip for x in parts}):
            rest = [_sample(x) for x in parts if x.chip != chip]
            if not rest:
                continue
            fitted = _fit_scopes(rest, chips)
            nearest = next((s for s in scopes(chips[chip]) if s in fitted), None)
            if nearest is None:
                continue
            for x in parts:
                if x.chip == chip:
                    unseen = _sample(x, 4 * _SAMPLE)
                    found.append(_errors(fitted[nearest], unseen, f"chip < {nearest}", engine))
    return tuple(found)


def _median(factors: Factors, key: tuple[str, str, str], parts: list[Timings]) -> float:
    """Median |ln error| of some timings under the factors of one key."""
    errors = [_residuals(factors[key], _sample(x)) for x in parts]
    return float(np.median(np.abs(np.concatenate(errors))))


def _own(factors: Factors, name: str, format: str, chip: Chip) -> tuple[str, str, str] | None:
    """Key under which a chip finds its factors."""
    keys = ((name, format, scope) for scope in scopes(chip))
    return next((key for key in keys if key in factors), None)


def prune(
    factors: Factors, timings: Iterable[Timings], chips: Mapping[str, Chip], gain: float = 0.01
) -> Factors:
    """Leave out single chips, and engines, that the wider factors predict as well.

    Parameters
    ----------
    factors : dict
        As `fit` gives them.
    timings : iterable of Timings
        What they were fitted on.
    chips : mapping
        Chips by id.
    gain : float
        Least gain in the median |ln error| that factors of their own must bring: to a chip, and
        in the mean over its chips to an engine.
    """
    kept = dict(factors)
    for (kind, format, engine), parts in _families(timings).items():
        name = f"{kind}@{engine}" if engine else kind
        if engine and _idle(kept, name, kind, format, parts, chips, gain):
            kept = {key: f for key, f in kept.items() if key[:2] != (name, format)}
            continue
        for chip in sorted({x.chip for x in parts}):
            rows = [x for x in parts if x.chip == chip]
            wider = (s for s in scopes(chips[chip])[1:] if (name, format, s) in kept)
            above, own = next(wider, None), (name, format, chip)
            if above is None or own not in kept:
                continue
            if _median(kept, (name, format, above), rows) - _median(kept, own, rows) < gain:
                del kept[own]
    return kept


def _idle(
    factors: Factors,
    name: str,
    kind: str,
    format: str,
    parts: list[Timings],
    chips: Mapping[str, Chip],
    gain: float,
) -> bool:
    """Whether an engine's factors bring less than `gain` over those of all engines."""
    gains = []
    for x in parts:
        own = _own(factors, name, format, chips[x.chip])
        common = _own(factors, kind, format, chips[x.chip])
        if own and common:
            gains.append(_median(factors, common, [x]) - _median(factors, own, [x]))
    return bool(gains) and float(np.mean(gains)) < gain


def record(kind: str, format: str, scope: str, factors: Array) -> dict[str, Any]:
    """One entry of the calibration's `operators`; terms that are absent are left out."""
    entry: dict[str, Any] = {"class": kind, "format": format, "scope": scope}
    for name, value in zip(FIELDS, factors, strict=True):
        if value or name in FIELDS[:4]:
            entry[name] = float(f"{value:.4g}")
    return entry


# --- reading ------------------------------------------------------------------------------------


def _root() -> Path:
    """Folder of the installed package's tables."""
    try:
        found = metadata.version(PACKAGE)
        root = Path(str(resources.files("aiconfigurator_core"))) / "systems" / "data"
    except (metadata.PackageNotFoundError, ModuleNotFoundError) as error:
        raise BadInput(
            f"op timings need the package {PACKAGE} {VERSION}: "
            "install chipwise with the extra 'calibrate'"
        ) from error
    if found != VERSION:
        raise BadInput(f"op timings need {PACKAGE} {VERSION}, but {found} is installed")
    return root


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in "".join(c if c.isdigit() else " " for c in name).split())


def _tables(root: Path, folder: str, name: str) -> Iterator[tuple[str, str, Any]]:
    """(system, engine, frame) of a table, every version of the engine in one frame."""
    import polars as pl  # noqa: PLC0415

    frames: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for path in sorted(root.glob(f"*/{folder}/*/*/{name}_perf.parquet")):
        system, engine, version = path.parts[-5], path.parts[-3], path.parts[-2]
        if system in SYSTEMS:
            order = 0
            for part in (*_version(version), 0, 0, 0, 0)[:4]:
                order = order * 1000 + part
            frames[system, engine].append(
                pl.read_parquet(path, glob=False).with_columns(pl.lit(order).alias("order"))
            )
    for (system, engine), parts in sorted(frames.items()):
        frame = pl.concat(parts, how="diagonal_relaxed")
        yield system, engine, frame.filter(pl.col("latency") > 0)


def _newest(frame: Any) -> Any:
    """Rows of the newest version of the engine that has a tenth of the fullest version's."""
    counts = frame["order"].value_counts()
    enough = counts.filter(counts["count"] * 10 >= counts["count"].max())
    return frame.filter(frame["order"] == enough["order"].max())


def _columns(frame: Any, *names: str) -> list[Array]:
    return [frame[name].to_numpy().astype(float) for name in names]


def _even(size: Array) -> Array:
    """Weights that count each doubling of `size` alike."""
    bins = np.floor(np.log2(np.maximum(size, 1.0))).astype(int)
    weight: Array = 1.0 / np.bincount(bins)[bins]
    return weight


def _timings(
    kind: str,
    engine: str,
    format: str,
    chip: Chip,
    seconds: Array,
    group: Array,
    weight: Array,
    **given: Array | float,
) -> Timings:
    """Fill what a class does not have with zeros (starts and shard: ones)."""
    names = ("flop", "byte", "inner", "operand", "whole", "wire", "starts", "tiles", "shard")
    ones = ("starts", "shard")
    filled = {
        name: np.zeros_like(seconds) + given.get(name, 1.0 if name in ones else 0.0)
        for name in names
    }
    return Timings(kind, engine, format, chip.id, seconds, group=group, weight=weight, **filled)


def _pack(*columns: Array) -> Array:
    """One number for each combination of small integers."""
    packed = np.zeros_like(columns[0])
    for column in columns:
        packed = packed * 65537.0 + column
    return packed


def _peak(stored: str, chip: Chip) -> float:
    return chip.flops[compute_format(stored, chip)]


def _product(name: str, chip: Chip) -> tuple[str, str, str]:
    """Stored format of a table's product, key of its factors, and format that it computes in."""
    stored, key = PRODUCTS[name]
    # Weights alone are of 8 bits where a product is called so.
    peak = compute_format("bf16" if key == "w8" else stored, chip)
    if stored in ("fp8", "int8") and peak in ("bf16", "fp16"):
        key = "w8"
    return stored, key, peak


def _rate(chip: Chip) -> float:
    assert chip.memory_bandwidth is not None
    return chip.memory_bandwidth


def _parts(frame: Any, column: str) -> Iterator[tuple[str, Any]]:
    for name in sorted(frame[column].unique().to_list()):
        yield name, _newest(frame.filter(frame[column] == name))


def _static(products: Any, scales: Any) -> Any:
    """Products without the pass that finds the activations' scale.

    TensorRT-LLM's were timed with it; the checkpoints that it serves hold the scale.
    """
    import polars as pl  # noqa: PLC0415

    found = _newest(scales).group_by("m", "k").agg(pl.col("latency").mean().alias("scale"))
    joined = products.join(found, on=["m", "k"], maintain_order="left")
    plain = joined.with_columns(latency=pl.col("latency") - pl.col("scale"))
    return plain.filter(pl.col("latency") > 0.2 * pl.col("scale"))


def _gemm(root: Path, chips: Mapping[str, Chip]) -> Iterator[Timings]:
    scales = {(s, e): f for s, e, f in _tables(root, "quantize", "computescale")}
    for system, engine, frame in _tables(root, "gemm", "gemm"):
        chip = chips[SYSTEMS[system]]
        for name, every in _parts(frame, "gemm_dtype"):
            if name not in PRODUCTS or (name, engine) == ("fp8_block", "vllm"):
                continue  # vLLM's block products were timed with Python's launches in between
            rows = every
            if (name, engine) == ("fp8", "trtllm") and (system, engine) in scales:
                rows = _static(every, scales[system, engine])
            stored, key, peak = _product(name, chip)
            m, n, k, t = _columns(rows, "m", "n", "k", "latency")
            work = ops.gemm(m, n, k, WEIGHT_WIDTH[stored])
            yield _timings(
                "gemm",
                engine,
                key,
                chip,
                t * 1e-3,
                _pack(n, k),
                _even(m),
                flop=work.flops / chip.flops[peak],
                byte=work.bytes / _rate(chip),
                inner=k,
                operand=2.0 * m * k / _rate(chip),
                starts=2.0 if peak in ("fp8", "int8", "nvfp4") else 1.0,
            )


_EXPERT_SHAPE = (
    "num_tokens",
    "hidden_size",
    "inter_size",
    "topk",
    "num_experts",
    "moe_tp_size",
    "moe_ep_size",
    "distribution",
)


def _both(gated: Any, plain: Any, column: str) -> Iterator[tuple[str, Any]]:
    """Newest timings of gated and of plain experts by format, the fastest kernel of each shape.

    Engines choose among their kernels by shape, by autotuning or by flags.
    """
    import polars as pl  # noqa: PLC0415

    found: dict[str, list[Any]] = defaultdict(list)
    for frame in (gated, plain):
        for name, rows in _parts(frame, column):
            found[name].append(rows.select(*_EXPERT_SHAPE, "latency"))
    for name, parts in sorted(found.items()):
        best = pl.concat(parts).group_by(*_EXPERT_SHAPE).agg(pl.col("latency").min())
        yield name, best.sort(*_EXPERT_SHAPE)


def _right_experts(name: str, chip: Chip) -> bool:
    """Whether the table's kernel multiplies in the format in which chipwise does."""
    if name == "w4a8_mxfp4_mxfp8":
        return compute_format("mxfp4", chip) == "fp8"
    if name == "w4a16_mxfp4":
        return compute_format("mxfp4", chip) != "fp8"
    return name in PRODUCTS


def _experts(root: Path, chips: Mapping[str, Chip]) -> Iterator[Timings]:
    """Experts by width and by expert; of the latter the even routings alone.

    The drawn ones time the most loaded rank of a draw, which is no property of the kernel.
    """
    for system, engine, frame in _tables(root, "moe", "moe"):
        chip = chips[SYSTEMS[system]]
        even = frame["distribution"] == "balanced"
        whole = frame.filter((frame["moe_ep_size"] == 1) | (even & (frame["moe_ep_size"] <= 32)))
        special = whole["kernel_source"].str.contains("min_latency")
        if engine == "trtllm" and not special.any():
            # TensorRT-LLM serves nvfp4 with a kernel of its own, which was not timed here.
            whole = whole.filter(
                (whole["moe_dtype"] != "nvfp4") | (chip.architecture != "Blackwell Ultra")
            )
        plain = whole["kernel_source"].str.contains("nongated")
        for name, rows in _both(whole.filter(~plain), whole.filter(plain), "moe_dtype"):
            if not _right_experts(name, chip):
                continue
            stored, key, peak = _product(name, chip)
            tokens, hidden, ffn, topk, count, tp, ep, t = _columns(
                rows, *_EXPERT_SHAPE[:-1], "latency"
            )
            evenly = (rows["distribution"] == "balanced").to_numpy()
            drawn = count * (1.0 - (1.0 - topk / count) ** (tokens**ROUTING))
            active = np.where(evenly, np.minimum(count, topk * tokens), drawn)
            ungated = np.isin(_pack(hidden, ffn), [_pack(*np.array(s, float)) for s in PLAIN])
            weights = np.where(ungated, 2.0, 3.0) * hidden * ffn
            work = ops.experts(tokens, active, topk, weights, WEIGHT_WIDTH[stored], tp * ep)  # type: ignore[arg-type]
            moved = ops.permute(tokens, topk, hidden, 1.0, 1.0)  # type: ignore[arg-type]
            yield _timings(
                "experts",
                engine,
                key,
                chip,
                t * 1e-3,
                _pack(hidden, ffn, count),
                _even(tokens),
                flop=work.flops / chip.flops[peak],
                byte=work.bytes / _rate(chip),
                operand=moved.bytes / ep / _rate(chip),
                whole=moved.bytes / _rate(chip),
                tiles=active / (topk * tokens),
                shard=ffn / tp,
            )


def _usual(frame: Any, column: str = "kernel_source") -> Any:
    """Rows of the kernel that occurs most: the engine's default."""
    counts = frame[column].value_counts().sort(["count", column], descending=[True, False])
    return frame.filter(frame[column] == counts[column][0])


def _narrowest(frame: Any) -> Any:
    """Rows that multiply in fp8 where the engine does so."""
    fp8 = frame["attn_dtype"] == "fp8"
    return frame.filter(fp8) if fp8.any() else frame


def _attention(root: Path, chips: Mapping[str, Chip], phase: str) -> Iterator[Timings]:
    decode = phase == "generation"
    kind = "attention_decode" if decode else "attention_prefill"
    for system, engine, frame in _tables(root, "attention", f"{phase}_attention"):
        chip = chips[SYSTEMS[system]]
        whole = frame
        if "window_size" in frame.columns:
            whole = frame.filter(frame["window_size"].fill_null(0) == 0)
        for kv, every in _parts(whole, "kv_cache_dtype"):
            rows = _usual(_narrowest(every))
            batch, isl, step, heads, shared, dim, t = _columns(
                rows,
                "batch_size",
                "isl",
                "step",
                "num_heads",
                "num_key_value_heads",
                "head_dim",
                "latency",
            )
            width = 1.0 if kv == "fp8" else 2.0
            flops = 4.0 * heads * dim
            tokens, operand = batch, 2.0 * heads * dim
            if decode:
                keys = batch * (step + 1.0)
                work = ops.attention_decode(keys, flops, 2.0 * shared * dim * width)
            else:
                tokens, operand = batch * isl, 2.0 * (heads + shared) * dim
                work = ops.attention_prefill(tokens * isl / 2.0, flops)
            yield _timings(
                kind,
                engine,
                "fp8" if kv == "fp8" else "bf16",
                chip,
                t * 1e-3,
                _pack(heads, shared, dim),
                np.ones_like(t),
                flop=work.flops / _peak("bf16", chip),
                byte=work.bytes / _rate(chip),
                operand=2.0 * tokens * operand / _rate(chip),
            )


def _latent(root: Path, chips: Mapping[str, Chip], phase: str) -> Iterator[Timings]:
    """Latent attention of DeepSeek-V3's dimensions: decode on the latent, prefill on heads."""
    decode = phase == "generation"
    kind = "latent_attention_decode" if decode else "latent_attention_prefill"
    for system, engine, frame in _tables(root, "mla", f"{phase}_mla"):
        chip = chips[SYSTEMS[system]]
        for kv, every in _parts(frame, "kv_cache_dtype"):
            rows = _usual(every)
            batch, isl, step, heads, t = _columns(
                rows, "batch_size", "isl", "step", "num_heads", "latency"
            )
            width = 1.0 if kv == "fp8" else 2.0
            if decode:
                keys = batch * (step + 1.0)
                work = ops.attention_decode(keys, 2.0 * heads * (576 + 512), 576 * width)
                operand = batch * heads * (576 + 512)
            else:
                tokens = batch * isl
                work = ops.attention_prefill(tokens * isl / 2.0, 2.0 * heads * (192 + 128))
                operand = tokens * heads * (192 + 128) * 2.0
            yield _timings(
                kind,
                engine,
                "fp8" if kv == "fp8" else "bf16",
                chip,
                t * 1e-3,
                heads,
                np.ones_like(t),
                flop=work.flops / _peak("bf16", chip),
                byte=work.bytes / _rate(chip),
                operand=2.0 * operand / _rate(chip),
            )


def _state(root: Path, chips: Mapping[str, Chip]) -> Iterator[Timings]:
    """Gated delta rule: convolution and recurrence together, by decoding and by prompt."""
    import polars as pl  # noqa: PLC0415

    shape = ["batch_size", "seq_len", "num_k_heads", "num_v_heads", "head_k_dim", "head_v_dim"]
    for system, engine, frame in _tables(root, "linear_attention", "gdn"):
        chip = chips[SYSTEMS[system]]
        best = (
            _newest(frame)
            .group_by([*shape, "phase", pl.col("kernel_source").str.contains("conv").alias("conv")])
            .agg(pl.col("latency").min())
        )
        both = best.group_by([*shape, "phase"]).agg(
            pl.col("latency").sum(), pl.len().alias("n"), pl.lit(0).alias("order")
        )
        both = both.filter(pl.col("n") == 2).sort([*shape, "phase"])
        for phase, rows in _parts(both, "phase"):
            batch, length, keys, values, kdim, vdim, t = _columns(rows, *shape, "latency")
            state = 4.0 * values * kdim * vdim
            decode = phase == "generation"
            work = ops.state_update(batch, state)
            row = 2.0 * (2.0 * keys * kdim + 2.0 * values * vdim)
            yield _timings(
                "state_update" if decode else "state_prefill",
                engine,
                "bf16",
                chip,
                t * 1e-3,
                _pack(keys, values),
                np.ones_like(t),
                byte=work.bytes / _rate(chip) if decode else 0.0,
                operand=0.0 if decode else batch * length * row / _rate(chip),
            )


def _all_reduce(root: Path, chips: Mapping[str, Chip]) -> Iterator[Timings]:
    """Within a node, from CUDA graphs; messages are counted in bf16 elements."""
    for system, engine, frame in _tables(root, "comm", "custom_allreduce"):
        chip = chips[SYSTEMS[system]]
        link = chip.scaleup or chip.host
        if link is None:
            continue
        rows = _newest(frame)
        rows = rows.filter(~rows["kernel_source"].str.contains("eager"))
        rows = rows.filter(rows["num_gpus"] <= 8)
        rows = rows.filter(rows["message_size"] <= 2**27)
        ranks, size, t = _columns(rows, "num_gpus", "message_size", "latency")
        if not len(t):
            continue
        work = ops.all_reduce(size, 1.0, ranks, 0.15)
        yield _timings(
            "all_reduce",
            engine,
            "bf16",
            chip,
            t * 1e-3,
            np.floor(np.log2(size)),
            np.ones_like(t),
            wire=work.wire / link.bandwidth,
            starts=work.messages,
        )


_READERS: tuple[Callable[[Path, Mapping[str, Chip]], Iterator[Timings]], ...] = (
    _gemm,
    _experts,
    lambda root, chips: _attention(root, chips, "generation"),
    lambda root, chips: _attention(root, chips, "context"),
    lambda root, chips: _latent(root, chips, "generation"),
    lambda root, chips: _latent(root, chips, "context"),
    _state,
    _all_reduce,
)


def read_timings(chips: Mapping[str, Chip], root: Path | None = None) -> tuple[Timings, ...]:
    """All timings of the installed package that the operator classes can be fitted on.

    Parameters
    ----------
    chips : mapping
        Chips by id; those of SYSTEMS must be in it.
    root : Path, optional
        Folder of the tables, instead of the installed package's.

    Raises
    ------
    BadInput
        If the package is not installed, of another version, or a chip is missing.
    """
    missing = sorted(set(SYSTEMS.values()) - set(chips))
    if missing:
        raise BadInput(f"chips of the op timings are not in the catalog: {', '.join(missing)}")
    folder = root or _root()
    return tuple(x for reader in _READERS for x in reader(folder, chips) if len(x.seconds) >= 60)
