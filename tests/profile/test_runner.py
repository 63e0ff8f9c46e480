"""Measurements are appended whole, and a killed run goes on without doing anything twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from chipwise.errors import BadInput
from chipwise.profile.cases import Case, key
from chipwise.profile.runner import FORM, measure, read

CASES = [Case("gemm", "fp32", {"m": m, "n": 8, "k": 8}) for m in range(1, 7)]
HEADER = {"device": {"name": "pretended"}, "torch": "0", "threads": 1}


def timing(calls):
    def one(case):
        calls.append(key(case))
        return {"seconds": 1e-3 * case.shape["m"]}

    return one


def test_every_case_is_timed_once_a_round_and_kept(tmp_path):
    calls = []
    path = tmp_path / "deep" / "p.jsonl"
    lines = measure(path, HEADER, CASES, timing(calls), rounds=2)
    assert len(calls) == len(lines) == 12
    assert calls[:6] == [key(c) for c in CASES] == calls[6:]
    begun, kept = read(path)
    assert begun["torch"] == "0"
    assert kept == lines
    assert measure(path, HEADER, CASES, timing(calls), rounds=2) == lines
    assert len(calls) == 12


@pytest.mark.parametrize("cut", [1, 20, 45])
def test_a_line_cut_short_is_mended_and_its_case_timed_again(tmp_path, cut):
    path = tmp_path / "p.jsonl"
    measure(path, HEADER, CASES[:3], timing([]), rounds=1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    calls = []
    lines = measure(path, HEADER, CASES, timing(calls), rounds=1)
    assert calls == [key(c) for c in CASES[2:]]
    assert len(lines) == 6
    assert read(path)[1] == lines


def test_a_header_cut_short_is_begun_anew(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"chipwise_pro', "utf-8")
    assert len(measure(path, HEADER, CASES, timing([]), rounds=1)) == 6
    assert read(path)[0]["chipwise_profile"] == FORM


_RUN = """
import sys, time
from pathlib import Path
from chipwise.profile.cases import Case
from chipwise.profile.runner import measure
def slow(case):
    time.sleep(0.02)
    return {"seconds": 1.0}
cases = [Case("gemm", "fp32", {"m": m, "n": 8, "k": 8}) for m in range(1, 200)]
header = {"device": {"name": "pretended"}, "torch": "0", "threads": 1}
measure(Path(sys.argv[1]), header, cases, slow, rounds=1)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_run_that_was_killed_goes_on(tmp_path):
    path = tmp_path / "p.jsonl"
    run = subprocess.Popen([sys.executable, "-c", _RUN, str(path)])
    for _ in range(600):
        if path.exists() and path.read_bytes().count(b"\n") > 20:
            break
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    held = path.read_bytes().count(b"\n") - 1
    assert 20 <= held < 199
    calls = []
    cases = [Case("gemm", "fp32", {"m": m, "n": 8, "k": 8}) for m in range(1, 200)]
    lines = measure(path, HEADER, cases, timing(calls), rounds=1)
    assert len(calls) == 199 - held
    assert len({json.dumps(line["shape"]) for line in lines}) == len(lines) == 199


@pytest.mark.parametrize("name", ["device", "torch", "threads"])
def test_another_machines_file_is_refused(tmp_path, name):
    path = tmp_path / "p.jsonl"
    measure(path, HEADER, CASES[:1], timing([]), rounds=1)
    with pytest.raises(BadInput, match=f"was begun with {name}"):
        measure(path, {**HEADER, name: "other"}, CASES, timing([]), rounds=1)


def test_a_file_of_something_else_is_refused_with_its_line(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("a,b\n1,2\n", "utf-8")
    with pytest.raises(BadInput, match="line 1"):
        read(path)
    measure(tmp_path / "q.jsonl", HEADER, CASES[:2], timing([]), rounds=1)
    text = (tmp_path / "q.jsonl").read_text("utf-8").splitlines()
    path.write_text("\n".join([text[0], '{"op": 1}', text[1]]) + "\n", "utf-8")
    with pytest.raises(BadInput, match="line 2"):
        read(path)


def test_a_file_of_another_form_is_refused(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"chipwise_profile": 1}\n', "utf-8")
    with pytest.raises(BadInput, match=f"form 1, not {FORM}"):
        measure(path, HEADER, CASES, timing([]), rounds=1)


def test_a_folder_that_cannot_be_is_told(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("", "utf-8")
    with pytest.raises(BadInput, match="cannot be written"):
        measure(blocked / "p.jsonl", HEADER, CASES, timing([]), rounds=1)
