"""Estimates a second, in one process and on one core, imports apart.

100,000 deployments over five models and ten chips, dense and mixtures of experts, with degrees,
batch and lengths drawn at random: the closed loop with its intervals' basis left out.
"""

from __future__ import annotations

import time

import numpy as np

from chipwise import catalog, perf
from chipwise.types import Deployment, Side, Workload

MODELS = ("llama-2-70b", "llama-3.1-8b", "gpt-oss-120b", "deepseek-r1", "qwen3-235b-a22b")
CHIPS = (
    *("h100", "h200", "h20", "b200", "b300", "a100", "mi300x", "mi325x", "l40s", "ascend-910c"),
)
EACH = 2000


def cases() -> list[tuple]:
    rng = np.random.default_rng(0)
    found = []
    for model in map(catalog.model, MODELS):
        for chip in map(catalog.chip, CHIPS):
            side = Side(
                chip,
                tp=rng.choice([1.0, 2.0, 4.0, 8.0], EACH),
                batch=rng.integers(1, 512, EACH).astype(float),
            )
            load = Workload(
                rng.integers(128, 16384, EACH).astype(float),
                rng.integers(16, 4096, EACH).astype(float),
            )
            weights = perf.legal(model, chip)[0]
            found.append((model, load, Deployment(side, weights, "bf16", "vllm", 8192.0)))
    return found


def main() -> dict[str, float]:
    factors = catalog.calibration()
    asked = cases()
    perf.estimate(*asked[0], factors)
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        for case in asked:
            perf.estimate(*case, factors)
        best = min(best, time.perf_counter() - start)
    return {"deployments": float(EACH * len(asked)), "seconds_each": best / EACH / len(asked)}


if __name__ == "__main__":
    made = main()
    print(f"{made['deployments']:,.0f} deployments, {made['seconds_each'] * 1e6:.2f} µs each")
