"""All legal deployments of a chip as one Deployment of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from chipwise import perf
from chipwise.perf import engines
from chipwise.types import Array, Chip, Deployment, Model, Side

__all__ = ["Search", "budget", "degrees", "ladder", "legal"]

_POWERS = tuple(2**k for k in range(10))


@dataclass(frozen=True, slots=True)
class Search:
    """What a search may choose from; empty means all that is legal.

    `chips` in one replica at most; `batches` of a rank at most. Pipelines are tried where
    nothing else holds the model, or where `pp` names them: no serving run that the calibration
    saw had one.
    """

    weights: tuple[str, ...] = ()
    kv: str = "bf16"
    backend: str = "vllm"
    chunk: float | None = None
    chips: int = 64
    tp: tuple[int, ...] = ()
    pp: tuple[int, ...] = ()
    ep: tuple[int, ...] = ()
    dp: tuple[int, ...] = ()
    batches: int = 4096
    link: float | None = None


def _divisors(model: Model) -> tuple[tuple[int, ...], int, int]:
    """Counts that tp must divide, experts that ep must divide, and layers that pp may cut."""
    heads = [int(b.dims["heads"]) for b in model.layers if "heads" in b.dims]
    heads += [int(b.dims["value_heads"]) for b in model.layers if "value_heads" in b.dims]
    widths = [int(b.dims["ffn"]) for b in model.layers if b.kind == "mlp"]
    experts = max((int(b.dims["experts"]) for b in model.layers if b.kind == "moe"), default=0)
    return tuple(heads + widths), experts, model.depth


def degrees(chip: Chip, model: Model, search: Search) -> Iterator[tuple[int, int, int, int]]:
    """Every legal (tp, pp, ep, dp) of a replica of at most `search.chips` chips.

    Tensor parallelism divides the heads and stays within the scale-up domain or a server;
    pipelines cut layers; mixtures of experts with a latent cache may run attention
    data-parallel; experts are sharded by width or by expert.
    """
    counts, experts, depth = _divisors(model)
    domain = perf.reach(chip)
    latent = any(b.kind in ("mla", "dsa", "csa") for b in model.layers)
    for tp, pp, dp in product(
        search.tp or _POWERS,
        search.pp or (1,),
        search.dp or (_POWERS if experts and latent else (1,)),
    ):
        ranks = tp * dp
        legal_tp = ranks <= domain and not any(count % tp for count in counts)
        if not legal_tp or pp > depth or ranks * pp > search.chips:
            continue
        for ep in search.ep or ((1, ranks) if experts else (1,)):
            if ep == 1 or (experts and ranks % ep == 0 and experts % ep == 0):
                yield tp, pp, ep, dp


def ladder(limit: int) -> Array:
    """Batches worth trying: powers of two and, between them, one and a half of each.

    Examples
    --------
    >>> ladder(8)
    array([1., 2., 3., 4., 6., 8.])
    """
    steps = np.array([b for p in (*_POWERS, 1024, 2048, 4096) for b in (p, 1.5 * p)])
    return np.unique(steps[(steps <= limit) & (steps == np.floor(steps))])


def budget(chip: Chip, search: Search) -> float:
    """Tokens of an iteration: as asked, or what the engine sets for the chip. [token]"""
    return search.chunk or float(engines.defaults(search.backend, chip).chunk)


def legal(chip: Chip, model: Model, weights: str, search: Search) -> Deployment | None:
    """Every legal deployment of `chip` in one weight format, as arrays; None where there is none.

    Batches are a ladder for each set of degrees, spread evenly over the dp ranks and stages.
    """
    found = sorted(set(degrees(chip, model, search)))
    if not found:
        return None
    steps = ladder(search.batches)
    table = np.array(found, float)
    tp, pp, ep, dp = (np.repeat(table[:, k], len(steps)) for k in range(4))
    # A replica's batch is a whole number for each rank and stage.
    batch = np.tile(steps, len(found)) * dp * pp
    keep = batch <= search.batches * dp * pp
    side = Side(chip, tp[keep], pp[keep], ep[keep], dp[keep], batch[keep], 1.0)
    return Deployment(
        side, weights, search.kv, search.backend, budget(chip, search), None, search.link
    )
