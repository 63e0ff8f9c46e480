"""Fit the factors of training on the catalog's measured runs, and say how well they carry over.

    python tools/fit_training.py [--quick]

writes chipwise/catalog/data/training.json: the factors, the widths of the intervals, and a record
of what they rest on. --quick leaves the cross-validation, and the widths, as they are.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np

from chipwise import catalog
from chipwise.catalog.files import DATA
from chipwise.catalog.training import network, training_measurements
from chipwise.errors import ChipwiseError
from chipwise.intervals import BASES
from chipwise.perf.training import demand, factors, model_flops, spend
from chipwise.plan.training import training_basis
from chipwise.plan.training_fit import Fit, Sample, fit, to_calibration, to_content
from chipwise.plan.training_rows import STATED, Case, case, filled, measured_rate, predict_rate
from chipwise.types import Calibration

FILE = DATA / "training.json"
_WIDE = {basis: {"step": 0.3} for basis in BASES}
Found = list[tuple[Sample, float, str]]


def read() -> list[tuple[int, Case, float]]:
    """Runs that a rate was measured of."""
    chip, model = lru_cache(None)(catalog.chip), lru_cache(None)(catalog.model)
    found = []
    for number, row in enumerate(training_measurements()):
        try:
            one = case(row, chip, model, network)
        except ChipwiseError as error:
            print(f"row {number} left out: {error}")
            continue
        rate = measured_rate(row, one, float(model_flops(one.training)))
        if rate:
            found.append((number, one, rate))
    return found


def fill(runs: Iterable[tuple[int, Case, float]], known: Calibration) -> list[Sample]:
    """Every run with a layout, as the factors so far choose it."""
    memory: dict[tuple[object, ...], Case] = {}
    samples = []
    for number, one, rate in runs:
        t = one.training
        key = (t.model.id, one.chip.id, one.chips, t.seq, t.batch, t.precision, t.frozen, one.stack)
        if one.layout is not None:
            whole = filled(one, known)
        else:
            try:
                whole = memory.get(key) or filled(one, known)
            except ChipwiseError as error:
                print(f"row {number} left out: {error}")
                continue
            memory[key] = whole
        samples.append(Sample(number, t.model.family, whole, rate))
    return samples


def line(family: str) -> str:
    """A line of models: a family without its size.

    >>> line("mpt-30b"), line("llama-3-70b"), line("qwen3-235b-a22b"), line("gpt3-175b")
    ('mpt', 'llama-3', 'qwen3', 'gpt')
    """
    if family.startswith("gpt-oss"):
        return "gpt-oss"
    short = re.sub(
        r"-(\d+(\.\d+)?[bm]|scout|maverick|nano|ultra|flash|a\d+b|v\d|k2|\dx\d+b).*", "", family
    )
    return {"gpt3": "gpt"}.get(short, short)


def errors(samples: Sequence[Sample], known: Calibration, runs: Mapping[int, Case]) -> Found:
    """ln(predicted/measured) of each, with what the factors knew."""
    found = []
    for s in samples:
        whole = filled(runs[s.row], known)
        values = factors(
            known, whole.chip, whole.training.precision, whole.stack, STATED.get(whole.stack)
        )
        made = spend(demand(whole.training, whole.layout), values)
        basis = training_basis(known, whole.training.model, whole.chip, whole.stack)
        found.append((s, math.log(float(np.asarray(made.rate)) / s.rate), basis))
    return found


def left_out(
    samples: Sequence[Sample],
    group: Callable[[Sample], object],
    begin: Fit,
    runs: Mapping[int, Case],
) -> Found:
    """Errors on each group, by factors that did not see it."""
    found: Found = []
    for name in sorted({str(group(s)) for s in samples}):
        outside = [s for s in samples if str(group(s)) != name]
        inside = [s for s in samples if str(group(s)) == name]
        made = fit(outside, begin)
        found += errors(inside, to_calibration(made, _WIDE), runs)
    return found


def summary(found: Found) -> dict[str, float]:
    """Median, mean and 90th percentile of |predicted/measured − 1|, bias of the logarithm."""
    if not found:
        return {"rows": 0}
    off = np.array([e for _, e, _ in found])
    ratio = np.abs(np.exp(off) - 1.0)
    return {
        "rows": len(found),
        "median_ape": float(np.median(ratio)),
        "mean_ape": float(np.mean(ratio)),
        "p90_ape": float(np.percentile(ratio, 90)),
        "bias": float(np.median(off)),
    }


def _quantile(found: Found) -> float:
    """Half-width that holds nine in ten, with the correction for few rows."""
    off = np.sort([abs(e) for _, e, _ in found])
    return float(off[min(math.ceil(0.9 * (len(off) + 1)), len(off)) - 1])


def widths(found: Found) -> dict[str, dict[str, float]]:
    """Half-widths by basis, never narrower than a nearer basis's."""
    least, made = 0.0, {}
    for basis in BASES:
        rows = [f for f in found if f[2] == basis]
        if len(rows) >= 10:
            least = max(least, _quantile(rows))
        made[basis] = {"step": least}
    return made


def coverage(found: Found) -> dict[str, float]:
    """How often the interval held, its width taken from the other groups."""
    groups = defaultdict(list)
    for f in found:
        groups[f[0].family, f[0].case.chip.id].append(f)
    held = defaultdict(list)
    for part in range(5):
        mine = [k for i, k in enumerate(sorted(groups)) if i % 5 == part]
        rest = [f for k, fs in groups.items() if k not in mine for f in fs]
        known = widths(rest)
        for k in mine:
            for _, e, basis in groups[k]:
                held[basis].append(abs(e) <= known[basis]["step"])
                held["all"].append(abs(e) <= known[basis]["step"])
    return {basis: float(np.mean(values)) for basis, values in held.items()}


def _stack_fold(sample: Sample) -> int:
    """One of ten parts, so that a family on a chip in a stack is left out whole."""
    group = (sample.family, sample.case.chip.id, sample.case.stack.partition("-")[0])
    return zlib.crc32(repr(group).encode()) % 10


def validate(samples: Sequence[Sample], begin: Fit, runs: Mapping[int, Case]) -> tuple[dict, Found]:
    """Cross-validation by whole groups."""
    kinds: dict[str, Callable[[Sample], object]] = {
        "seen": lambda s: s.row % 5,
        "stack": _stack_fold,
        "family": lambda s: line(s.family),
        "chip": lambda s: s.case.chip.id,
        "generation": lambda s: s.case.chip.architecture,
        "vendor": lambda s: s.case.chip.vendor,
    }
    record, all_found = {}, []
    for kind, group in kinds.items():
        found = left_out(samples, group, begin, runs)
        full = [f for f in found if f[0].case.full]
        record[kind] = {"all": summary(found), "full_parallelism": summary(full)}
        print(kind, record[kind], flush=True)
        by = defaultdict(list)
        for f in full:
            by[str(group(f[0]))].append(abs(f[1]))
        print(
            "   ", {k: (len(v), round(float(np.median(v)), 3)) for k, v in by.items()}, flush=True
        )
        all_found += found
        if kind == "family":
            record["published"] = published(found)
            print("   ", record["published"], flush=True)
    record["coverage"] = coverage(all_found)
    print("coverage", record["coverage"])
    return record, all_found


def converge(
    runs: Sequence[tuple[Mapping[str, str], float, float]],
) -> dict[str, tuple[float, float]]:
    """ln(samples to converge) = a + b·ln(batch) of each MLPerf benchmark; of (row, rate, chips)."""
    points = defaultdict(list)
    for row, rate, chips in runs:
        seconds = 60.0 * float(row["time_to_train_min"])
        samples = rate * chips * seconds / float(row["seq_len"])
        points[row["model"]].append((math.log(float(row["gbs_seqs"])), math.log(samples)))
    fitted = {}
    for name, found in points.items():
        x, y = np.array(found).T
        slope = float(np.polyfit(x, y, 1)[0]) if np.ptp(x) > 0 else 0.0
        fitted[name] = (float(np.median(y - slope * x)), slope)
    return fitted


def ranking(known: Calibration) -> dict[str, float]:
    """How often the faster of two kinds of chips is told right, at equal model and chip count.

    The rate that a time to train implies is the fitted number of samples over that time.
    """
    chip, model = lru_cache(None)(catalog.chip), lru_cache(None)(catalog.model)
    rows, memory = [], {}
    for row in training_measurements():
        if (
            not row["family"].startswith("MLPerf")
            or not row["time_to_train_min"]
            or not row["gbs_seqs"]
        ):
            continue
        one = case(row, chip, model, network)
        key = (row["model"], one.chip.id, one.chips, row["gbs_seqs"], one.training.precision)
        key += (one.stack, row["tp"], row["pp"], row["cp"])
        if key not in memory:
            try:
                memory[key] = float(predict_rate(one, known).value)
            except ChipwiseError as error:
                print("not ranked:", row["model"], one.chip.id, error)
                memory[key] = math.nan
        rows.append((row, one, memory[key]))
    fitted = converge(
        [(r, measured_rate(r, o) or p, o.chips) for r, o, p in rows if math.isfinite(p)]
    )
    cases = defaultdict(lambda: defaultdict(list))
    for row, one, predicted in rows:
        a, b = fitted[row["model"]]
        samples = math.exp(a + b * math.log(float(row["gbs_seqs"])))
        implied = samples / float(row["time_to_train_min"])
        cases[row["model"], one.chips][one.chip.id].append((implied, predicted))
    right = pairs = right_median = pairs_median = 0
    for kinds in cases.values():
        for left, right_ in combinations(sorted(kinds), 2):
            for i, p in kinds[left]:
                for j, q in kinds[right_]:
                    if math.isfinite(p * q):
                        pairs += 1
                        right += (i > j) == (p > q)
            one, two = (np.nanmedian(np.array(kinds[k]), axis=0) for k in (left, right_))
            pairs_median += 1
            good = bool((one[0] > two[0]) == (one[1] > two[1]))
            right_median += good
            if not good:
                print("   ranked wrong:", left, right_, one, two)
    return {
        "pairs_of_rows": pairs,
        "right_rows": right / pairs,
        "pairs_of_chips": pairs_median,
        "right_chips": right_median / pairs_median,
        "samples": {name: list(value) for name, value in fitted.items()},
    }


def ranking_unseen(runs: Sequence[tuple[int, Case, float]]) -> dict[str, float]:
    """The same by factors that saw no submission to MLPerf at all."""
    rows = training_measurements()
    outside = [run for run in runs if not rows[run[0]]["family"].startswith("MLPerf")]
    found = ranking(to_calibration(fitted(outside), _WIDE))
    return {name: value for name, value in found.items() if name != "samples"}


def fitted(runs: Sequence[tuple[int, Case, float]]) -> Fit:
    """Factors of some runs, the layouts that they do not print chosen by the factors so far."""
    made = fit([Sample(n, c.training.model.family, c, r) for n, c, r in runs if c.layout])
    for _ in range(2):
        made = fit(fill(runs, to_calibration(made, _WIDE)), made)
    return made


def published(found: Found) -> list[dict[str, object]]:
    """Runs of whole models that their makers published, predicted with their line left out."""
    rows = training_measurements()
    told = []
    for s, e, basis in found:
        if rows[s.row]["family"] in ("Llama-3 paper", "DeepSeek-V3"):
            told.append(
                {
                    "row": s.row,
                    "family": s.family,
                    "chips": s.case.chips,
                    "measured": s.rate,
                    "predicted": s.rate * math.exp(e),
                    "basis": basis,
                }
            )
    return told


def main() -> None:
    """Fit, validate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    runs = read()
    by_row = {number: one for number, one, _ in runs}
    made = fitted(runs)
    samples = list(made.samples)
    inside = errors(samples, to_calibration(made, _WIDE), by_row)
    print("in sample", summary(inside))
    old = json.loads(FILE.read_text()) if FILE.exists() else {"record": {}, "widths": _WIDE}
    record, wide = old["record"], old["widths"]
    if not quick:
        checked, found = validate(samples, made, by_row)
        record, wide = {"rows": len(samples), "cross_validation": checked}, widths(found)
        print("widths", wide)
    record["in_sample"] = summary(inside)
    record["mlperf_ranking"] = ranking(to_calibration(made, wide))
    record["mlperf_ranking_unseen"] = ranking_unseen(runs)
    print("ranking", record["mlperf_ranking"], record["mlperf_ranking_unseen"])
    content = to_content(to_calibration(made, wide), record)
    FILE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
