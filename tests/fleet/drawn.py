"""Random instances that are small enough to try all they allow."""

from __future__ import annotations

import numpy as np

from chipwise.fleet.instance import Cap, Instance, Lots, Quota


def drawn(seed: int) -> Instance:
    """A random instance of two periods and three chips."""
    rng = np.random.default_rng(seed)
    periods, chips, sites, kinds, stacks = 2, 3, int(rng.integers(1, 3)), 2, 2
    shape = (periods, chips)
    age = np.arange(10)
    rate = rng.uniform(0, 3, (chips, kinds)).round(2)
    rate[rng.random(rate.shape) < 0.2] = 0.0
    offers = int(rng.integers(0, 2))
    quota = Quota(
        "q", rng.random(chips) < 0.6, np.ones(sites, bool), rng.random(periods) < 0.7,
        float(rng.integers(0, 5)),
    )  # fmt: skip
    cap = Cap("c", rng.random(chips) < 0.5, rng.choice([0.3, 0.6, 1.0], periods))
    held = int(rng.integers(0, 3))
    must = rng.random() < 0.15
    return Instance(
        parent=np.array([-1, 0]),
        period=np.array([0, 1]),
        probability=np.ones(2),
        discount=np.array([1.0, 0.95, 0.9]),
        seconds=np.full(2, 1e3),
        unit=rng.choice([1, 2, 4], chips),
        lead=rng.choice([0, 0, 1], chips),
        life=rng.choice([1, 2, 6], chips),
        watts=rng.uniform(1, 4, chips),
        idle=rng.uniform(0, 0.6, chips),
        residual=np.tile(rng.uniform(0.5, 0.9) * 0.8**age, (chips, 1)),
        upkeep=rng.uniform(0, 0.05, chips),
        stack=rng.integers(0, stacks, chips),
        price=rng.uniform(50, 300, shape),
        fee=rng.choice([0.0, 0.25], shape),
        supply=rng.choice([2.0, 4.0, np.inf], shape),
        keep=rng.choice([1.0, 0.8], shape),
        opened=rng.random((periods, chips, sites)) < 0.7,
        pue=rng.uniform(1, 1.5, sites),
        power=np.where(rng.random((periods, sites)) < 0.5, rng.uniform(2, 40), np.inf),
        electricity=rng.uniform(0, 0.01, (periods, sites)),
        hosting=rng.uniform(0, 2, (periods, sites)),
        running=rng.choice([1.0, 0.75], (periods, sites)),
        budget=np.where(rng.random(periods) < 0.3, rng.uniform(0, 1500), np.inf),
        offer_chip=rng.integers(0, chips, offers),
        offer_usd=rng.uniform(20, 200, (periods, offers)),
        offer_most=rng.uniform(0, 3, (periods, offers)),
        demand=rng.uniform(0, 8, (periods, kinds)),
        rate=rate,
        peak=np.array([1.0, 1.5]),
        may_own=rng.random((chips, sites, kinds)) < 0.85,
        may_rent=rng.random((offers, kinds)) < 0.85,
        step_share=np.full((kinds, 2), 0.2 if must else 0.5),
        step_usd=rng.uniform(0, 0.3, (kinds, 2)),
        switch_usd=rng.choice([0.0, 5.0], (stacks, kinds)),
        ramp=rng.choice([0.4, 1.0], (stacks, kinds)),
        served=rng.uniform(0, 2, (stacks, kinds)),
        spares=np.zeros(chips),
        released=np.zeros(shape, bool),
        carbon=np.zeros((periods, sites)),
        lots=Lots(
            rng.integers(0, chips, held),
            rng.integers(0, sites, held),
            rng.integers(-3, 2, held),
            rng.uniform(0, 4, held),
            rng.uniform(50, 200, held),
        ),
        caps=(cap,),
        quotas=(quota,),
    )
