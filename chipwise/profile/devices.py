"""The device that torch computes on: what it is, its clock and temperature, and how it is timed.

One device is timed with CUDA's events around a captured graph of many calls (CUDA and ROCm, which
torch calls alike), with events around as many plain calls (Ascend), and with the thread's own CPU
time (a CPU that computes with one thread, so that other programs do not count) or the wall's.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from chipwise.errors import BadInput

__all__ = [
    "Body",
    "Device",
    "Timing",
    "Watch",
    "apart",
    "clock",
    "find",
    "load",
    "pause",
    "place",
    "state",
    "stopwatch",
    "timed",
]

Body = Callable[..., Any]
Watch = Callable[[Sequence[Body]], float]

_LEAST, _MOST = 3, 25  # stretches of which the median counts
_BLOCK = 4e-3  # shortest stretch that is timed as one [s]
_BUDGET = 0.15  # time after which a case is repeated no more [s]
_LAUNCHES = 20  # calls of a case that a graph holds at least
_CACHE = 32 * 2**20  # last-level cache where nothing tells it [byte]


@dataclass(frozen=True, slots=True)
class Device:
    """A device as torch finds it.

    `kind` is ``cpu``, ``cuda``, ``rocm`` or ``npu``; `count` devices of that kind are in the
    machine; `memory`, last-level `cache` [byte]; `torch` is its version, `threads` of a CPU.
    """

    kind: str
    index: int
    name: str
    vendor: str
    torch: str
    threads: int
    count: int
    memory: float
    cache: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Median and shortest of some repeats of a case [s], and by which clock."""

    seconds: float
    shortest: float
    repeats: int
    clock: str


def find(name: str = "auto", threads: int = 1) -> Device:
    """The device of a name: ``cpu``, ``cuda``, ``cuda:1``, ``npu``; ``auto`` is the fastest there.

    Raises
    ------
    BadInput
        If torch is not installed, or has no such device.
    """
    torch = load()
    kind, _, index = name.partition(":")
    have = _present(torch)
    if kind == "auto":
        kind = next((k for k in ("cuda", "npu") if have.get(k)), "cpu")
    if kind not in have or not (index or "0").isdecimal() or int(index or 0) >= have[kind]:
        known = ", ".join(k if n == 1 else f"{k}:0 to {k}:{n - 1}" for k, n in have.items() if n)
        raise BadInput(f"torch has no device {name!r} here; it has {known}")
    if kind == "cpu":
        torch.set_num_threads(threads)
        return _processor(torch, threads)
    return _accelerator(torch, kind, int(index or 0), have[kind])


def load() -> Any:
    """Torch, with what it needs for Ascend where that is installed."""
    try:
        import torch  # noqa: PLC0415 -- seconds to import, and not everybody has it
    except ModuleNotFoundError:
        raise BadInput(
            "profile needs torch, which is not installed; pip install 'chipwise[torch]', or torch "
            "as your device's maker says"
        ) from None
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("torch_npu")  # enters Ascend's devices
    return torch


def _present(torch: Any) -> dict[str, int]:
    """Kinds of devices and how many of each."""
    npu = getattr(torch, "npu", None)
    return {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "npu": npu.device_count() if npu is not None and npu.is_available() else 0,
    }


_VENDORS = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel", "HiSilicon": "Huawei"}


def _processor(torch: Any, threads: int) -> Device:
    told = _told(Path("/proc/cpuinfo"))
    name = told.get("model name") or platform.processor() or platform.machine()
    vendor = _VENDORS.get(told.get("vendor_id", ""), told.get("vendor_id", "") or "unknown")
    try:
        memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        memory = 0.0
    return Device("cpu", 0, name, vendor, torch.__version__, threads, 1, memory, _last_level())


def _told(path: Path) -> dict[str, str]:
    """First value of each key of a file of the kernel's, empty where there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = [line.partition(":") for line in lines if ":" in line]
    return {key.strip(): value.strip() for key, _, value in reversed(pairs)}


def _last_level() -> float:
    """Bytes of the widest cache of the first core."""
    found = [0.0]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        size = re.fullmatch(r"(\d+)([KM])", path.read_text(encoding="ascii").strip())
        if size:
            found.append(float(size[1]) * {"K": 2**10, "M": 2**20}[size[2]])
    return max(found) or float(_CACHE)


def _accelerator(torch: Any, kind: str, index: int, count: int) -> Device:
    module = getattr(torch, kind)
    module.set_device(index)
    told = module.get_device_properties(index)
    if kind == "cuda" and torch.version.hip:
        kind, vendor = "rocm", "AMD"
    else:
        vendor = {"cuda": "NVIDIA", "npu": "Huawei"}[kind]
    cache = float(getattr(told, "L2_cache_size", 0) or _CACHE)
    # AMD's cards have a last-level cache beyond the L2 that torch tells of.
    cache = max(cache, 256 * 2**20) if kind == "rocm" else cache
    memory = float(told.total_memory)
    return Device(kind, index, told.name, vendor, torch.__version__, 0, count, memory, cache)


def place(device: Device) -> str:
    """The device as torch names it.

    Examples
    --------
    >>> place(Device("rocm", 1, "MI300X", "AMD", "2.9", 0, 8, 1.0, 1.0))
    'cuda:1'
    """
    if device.kind == "cpu":
        return "cpu"
    return f"{'cuda' if device.kind == 'rocm' else device.kind}:{device.index}"


def state(device: Device) -> tuple[float | None, float | None]:
    """Clock [Hz] and temperature [°C] of the device now; None where it does not tell."""
    if device.kind == "cpu":
        return _core_clock(), _core_temperature(_SENSORS)
    if device.kind == "npu":
        return None, None
    cuda = load().cuda
    rate = _asked(cuda.clock_rate, device.index)
    # Releases differ: the clock is told in Hz or in MHz.
    hertz = rate * 1e6 if rate is not None and rate < 1e6 else rate
    return hertz, _asked(cuda.temperature, device.index)


# Where Linux tells temperatures, and the names of the sensors inside processors.
_SENSORS = Path("/sys/class/hwmon")
_PROCESSORS = ("k10temp", "zenpower", "coretemp", "cpu_thermal")


def _core_temperature(sensors: Path) -> float | None:
    for sensor in sorted(sensors.glob("hwmon*")):
        with contextlib.suppress(OSError, ValueError):
            if (sensor / "name").read_text(encoding="ascii").strip() in _PROCESSORS:
                return int((sensor / "temp1_input").read_text(encoding="ascii")) / 1000
    return None


def _core_clock() -> float | None:
    told = _told(Path("/proc/cpuinfo")).get("cpu MHz")
    return float(told) * 1e6 if told else None


def _asked(question: Callable[[int], float], index: int) -> float | None:
    """A sensor's answer; its library (pynvml, amdsmi) may be absent, or not be let in."""
    try:
        return float(question(index))
    except Exception:  # each library has errors of its own
        return None


def clock(device: Device) -> str:
    """What times the device: ``thread``, ``wall`` or ``event``."""
    if device.kind != "cpu":
        return "event"
    return "thread" if device.threads == 1 else "wall"


_TICKS = {"thread": time.thread_time, "wall": time.perf_counter}


def stopwatch(device: Device, named: str) -> Watch:
    """A function that makes calls one after the other and tells the seconds of all, by a clock."""
    if named in _TICKS:
        tick = _TICKS[named]
        return lambda calls: _run(calls, tick)
    torch = load()
    if device.kind == "npu":
        return lambda calls: _between_events(torch.npu, lambda: _make(calls))
    return _graphs(torch)


def apart(device: Device, named: str) -> tuple[Watch, Callable[[Body], Body]]:
    """A stopwatch, and what makes of a function one whose time it does not count.

    On a CPU the function runs and the watch stands still, so that what follows it finds the caches
    as it leaves them. Elsewhere, where the host's code does not count, it runs once and is left out
    from then on.
    """
    if named not in _TICKS:
        return stopwatch(device, named), _once
    tick, away = _TICKS[named], [0.0]

    def aside(function: Body) -> Body:
        def unclocked(*given: Any, **options: Any) -> Any:
            start = tick()
            found = function(*given, **options)
            away[0] += tick() - start
            return found

        return unclocked

    def watch(calls: Sequence[Body]) -> float:
        away[0] = 0.0
        return _run(calls, tick) - away[0]

    return watch, aside


def _once(function: Body) -> Body:
    """A function of an activation and an operand, which gives its first result for the latter."""
    kept: dict[int, Any] = {}

    def known(x: Any, operand: Any, *more: Any, **options: Any) -> Any:
        at = operand.data_ptr()
        if at not in kept:
            kept[at] = function(x, operand, *more, **options)
        return kept[at]

    return known


def _make(calls: Sequence[Body]) -> None:
    for call in calls:
        call()


def _run(calls: Sequence[Body], tick: Callable[[], float]) -> float:
    start = tick()
    _make(calls)
    return tick() - start


def _between_events(module: Any, work: Callable[[], None]) -> float:
    """Seconds that the device takes for work, between two of its events."""
    start, end = module.Event(enable_timing=True), module.Event(enable_timing=True)
    module.synchronize()
    start.record()
    work()
    end.record()
    module.synchronize()
    return float(start.elapsed_time(end)) * 1e-3


def _graphs(torch: Any) -> Watch:
    """Calls captured once and replayed, so that the host's launches do not count."""
    kept: list[tuple[Sequence[Body], Any]] = []

    def run(calls: Sequence[Body]) -> float:
        if not kept or kept[0][0] is not calls:
            kept.clear()
            kept.append((calls, _captured(torch, calls)))
        return _between_events(torch.cuda, kept[0][1].replay)

    return run


def _captured(torch: Any, calls: Sequence[Body]) -> Any:
    """A graph of the calls; they run on a side stream first, as a capture asks for."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        _make(calls)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        _make(calls)
    graph.replay()
    return graph


def timed(bodies: Sequence[Body], watch: Watch, named: str) -> Timing:
    """Seconds of one call, the median of some stretches of calls after a warm-up.

    Parameters
    ----------
    bodies : sequence of callable
        The same case on different operands, which take turns.
    watch : callable
        From `stopwatch` or `apart`.
    named : str
        From `clock`.
    """
    turns = cycle(bodies)
    one = [next(turns)]
    first = min(watch(one), watch(one))
    # A graph is captured once, and must hold a whole turn; plain calls go on where they were.
    least = max(_LAUNCHES, len(bodies)) if named == "event" else 1
    count = max(int(_BLOCK / max(first, 1e-9)), least)
    calls = list(islice(turns, count))
    if named == "event":
        watch(calls)
    found: list[float] = []
    end = time.perf_counter() + _BUDGET
    while len(found) < _LEAST or (time.perf_counter() < end and len(found) < _MOST):
        found.append(watch(calls) / count)
        if named != "event":
            calls = list(islice(turns, count))
    return Timing(statistics.median(found), min(found), len(found), named)


def pause(device: Device) -> None:
    """Give back what a case held on the device."""
    if device.kind != "cpu":
        torch = load()
        (torch.cuda if device.kind in ("cuda", "rocm") else torch.npu).empty_cache()
