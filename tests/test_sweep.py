"""Many plans at once: the same answer however often it was interrupted, wherever it ran."""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from chipwise import sweep
from chipwise.cli import main
from chipwise.errors import BadInput, Infeasible
from chipwise.sweep import COLUMNS, Question, answered, case, points, run, spread
from tests.schema import check

QUICK = {"model": "llama-2-70b", "chips": ("h200",), "mode": "agg", "simulate": False}
SMALL = Question(QUICK, {"isl": (512, 2048), "osl": (64, 128, 256)})


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_every_combination_is_a_point_once():
    found = {(case(SMALL, i)["isl"], case(SMALL, i)["osl"]) for i in range(points(SMALL))}
    assert found == {(i, o) for i in (512, 2048) for o in (64, 128, 256)}
    assert case(SMALL, 0).keys() == {*QUICK, "isl", "osl"}


def test_a_question_without_a_grid_is_one_point():
    assert points(Question({**QUICK, "isl": 1, "osl": 1}, {})) == 1


def test_ten_thousand_million_points_cost_no_memory():
    grid = {"isl": range(1, 10**5 + 1), "osl": range(1, 10**5 + 1)}
    assert points(Question(QUICK, grid)) == 10**10
    assert case(Question(QUICK, grid), 10**10 - 1)["osl"] == 10**5


def test_rows_are_those_of_a_plan():
    from chipwise import questions

    (row,) = answered(SMALL, 4)
    (told,) = questions.plan({**QUICK, "isl": 2048, "osl": 128})["chips"]
    assert (row["point"], row["isl"], row["osl"]) == (4, 2048, 128)
    assert row["output_tokens_per_s"] == told["output_tokens_per_s"]["value"]
    assert row["deployment_decode_batch"] == told["deployment"]["decode"]["batch"]
    assert {"point", "isl", "osl", *COLUMNS} == row.keys()


def test_a_point_that_cannot_be_asked_is_a_row_with_the_reason():
    (row,) = answered(Question({**QUICK, "osl": 8}, {"isl": (0,)}), 0)
    assert row["feasible"] is False
    assert row["error"].startswith("isl is 0")


def test_simulated_figures_are_of_the_percentile_asked_for():
    asked = {**QUICK, "isl": 512, "osl": 32, "simulate": True, "percentile": 90.0}
    (row,) = answered(Question(asked, {}), 0)
    from chipwise import questions

    (told,) = questions.plan(asked)["chips"]
    assert row["simulated_ttft_s"] == told["simulated"]["ttft_p90"]


@pytest.mark.slow
@pytest.mark.parametrize("form", sweep.FORMS)
def test_what_is_missing_is_made_again_and_nothing_else(tmp_path, form):
    told = []
    whole = run(SMALL, tmp_path / "a", part=1, form=form, processes=2)
    assert (whole.points, whole.parts, whole.kept, whole.rows) == (6, 6, 0, 6)
    before = files(tmp_path / "a")
    for name in (f"part-000000000001.{form}", f"part-000000000005.{form}"):
        (tmp_path / "a" / name).unlink()
    kept = {n: (tmp_path / "a" / n).stat().st_mtime_ns for n in files(tmp_path / "a")}
    (tmp_path / "a" / f".part-000000000001.{form}.77").write_bytes(b"half")
    again = run(SMALL, tmp_path / "a", part=1, form=form, tell=lambda *a: told.append(a))
    assert (again.parts, again.kept, again.rows) == (2, 4, 6)
    assert files(tmp_path / "a") == before
    assert all((tmp_path / "a" / n).stat().st_mtime_ns == at for n, at in kept.items())
    assert told == [(4, 6), (5, 6), (6, 6)]


def test_signs_in_a_folders_name_are_its_name(tmp_path, monkeypatch):
    pytest.importorskip("polars")
    monkeypatch.setattr(
        sweep, "spread", lambda function, items, **_: ((i, function(i)) for i in items)
    )
    found = run(SMALL, tmp_path / "a*[b", form="parquet")
    assert (found.rows, found.feasible) == (6, 6)


def test_another_sweep_is_not_written_over(tmp_path):
    sweep._claim(tmp_path / "a", {"part": 1})
    sweep._claim(tmp_path / "a", {"part": 1})
    with pytest.raises(BadInput, match="holds another sweep"):
        sweep._claim(tmp_path / "a", {"part": 2})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="no empty folder"):
        sweep._claim(tmp_path / "b", {"part": 1})
    assert (tmp_path / "b" / "mine.txt").read_text() == "mine"


# Processes that start afresh import what they run.
WORK = """
import os, pathlib, signal
from chipwise.errors import BadInput

def die_once(flag, item):
    if item == 3 and not pathlib.Path(flag).exists():
        pathlib.Path(flag).touch()
        die(item)
    return item * item

def die(item):
    os.kill(os.getpid(), signal.SIGKILL)

def refuse(item):
    raise BadInput(f"{item} cannot be")
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "dying_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("dying_work")


@pytest.mark.slow
def test_the_part_of_a_killed_worker_is_done_again(tmp_path, work):
    once = partial(work.die_once, str(tmp_path / "died"))
    assert dict(spread(once, range(8), processes=2)) == {i: i * i for i in range(8)}
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_workers_that_always_die_end_the_sweep(work):
    with pytest.raises(Infeasible, match="killed 3 times with nothing done"):
        dict(spread(work.die, range(2), processes=1))


@pytest.mark.slow
def test_an_error_of_the_work_is_told_as_it_is(work):
    with pytest.raises(BadInput, match="0 cannot be"):
        dict(spread(work.refuse, [0], processes=1))


# -- the command ---------------------------------------------------------------------------------

TOML = """
model = "llama-2-70b"
mode = "agg"
simulate = false

[grid]
chips = ["h200", "h100", "h20"]
isl = [512, 1024, 2048]
osl = [64, 128, 256, 512]
"""


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "q.toml").write_text(text)
    return tmp_path / "q.toml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('model = "m"', "chips is missing"),
        (TOML.replace("[512, 1024, 2048]", "512"), "line 8: grid.isl: a list of values"),
        (TOML.replace("[512, 1024, 2048]", "[]"), "line 8: grid.isl: a list of values"),
        (TOML.replace("[512, 1024, 2048]", "[512, 0]"), "line 8: isl: 0 is not a whole number"),
        (TOML.replace("isl", "ils"), "unknown key 'ils'"),
        (TOML.replace("mode =", "format ="), "unknown key 'format'"),
        (TOML.replace("mode =", "isl = 5\nmode ="), "isl stands outside of grid and in it"),
        ("grid = 1", "grid: a table of lists was expected"),
        ("model = [", "not valid TOML"),
    ],
)
def test_a_wrong_question_is_refused_in_one_line(tmp_path, capsys, text, message):
    out = tmp_path / "out"
    assert main(["sweep", str(write(tmp_path, text)), "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not out.exists()


def test_a_library_that_is_needed_and_absent_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    file = str(write(tmp_path, TOML))
    assert main(["sweep", file, "--out", str(tmp_path / "out")]) == 2
    assert "pip install 'chipwise[frames]', or ask for --parts csv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def command(file: Path, out: Path, *more: str) -> list[str]:
    program = Path(sys.executable).with_name("chipwise")
    return [str(program), "sweep", str(file), "--out", str(out), "--part", "2", *more]


@pytest.mark.slow
def test_what_it_came_to_is_told_as_the_schema_says(tmp_path, capsys):
    text = TOML.replace("[64, 128, 256, 512]", "[64, 20000000]").replace("[512, 1024, 2048]", "[9]")
    asked = ["sweep", str(write(tmp_path, TOML)), "--out", str(tmp_path / "out"), "--format"]
    assert main([*asked, "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    check("sweep", found)
    assert (found["points"], found["rows"], found["parts"]) == (36, 36, 1)
    assert main([*asked, "table", "--lang", "zh"]) == 0
    assert "36 个点" in capsys.readouterr().out
    write(tmp_path, text)
    assert main([*asked, "table"]) == 2
    assert "20000000" in capsys.readouterr().err


def killed_at_random(started: list[str], out: Path, seed: int, count: int) -> None:
    """Start a sweep and kill it after some parts, so often."""
    draw = random.Random(seed)
    for k in range(count):
        driver = subprocess.Popen(started, stdout=subprocess.DEVNULL)
        until = min(17, 1 + 4 * k + draw.randrange(3))
        limit = time.monotonic() + 120
        while len(list(out.glob("part-*"))) < until and driver.poll() is None:
            assert time.monotonic() < limit
            time.sleep(0.02)
        driver.send_signal(signal.SIGKILL)
        driver.wait()


@pytest.mark.slow
def test_a_sweep_whose_driver_is_killed_goes_on_to_the_same_answer(tmp_path):
    file = write(tmp_path, TOML)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(file, whole), check=True, capture_output=True)
    killed_at_random(command(file, cut, "--processes", "1"), cut, 1, 3)
    subprocess.run(command(file, cut), check=True, capture_output=True)
    assert files(cut) == files(whole)


@pytest.mark.slow
def test_no_worker_outlives_a_killed_driver(tmp_path):
    file, out = write(tmp_path, TOML), tmp_path / "out"
    driver = subprocess.Popen(command(file, out), stdout=subprocess.DEVNULL, start_new_session=True)
    limit = time.monotonic() + 120
    while not list(out.glob("part-*")) and time.monotonic() < limit:
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    while time.monotonic() < limit:
        try:
            os.killpg(driver.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a worker is still there")


# -- a cluster -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    """Two Ray nodes of one core each, as processes of this machine."""
    ray = pytest.importorskip("ray")
    address = f"{HEAD}:{20000 + os.getpid() % 20000}"
    nodes = []
    # Short: the path of a socket in it may have 107 characters, and pytest's own are long.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        try:
            nodes.append(_node(folder, HEAD, "--head", f"--port={address.rpartition(':')[2]}"))
            _until_all(ray, address, nodes, folder)
            nodes.append(_node(folder, OTHER, f"--address={address}"))
            _until_all(ray, address, nodes, folder)
            yield address
        finally:
            for node in reversed(nodes):
                node.terminate()
            for node in nodes:
                node.wait(timeout=60)


# Ray takes 127.0.0.1 for "the address by which others see this machine", which need not answer;
# the other addresses of the loopback it takes as they are.
HEAD, OTHER = ("127.0.0.2", "127.0.0.3") if sys.platform == "linux" else ("127.0.0.1",) * 2


def _node(folder: str, address: str, *options: str) -> subprocess.Popen:
    """One Ray node of one core, which says in a file of the folder what it has to say."""
    program = Path(sys.executable).with_name("ray")
    small = ["--num-cpus=1", "--num-gpus=0", "--object-store-memory=100000000", "--block"]
    quiet = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder}
    if "--head" in options:
        small.append("--include-dashboard=false")
    with Path(folder, f"{address}.log").open("w", encoding="utf-8") as log:
        return subprocess.Popen(
            [program, "start", *options, f"--node-ip-address={address}", *small],
            env=quiet,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _until_all(ray, address: str, nodes: list[subprocess.Popen], folder: str) -> None:
    """Wait until every node is in the cluster; what they said, where one has ended instead."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit and all(node.poll() is None for node in nodes):
        time.sleep(1)
        if not _answers(address):
            continue
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR")
            if sum(node["Alive"] for node in ray.nodes()) == len(nodes):
                return
        except (ConnectionError, RuntimeError, ValueError):
            pass
        finally:
            ray.shutdown()
    told = "\n".join(log.read_text(encoding="utf-8") for log in Path(folder).glob("*.log"))
    raise AssertionError(f"no cluster of {len(nodes)} nodes came up:\n{told}")


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as tried:
        return tried.connect_ex((host, int(port))) == 0


@pytest.mark.slow
def test_two_nodes_answer_as_this_machine_does(tmp_path, cluster):
    file = write(tmp_path, TOML)
    subprocess.run(command(file, tmp_path / "here"), check=True, capture_output=True)
    there = command(file, tmp_path / "there", "--on", "ray", "--address", cluster)
    killed_at_random(there, tmp_path / "there", 2, 2)
    subprocess.run(there, check=True, capture_output=True)
    assert files(tmp_path / "there") == files(tmp_path / "here")


@pytest.mark.slow
def test_no_cluster_is_told_in_one_line(tmp_path):
    wrong = command(write(tmp_path, TOML), tmp_path / "out", "--on", "ray")
    done = subprocess.run(
        [*wrong, "--address", "127.0.0.1:1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no Ray cluster at '127.0.0.1:1'" in done.stderr
    assert "Traceback" not in done.stderr
