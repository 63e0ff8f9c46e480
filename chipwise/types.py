"""The nouns of chipwise: frozen dataclasses in base units, without behaviour.

Fields marked ∿ are a number or an array; arrays broadcast together, so that one code path serves
one deployment or a million. Base units: second, byte, flop/s, watt, joule, metre, USD, token.
An unknown value is ``None``; it is never a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "END_USERS",
    "INCLUDE",
    "ROUTES",
    "STATUSES",
    "Array",
    "Block",
    "Calibration",
    "Chip",
    "Deployment",
    "Disputed",
    "Doubt",
    "Efficiency",
    "Engine",
    "Estimate",
    "Fact",
    "Interval",
    "Link",
    "Memory",
    "Model",
    "Money",
    "Numeric",
    "Plan",
    "PlanRow",
    "Price",
    "Prompts",
    "Protocol",
    "Reading",
    "Rule",
    "RuleCase",
    "RuleTrace",
    "Scale",
    "Served",
    "Side",
    "SideVerdict",
    "Simulation",
    "StatusPeriod",
    "StepTable",
    "Trace",
    "Verdict",
    "Work",
    "Workload",
    "Yields",
]

Array = NDArray[np.float64]
Numeric = float | Array

# The statuses that a rule can give, from mild to strict.
STATUSES = (
    "free",
    "notify",
    "licence_approval",
    "discouraged",
    "licence_case_by_case",
    "licence_denial",
    "prohibited",
)
ROUTES = ("sale", "reexport", "subsidiary-abroad", "rent-abroad", "rent-in-country")
END_USERS = ("private", "state", "military")
# Confidences of rules that are left out of verdicts unless they are asked for.
INCLUDE = ("reported", "proposed", "unverified", "unknown")


@dataclass(frozen=True, slots=True)
class Fact:
    """One value as printed, with where it stands.

    `provenance` is ``source`` (printed there), ``reported`` (press or analysts), ``derived``
    (computed from other values) or ``unverified`` (no source found yet).
    """

    value: float | str | bool | None
    unit: str
    source: str
    provenance: str = "source"
    on: date | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """How chips reach one another.

    `chips` is the number of chips in the domain; `bandwidth` is per direction and chip. [byte/s]
    """

    name: str
    chips: int
    bandwidth: float


@dataclass(frozen=True, slots=True, eq=False)
class Chip:
    """An accelerator as sold: one package in one form.

    `flops` are dense rates by format (bf16, fp16, fp8, int8, nvfp4, int4, tf32, fp32, fp64).
    [flop/s] `memory` is what the driver reports. [byte] `memory_bandwidth` [byte/s],
    `power` [W], `die_area` [m²]. `scaleup` joins the chips of a node or rack, `host` is its
    PCIe. `unverified` names the fields without a source.
    """

    id: str
    name: str
    vendor: str
    country: str
    architecture: str
    released: str
    status: str
    market: str
    flops: Mapping[str, float]
    memory: float | None
    memory_spread: float
    memory_bandwidth: float | None
    scaleup: Link | None
    host: Link | None
    power: float | None
    die_area: float | None
    sold_in_us: bool | None
    facts: Mapping[str, Fact]
    unverified: frozenset[str] = frozenset()

    @property
    def generation(self) -> str:
        """The architecture without what refines it: whose habits a chip has where it has none."""
        return self.architecture.partition(" (")[0].removesuffix(" Ultra")


@dataclass(frozen=True, slots=True)
class Block:
    """A kind of layer part, how often it occurs, and its dimensions by config name."""

    kind: str
    count: int
    dims: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What a model computes.

    `layers` lists attention and feed-forward blocks apart, each with its count. `weights` is the
    format in which the maker publishes it. `published` is another source's parameter count.
    """

    id: str
    family: str
    layers: tuple[Block, ...]
    hidden: int
    vocab: int
    tied: bool
    weights: str
    context: int | None
    depth: int
    published: float | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    unverified: frozenset[str] = frozenset()
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """What is asked of a deployment.

    `isl` ∿, `osl` ∿ [token]; `rate` of arrivals [request/s]; `ttft`, `tpot` limits [s] on
    `percentile` of the requests; `prefix_hit` share of the prompt found in the cache.
    """

    isl: Numeric
    osl: Numeric
    rate: float | None = None
    ttft: float | None = None
    tpot: float | None = None
    percentile: float = 99.0
    prefix_hit: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Chips that do one job: all of it, or prefill or decode alone.

    `tp`, `pp`, `ep`, `dp` are degrees; `dp` is of attention, so that a replica has
    tp × pp × dp chips, over which experts are sharded (`ep` > 1: by expert; else by width).
    `batch` is the sequences in flight in a replica. All ∿.
    """

    chip: Chip
    tp: Numeric = 1
    pp: Numeric = 1
    ep: Numeric = 1
    dp: Numeric = 1
    batch: Numeric = 1
    replicas: Numeric = 1


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """Which chips run the model, and how; `prefill` is None where one side does both.

    `chunk` is the token budget of an iteration ∿. `link` carries the KV from prefill to decode,
    per chip and direction. [byte/s]
    """

    decode: Side
    weights: str
    kv: str
    backend: str = "vllm"
    chunk: Numeric = 8192
    prefill: Side | None = None
    link: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What an operator asks of a chip.

    `flops` [flop]; `bytes` across its memory [byte]; `wire` bytes sent by a chip [byte];
    `messages` started. All ∿.
    """

    flops: Numeric = 0.0
    bytes: Numeric = 0.0
    wire: Numeric = 0.0
    messages: Numeric = 0.0


@dataclass(frozen=True, slots=True)
class Efficiency:
    """How a class of operators fares against the datasheet.

    t = start + ((F/(compute·P))^p + (B/(memory·W))^p)^(1/p), `exponent` p, `start` [s].
    """

    start: float
    compute: float
    memory: float
    exponent: float


@dataclass(frozen=True, slots=True)
class Scale:
    """How a generation of chips differs from the one the operators were fitted on."""

    compute: float = 1.0
    memory: float = 1.0
    start: float = 1.0
    launch: float = 1.0


@dataclass(frozen=True, slots=True)
class Engine:
    """Habits of a serving engine that cost time or memory; fields by name in calibration.json."""

    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Yields:
    """What published tables reach of what the other factors say; see yields.

    `values` are natural logarithms of factors by name; `widths` half-widths of
    ln(measured/predicted) by basis; `stacks` as in Calibration.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    widths: Mapping[str, float] = field(default_factory=dict)
    stacks: frozenset[tuple[str, ...]] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Fitted factors, apart from facts.

    `operators` by (class, format, scope), where a scope is a chip's id, its architecture, its
    generation, its vendor or ``""``; `scales` by scope; `shapes` are exponents and counts of the
    operators' shape dependence; `engines` by backend; `widths` are half-widths of
    ln(measured/predicted) by basis and quantity; `stacks` are (family, chip, backend, generation,
    vendor) fitted on; `corrections` by (family, chip, backend, weights) and quantity, with the
    ``low`` and ``high`` ends of the loads, see corrections; `yields` are of published tables.
    A calibration of a user's own names the general one that it began from (`base`) and has
    half-widths of its own by (family, chip, backend) and quantity (`own`).
    """

    id: str
    operators: Mapping[tuple[str, str, str], Efficiency]
    scales: Mapping[str, Scale]
    shapes: Mapping[str, float]
    engines: Mapping[str, Engine]
    widths: Mapping[str, Mapping[str, float]]
    stacks: frozenset[tuple[str, ...]]
    corrections: Mapping[tuple[str, ...], Mapping[str, tuple[float, ...]]] = field(
        default_factory=dict
    )
    fitted_on: str = ""
    yields: Yields = field(default_factory=Yields)
    base: str = ""
    own: Mapping[tuple[str, ...], Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Bytes of one chip by part, all ∿; `capacity` is what the driver reports. [byte]"""

    weights: Numeric
    kv: Numeric
    activations: Numeric
    buffers: Numeric
    reserve: Numeric
    capacity: Numeric


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the bounds between which the truth lies with the stated coverage."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Money:
    """A sum with its low, mid and high reading. [USD, or as the field that holds it says]"""

    low: float
    mid: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """What a deployment does under a workload; every field ∿ unless said.

    `ttft`, `tpot` [s]; `throughput` output tokens of the whole deployment [token/s]; `memory` of
    one chip of the decode side; `batch_limit` sequences that memory lets in; `power` of the
    deployment's chips [W]; `energy` [J/token]; `bound` what decides (compute, memory, network,
    host); `parts` seconds of one decode step by operator class; `chips` of the deployment.
    """

    ttft: Numeric
    tpot: Numeric
    throughput: Numeric
    memory: Memory
    fits: Any
    batch_limit: Numeric
    power: Numeric
    energy: Numeric
    bound: Any
    parts: Mapping[str, Numeric]
    chips: Numeric


@dataclass(frozen=True, slots=True, eq=False)
class StepTable:
    """Seconds of one engine iteration, by what is in it.

    An iteration prefills P tokens and decodes D; C is the computed tokens of its decoding
    requests after it, X of all its requests, Q the (query, key) pairs of its prefill chunks: a
    chunk of k tokens after p done adds k·(p + k/2). `window` ≥ 0 clips C and the keys of Q to
    that many per request in the terms that end in _window. It lasts

        t = base + interp(P + D; tokens, seconds) + prefill·P + decode·D + context·X
            + attention·C + attention_window·C_window + pair·Q + pair_window·Q_window
        t = (t³ + launch³)^(1/3) where P > 0 and launch > 0

    beyond the grid, `seconds` goes on in proportion to P + D. `decode_base` is added where
    D > 0. `request` and `request_token` are the host's seconds for a request and for each token
    of its prompt: half before the scheduler sees it, half added to its first token. `shared` is
    the part of `seconds` that the ranks of data-parallel attention do together, as if all had the
    same tokens; where each rank is simulated it goes by the mean of their tokens.
    """

    base: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    context: float = 0.0
    tokens: Array = field(default_factory=lambda: np.zeros(0))
    seconds: Array = field(default_factory=lambda: np.zeros(0))
    shared: Array = field(default_factory=lambda: np.zeros(0))
    decode_base: float = 0.0
    attention: float = 0.0
    attention_window: float = 0.0
    pair: float = 0.0
    pair_window: float = 0.0
    window: float = 0.0
    launch: float = 0.0
    request: float = 0.0
    request_token: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """What a simulated scheduler did.

    Arrays by request, in order of arrival: `arrival`, `first`, `finish` times [s], `isl`, `osl`
    [token], `preempted` count, `cached` prompt tokens hit at first admission, `scheduled` time
    of first admission [s]. `gaps` are the times between two tokens of a request [s] and how often
    each occurred, `gap_sum` their exact sum. [s] `replica` that served each, where there were
    several. `steps` are arrays by iteration, by column name, where they were asked for.
    """

    arrival: Array
    first: Array
    finish: Array
    isl: NDArray[np.int64]
    osl: NDArray[np.int64]
    preempted: NDArray[np.int64]
    cached: NDArray[np.int64]
    iterations: int
    preemptions: int
    scheduled: Array = field(default_factory=lambda: np.zeros(0))
    gaps: tuple[Array, NDArray[np.int64]] = (np.zeros(0), np.zeros(0, np.int64))
    gap_sum: float = 0.0
    replica: NDArray[np.int64] | None = None
    steps: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """Which tokens the prompts share, told by runs.

    The runs of request i are `offset`[i] to `offset`[i+1]: `length` tokens [token] that are all
    equal and particular to `ident`. Its output tokens are particular to `output`[i].
    """

    offset: NDArray[np.int64]
    ident: NDArray[np.int64]
    length: NDArray[np.int64]
    output: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Requests as recorded: `arrival` [s], `isl`, `osl` [token], and what else was said of them.

    Of several turns `follows` is the request before, or -1, and `pause` the time that passes from
    its end to this arrival. [s]
    """

    arrival: Array
    isl: NDArray[np.int64]
    osl: NDArray[np.int64]
    priority: Array | None = None
    prompts: Prompts | None = None
    follows: NDArray[np.int64] | None = None
    pause: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """Requests as a server served them, in order of arrival.

    `arrival`, `first` token, `finish` [s]; `isl`, `osl` [token].
    """

    arrival: Array
    isl: NDArray[np.int64]
    osl: NDArray[np.int64]
    first: Array
    finish: Array


@dataclass(frozen=True, slots=True)
class Price:
    """One price as offered: USD per chip (purchase) or per chip and hour (rent)."""

    chip: str
    kind: str
    usd: Money
    region: str
    on: str
    source: str
    verified: bool
    count: int = 1


@dataclass(frozen=True, slots=True)
class Protocol:
    """Flags of a benchmark's server and client; None is the engine's own default.

    `chunk` token budget; `kv` cache format; `poll`, `wait` of the queue as in serving.closed;
    `most` sequences; `utilisation` of the memory; lengths from `low` to `high` times the nominal;
    `steady` leaves the first wave out.
    """

    chunk: int | None = None
    kv: str | None = None
    poll: float = 1.0
    wait: int = 0
    most: int | None = None
    utilisation: float | None = None
    low: float = 1.0
    high: float = 1.0
    steady: bool = False


@dataclass(frozen=True, slots=True)
class RuleCase:
    """An outcome of a rule that holds for some destinations, end users or items only.

    Empty tuples and an empty `condition` mean all; `place` is where it stands.
    """

    outcome: str
    destinations: tuple[str, ...] = ()
    end_users: tuple[str, ...] = ()
    condition: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """Another value that somebody gives for a fact of some chips, and who.

    `value` stands in the base unit of the fact `name`. Under the name ``format`` it is a format in
    which the chips compute, so that a rate which is not given is unknown and not lacking.
    """

    name: str
    value: float | str
    chips: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """Whether a rule binds is in dispute from `since` on; rules with one `label` go together."""

    label: str
    since: date
    because: str


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """An export or import rule as data.

    `condition` is an expression over a chip's facts; `outcome` one of the statuses of a Verdict;
    `effect` what it does to them: ``control``, ``relax`` or ``note``. It is in force from `start`
    until the day before `end`. Destinations are country codes, ``*`` for all, a minus before what
    is not meant of all. `sure` are the countries of which a source tells whether they are among
    them; none where that is so of all. `chinese` has its other texts in Chinese, by the English.

    `cases` come before `outcome`, the first that applies; `relaxes` names the rules whose outcome
    a relaxation makes milder. `items` are ``us`` (subject to US rules) or ``any``; `origins` the
    countries it must be exported from, if any. A rule that is not `counted` is left out of
    verdicts unless its `confidence` is asked for. `review_by` is the day by which it must be
    looked at again. `caught` and `spared` are chips on either side of the item condition.
    `place` is the file that it was read from, with the line of its condition.
    """

    id: str
    jurisdiction: str
    citation: str
    start: date
    end: date | None
    destinations: tuple[str, ...]
    routes: tuple[str, ...]
    condition: str
    outcome: str
    effect: str
    confidence: str
    needs: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "law"
    title: Mapping[str, str] = field(default_factory=dict)
    items: str = "us"
    origins: tuple[str, ...] = ()
    end_users: tuple[str, ...] = ("private", "state", "military")
    cases: tuple[RuleCase, ...] = ()
    relaxes: tuple[str, ...] = ()
    counted: bool = True
    review_by: date | None = None
    doubt: Doubt | None = None
    readings: tuple[Reading, ...] = ()
    caught: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    note: str = ""
    urls: tuple[str, ...] = ()
    place: str = ""
    sure: frozenset[str] = frozenset()
    chinese: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule as evaluated: whether it fires (None: unknown) and the arithmetic, line by line.

    `outcome` is the status it gives, empty for a note; `rests_on` the facts that it read.
    """

    id: str
    fires: bool | None
    arithmetic: tuple[str, ...]
    outcome: str
    needs: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    effect: str = "control"
    confidence: str = "source"
    rests_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SideVerdict:
    """The verdict of one side of the border."""

    status: str
    rules: tuple[RuleTrace, ...]
    not_evaluated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Disputed:
    """One thing that is read in two ways, with the status that either reading gives, and why."""

    name: str
    stated: str
    other: str
    stated_status: str
    other_status: str
    because: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a chip may go somewhere on a date, by which rules; the stricter side decides."""

    chip: str
    to: str
    on: date
    route: str
    status: str
    export: SideVerdict
    imports: SideVerdict
    needs: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    disputed: tuple[str, ...] = ()
    not_evaluated: tuple[str, ...] = ()
    origin: str = ""
    end_user: str = "private"
    rests_on_unverified: tuple[str, ...] = ()
    disputes: tuple[Disputed, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusPeriod:
    """A chip's status from `start` until the day before `end`, and the rules that decide it."""

    start: date
    end: date | None
    status: str
    export: str
    imports: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PlanRow:
    """One chip's best deployment under a workload, or why there is none.

    Quantities that carry an interval are Intervals; `usd` is per hour of the deployment,
    `usd_token` per output token [USD]; `carbon` of an output token [g]; `simulated` holds what
    the simulation found, by name; `considered` counts the deployments that were estimated.
    """

    chip: Chip
    feasible: bool
    why: str
    verdict: Verdict | None
    deployment: Deployment | None = None
    estimate: Estimate | None = None
    simulated: Mapping[str, float] = field(default_factory=dict)
    quantities: Mapping[str, Interval] = field(default_factory=dict)
    usd: Money | None = None
    usd_token: Money | None = None
    price_basis: str = "own"
    carbon: float | None = None
    basis: str = ""
    rests_on_unverified: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    runners_up: tuple[PlanRow, ...] = ()
    considered: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The answer to a plan.

    `rows`: one for each chip that was asked about, in that order. `apart`: deployments with
    prefill and decode on sides of their own, also on different chips. `pareto`: those of both
    that no other beats in every respect.
    """

    model: Model
    workload: Workload
    rows: tuple[PlanRow, ...]
    apart: tuple[PlanRow, ...]
    pareto: tuple[PlanRow, ...]
    considered: int
