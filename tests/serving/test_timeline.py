import json
from itertools import pairwise

import numpy as np
import pytest

from chipwise import serving
from chipwise.errors import BadInput
from chipwise.serving import timeline
from chipwise.types import StepTable

SECOND = StepTable(base=1.0)


def play(**kw):
    return serving.simulate(SECOND, [0.0, 0.0, 9.5], [10, 20, 5], [3, 4, 2], blocks=20, **kw)


def test_every_request_lasts_from_its_arrival_to_its_end():
    run = play(max_seqs=1)
    slices = [e for e in timeline.events(run) if e["ph"] == "X"]
    for i in range(3):
        mine = [e for e in slices if e["name"].split()[0] == str(i)]
        assert mine[0]["ts"] == pytest.approx(run.arrival[i] * 1e6)
        assert sum(e["dur"] for e in mine) == pytest.approx((run.finish[i] - run.arrival[i]) * 1e6)
    assert [e["name"] for e in slices if e["name"].startswith("1")] == [
        "1 wait",
        "1 prefill",
        "1 decode",
    ]


def test_requests_that_overlap_stand_in_different_lanes():
    rng = np.random.default_rng(0)
    run = serving.simulate(
        SECOND, np.sort(rng.uniform(0, 50, 40)), np.full(40, 9), rng.integers(1, 20, 40), blocks=99
    )
    lanes = {}
    for event in timeline.events(run):
        if event["ph"] == "X":
            lanes.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
    for spans in lanes.values():
        spans.sort()
        assert all(a[1] <= b[0] + 1e-3 for a, b in pairwise(spans))
    alive = [((run.arrival <= t) & (run.finish > t)).sum() for t in run.arrival]
    assert len(lanes) == max(alive)


def test_iterations_and_counters_are_there_where_they_were_recorded():
    run = play(record_steps=True, replicas=2)
    found = timeline.events(run)
    names = {e["args"]["name"] for e in found if e["ph"] == "M"}
    assert names == {"requests", "engine 0", "engine 1"}
    assert sum(e["ph"] == "X" and e["pid"] > 1 for e in found) == run.iterations
    assert sum(e["ph"] == "C" for e in found) == 3 * run.iterations
    assert json.loads(json.dumps(found)) == found
    assert not [e for e in timeline.events(play()) if e["ph"] == "C"]


def test_a_timeline_that_no_browser_opens_is_refused():
    with pytest.raises(BadInput, match="too many for a timeline; at most 2"):
        timeline.events(play(), most=2)
