"""Every benchmark in one run, as a table: what was measured beside what must be reached."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import estimates
import law

CHIPS = "h20,h100,h200,b200,mi300x,ascend-910c"
PLAN = ("plan", "llama-2-70b", "--chips", CHIPS, "--isl", "2048", "--osl", "128")
CATALOG = """
import time
from chipwise import catalog
start = time.perf_counter()
catalog.chip("h200"); catalog.model("llama-2-70b")
print(time.perf_counter() - start)
"""


def cold(*arguments: str, runs: int = 5) -> tuple[float, float]:
    """Median wall and CPU seconds of the program in a new process, compiled code cached."""
    walls, cpus = [], []
    for _ in range(runs + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run(
            [str(Path(sys.executable).with_name("chipwise")), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        walls.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # The first run may compile; it is not counted.
    return sorted(walls[1:])[runs // 2], sorted(cpus[1:])[runs // 2]


def catalog_seconds(runs: int = 5) -> float:
    """Median seconds in which a new process reads one chip and one model."""
    found = [
        float(
            subprocess.run([sys.executable, "-c", CATALOG], check=True, capture_output=True).stdout
        )
        for _ in range(runs)
    ]
    return sorted(found)[runs // 2]


def main() -> None:
    """Print the table, and the same as JSON where a file is named."""
    help_cpu = cold("--help")[1]
    plan_wall = cold(*PLAN)[0]
    quick_wall = cold(*PLAN, "--no-simulate")[0]
    each = estimates.main()["seconds_each"]
    law_seconds = law.main()["seconds"]
    rows = [
        ("an estimate, of 100,000, one core", each * 1e6, "µs", 2.0, 1.0),
        ("plan of six chips, cold, with simulation", plan_wall, "s", 2.5, 1.5),
        ("plan of six chips, cold, --no-simulate", quick_wall, "s", None, 1.0),
        ("--help, CPU", help_cpu, "s", 0.2, 0.12),
        ("catalog: a chip and a model, cold", catalog_seconds() * 1e3, "ms", 50.0, 20.0),
        ("the law of all chips on all days", law_seconds, "s", 1.0, 0.5),
    ]
    print(f"{'':45s}{'measured':>12s}{'must':>8s}{'aim':>8s}")
    for name, value, unit, must, aim in rows:
        limit = f"{must:g}" if must is not None else "–"
        print(f"{name:45s}{value:9.2f} {unit:2s}{limit:>8s}{aim:8g}")
    if len(sys.argv) > 1:
        text = json.dumps({name: value for name, value, *_ in rows}, indent=1)
        Path(sys.argv[1]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
