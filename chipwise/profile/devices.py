"""The device that torch computes on: what it is, its clock and its temperature."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chipwise.errors import BadInput

__all__ = ["Device", "find", "load", "pause", "place", "state"]

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


def pause(device: Device) -> None:
    """Give back what a case held on the device."""
    if device.kind != "cpu":
        torch = load()
        (torch.cuda if device.kind in ("cuda", "rocm") else torch.npu).empty_cache()
