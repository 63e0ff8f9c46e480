"""A sweep of 4,000 simulated plans by one process, by two, and on a Ray cluster of two nodes.

`python benchmarks/sweep.py [ADDRESS]`; with the address of a cluster that runs, such as that of

    ray start --head --port 6399 --num-cpus 1 --node-ip-address 127.0.0.2
    ray start --address 127.0.0.2:6399 --num-cpus 1 --node-ip-address 127.0.0.3

Rates are those after the first parts have come, so that the start of processes is not counted.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from chipwise.sweep import Question, Summary, points, run

QUESTION = Question(
    {"mode": "agg", "percentile": 99.0},
    {
        "model": ("llama-3.1-70b", "qwen3-32b", "gpt-oss-120b", "llama-3.1-8b", "mixtral-8x7b"),
        "chips": (("h200",), ("h100",), ("h20",), ("b200",)),
        "isl": tuple(range(512, 5632, 512)),
        "osl": (64, 128, 256, 384, 512),
        "tpot": (0.03, 0.05, 0.08, 0.2),
    },
)
PART = 100


def timed(out: Path, workers: int, **where: object) -> tuple[float, float, Summary]:
    """Points/s once all workers are at work, seconds in all, and what the sweep came to."""
    ticks: list[tuple[float, int]] = []
    start = time.perf_counter()
    found = run(
        QUESTION,
        out,
        part=PART,
        tell=lambda done, _: ticks.append((time.perf_counter(), done)),
        **where,  # type: ignore[arg-type]
    )
    (first, begun), (last, ended) = ticks[workers], ticks[-workers]
    return (ended - begun) / (last - first), time.perf_counter() - start, found


def main() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        one, whole, found = timed(out / "one", 1, processes=1)
        two, _, _ = timed(out / "two", 2, processes=2)
        size = sum(path.stat().st_size for path in (out / "one").glob("part-*"))
        made = {
            "points": float(points(QUESTION)),
            "rows": float(found.rows),
            "seconds_a_point": 1.0 / one,
            "seconds_by_one": whole,
            "bytes_a_row": size / found.rows,
            "efficiency_two_processes": two / one / 2.0,
        }
        if len(sys.argv) > 1:
            ray, _, _ = timed(out / "ray", 2, on="ray", address=sys.argv[1])
            made["efficiency_two_nodes"] = ray / one / 2.0
            same = [p.read_bytes() == (out / "ray" / p.name).read_bytes() for p in parts(out)]
            made["files_that_differ"] = float(len(same) - sum(same))
        return made


def parts(out: Path) -> list[Path]:
    return sorted((out / "one").glob("part-*"))


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
