"""Questions of training: on one kind of chips, on several each alone, on a mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from chipwise import catalog
from chipwise.api.asking import Ask, chip, model, terms, wall
from chipwise.api.checks import positive, whole
from chipwise.catalog.training import network, training_calibration
from chipwise.errors import BadInput, Infeasible, UnknownName
from chipwise.perf.training import OVERLAPS, PRECISIONS, Layout, Training
from chipwise.perf.training_memory import training_total
from chipwise.plan.training import (
    Layouts,
    TrainingAnswer,
    TrainingTerms,
    answer_training,
    check_layout,
    default_stack,
    describe_layout,
    search_training,
)
from chipwise.plan.training_mix import MixedAnswer, counts, mixed_training
from chipwise.types import Chip, Model
from chipwise.units import show

__all__ = ["LAYOUT", "train", "train_each", "train_mixed"]


# Degrees that a layout may fix; the link is the network's.
LAYOUT = tuple(f.name for f in fields(Layout) if f.name not in ("chip", "link"))


def train(
    of: str | Model,
    on: str | Chip,
    chips: int,
    *,
    seq: float,
    batch: float,
    precision: str = "bf16",
    tokens: float | None = None,
    layout: Mapping[str, Any] | None = None,
    rank: float = 0.0,
    frozen: float = 0.0,
    stack: str | None = None,
    link: float | None = None,
    mtbf: float | None = None,
    checkpoint: float | None = None,
    overlap: Mapping[str, float] | None = None,
    ask: Ask | None = None,
) -> TrainingAnswer:
    """How long a training step takes on so many chips, in the best legal layout, and a whole run.

    Parameters
    ----------
    of, on : str, Model or Chip
        What is trained, on what.
    chips : int
        Chips. [1]
    seq, batch : float
        Tokens of a sequence [token], sequences of a step over all chips [1].
    precision : str
        bf16, fp16, fp8, mxfp8 or nvfp4.
    tokens : float, optional
        Budget of the run; without, the step alone. [token]
    layout : mapping, optional
        Degrees that are fixed: tp, pp, cp, ep, dp, interleave, micro, shard, recompute, and reach.
        With tp, pp and dp all of them are taken as given, and checked.
    rank, frozen : float
        Rank of LoRA's adapters (its base is frozen); share of the weights without a gradient.
    stack : str, optional
        Software, such as megatron-26.06; by default the vendor's usual one, newest.
    link : float, optional
        Rate beyond the scale-up domain, per chip and direction. [byte/s]
    mtbf, checkpoint : float, optional
        Mean time between failures of one chip, and how long a checkpoint stops the run. [s]
    overlap : mapping, optional
        Shares of transfers that hide behind arithmetic (tensor, context, expert, gather,
        exchange, send), in place of the fitted ones.
    ask : Ask, optional
        Money and place.

    Raises
    ------
    BadInput
        If something is unknown or impossible; names the nearest choice that is not.
    Infeasible
        If nothing fits; says by how much, and how many chips would hold it.
    """
    ask = ask or Ask()
    of, on = model(of), chip(on)
    positive(tokens=tokens, link=link, mtbf=mtbf, checkpoint=checkpoint)
    if not 0 <= frozen <= 1:
        raise BadInput(f"frozen is {frozen:g}; it must be a share from 0 to 1")
    training = Training(of, seq, batch, precision, 1.0 if rank else frozen, rank)
    _shares(overlap or {})
    known = replace(
        _training_terms([on], ask, tokens, mtbf, checkpoint), overlap=overlap or {},
        stack=stack or default_stack(on), network=link or network(on),
    )  # fmt: skip
    fixed = dict(layout or {})
    for name in fixed:
        if name not in LAYOUT:
            raise UnknownName("degree", name, LAYOUT)
    if {"tp", "pp", "dp"} <= set(fixed):
        made = Layout(on, **fixed, link=known.network)
        check_layout(training, made, chips)
        found = answer_training(training, made, chips, known)
        total = float(np.asarray(training_total(found.memory)))
        if total > found.memory.capacity:
            missing = show(total - found.memory.capacity, "GB")
            raise Infeasible(
                f"{of.id} with {describe_layout(made)} needs {show(total, 'GB', 4)} of a chip, "
                f"{missing} more than {on.name} has; leave the degrees out to search for others"
            )
        return found
    single: dict[str, Any] = {k: (v,) for k, v in fixed.items() if k not in ("dp", "reach")}
    single |= {k: v for k, v in fixed.items() if k == "reach"}
    return search_training(training, on, chips, known, Layouts(**single))


def _shares(overlap: Mapping[str, float]) -> None:
    for name, share in overlap.items():
        if name not in OVERLAPS:
            raise UnknownName("transfer", name, OVERLAPS)
        if not 0 <= share <= 1:
            raise BadInput(f"overlap of {name} is {share:g}; it must be a share from 0 to 1")


def _training_terms(
    on: Sequence[Chip],
    ask: Ask,
    tokens: float | None,
    mtbf: float | None,
    checkpoint: float | None,
) -> TrainingTerms:
    """Calibration, money, grid and failures of a training; stack and network of the first chip."""
    economics = catalog.economics()
    pue = economics.get(f"pue.{ask.region}", economics["pue.default"])
    common = terms(on, ask)
    made = TrainingTerms(
        training_calibration(),
        default_stack(on[0]),
        network(on[0]),
        tokens,
        common.hourly,
        common.carbon,
        wall(economics) * float(pue.value or 1.0),
    )
    return replace(made, mtbf=mtbf or made.mtbf, checkpoint=checkpoint or made.checkpoint)


def train_each(
    of: str | Model, on: Sequence[str | Chip], chips: int, *, precision: str = "bf16", **asked: Any
) -> tuple[tuple[Chip, TrainingAnswer | str], ...]:
    """The same training on as many chips of each of several kinds, to compare them.

    A kind that lacks the precision trains in bf16, and says so; one that cannot hold the model has
    the reason in place of an answer.

    Parameters
    ----------
    of : str or Model
        What is trained.
    on : sequence of str or Chip
        Kinds of chips.
    chips : int
        Chips of each kind. [1]
    precision : str
        As for `train`.
    **asked
        As for `train`, alike for all kinds.

    Raises
    ------
    Infeasible
        If none of them can: why each cannot.
    """
    rows: list[tuple[Chip, TrainingAnswer | str]] = []
    for kind in (chip(each) for each in on):
        lacks = PRECISIONS.get(precision, "bf16") not in ("bf16", "fp16", *kind.flops)
        used = "bf16" if lacks else precision
        try:
            found = train(of, kind, chips, precision=used, **asked)
        except Infeasible as error:
            rows.append((kind, str(error)))
            continue
        note = (f"it has no {precision} and trains in bf16",) if lacks else ()
        rows.append((kind, replace(found, notes=(*note, *found.notes))))
    if all(isinstance(found, str) for _, found in rows):
        raise Infeasible("; ".join(str(found) for _, found in rows))
    return tuple(rows)


def train_mixed(
    of: str | Model,
    shares: Mapping[str, float],
    chips: int,
    *,
    batch: float,
    tokens: float | None = None,
    **asked: Any,
) -> MixedAnswer:
    """The same for a fleet of several kinds: each kind trains its part of every batch.

    The batch is divided so that the kinds wait least for one another.

    Parameters
    ----------
    of : str or Model
        What is trained.
    shares : mapping
        Chip → share of the chips. [1]
    chips : int
        Chips in all. [1]
    batch : float
        Sequences of a step over all kinds. [1]
    tokens : float, optional
        Budget of the run. [token]
    **asked
        As for `train`, alike for all kinds.
    """
    if not shares or not all(0 < share < np.inf for share in shares.values()):
        raise BadInput("shares must be positive numbers, one for each kind of chip")
    positive(tokens=tokens, **{name: asked.get(name) for name in ("mtbf", "checkpoint")})
    whole(chips=chips, batch=batch)
    names = [chip(name) for name in shares]
    kinds = list(zip(names, counts(chips, list(shares.values())), strict=True))
    for kind, count in kinds:
        if count < 1:
            raise BadInput(f"a share of {kind.name} leaves it no chip of {chips}")
    known = _training_terms(
        [kind for kind, _ in kinds],
        asked.get("ask") or Ask(),
        tokens,
        asked.get("mtbf"),
        asked.get("checkpoint"),
    )

    def solve(kind: Chip, count: int, part: int) -> TrainingAnswer:
        return train(of, kind, count, batch=part, **asked)

    return mixed_training(kinds, int(batch), asked.get("precision", "bf16"), solve, known)
