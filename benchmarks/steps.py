"""Whole steps of the small model at shapes drawn from a seed, predicted from a profile of this CPU.

`chipwise profile` compares steps of fixed shapes; this asks whether others fare alike. It takes
some minutes, and goes on where it was if --out names a file. Needs torch.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np

from chipwise import catalog, profile
from chipwise.profile.cases import Case
from chipwise.profile.devices import find
from chipwise.profile.runner import time_case


def drawn(count: int, seed: int) -> list[Case]:
    """Prompts of 8 to 800 tokens, and 1 to 48 sequences over at most 8000 tokens in all."""
    rng = np.random.default_rng(seed)
    found = []
    for at in range(count):
        prompt = sequences = context = 0
        if at % 3 == 0:
            prompt = int(np.exp(rng.uniform(np.log(8), np.log(800))))
        else:
            sequences = int(np.exp(rng.uniform(0.0, np.log(48))))
            context = int(np.exp(rng.uniform(np.log(32), np.log(min(8000 / sequences, 2000)))))
        shape = {"prompt": prompt, "sequences": sequences, "context": context}
        found.append(Case("step", "fp32", shape))
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--count", type=int, default=15)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--out", type=Path)
    given = asked.parse_args()
    device = find("cpu")
    cases = list(profile.planned("small", ("fp32",)))
    more = drawn(given.count, given.seed)
    stride = len(cases) // max(len(more), 1) + 1
    for at, case in enumerate(more):
        cases.insert(at * stride, case)
    header = {"device": asdict(device), "torch": device.torch, "threads": device.threads}
    with tempfile.TemporaryDirectory() as folder:
        out = given.out or Path(folder) / "steps.jsonl"
        time = time_case(device, profile.CONFIGS["small"])
        lines = profile.measure(out, header, cases, time, rounds=given.rounds)
        peak, copied = profile.rates(profile.typical(lines))
        facts = Path(folder) / "this-cpu.toml"
        text = profile.chip_facts("this-cpu", asdict(device), peak, copied, date(2026, 11, 28))
        facts.write_text(text, "utf-8")
        chip = catalog.chip(str(facts))
    learned = profile.learn(lines, "small", chip, catalog.calibration(), "this-cpu")
    off = np.array([step.predicted / step.measured - 1.0 for step in learned.steps])
    for step, each in sorted(zip(learned.steps, off, strict=True), key=lambda pair: str(pair[0])):
        name = f"{step.sequences} over {step.context}" if step.sequences else f"{step.prompt}"
        times = f"{1e3 * step.measured:8.2f} ms {1e3 * step.predicted:8.2f} ms"
        print(f"{name:>12} {times} {100 * each:+6.1f} %")
    median, size, worst = (100 * x for x in (np.median(off), np.median(abs(off)), max(abs(off))))
    within = 100 * np.mean(abs(off) <= 0.2)
    print(
        f"{len(off)} steps: {within:.0f} % within 20 %, worst {worst:.1f} %, median of sizes "
        f"{size:.1f} %, median {median:+.1f} %; load {os.getloadavg()[1]:.1f}"
    )


if __name__ == "__main__":
    main()
