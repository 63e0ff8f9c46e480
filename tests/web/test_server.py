"""A real server over loopback: answers, many callers, nonsense, and its end."""

import json
import os
import random
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chipwise import questions
from chipwise.web.forms import FORMS
from tests.conftest import served

pytestmark = pytest.mark.slow

PLAN = "model=llama-2-70b&chips=h200&isl=2048&osl=128&mode=agg&simulate=0"
LONG = "model=llama-2-70b&chip=h200&tp=2&isl=2048&osl=9000&rate=50&requests=20000"


def get(address, path, method="GET"):
    """Status and text of an answer."""
    asked = urllib.request.Request(address + path, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def children(of):
    """Processes that descend from one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = int(fields[1])
    found, front = [], [of]
    while front:
        front = [pid for pid, parent in parents.items() if parent in front]
        found += front
    return found


def running(address, query):
    """A job that has been begun and really runs."""
    code, text = get(address, f"/jobs?kind=simulate&{query}", "POST")
    assert code == 202, text
    job = json.loads(text)["id"]
    until(lambda: json.loads(get(address, f"/jobs/{job}")[1])["state"] == "running", 60)
    return job


def until(true, seconds):
    """Wait for something, not for long."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_api_answers_as_the_program_does(site):
    code, text = get(site, f"/api/plan?{PLAN}")
    asked = {"model": "llama-2-70b", "chips": ["h200"], "isl": 2048, "osl": 128}
    assert code == 200
    asked |= {"mode": "agg", "simulate": False, "roofline": True}
    assert json.loads(text) == questions.plan(asked)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/chips/h200", 200),
        ("/api/chips/%2Fetc%2Fpasswd", 400),
        ("/api/models/..%2F..%2Fx.json", 400),
        ("/api/prices/x.toml", 400),
        ("/api/prices.csv", 200),
        ("/api/secrets", 404),
        ("/static/../web/server.py", 404),
        ("/static/%2e%2e/strings.toml", 404),
        ("/catalog/chips/none", 400),
        ("/nothing", 404),
        ("/jobs/none", 404),
        ("/plan?model=llama-2-70b&chips=h200&isl=x", 400),
        ("/api/train?model=llama-2-70b&chip=h100&chips=1&seq=4096&batch=1", 422),
    ],
)
def test_what_is_not_there_is_told(site, path, code):
    found, text = get(site, path)
    assert found == code, text
    assert "Traceback" not in text
    if code >= 400 and path.startswith("/api/"):
        assert set(json.loads(text)) == {"error", "id"}


def test_nonsense_is_refused_and_breaks_nothing(site):
    draw = random.Random(20261128)
    pieces = ["", "0", "-1", "1", "2", "1e400", "nan", "h200", "910c", "llama-2-70b", "../x.toml"]
    pieces += [
        "%00",
        "\u202e",
        "a" * 500,
        "true",
        "2026-02-30",
        "fp8",
        "own",
        "h200=1",
        "9" * 30,
        ",,",
    ]
    for _ in range(150):
        kind = draw.choice([*FORMS, "chips", "nothing"])
        names = [f.name for f in FORMS.get(kind, ())] or ["x"]
        names += ["lang", "junk", "\x00"]
        picked = [(draw.choice(names), draw.choice(pieces)) for _ in range(draw.randrange(8))]
        # Large simulations are asked for elsewhere.
        picked = [(k, v) for k, v in picked if kind != "simulate" or k != "requests"]
        query = urllib.parse.urlencode(picked)
        page = draw.choice(["/api/", "/"]) + kind
        code, text = get(site, f"{page}?{query}")
        assert code < 500, (page, query, text)


def test_many_callers_at_once_are_all_answered(site):
    paths = ["/", "/plan", "/catalog/chips", f"/plan?{PLAN}", f"/api/plan?{PLAN}", "/api/rules"]
    end = time.monotonic() + 6

    def call(at):
        answered = 0
        while time.monotonic() < end:
            code, text = get(site, paths[(at + answered) % len(paths)])
            assert code == 200, text
            answered += 1
        return answered

    with ThreadPoolExecutor(50) as pool:
        assert min(pool.map(call, range(50))) >= 1


def test_a_cancelled_simulation_ends_at_once(site):
    job = running(site, LONG)
    start = time.monotonic()
    assert get(site, f"/jobs/{job}", "DELETE")[0] == 204
    until(lambda: json.loads(get(site, f"/jobs/{job}")[1])["state"] == "cancelled", 10)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_server_leaves_no_process_and_no_file(tmp_path, end):
    folder = tmp_path / "empty"
    folder.mkdir()
    with served(folder) as (process, address):
        running(address, LONG)
        those = children(process.pid)
        assert those
        os.kill(process.pid, end)
        process.wait(timeout=20)
        until(lambda: not alive() & set(those), 20)
    assert not list(folder.iterdir())


def alive():
    """Processes that are not only remembered."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if stat.read_text().rpartition(")")[2].split()[0] != "Z":
                found.add(int(stat.parent.name))
        except OSError:
            continue
    return found


def test_elsewhere_the_token_opens(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    with served(folder, "--token", "correct-horse-battery") as (_, address):
        assert get(address, "/plan")[0] == 401
        asked = urllib.request.Request(
            f"{address}/plan", headers={"authorization": "Bearer correct-horse-battery"}
        )
        with urllib.request.urlopen(asked) as answer:
            assert answer.status == 200
