"""How fast the simulator is, and that its loops agree: prints a table, times nothing as a test.

    python benchmarks/simulator.py [--requests 100000] [--large]

Seconds are the process's own (`time.process_time`), the best of several runs, with percentiles and
goodput and without reading the trace. `--large` adds ten million requests.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

from chipwise import serving
from chipwise.catalog.traces import trace
from chipwise.serving import metrics
from chipwise.types import Prompts, StepTable

AFFINE = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)
GRID = np.unique(np.geomspace(1, 8192, 28).astype(int)).astype(float)
TABULATED = StepTable(
    base=0.002,
    tokens=GRID,
    seconds=0.008 + 5e-5 * GRID,
    attention=2e-8,
    pair=1e-10,
    launch=0.01,
)

COLD = """
import time; start = time.perf_counter()
from chipwise import serving
from chipwise.types import StepTable
table = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)
serving.simulate(table, None, [500] * 400, [100] * 400, concurrency=32, blocks=5000)
print(time.perf_counter() - start)
"""


def tiled(load, requests, scale):
    """A trace again and again; the prompts of a copy share nothing with another's."""
    copies = -(-requests // len(load.isl))
    # The next copy begins one mean gap after the last arrival.
    span = load.arrival[-1] * (1 + 1 / len(load.isl))
    arrival = np.concatenate([load.arrival + k * span for k in range(copies)])[:requests] * scale
    isl, osl = (np.tile(x, copies)[:requests] for x in (load.isl, load.osl))
    if load.prompts is None:
        return arrival, isl, osl, None
    told = load.prompts
    names = told.ident.max() + 1
    ident = np.concatenate([told.ident + k * names for k in range(copies)])
    offset = np.concatenate(
        [told.offset[:-1] + k * told.offset[-1] for k in range(copies)] + [[len(ident)]]
    )[: requests + 1]
    end = offset[-1]
    length = np.tile(told.length, copies)[:end]
    return arrival, isl, osl, Prompts(offset, ident[:end], length, np.full(requests, -1))


def measured(run):
    """Everything that `simulate` prints of a run."""
    metrics.summary(run)
    metrics.goodput(run, 2.0, 0.05)
    metrics.output_tokens_per_second(run)


def best(function, times):
    """Least seconds of the process, and what came out."""
    least = np.inf
    for _ in range(times):
        start = time.process_time()
        found = function()
        least = min(least, time.process_time() - start)
    return least, found


def case(name, load, requests, scale, table=AFFINE, times=7, **settings):
    """One row."""
    arrival, isl, osl, prompts = tiled(load, requests, scale)
    if prompts is not None:
        settings |= {"prefix_caching": True, "prompts": prompts}
    run = serving.simulate(table, arrival, isl, osl, **settings)
    alone, run = best(lambda: serving.simulate(table, arrival, isl, osl, **settings), times)
    after, _ = best(lambda: measured(run), times)
    rate = requests / (alone + after)
    print(
        f"{name:52} {rate / 1e6:8.3f} M/s {alone:8.4f} s + {after:.4f} s  "
        f"{run.iterations:>10} iterations {run.preemptions:>6} preemptions"
    )


def agreement(load):
    """The plain loop's percentiles and the aggregate's, side by side."""
    args = (AFFINE, load.arrival * 0.3, load.isl, load.osl)
    runs = [serving.simulate(*args, blocks=8000, loop=name) for name in ("plain", "auto")]
    plain, fast = (metrics.summary(run) for run in runs)
    print(f"percentiles of plain and aggregate equal: {plain == fast}")
    slow, _ = best(lambda: serving.simulate(*args, blocks=8000, loop="plain"), 1)
    print(f"plain loop: {len(load.isl) / slow / 1e6:.3f} M/s")


def cold():
    """Seconds of a process that simulates once, with the compiled code in its cache."""
    runs = [
        float(subprocess.run([sys.executable, "-c", COLD], capture_output=True, check=True).stdout)
        for _ in range(4)
    ]
    print(f"cold process, compiled code cached: {min(runs[1:]):.2f} s in all")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--large", action="store_true")
    asked = parser.parse_args()
    conv, code, mooncake = map(trace, ("azure2023_conv", "azure2023_code", "mooncake_conversation"))
    n = asked.requests
    usual = {"blocks": 30_000, "max_seqs": 256, "max_tokens": 8192}
    case("conv × 0.3, a + b·P + c·D + d·X", conv, n, 0.3, **usual)
    case("conv × 1.0, a + b·P + c·D + d·X", conv, n, 1.0, **usual)
    case("conv × 0.3, step-time table", conv, n, 0.3, TABULATED, **usual)
    case("conv × 1.0, step-time table", conv, n, 1.0, TABULATED, **usual)
    case("conv × 0.3, 8,000 blocks", conv, n, 0.3, blocks=8_000)
    case("conv × 0.2, 60,000 blocks, 1,024 sequences", conv, n, 0.2, blocks=60_000, max_seqs=1024)
    case("code × 0.3", code, n, 0.3, **usual)
    case("mooncake × 1.0, prefix caching", mooncake, n, 1.0, times=2, **usual)
    if asked.large:
        case("conv × 0.3, ten million", conv, 10_000_000, 0.3, times=1, **usual)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"peak memory of the whole benchmark {peak:.2f} GB")
    agreement(conv)
    cold()


if __name__ == "__main__":
    main()
