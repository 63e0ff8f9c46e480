"""The status of every chip on every day from October 2022 to the catalog's own, in one process."""

from __future__ import annotations

import time
from datetime import date

from chipwise import catalog, policy

SINCE = date(2022, 10, 1)


def main() -> dict[str, float]:
    chips = [catalog.chip(each) for each in catalog.chip_ids()]
    rules, until = catalog.rules(), catalog.as_of()
    start = time.perf_counter()
    found = [policy.timeline(chip, rules, since=SINCE, until=until) for chip in chips]
    seconds = time.perf_counter() - start
    days = sum((p.end - p.start).days for periods in found for p in periods if p.end)
    return {"chips": float(len(chips)), "verdicts": float(days), "seconds": seconds}


if __name__ == "__main__":
    made = main()
    print(f"{made['verdicts']:,.0f} days of {made['chips']:.0f} chips in {made['seconds']:.2f} s")
