"""The fleet program against its target, and beside linopy on the same instance.

20 quarters × 15 chips × 8 sites × 12 classes, one thread, to 1 %: composing, solving and telling.
linopy states the same plan in its own terms, by vintage and with labelled arrays, and gives it to
the same solver; it is told where it is installed. Run with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from chipwise import api
from chipwise.fleet.instance import Cap, Instance, Lots, Quota
from chipwise.fleet.program import MILLION, compose
from chipwise.fleet.scenarios import instance
from chipwise.fleet.scenarios import main as certain
from chipwise.fleet.solver import gap, solve

WITHIN = 1e-2


def draw(
    seed: int = 0, shape: tuple[int, int, int, int] = (20, 15, 8, 12), size: float = 1.0
) -> Instance:
    """An instance of quarters × chips × sites × classes, every limit there and some binding."""
    rng = np.random.default_rng(seed)
    periods, chips, sites, classes = shape
    stacks, life = 4, 16
    rate = rng.lognormal(6.5, 0.6, (chips, 1)) * rng.lognormal(0, 0.7, (1, classes))
    rate = rate * rng.lognormal(0, 0.25, (chips, classes))
    rate[rng.random(rate.shape) < 0.1] = 0.0
    falling = 0.97 ** np.arange(periods)
    growing = 1.08 ** np.arange(periods)
    may_own = rng.random((chips, sites, classes)) < 0.9
    offers, held = 3, 10
    lots = Lots(
        rng.integers(0, chips, held),
        rng.integers(0, sites, held),
        rng.integers(-8, 1, held),
        rng.uniform(100, 1000, held).round(),
        rng.uniform(1e4, 3e4, held),
    )
    return Instance(
        parent=np.arange(-1, periods - 1),
        period=np.arange(periods),
        probability=np.ones(periods),
        discount=1.02 ** -np.arange(periods + 1.0),
        seconds=np.full(periods, 7.9e6),
        unit=rng.choice([8, 8, 8, 16, 72], chips),
        lead=rng.integers(0, 4, chips),
        life=np.full(chips, life),
        watts=rng.uniform(400, 1500, chips),
        idle=np.full(chips, 0.35),
        residual=np.tile(0.9 * 0.92 ** np.arange(life + 2), (chips, 1)),
        upkeep=np.full(chips, 0.01),
        stack=np.arange(chips) % stacks,
        price=rng.lognormal(9.7, 0.4, chips)[None, :] * falling[:, None],
        fee=np.tile(rng.choice([0.0, 0.0, 0.25], chips), (periods, 1)),
        supply=np.tile(rng.choice([2000.0, 5000.0, 20000.0], chips), (periods, 1)),
        keep=np.ones((periods, chips)),
        opened=rng.random((periods, chips, sites)) < 0.95,
        pue=rng.uniform(1.1, 1.4, sites),
        power=np.tile(rng.uniform(4e6, 3e7, sites), (periods, 1)),
        electricity=np.tile(rng.uniform(0.04, 0.12, sites) / 3.6e6, (periods, 1)),
        hosting=np.full((periods, sites), 0.3),
        running=np.full((periods, sites), 0.99),
        budget=np.full(periods, 4e8),
        offer_chip=np.arange(offers) % chips,
        offer_usd=np.full((periods, offers), 7000.0),
        offer_most=np.full((periods, offers), 2000.0),
        demand=size * rng.lognormal(13.5, 0.8, classes)[None, :] * growing[:, None],
        rate=rate,
        peak=np.full(classes, 1.5),
        may_own=may_own,
        may_rent=rng.random((offers, classes)) < 0.7,
        step_share=np.tile([0.1, 0.9], (classes, 1)),
        step_usd=np.tile([4e-6, 2e-5], (classes, 1)),
        switch_usd=np.full((stacks, classes), 0.5),
        ramp=np.full((stacks, classes), 0.5),
        served=np.zeros((stacks, classes)),
        spares=np.zeros(chips),
        released=np.zeros((periods, chips), dtype=bool),
        carbon=np.zeros((periods, sites)),
        lots=lots,
        caps=(Cap("a", np.arange(chips) < 5, np.full(periods, 0.6)),),
        quotas=(
            Quota("q", np.arange(chips) < 3, np.ones(sites, bool), np.arange(periods) < 8, 30000.0),
        ),
    )


def chipwise(of: Instance, within: float = WITHIN) -> dict[str, Any]:
    start = time.perf_counter()
    program = compose(of)
    composed = time.perf_counter() - start
    found = solve(program, within=within)
    return {
        "objective": found.objective,
        "bound": found.bound,
        "gap": gap(found),
        "how": found.how,
        "columns": len(program.lower),
        "rows": sum(len(r.lower) for r in program.rows),
        "compose_s": composed,
        "seconds": time.perf_counter() - start,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def linopy_plan(  # noqa: PLR0915 -- the whole model, top to bottom
    of: Instance, within: float = WITHIN
) -> dict[str, Any]:
    """The same plan in linopy, by vintage: stock falls by what is sold, and is what serves."""
    import linopy  # noqa: PLC0415 -- no dependency of the project
    import xarray  # noqa: PLC0415

    start = time.perf_counter()
    periods, chips, sites, classes = (len(of.seconds), len(of.unit), len(of.pue), len(of.peak))
    model = linopy.Model()
    array = xarray.DataArray
    t, c = np.arange(periods), np.arange(chips)
    s, k = np.arange(sites), np.arange(classes)
    axes = {"v": t, "t": t, "c": c, "s": s, "k": k, "o": np.arange(len(of.offer_chip))}

    def data(values: Any, *names: str) -> Any:
        return array(np.asarray(values, float), [(n, axes[n]) for n in names])

    def variable(
        name: str, *names: str, upper: Any = np.inf, whole: bool = False, **more: Any
    ) -> Any:
        return model.add_variables(
            lower=0, upper=upper, coords=[(n, axes[n]) for n in names], name=name,
            integer=whole, **more,
        )  # fmt: skip

    late = t[:, None] + of.lead[None, :] >= periods
    most = np.where(of.opened & ~late[:, :, None], np.inf, 0.0)
    buy = variable("buy", "v", "c", "s", upper=data(most, "v", "c", "s"), whole=True)
    arrival = t[:, None] + of.lead[None, :]
    age = t[None, :, None] - arrival[:, None, :]
    there = (age >= 0) & (age < of.life)
    sells = (age >= 1) & (age <= of.life)
    four = ("v", "t", "c", "s")
    shape = (periods, periods, chips, sites)
    mask = array(np.broadcast_to(there[..., None], shape), [(n, axes[n]) for n in four])
    gone = array(np.broadcast_to(sells[..., None], shape), [(n, axes[n]) for n in four])
    stock = variable("stock", *four, mask=mask)
    sold = variable("sold", *four, mask=gone)
    first = data(age == 0, "v", "t", "c")
    unit = data(of.unit, "c")
    weight = data(of.discount[:-1], "t")
    lasting = weight * data(of.seconds, "t")
    # stock now + sold now = stock a quarter ago + what arrives now
    balance = stock + sold - stock.shift(t=1) - first * unit * buy
    some = array(np.broadcast_to((there | sells)[..., None], shape), [(n, axes[n]) for n in four])
    model.add_constraints(balance == 0, mask=some, name="balance")
    can = data((of.rate > 0)[:, None, :] & of.may_own, "c", "s", "k")
    give = variable(
        "give", "t", "c", "s", "k", upper=array(np.where(can > 0, np.inf, 0.0), can.coords)
    )
    rent = variable("rent", "t", "o", upper=data(of.offer_most, "t", "o"))
    able = of.may_rent & (of.rate[of.offer_chip] > 0)
    lend = variable("lend", "t", "o", "k", upper=data(np.where(able, np.inf, 0.0), "o", "k"))
    held, left_over = stock.sum("v"), 0
    if len(of.lots.chip):
        held, left_over = _given(model, of, held)
    running = data(of.running, "t", "s")
    model.add_constraints(give.sum("k") - running * held <= 0, name="capacity")
    model.add_constraints(lend.sum("k") - rent <= 0, name="rented")
    scale = of.demand.max(axis=0)
    rate = data(of.rate / scale, "c", "k")
    offered = data(of.rate[of.offer_chip] / scale, "o", "k")
    level = data(of.demand / scale, "t", "k")
    short = []
    for j in range(of.step_share.shape[1]):
        top = level * data(of.step_share[:, j], "k")
        short.append(variable(f"short{j}", "t", "k", upper=top.transpose("t", "k")))
    served = (rate * give).sum(["c", "s"]) + (offered * lend).sum("o")
    model.add_constraints(served + sum(1 * x for x in short) == level, name="demand")
    drawn = data(of.watts, "c") * data(of.pue, "s") / MILLION
    model.add_constraints(
        (drawn * held).sum("c") <= data(of.power / MILLION, "t", "s"), name="power"
    )
    model.add_constraints((unit * buy).sum("s") <= data(of.supply, "v", "c"), name="supply")
    paid = data(of.price * (1 + of.fee) * of.unit / MILLION, "v", "c")
    spent = (paid * buy).sum(["c", "s"])
    budget = of.budget / MILLION
    if of.carry:
        budget, so_far = np.cumsum(budget), np.tril(np.ones((periods, periods)))
        upto = array(so_far, [("t", t), ("v", t)])
        spent = (upto * spent).sum("v")
    model.add_constraints(spent <= data(budget, "t" if of.carry else "v"), name="budget")
    for quota in of.quotas:
        counted = data(np.outer(quota.inside, quota.chips) * of.unit, "v", "c")
        counted = counted * data(quota.sites, "s")
        model.add_constraints((counted * buy).sum() <= quota.count, name=f"quota {quota.name}")
    tokens = data(of.rate / MILLION, "c", "k")
    rented = data(of.rate[of.offer_chip] / MILLION, "o", "k")
    for cap in of.caps:
        share = data(cap.chips[None, :] - cap.share[:, None], "t", "c")
        whose = data(cap.chips[of.offer_chip][None, :] - cap.share[:, None], "t", "o")
        mine = (share * tokens * give).sum(["c", "s", "k"]) + (whose * rented * lend).sum(
            ["o", "k"]
        )
        model.add_constraints(mine <= 0, name=f"cap {cap.name}")
    moving = 0
    for g in range(len(of.ramp)):
        of_stack = data(of.stack == g, "c")
        of_offer = data(of.stack[of.offer_chip] == g, "o")
        mine = (of_stack * rate * give).sum(["c", "s"]) + (of_offer * offered * lend).sum("o")
        top = (level * data(of.ramp[g], "k")).transpose("t", "k")
        gain = variable(f"gain{g}", "t", "k", upper=top)
        start_at = data(np.where(t[:, None] == 0, of.served[g] / scale, 0.0), "t", "k")
        model.add_constraints(mine - mine.shift(t=1) - gain <= start_at, name=f"change{g}")
        moving = moving + (weight * data(of.switch_usd[g] * scale / MILLION, "k") * gain).sum()
    oldest = of.residual.shape[1] - 1
    left = of.residual[c, np.clip(age, 0, oldest)]
    price = of.price[:, None, :] / MILLION
    income = data(left * price * of.discount[None, :-1, None] * sells, "v", "t", "c")
    after = np.clip(periods - arrival, 0, oldest)
    lives = (periods - arrival <= of.life) & (arrival < periods)
    end = of.residual[c, after] * of.price / MILLION * of.discount[periods] * lives
    at_end = np.zeros((periods, periods, chips))
    at_end[:, -1, :] = end
    busy = data(of.electricity, "t", "s") * data(of.pue, "s") * lasting
    idle = busy * data(of.running, "t", "s") * data(of.idle * of.watts, "c")
    having = idle + weight * data(of.hosting, "t", "s") * data(of.watts, "c")
    having = (having + weight * data(of.upkeep * of.price, "t", "c")) / MILLION
    work = busy * data((1 - of.idle) * of.watts, "c") * data(1 / of.peak, "k") / MILLION
    outlay = data(of.discount[:-1, None] * of.price * (1 + of.fee) * of.unit / MILLION, "v", "c")
    cost = (outlay * buy).sum() + (having * held).sum() + (work * give).sum() + moving
    cost = cost - left_over
    cost = cost + (weight * data(of.offer_usd / MILLION, "t", "o") * rent).sum()
    cost = cost - (income * sold).sum() - (data(at_end, "v", "t", "c") * stock).sum()
    for j, missing in enumerate(short):
        usd = lasting * data(of.step_usd[:, j] * scale / MILLION, "k")
        cost = cost + (usd * missing).sum()
    model.add_objective(cost)
    stated = time.perf_counter() - start
    model.solve("highs", threads=1, mip_rel_gap=within, time_limit=1200, output_flag=False)
    inner = model.solver_model.getInfo()
    return {
        "objective": float(inner.objective_function_value),
        "bound": float(inner.mip_dual_bound),
        "compose_s": stated,
        "seconds": time.perf_counter() - start,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def _given(model: Any, of: Instance, held: Any) -> tuple[Any, Any]:
    """Chips that are there from the start: with what is bought, and what they are sold for."""
    import xarray  # noqa: PLC0415

    lots, periods = of.lots, len(of.seconds)
    count, t = np.arange(len(lots.chip)), np.arange(periods)
    age = t[None, :] - lots.arrival[:, None]
    life = of.life[lots.chip][:, None]
    axes = [("l", count), ("t", t)]
    there = xarray.DataArray((age >= 0) & (age < life), axes)
    leaves = xarray.DataArray((age >= 1) & (age <= life), axes)
    kept = model.add_variables(lower=0, coords=axes, name="kept", mask=there)
    gone = model.add_variables(lower=0, coords=axes, name="gone", mask=leaves)
    first = xarray.DataArray((t[None, :] == np.maximum(lots.arrival, 0)[:, None]) * 1.0, axes)
    comes = first * xarray.DataArray(lots.count, [("l", count)])
    balance = kept + gone - kept.shift(t=1)
    model.add_constraints(balance == comes, mask=there | leaves, name="given")
    where = np.zeros((len(count), len(of.unit), len(of.pue)))
    where[count, lots.chip, lots.site] = 1.0
    places = [("l", count), ("c", np.arange(len(of.unit))), ("s", np.arange(len(of.pue)))]
    held = held + (xarray.DataArray(where, places) * kept).sum("l")
    oldest = of.residual.shape[1] - 1
    price = lots.price[:, None] / MILLION
    left = of.residual[lots.chip[:, None], np.clip(age, 0, oldest)] * price
    income = xarray.DataArray(left * of.discount[None, :-1] * ((age >= 1) & (age <= life)), axes)
    last = of.residual[lots.chip, np.clip(age[:, -1] + 1, 0, oldest)] * price[:, 0]
    end = np.zeros(age.shape)
    end[:, -1] = last * of.discount[periods] * (age[:, -1] + 1 <= life[:, 0])
    return held, (income * gone).sum() + (xarray.DataArray(end, axes) * kept).sum()


def example() -> Instance:
    """The example of this repository, its first scenario taken for certain."""
    path = Path(__file__).parents[1] / "examples" / "fleet.toml"
    return instance(certain(api.fleet_problem(path)))


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--linopy", action="store_true", help="state it in linopy too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--within", type=float, default=WITHIN)
    parser.add_argument("--shape", default="20,15,8,12")
    parser.add_argument("--size", type=float, default=1.0, help="factor on the demand")
    parser.add_argument("--example", action="store_true", help="examples/fleet.toml in its place")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    shape: Any = tuple(int(n) for n in given.shape.split(","))
    of = example() if given.example else draw(given.seed, shape, given.size)
    found: dict[str, Any] = {
        "seed": given.seed, "shape": shape, "size": given.size, "within": given.within
    }  # fmt: skip
    found["linopy" if given.linopy else "chipwise"] = (
        linopy_plan(of, given.within) if given.linopy else chipwise(of, given.within)
    )
    if given.out:
        given.out.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    return found


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
