"""Sums over several devices of one machine, a process for each."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from chipwise.profile.cases import Case
from chipwise.profile.devices import Device, load
from chipwise.profile.timing import Timing, clock, stopwatch

__all__ = ["sums"]

_WARM, _BLOCKS, _CALLS = 5, 5, 20
_BACKENDS = {"cpu": "gloo", "cuda": "nccl", "rocm": "nccl", "npu": "hccl"}
_WIDTH = 2  # bytes of an element


def sums(case: Case, device: Device) -> Timing:
    """Seconds of one all-reduce among the ranks of a case. [s]

    The ranks meet over a file of this machine; each holds its own device, or a thread of the CPU.
    """
    torch = load()
    ranks, bytes_ = case.shape["ranks"], case.shape["bytes"]
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_rank, (ranks, device, bytes_, folder), nprocs=ranks)
        found = json.loads((Path(folder) / "found").read_text(encoding="ascii"))
    return Timing(statistics.median(found), min(found), len(found), _clock(device))


def _clock(device: Device) -> str:
    """Ranks wait for one another, which a thread's own time does not tell."""
    return "wall" if device.kind == "cpu" else clock(device)


def _rank(rank: int, ranks: int, device: Device, bytes_: int, folder: str) -> None:
    """What one process does; the first writes what it measured."""
    torch = load()
    at = _own(torch, device, rank)
    torch.distributed.init_process_group(
        _BACKENDS[device.kind], init_method=f"file://{folder}/meet", rank=rank, world_size=ranks
    )
    held = torch.ones(bytes_ // _WIDTH, dtype=torch.bfloat16, device=at)

    def add() -> Any:
        return torch.distributed.all_reduce(held)

    # Every rank must make the same calls, so that their number is fixed.
    run = stopwatch(device, _clock(device))
    run([add] * _WARM)
    calls = [add] * _CALLS
    found = [run(calls) / _CALLS for _ in range(_BLOCKS)]
    if rank == 0:
        (Path(folder) / "found").write_text(json.dumps(found), encoding="ascii")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _own(torch: Any, device: Device, rank: int) -> str:
    """The rank's own device."""
    if device.kind == "cpu":
        torch.set_num_threads(1)
        return "cpu"
    name = "npu" if device.kind == "npu" else "cuda"
    getattr(torch, name).set_device(rank)
    return f"{name}:{rank}"
