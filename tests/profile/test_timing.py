"""How calls are counted, which take turns, and what does not count: with pretended clocks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from chipwise.profile import timing
from chipwise.profile.devices import Device
from chipwise.profile.timing import timed


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

    monkeypatch.setitem(timing._TICKS, "thread", lambda: now[0])
    watch, aside = timing.apart(Device("cpu", 0, "X", "V", "2", 1, 1, 1.0, 1.0), "thread")
    product, between = aside(taking(5.0)), taking(0.25)

    def layer():
        between()
        assert product("x", "w") == "x"
        between()

    assert watch([layer] * 6) == pytest.approx(6 * 0.5)
    assert watch([layer]) == pytest.approx(0.5)  # nothing is left of the time before


def test_an_accelerator_leaves_out_what_does_not_count(monkeypatch):
    """Each product runs once, for its operand, and gives the same result from then on."""
    monkeypatch.setattr(timing, "load", lambda: SimpleNamespace(cuda=None))
    _, aside = timing.apart(Device("cuda", 0, "X", "V", "2", 0, 1, 1.0, 1.0), "event")
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
    watch = timing._graphs(SimpleNamespace(cuda=cuda))
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
