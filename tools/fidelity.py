"""Writes docs/fidelity.md with its plots: `python tools/fidelity.py`, ten minutes of a core.

It fits what `make calibrate` fits, and says whether the shipped file is that.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chipwise import catalog, habits, intervals, plot, validation
from chipwise.catalog.factors import read_calibration
from chipwise.catalog.files import DATA
from chipwise.catalog.measured import table
from chipwise.habits import Measured
from chipwise.serving import closed
from chipwise.types import Array, Calibration, Efficiency, Engine, Protocol
from chipwise.validation import fitting, throughput
from chipwise.validation.fitting import Left

PAGE = Path(__file__).resolve().parents[1] / "docs" / "fidelity.md"
PICTURE = PAGE.with_name("fidelity.svg")
TEXT = Path(__file__).with_name("fidelity.txt")
_FEW = 6
_ENOUGH = 5  # systems that are ranked
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
    pairs = np.array([honest_of(groups, name) for name in groups])
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


def score(logs: Array, width: float) -> float:
    """Mean interval score of ±width at 90 % on log ratios (Gneiting and Raftery 2007). [1]"""
    beyond = np.maximum(np.abs(logs) - width, 0.0)
    return float(2.0 * width + 2.0 / (1.0 - intervals.COVERAGE) * beyond.mean())


def intervals_table(found: Sequence[Left], widths: Mapping[str, Mapping[str, float]]) -> str:
    """Interval scores and coverage, pooled over what was left out, beside one constant ratio.

    The constant is the best that one number can do: it is fitted on the very rows it is scored on.
    """
    rows = []
    for k, name in ((1, "tpot"), (0, "ttft")):
        parts = {left.basis: left.logs[:, k][~np.isnan(left.logs[:, k])] for left in found}
        pooled = np.concatenate(list(parts.values()))
        tried = np.quantile(np.abs(pooled), np.linspace(0.5, 0.99, 200))
        best = min(tried, key=lambda width: score(pooled, float(width)))
        held = [
            (by_group(left, left.logs[:, k]), widths[left.basis][name])
            for left in found
            if left.basis != "seen"
        ]
        inside = [np.abs(g) <= width for groups, width in held for g in groups.values()]
        crossed = [honest(groups) for groups, _ in held if len(groups) > 1]
        ours = np.mean(
            np.concatenate([np.repeat(score(x, widths[b][name]), len(x)) for b, x in parts.items()])
        )
        ratio = np.concatenate(
            [np.repeat(math.exp(2 * widths[b][name]), len(x)) for b, x in parts.items()]
        )
        honest_share = sum(h for h, _ in crossed) / sum(n for _, n in crossed)
        rows.append(
            [name, len(pooled), f"{ours:.3f}", f"{score(pooled, float(best)):.3f}",
             f"{100 * honest_share:.1f}", f"{100 * float(np.concatenate(inside).mean()):.1f}",
             f"{float(np.median(ratio)):.2f}", f"{math.exp(2 * widths['seen'][name]):.2f}"]
        )  # fmt: skip
    heads = (
        "quantity|runs, all bases|score|score of one constant|held, groups left out, width of the "
        "others|held, shipped width|high/low, median|high/low, seen"
    )
    return grid(heads, rows)


def honest_of(groups: Mapping[Any, Array], name: Any) -> tuple[int, int]:
    """Runs of a group inside the interval that the other groups make, and all of them."""
    rest = np.concatenate([those for other, those in groups.items() if other != name])
    return int((np.abs(groups[name]) <= fitting.quantile(rest)).sum()), len(groups[name])


def honest(groups: Mapping[Any, Array]) -> tuple[int, int]:
    """The same over all groups."""
    pairs = [honest_of(groups, name) for name in groups]
    return sum(held for held, _ in pairs), sum(count for _, count in pairs)


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
    cases["efficiency of every operator 1, and no start"] = refitted(few, ideal(guess))
    rows = [
        [name, *errors(logs[:, 1])[:3], *errors(logs[:, 0])[:3]] for name, logs in cases.items()
    ]
    heads = "left out|tpot median|mean|90th|ttft median|mean|90th"
    return f"{len(few)} runs.\n\n{grid(heads, rows)}"


def ideal(guess: Calibration) -> Calibration:
    """A calibration whose operators reach the datasheet's rates, as a plain roofline."""
    plain = Efficiency(0.0, 1.0, 1.0, math.inf)
    return replace(guess, operators=dict.fromkeys(guess.operators, plain))


def without_residuals(measured: Sequence[Measured], fitted: Calibration, seen: Left) -> str:
    """What stacks' residuals buy, on runs of stacks whose other four fifths were measured."""
    plain = habits.predict(measured, fitted)
    rows = [
        [name, *errors(logs[:, 1])[:3], *errors(logs[:, 0])[:3]]
        for name, logs in (("with residuals", seen.logs), ("without", plain))
    ]
    heads = "runs of seen stacks|tpot median|mean|90th|ttft median|mean|90th"
    return grid(heads, rows)


_KINDS = {
    "trtllm rate NVIDIA": "TensorRT-LLM",
    "mlperf rate NVIDIA": "MLPerf, NVIDIA",
    "mlperf rate newcomers": "MLPerf, others",
    "other rate NVIDIA": "other reports, NVIDIA",
    "other rate newcomers": "other reports, others",
    "all rate newcomers": "all tables, others",
}


def published(residuals: Mapping[str, Any]) -> str:
    """Throughput of published tables, fitted and left out."""
    rows = []
    for kind, name in _KINDS.items():
        for basis, kinds in residuals.items():
            if kind not in kinds or ("prompts" in basis and "mlperf" not in kind):
                continue
            e = kinds[kind]
            held = "—" if e["held"] is None or basis == "fitted" else f"{100 * e['held']:.0f}"
            rows.append(
                [name, basis, e["count"], percent(e["median_ape"]), percent(e["p90_ape"]),
                 f"{e['bias']:.2f}", held]
            )  # fmt: skip
    return grid("table|left out|rows|median|90th|ratio|held", rows)


def ranking(general: Calibration) -> str:
    """Rank correlation within a model and scenario of MLPerf, by tokens/s an accelerator.

    Of chips, each at the median of its systems, and of all systems.
    """
    kind, rows = table(DATA / "measured" / "mlperf.csv")
    groups: dict[Any, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row, line in zip(rows, validation.predict(kind, rows, general), strict=True):
        truth = throughput.truths(kind, row).get("tokens_per_s")
        if line["error"] or not truth:
            continue
        run = throughput.case(kind, row).run
        key = (run.model.family, row["scenario"].capitalize())
        groups[key][run.chip.id].append((line["pred_tokens_per_s"] / run.chips, truth / run.chips))
    found = []
    for key, chips in sorted(groups.items()):
        one = np.array([np.median(np.array(those), axis=0) for those in chips.values()])
        every = np.array([pair for those in chips.values() for pair in those])
        if len(one) >= _ENOUGH:
            ranks = (f"{validation.spearman(*each.T):.3f}" for each in (one, every))
            found.append([*key, len(one), len(every), *ranks])
    worst = min(float(row[-2]) for row in found)
    heads = "model|scenario|chips|systems|Spearman of chips|of systems"
    return f"Lowest of chips {worst:.3f}.\n\n{grid(heads, found)}"


def pace(general: Calibration) -> str:
    """Rows that validation predicts in a second of one core."""
    kind, rows = table(DATA / "measured" / "serving.csv")
    list(validation.predict(kind, rows[:5], general))  # compile first
    begin = time.process_time()
    list(validation.predict(kind, rows, general))
    return f"{len(rows) / (time.process_time() - begin):.0f}"


def blanked(general: Calibration) -> str:
    """Whether predictions stand when every measured column is blank."""
    told = {"ttft_ms", "tpot_ms", "tokens_per_s", "total_out_tok_s", "value"}
    moved = 0
    for name in ("serving", "trtllm", "mlperf", "other"):
        kind, rows = table(DATA / "measured" / f"{name}.csv")
        blank = [{k: "" if k in told else v for k, v in row.items()} for row in rows]
        pairs = zip(
            validation.predict(kind, rows, general),
            validation.predict(kind, blank, general),
            strict=True,
        )
        moved += sum(a != b for a, b in pairs)
    return str(moved)


def plot_left_out(found: Sequence[Left], widths: Mapping[str, Mapping[str, float]]) -> str:
    """Draw measured against predicted of all that was left out; the sentence under it."""
    pairs = [
        {
            "basis": left.basis,
            "quantity": f"{name}_ms",
            "measured": truth * 1e3,
            "predicted": truth * 1e3 * math.exp(log),
            "low": truth * 1e3 * math.exp(log - widths[left.basis][name]),
            "high": truth * 1e3 * math.exp(log + widths[left.basis][name]),
        }
        for left in found
        for k, name in enumerate(("ttft", "tpot"))
        for m, log in zip(left.measured, left.logs[:, k], strict=True)
        for truth in ((m.ttft, m.tpot)[k],)
        if not math.isnan(log)
    ]
    picture, reading = plot.render("fidelity", "validate", {"compared": pairs}, "en", "svg")
    PICTURE.write_bytes(picture)
    return reading


def same(made: str, shipped: Path) -> str:
    """By how much the shipped numbers differ from those made here, at most."""

    def numbers(of: Any) -> Iterator[float]:
        if isinstance(of, dict):
            of = [of[key] for key in sorted(of)]
        if isinstance(of, list):
            for each in of:
                yield from numbers(each)
        elif isinstance(of, int | float):
            yield float(of)

    one, two = (
        np.array(list(numbers(json.loads(text))))
        for text in (made, shipped.read_text(encoding="utf-8"))
    )
    if len(one) != len(two):
        return "other numbers"
    off = np.abs(one - two) / np.maximum(np.maximum(np.abs(one), np.abs(two)), 1e-300)
    return f"{float(off.max()):.0e}"


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
    made = fitting.text(fitted, found, local=False)
    by_basis = {left.basis: left for left in found}
    general = catalog.calibration()
    parts = {
        "calibration": general.id,
        "same": same(made, DATA / "calibration.json"),
        "count": str(len(measured)),
        "stacks": str(len(Counter(m.stack for m in measured))),
        "cross_validation": cross_validation(found, fitted.widths),
        "reading": plot_left_out(found, fitted.widths),
        "intervals": intervals_table(found, fitted.widths),
        "ablation": ablation(measured, guess),
        "residuals": without_residuals(measured, fitted, by_basis["seen"]),
        "by_stack": stacks(by_basis["seen"], by_basis["stack"]),
        "reasons": reasons(odd),
        "published": published(json.loads(made)["yields"]["residuals"]),
        "ranking": ranking(general),
        "tables": tables(general),
        "pace": pace(general),
        "blanked": blanked(general),
    }
    PAGE.write_text(TEXT.read_text(encoding="utf-8").format(**parts), encoding="utf-8")


if __name__ == "__main__":
    main()
