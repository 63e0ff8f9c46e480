"""Which device is chosen, and how it is named: with a pretended torch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from chipwise.errors import BadInput
from chipwise.profile import devices
from chipwise.profile.devices import Device, find, place, state
from chipwise.profile.timing import clock


def pretended(*, cuda=0, npu=0, hip=None):
    """A torch that has so many devices."""
    told = SimpleNamespace(name="Pretended X", total_memory=64e9, L2_cache_size=50 * 2**20)

    def kind(count):
        return SimpleNamespace(
            is_available=lambda: count > 0,
            device_count=lambda: count,
            set_device=lambda _index: None,
            get_device_properties=lambda _index: told,
            clock_rate=lambda _index: 1755,
            temperature=lambda _index: 61,
        )

    found = SimpleNamespace(
        __version__="2.0",
        cuda=kind(cuda),
        version=SimpleNamespace(hip=hip),
        set_num_threads=lambda _count: None,
    )
    if npu:
        found.npu = kind(npu)
    return found


@pytest.mark.parametrize(
    ("there", "asked", "kind", "vendor", "named"),
    [
        ({}, "auto", "cpu", None, "cpu"),
        ({"cuda": 2}, "auto", "cuda", "NVIDIA", "cuda:0"),
        ({"cuda": 2}, "cuda:1", "cuda", "NVIDIA", "cuda:1"),
        ({"cuda": 8, "hip": "6.4"}, "cuda:3", "rocm", "AMD", "cuda:3"),
        ({"npu": 8}, "auto", "npu", "Huawei", "npu:0"),
        ({"cuda": 1}, "cpu", "cpu", None, "cpu"),
    ],
)
def test_a_device_is_found_by_its_name(monkeypatch, there, asked, kind, vendor, named):
    monkeypatch.setattr(devices, "load", lambda: pretended(**there))
    found = find(asked)
    assert (found.kind, place(found)) == (kind, named)
    if vendor:
        assert (found.vendor, found.name, found.memory) == (vendor, "Pretended X", 64e9)
        assert clock(found) == "event"
    else:
        assert clock(found) == "thread"
        assert clock(find("cpu", threads=2)) == "wall"


@pytest.mark.parametrize("asked", ["cuda", "npu", "cuda:x", "tpu", "cpu:1"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(monkeypatch, asked):
    monkeypatch.setattr(devices, "load", pretended)
    with pytest.raises(BadInput, match="it has cpu"):
        find(asked)


def test_a_machine_without_torch_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BadInput, match=r"chipwise\[torch\]"):
        find()


@pytest.mark.parametrize("told", [1755, 1.755e9])
def test_a_clock_is_in_hertz_whichever_release_tells_it(monkeypatch, told):
    torch = pretended(cuda=1)
    torch.cuda.clock_rate = lambda _index: told
    monkeypatch.setattr(devices, "load", lambda: torch)
    assert state(find("cuda")) == (pytest.approx(1.755e9), 61.0)


def test_a_processors_temperature_is_its_own_sensors(tmp_path):
    for at, (name, told) in enumerate({"nvme": "31850", "k10temp": "58125"}.items()):
        sensor = tmp_path / f"hwmon{at}"
        sensor.mkdir()
        (sensor / "name").write_text(f"{name}\n", "ascii")
        (sensor / "temp1_input").write_text(f"{told}\n", "ascii")
    assert devices._core_temperature(tmp_path) == pytest.approx(58.125)
    (tmp_path / "hwmon1" / "temp1_input").write_text("", "ascii")
    assert devices._core_temperature(tmp_path) is None
    assert devices._core_temperature(tmp_path / "none") is None


def test_a_sensor_that_fails_is_unknown(monkeypatch):
    torch = pretended(cuda=1)

    def absent(_index):
        raise RuntimeError("pynvml is not there")

    torch.cuda.clock_rate = torch.cuda.temperature = absent
    monkeypatch.setattr(devices, "load", lambda: torch)
    assert state(find("cuda")) == (None, None)


def test_place_of_every_kind():
    told = ("X", "V", "2", 0, 8, 1.0, 1.0)
    assert [place(Device(k, 2, *told)) for k in ("cpu", "cuda", "rocm", "npu")] == [
        *("cpu", "cuda:2", "cuda:2", "npu:2")
    ]
