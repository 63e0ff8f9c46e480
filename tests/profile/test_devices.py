"""Which device is chosen, how it is named, and how calls are counted: with a pretended torch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from chipwise.errors import BadInput
from chipwise.profile import devices
from chipwise.profile.devices import Device, clock, find, place, state, timed


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


def watching(seconds):
    """A pretended clock by which every call takes so long, and what it was given."""
    made = []

    def watch(calls):
        made.append(list(calls))
        return seconds * len(calls)

    return watch, made


def test_time_is_shared_among_the_calls():
    watch, made = watching(2e-3)
    found = timed([lambda: None] * 3, watch, "thread")
    assert found.seconds == found.shortest == pytest.approx(2e-3)
    assert found.repeats == len(made) - 2 >= 3
    # Short calls are made many times in one stretch.
    watch, made = watching(1e-6)
    assert timed([lambda: None], watch, "thread").seconds == pytest.approx(1e-6)
    assert len(made[-1]) > 1000


def test_operands_take_turns_from_stretch_to_stretch():
    """However long a call takes, none comes twice before all have come."""
    bodies = [lambda at=at: at for at in range(7)]
    for seconds in (1.0, 2e-3):
        watch, made = watching(seconds)
        timed(bodies, watch, "thread")
        order = [call() for calls in made[1:] for call in calls]
        assert order == [at % 7 for at in range(len(order))]


def test_a_graph_holds_a_whole_turn():
    watch, made = watching(1.0)
    bodies = [lambda at=at: at for at in range(50)]
    timed(bodies, watch, "event")
    assert {call() for call in made[-1]} == set(range(50))
    assert all(calls == made[-1] for calls in made[2:])


def test_a_watch_stands_still_in_what_does_not_count(monkeypatch):
    """A pretended clock, which every function advances by what it takes."""
    now = [0.0]

    def taking(seconds):
        def call(x=None, _operand=None):
            now[0] += seconds
            return x

        return call

    monkeypatch.setitem(devices._TICKS, "thread", lambda: now[0])
    watch, aside = devices.apart(Device("cpu", 0, "X", "V", "2", 1, 1, 1.0, 1.0), "thread")
    product, between = aside(taking(5.0)), taking(0.25)

    def layer():
        between()
        assert product("x", "w") == "x"
        between()

    assert watch([layer] * 6) == pytest.approx(6 * 0.5)
    assert watch([layer]) == pytest.approx(0.5)  # nothing is left of the time before


def test_an_accelerator_leaves_out_what_does_not_count(monkeypatch):
    """Each product runs once, for its operand, and gives the same result from then on."""
    monkeypatch.setattr(devices, "load", lambda: pretended(cuda=1))
    _, aside = devices.apart(Device("cuda", 0, "X", "V", "2", 0, 1, 1.0, 1.0), "event")
    ran = []
    product = aside(lambda x, w: ran.append(w.data_ptr()) or (x, w.data_ptr()))
    first, second = (SimpleNamespace(data_ptr=lambda at=at: at) for at in (1, 2))
    assert product("a", first) == ("a", 1)
    assert product("b", first) == ("a", 1)
    assert product("c", second) == ("c", 2)
    assert ran == [1, 2]


def test_a_graph_is_captured_once_and_replayed():
    log = []

    class Event:
        def __init__(self, *, enable_timing):
            assert enable_timing

        def record(self):
            log.append("record")

        def elapsed_time(self, _end):
            return 6.0

    class Graph:
        def replay(self):
            log.append("replay")

    class Within:
        def __init__(self, *_given):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_raised):
            return False

        def wait_stream(self, _other):
            pass

    cuda = SimpleNamespace(
        Event=Event,
        Stream=Within,
        CUDAGraph=Graph,
        graph=Within,
        stream=Within,
        current_stream=Within,
        synchronize=lambda: log.append("wait"),
    )
    watch = devices._graphs(SimpleNamespace(cuda=cuda))
    ran = []
    calls = [lambda: ran.append(1)] * 4
    assert watch(calls) == pytest.approx(6e-3)
    assert len(ran) == 4 + 4  # once aside, then while the graph is captured
    log.clear()
    watch(calls)
    assert len(ran) == 8
    assert log == ["wait", "record", "replay", "record", "wait"]
    watch([lambda: ran.append(1)])
    assert len(ran) == 10


def test_place_of_every_kind():
    told = ("X", "V", "2", 0, 8, 1.0, 1.0)
    assert [place(Device(k, 2, *told)) for k in ("cpu", "cuda", "rocm", "npu")] == [
        *("cpu", "cuda:2", "cuda:2", "npu:2")
    ]
