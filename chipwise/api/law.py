"""Questions of the law beyond a verdict: what a rule is worth, and what claims come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chipwise import catalog
from chipwise.api.asking import Ask, chip, model, verdict
from chipwise.api.checks import known_format, kv_format
from chipwise.api.serving import estimate, workload
from chipwise.catalog import stacks
from chipwise.catalog.claims import Claim, ClaimRun, ClaimStatus, read_claims
from chipwise.catalog.claims import claims as article
from chipwise.claims import Judged, judge
from chipwise.errors import BadInput, UnknownName
from chipwise.perf.formats import WEIGHT_WIDTH
from chipwise.plan.frontier import Frontier
from chipwise.plan.frontier import frontier as find_frontier
from chipwise.plan.process import Process
from chipwise.plan.speed import Task
from chipwise.types import Chip, Model, PlanRow, Rule, Verdict, Workload
from chipwise.units import to_base

__all__ = ["claims", "frontier"]


def frontier(
    rules: Sequence[str],
    of: str | Model,
    load: Workload,
    *,
    like: str | Chip = "h200-sxm",
    die_area: float | None = None,
    memory: str = "hbm3e",
    stack: int = 6,
    power: float | None = None,
    market: str = "datacenter",
    beside: Sequence[str | Chip] | None = None,
    weights: str | None = None,
    kv: str = "auto",
    backend: str = "vllm",
    ask: Ask | None = None,
) -> Frontier:
    """The fastest chips that could be made just inside a rule, beside the real ones.

    Parameters
    ----------
    rules : sequence of str
        Ids; all of them bind, and those with which one of them goes together.
    of : str or Model
        What is served.
    load : Workload
        Lengths; its tpot is a limit on the decoding.
    like : str or Chip
        A chip of the generation of which it is made.
    die_area : float, optional
        At most; that of `like` unless given. [m²]
    memory : str
        Kind of memory, of the catalog.
    stack : int
        Stacks of it, or devices of graphics memory.
    power : float, optional
        At most; that of `like` unless given. [W]
    market : str
        ``datacenter``, ``workstation`` or ``consumer``.
    beside : sequence of str or Chip, optional
        Real chips; those that were made for a rule and what they were cut from unless given.
    weights, kv, backend : str
        Formats and engine; fp8 where the chips have it unless given.
    ask : Ask, optional
        Destination and calibration.

    Raises
    ------
    BadInput
        If something is unknown, or the rule sets no figure.
    Infeasible
        If the model fits on no such chip.
    """
    ask, like, kind = ask or Ask(), chip(like), stacks.stack(memory)
    die_area, power = die_area or like.die_area, power or like.power
    if die_area is None or power is None:
        absent = "die_area" if die_area is None else "power"
        raise BadInput(f"the {absent} of {like.name} is not known; give one")
    every = [catalog.chip(name) for name in catalog.chip_ids()]
    cut = stacks.cut_down()
    shown = {*cut, *cut.values(), *stacks.beside()}
    real = [c for c in every if c.id in shown] if beside is None else [chip(c) for c in beside]
    known = catalog.calibration(ask.calibration)
    native = "fp8" if "fp8" in like.flops else "bf16"
    known_format("weight", weights, WEIGHT_WIDTH)
    return find_frontier(
        _bound_rules(rules),
        Task(model(of), load, known, weights or native, kv_format(kv), backend),
        Process(
            like,
            die_area,
            to_base(float(kind.rate.value or 0.0), kind.rate.unit),
            # Makers print GB and mean GiB.
            to_base(float(kind.size.value or 0.0), "GiB"),
            stack,
            power,
            memory,
            market,
        ),
        catalog=every,
        beside=real,
        cut_down=cut,
        ceilings=stacks.ceilings(),
        to=ask.to,
    )


def _bound_rules(names: Sequence[str]) -> list[Rule]:
    """Rules by id, with those that they go together with."""
    known = {rule.id: rule for rule in catalog.rules()}
    if wrong := next((name for name in names if name not in known), None):
        raise UnknownName("rule", wrong, known)
    together = dict.fromkeys(each for name in names for each in (name, *stacks.companions(name)))
    return [known[name] for name in together]


def claims(source: str | Path | None = None, *, ask: Ask | None = None) -> tuple[Judged, ...]:
    """Claims with their verdicts: those of the article, or of a file of one's own.

    Parameters
    ----------
    source : str or Path, optional
        A TOML file; docs/claims.md says what it holds.
    ask : Ask, optional
        Calibration.

    Raises
    ------
    BadFact
        If the file is not as it must be: file, claim, key, what was expected.
    """
    ask = ask or Ask()
    found: tuple[Claim, ...] = article() if source is None else read_claims(Path(source))

    def run(of: ClaimRun) -> PlanRow:
        form: dict[str, Any] = {"weights": of.weights, "kv": of.kv, "backend": of.backend}
        load = workload(of.isl, of.osl)
        return estimate(of.model, of.chip, load, batch=of.batch, tp=of.tp, ask=ask, **form)

    def law(of: ClaimStatus) -> Verdict:
        return verdict(chip(of.chip), Ask(to=of.to, route=of.route, on=of.on))

    return judge(found, estimate=run, verdict=law)
