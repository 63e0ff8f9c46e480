"""Asks chipwise and its peers the same questions: `python benchmarks/compare.py`, an hour at most.

Installs each peer that installs in an environment of its own, which is thrown away; writes
docs/compare.md. `--envs DIR` keeps the environments and uses those that are there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chipwise import catalog, habits
from chipwise.catalog.factors import read_calibration
from chipwise.catalog.files import DATA
from chipwise.catalog.measured import table
from chipwise.validation import fitting

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "compare.md"
SCRIPTS = Path(__file__).with_name("peers")
SHARES = (1 / 8, 3 / 8, 5 / 8, 7 / 8)  # of a group's rows, in the order of their ids
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Peer:
    """A program: its name, what pip installs, its script, and what it is asked."""

    name: str
    package: str
    script: str
    asked: str
    note: str


PEERS = (
    Peer("chipwise", str(ROOT), "ask_ours.py", "serving", "as `validate` answers"),
    Peer("AIConfigurator", "aiconfigurator", "ask_aiconfigurator.py", "serving",
         "`cli estimate`, aggregated, newest tables of the engine, nothing else set"),
    Peer("AISimulate", "aisimulate", "", "serving", ""),
    Peer("GenZ", "genz-llm", "ask_genz.py", "serving",
         "its prefill of one prompt and its decode of the whole batch; no queue, no scheduler"),
    Peer("Vidur", "vidur", "ask_vidur.py", "serving", "its own command, defaults"),
    Peer("llm-analysis", "llm-analysis", "ask_llm_analysis.py", "training",
         "`train`, defaults: the whole of the peak unless said"),
    Peer("Calculon", "", "", "training", ""),
)  # fmt: skip
ABSENT = {
    "AISimulate": "its package is a stub that fetches the program from another place when it is "
    "installed, which fails where only the package registry can be reached",
    "Calculon": "it is not a package (the package of that name is another program); what its own "
    "code said of the training rows is in [training](training.md#beside-calculon-and-llm-analysis)",
}


def sample() -> tuple[Rows, fitting.Left]:
    """Rows of every model × chip × engine × format, and what a fit without their stack says."""
    _, rows = table(DATA / "measured" / "serving.csv")
    by_id = {row["id"]: row for row in rows}
    measured, _ = fitting.sorted_out(rows)
    begin = habits.start(measured, read_calibration(DATA / "calibration_start.json"))
    left = fitting.left_out(begin, "stack", fitting.schemes(measured)["stack"])
    groups = defaultdict(list)
    for at, m in enumerate(measured):
        if not np.isnan(left.logs[at]).any():
            groups[*m.stack, m.run.weights].append(at)
    found: Rows = []
    for _, at in sorted(groups.items()):
        picks = sorted({int(share * len(at)) for share in SHARES})
        at.sort(key=lambda i: measured[i].id)
        found += [question(measured[at[k]], by_id, left.logs[at[k]]) for k in picks]
    return found, left


def question(m: habits.Measured, by_id: Any, logs: Any) -> dict[str, Any]:
    """A row as it is asked: mean lengths of what was really sent, and what was measured."""
    run, row = m.run, by_id[m.id]
    mean = (run.protocol.low + run.protocol.high) / 2
    experts = next((b.dims.get("experts", 0) for b in run.model.layers if b.kind == "moe"), 0)
    return {
        "id": m.id,
        "model": row["model"],
        "chip": run.chip.id,
        "backend": run.backend,
        "weights": run.weights,
        "isl": round(mean * run.isl),
        "osl": round(mean * run.osl),
        "concurrency": run.concurrency,
        "tp": run.tp,
        "dp": run.dp,
        "ep": run.ep,
        "experts": int(experts),
        "told": {k: v for k, v in row.items() if k not in ("ttft_ms", "tpot_ms")},
        "measured": (m.ttft, m.tpot),
        "unseen": (m.ttft * float(np.exp(logs[0])), m.tpot * float(np.exp(logs[1]))),
    }


def steps() -> Rows:
    """Training steps on A100 that others published, in the layouts that were run."""
    sys.path.insert(0, str(ROOT))
    from tests.oracles import test_training_published as published  # noqa: PLC0415

    found: Rows = []
    for row in published.PEERS["rows"]:
        if row["model"] in published.PAPER and "row" not in row:
            layers, hidden, heads = published.PAPER[row["model"]][0]
        else:
            model = catalog.model(f"nvidia/gpt-{row['model'].lower()}")
            dims = model.layers[0].dims
            layers, hidden, heads = model.depth, model.hidden, int(dims["heads"])
        shape = {"layers": layers, "hidden": hidden, "heads": heads, "seq": 2048}
        found.append({**row, **shape, "ours_s": published.seconds(row)})
    return found


def environment(peer: Peer, folder: Path) -> tuple[Path, str]:
    """A peer's environment; why there is none, where there is none."""
    place = folder / (peer.package if "/" not in peer.package else "chipwise")
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
    line = [str(python), "-m", "pip", "install", "-q", peer.package]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return place, "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def version(peer: Peer, place: Path) -> str:
    name = "chipwise" if "/" in peer.package else peer.package
    ask = f"from importlib.metadata import version; print(version({name!r}))"
    line = [str(place / "bin" / "python"), "-c", ask]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


def size(place: Path) -> int:
    """Bytes of an environment. [byte]"""
    return sum(p.lstat().st_size for p in place.rglob("*") if not p.is_symlink() and p.is_file())


def ask(peer: Peer, place: Path, rows: Rows) -> dict[str, Any]:
    """Answers of a peer, in a process of its own and an empty folder."""
    hidden = ("measured", "unseen", "measured_s", "calculon_s", "llm_analysis_s", "ours_s")
    asked = [{k: v for k, v in row.items() if k not in hidden} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answers.json"
        subprocess.run(
            [str(place / "bin" / "python"), str(SCRIPTS / peer.script), str(out)],
            input=json.dumps(asked), text=True, cwd=folder, check=True, capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}, timeout=1800,
        )  # fmt: skip
        return json.loads(out.read_text("utf-8"))


def off(found: list[float]) -> str:
    """Median and 90th percentile of |predicted/measured − 1|."""
    those = np.abs(np.array(found) - 1.0)
    return f"{100 * np.median(those):.1f} / {100 * np.quantile(those, 0.9):.0f}"


def ratios(rows: Rows, told: list[tuple[float, float] | None], k: int) -> list[float]:
    return [t[k] / r["measured"][k] for r, t in zip(rows, told, strict=True) if t is not None]


def pair(answer: dict[str, Any]) -> tuple[float, float] | None:
    if "error" in answer or not answer.get("tpot_s"):
        return None
    return answer["ttft_s"], answer["tpot_s"]


def grid(heads: str, rows: list[list[Any]]) -> str:
    names = heads.split("|")
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def serving_part(rows: Rows, answers: dict[str, Any]) -> str:
    """Errors on the rows that a peer answers, chipwise's beside them on the very same rows."""
    unseen = [row["unseen"] for row in rows]
    lines = []
    for name, found in answers.items():
        told = [pair(each) for each in found["answers"]]
        if not any(told) or name == "chipwise":
            continue
        same = [u if t is not None else None for u, t in zip(unseen, told, strict=True)]
        count = sum(t is not None for t in told)
        for who, those in ((name, told), ("chipwise, stack left out", same)):
            lines.append(
                [who, f"{count} of {len(rows)}", *(off(ratios(rows, those, k)) for k in (1, 0))]
            )
    lines.append(["chipwise, stack left out", f"{len(rows)} of {len(rows)}",
                  *(off(ratios(rows, unseen, k)) for k in (1, 0))])  # fmt: skip
    told = [pair(each) for each in answers["chipwise"]["answers"]]
    count = f"{sum(map(bool, told))} of {len(rows)}"
    lines.append(["chipwise as it ships (has seen the rows)", count,
                  *(off(ratios(rows, told, k)) for k in (1, 0))])  # fmt: skip
    return grid("who|rows answered|tpot: median / 90th, %|ttft: median / 90th, %", lines)


def row_part(rows: Rows, answers: dict[str, Any]) -> str:
    """Every question with all answers, in milliseconds: ttft / tpot."""
    lines = []
    for at, row in enumerate(rows):
        cells = [show(row["measured"]), show(row["unseen"])]
        for name, found in answers.items():
            if name != "chipwise" and any(pair(each) for each in found["answers"]):
                told = pair(found["answers"][at])
                cells.append("—" if told is None else show(told))
        what = (
            f"{row['model'].split('/')[-1]} · {row['chip']} · {row['backend']} · {row['weights']}"
        )
        degrees = " ".join(f"{name}{row[name]}" for name in ("tp", "dp", "ep"))
        how = f"{row['isl']}/{row['osl']} c{row['concurrency']} {degrees}"
        lines.append([row["id"], what, how, *cells])
    names = [n for n, f in answers.items() if n != "chipwise" and any(map(pair, f["answers"]))]
    heads = "|".join(["row", "what", "load", "measured", "chipwise, left out", *names])
    return grid(heads, lines)


def show(told: tuple[float, float]) -> str:
    return f"{1000 * told[0]:,.0f} / {1000 * told[1]:.2f}"


def cost_part(known: dict[str, dict[str, Any]]) -> str:
    """Seconds of CPU, memory and size."""
    lines = []
    for name, facts in known.items():
        answered = [
            a["seconds"] for a in facts["found"]["answers"] if "seconds" in a and "error" not in a
        ]
        median = f"{1000 * np.median(answered):,.1f}" if answered else "—"
        memory, size = (f"{x / 2**20:,.0f}" for x in (facts["found"]["memory"], facts["size"]))
        spent = f"{facts['found']['cpu_s']:.1f}" if answered else "—"
        lines.append([name, facts["version"], spent, median, memory, size])
    heads = (
        "program|version|CPU s for all its questions|CPU ms for one, median|peak memory, MiB|"
        "environment, MiB"
    )
    return grid(heads, lines)


def step_part(rows: Rows, plain: dict[str, Any], given: dict[str, Any]) -> str:
    """Seconds of each step, with what they are off by."""
    names = ("chipwise", "Calculon", "half", "plain")
    lines = []
    sums: dict[str, list[float]] = defaultdict(list)
    for row, one, half in zip(rows, plain["answers"], given["answers"], strict=True):
        told = [row["ours_s"], row["calculon_s"], half.get("step_s"), one.get("step_s")]
        cells = []
        for name, seconds in zip(names, told, strict=True):
            if seconds is not None:
                sums[name].append(abs(seconds / row["measured_s"] - 1))
            cells.append(
                "—"
                if seconds is None
                else f"{seconds:.2f} ({seconds / row['measured_s'] - 1:+.0%})"
            )
        lines.append(
            [row["source"], row["model"], row["recompute"], f"{row['measured_s']:.2f}", *cells]
        )
    means = [f"{np.mean(sums[n]):.1%}" if sums[n] else "—" for n in names]
    lines.append(["mean error", "", "", "", *means])
    heads = (
        "from|model|recomputed|measured, s|chipwise|Calculon (kept)|"
        "llm-analysis, told 0.5 of the peak|llm-analysis, its default"
    )
    return grid(heads, lines)


def refusals(known: dict[str, dict[str, Any]], rows: int) -> str:
    """What the peers say of rows that they do not answer."""
    lines = []
    for name, facts in known.items():
        counts: dict[str, int] = defaultdict(int)
        for each in facts["found"]["answers"]:
            if "error" in each:
                text = each["error"].split(" at /")[0].replace("|", "/")
                counts[text.partition(":")[0] + ":" + text.partition(":")[2][:70]] += 1
        for text, count in sorted(counts.items(), key=lambda pair: -pair[1])[:4]:
            lines.append([name, f"{count} of {len(facts['found']['answers'])}", f"`{text}`"])
    return grid("program|rows|its words, the commonest four", lines) if lines else ""


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--envs", type=Path)
    given.add_argument("--on", required=True, help="The day, for the page.")
    options = given.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.envs or Path(made)
        rows, _ = sample()
        trained = steps()
        known: dict[str, dict[str, Any]] = {}
        absent: list[list[str]] = []
        half: dict[str, Any] = {}
        for peer in PEERS:
            if not peer.package:
                absent.append([peer.name, ABSENT[peer.name]])
                continue
            place, why = environment(peer, folder)
            if why or not peer.script:
                absent.append([peer.name, ABSENT.get(peer.name, why)])
                continue
            asked = rows if peer.asked == "serving" else trained
            asked = asked[:1] if peer.name == "Vidur" else asked
            found = ask(peer, place, asked)
            if peer.asked == "training":
                half = ask(peer, place, [{**row, "share": 0.5} for row in asked])
            known[peer.name] = {
                "version": version(peer, place),
                "found": found,
                "size": size(place),
            }
            sys.stderr.write(f"{peer.name}: {found['cpu_s']:.1f} s\n")
    serving = {p.name: known[p.name]["found"] for p in PEERS
               if p.name in known and p.asked == "serving" and p.name != "Vidur"}  # fmt: skip
    page = Path(__file__).with_name("compare.txt").read_text("utf-8").format(
        on=options.on,
        groups=len({(r["model"], r["chip"], r["backend"], r["weights"]) for r in rows}),
        count=len(rows),
        errors=serving_part(rows, serving),
        costs=cost_part(known),
        notes="\n".join(f"- **{p.name}**: {p.note}." for p in PEERS if p.note and p.name in known),
        absent=grid("program|why it is not here", absent),
        refused=refusals(known, len(rows)),
        steps=step_part(trained, known["llm-analysis"]["found"], half),
        rows=row_part(rows, serving),
    )  # fmt: skip
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
