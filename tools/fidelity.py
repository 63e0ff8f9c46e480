"""Writes docs/fidelity.md: `python tools/fidelity.py`, some ten minutes on one core."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chipwise import catalog, habits, validation
from chipwise.catalog.factors import read_calibration
from chipwise.catalog.files import DATA
from chipwise.catalog.measured import table
from chipwise.habits import Measured
from chipwise.serving import closed
from chipwise.types import Array, Calibration, Engine, Protocol
from chipwise.validation import fitting
from chipwise.validation.fitting import Left

PAGE = Path(__file__).resolve().parents[1] / "docs" / "fidelity.md"
TEXT = Path(__file__).with_name("fidelity.txt")
_FEW = 6
Rows = list[list[Any]]


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f}"


def grid(heads: str, rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    names = heads.split("|")
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def errors(logs: Array) -> list[str]:
    """Median, mean and 90th percentile of |predicted/measured − 1|, and the median ratio."""
    known = logs[~np.isnan(logs)]
    off = np.abs(np.expm1(known))
    found = [percent(float(f)) for f in (np.median(off), off.mean(), np.quantile(off, 0.9))]
    return [*found, f"{math.exp(float(np.median(known))):.2f}"]


def by_group(left: Left, logs: Array) -> dict[Any, Array]:
    """Known logs of each group."""
    found: dict[Any, list[float]] = defaultdict(list)
    for group, log in zip(left.group, logs, strict=True):
        if not math.isnan(log):
            found[group].append(float(log))
    return {group: np.array(those) for group, those in found.items()}


def coverage(groups: Mapping[Any, Array]) -> tuple[float, float, float]:
    """How often an interval made from the other groups held, with a bootstrap over groups."""
    held = []
    for name, logs in groups.items():
        rest = [those for other, those in groups.items() if other != name]
        if not rest:
            continue
        width = fitting.quantile(np.concatenate(rest))
        held.append((int((np.abs(logs) <= width).sum()), len(logs)))
    pairs = np.array(held)
    draw = np.random.default_rng(0).integers(0, len(pairs), (2000, len(pairs)))
    shares = pairs[draw, 0].sum(1) / pairs[draw, 1].sum(1)
    whole = pairs[:, 0].sum() / pairs[:, 1].sum()
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(whole), float(low), float(high)


def cross_validation(found: Sequence[Left], widths: Mapping[str, Mapping[str, float]]) -> str:
    """Errors and coverage by basis."""
    rows = []
    for left in found:
        for k, name in ((1, "tpot"), (0, "ttft")):
            logs = left.logs[:, k]
            groups = by_group(left, logs)
            medians = [np.median(np.abs(np.expm1(g))) for g in groups.values()]
            median = percent(float(np.median(medians)))
            held = "—"
            if len(groups) > 1:
                whole, low, high = coverage(groups)
                held = f"{100 * whole:.0f} ({100 * low:.0f}–{100 * high:.0f})"
            count = int((~np.isnan(logs)).sum())
            rows.append(
                [left.basis, name, count, len(groups), *errors(logs), median,
                 f"±{widths[left.basis][name]:.2f}", held]
            )  # fmt: skip
    heads = "basis|quantity|runs|groups|median|mean|90th|ratio|median of groups|half-width|held"
    return grid(heads, rows)


def stacks(seen: Left, left: Left) -> str:
    """Errors of each stack and format: seen, and left out."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for i, m in enumerate(left.measured):
        groups[*m.stack, m.run.weights].append(i)
    rows = []
    for key, at in sorted(groups.items()):
        row: list[Any] = [" · ".join(key), len(at)]
        for part in (seen, left):
            for k in (1, 0):
                logs = part.logs[at, k]
                known = logs[~np.isnan(logs)]
                if len(known):
                    off = percent(float(np.median(np.abs(np.expm1(known)))))
                    row.append(f"{off} ({math.exp(float(np.median(known))):.2f})")
                else:
                    row.append("—")
        rows.append(row)
    return grid("stack|runs|seen: tpot|seen: ttft|left out: tpot|left out: ttft", rows)


def some(measured: Sequence[Measured]) -> list[Measured]:
    """At most a few runs of each stack and format, spread over their loads."""
    groups: dict[Any, list[Measured]] = defaultdict(list)
    for m in measured:
        groups[*m.stack, m.run.weights].append(m)
    found = []
    for those in groups.values():
        picks = np.unique(np.linspace(0, len(those) - 1, min(_FEW, len(those))).astype(int))
        found += [those[i] for i in picks]
    return found


def under(measured: Sequence[Measured], change: Callable[[Protocol], Protocol]) -> list[Measured]:
    """The runs as if they had been made under another protocol."""
    return [replace(m, run=replace(m.run, protocol=change(m.run.protocol))) for m in measured]


def without(guess: Calibration, names: Sequence[str]) -> Calibration:
    """A calibration whose engines lack some habits."""
    engines = {
        name: Engine({k: 0.0 if k in names else v for k, v in engine.values.items()})
        for name, engine in guess.engines.items()
    }
    return replace(guess, engines=engines)


@contextmanager
def one_scheduler() -> Iterator[None]:
    """Every engine schedules as vLLM does."""
    kept = dict(closed.ENGINES)
    closed.ENGINES.update(dict.fromkeys(kept, closed.VLLM))
    try:
        yield
    finally:
        closed.ENGINES.update(kept)


def refitted(measured: Sequence[Measured], guess: Calibration) -> Array:
    """Errors when the habits are fitted on the runs themselves."""
    fitted = habits.fit(habits.start(measured, guess), rounds=3)
    return habits.predict(measured, fitted)


def ablation(measured: Sequence[Measured], guess: Calibration) -> str:
    """What each part buys: left out, the rest fitted again on the same runs."""
    few = some(measured)
    usual = replace(Protocol(), kv=None)

    def flags(p: Protocol) -> Protocol:
        return replace(usual, low=p.low, high=p.high, steady=p.steady)

    cases: dict[str, Array] = {}
    cases["everything"] = refitted(few, guess)
    cases["first guesses, nothing fitted"] = habits.predict(few, guess)
    cases["engines' default flags"] = refitted(under(few, flags), guess)
    lengths = under(few, lambda p: replace(p, low=0.9, high=0.9))
    cases["lengths fixed at 0.9 of the nominal"] = refitted(lengths, guess)
    steady = under(few, lambda p: replace(p, steady=True))
    cases["first wave of clients left out"] = refitted(steady, guess)
    with one_scheduler():
        cases["vLLM's scheduler for every engine"] = refitted(few, guess)
    cases["no floor of launches"] = refitted(few, without(guess, ("launch",)))
    host = ("host", "sequence", "layer", "request", "request_token")
    cases["no overhead of host, layer, sequence, request"] = refitted(few, without(guess, host))
    rows = [
        [name, *errors(logs[:, 1])[:3], *errors(logs[:, 0])[:3]] for name, logs in cases.items()
    ]
    heads = "left out|tpot median|mean|90th|ttft median|mean|90th"
    return f"{len(few)} runs.\n\n{grid(heads, rows)}"


def reasons(odd: Mapping[str, str]) -> str:
    """Runs that are not fitted on, by reason."""
    by: dict[str, list[str]] = defaultdict(list)
    for name, why in odd.items():
        by[why].append(name)
    return grid("reason|runs|ids", [[why, len(ids), " ".join(ids)] for why, ids in by.items()])


def tables(general: Calibration) -> str:
    """Errors on the catalog's tables as the shipped factors predict them."""
    rows: Rows = []
    for name in ("serving", "trtllm", "mlperf", "other", "training"):
        file = DATA / "measured" / f"{name}.csv"
        if not file.is_file():
            continue
        kind, those = table(file)
        found = validation.report(kind, those, list(validation.predict(kind, those, general)))
        share = f"{found['predicted']} of {found['rows']}"
        for quantity, e in found["quantities"].items():
            held = "—" if e["coverage"] is None else f"{100 * e['coverage']:.0f}"
            rows.append(
                [kind, share, quantity, e["count"], percent(e["median_ape"]), percent(e["p90_ape"]),
                 f"{e['bias']:.2f}", f"{e['spearman']:.2f}", held]
            )  # fmt: skip
    heads = "table|predicted|quantity|compared|median|90th|ratio|Spearman|held"
    return grid(heads, rows)


def main() -> None:
    """Fit, leave out, ablate, and write the page."""
    _, rows = table(DATA / "measured" / "serving.csv")
    guess = read_calibration(DATA / "calibration_start.json")
    measured, odd = fitting.sorted_out(rows)
    fitted, found = fitting.calibrate(rows, guess)
    by_basis = {left.basis: left for left in found}
    general = catalog.calibration()
    parts = {
        "calibration": general.id,
        "count": str(len(measured)),
        "stacks": str(len(Counter(m.stack for m in measured))),
        "cross_validation": cross_validation(found, fitted.widths),
        "ablation": ablation(measured, guess),
        "by_stack": stacks(by_basis["seen"], by_basis["stack"]),
        "reasons": reasons(odd),
        "tables": tables(general),
    }
    PAGE.write_text(TEXT.read_text(encoding="utf-8").format(**parts), encoding="utf-8")


if __name__ == "__main__":
    main()
