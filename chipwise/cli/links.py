"""Commands that reach the world outside: export a plan to an engine, import what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chipwise.cli.inputs import DEGREE, FILE, LENGTH, Day, Whole, output_options
from chipwise.cli.output import check_path, reply, write, write_folder
from chipwise.errors import BadInput

__all__ = ["COMMANDS"]


@click.command(
    short_help="What to run of a plan: scripts, manifests, a benchmark.",
    epilog="\b\nExamples:\n  chipwise export plan.json --to vllm --chip h200 --out run\n"
    "  chipwise export plan.json --to kubernetes --mode disagg --out run",
)
@click.argument("plan", type=FILE)
@click.option(
    "--to",
    "target",
    required=True,
    help="vllm, sglang, trtllm, dynamo, kubernetes or skypilot.",
)
@click.option("--chip", help="Chip that decodes.  [default: that of the cheapest token]")
@click.option(
    "--mode",
    type=click.Choice(["agg", "disagg"]),
    default="agg",
    show_default=True,
    help="Prefill and decode together, or apart.",
)
@click.option("--prefill", help="Chip that prefills, where both are apart.")
@click.option(
    "--checkpoint", help="Weights to load, by name or path.  [default: the maker's checkpoint]"
)
@click.option("--image", help="Image of the containers.  [default: the engine's]")
@click.option("--out", type=FILE, required=True, help="Folder to make.")
@click.option("--force", is_flag=True, help="Replace a folder that is not empty.")
@output_options
def export(
    *,
    plan: Path,
    target: str,
    chip: str | None,
    mode: str,
    prefill: str | None,
    checkpoint: str | None,
    image: str | None,
    out: Path,
    force: bool,
    form: str,
    lang: str,
) -> None:
    """Write what starts a deployment of PLAN, the JSON of `chipwise plan --out`.

    Into a folder: launch scripts or manifests, a benchmark with the plan's load, and a README
    that says what is assumed, what to check and what to expect. An option that the engine's
    release does not have, or a format that it cannot serve, is refused with the reason.
    """
    from chipwise import answers
    from chipwise import export as exporting
    from chipwise.catalog.files import read_json

    answer = read_json(plan)
    job = exporting.read_job(answer, chip=chip, mode=mode, prefill=prefill, checkpoint=checkpoint)
    files = exporting.render(job, target, image=image, lang=lang)
    write_folder(out, files, force=force)
    found = {
        **answers.envelope(job.made_by["calibration_id"]),
        "target": target,
        "out": str(out),
        "files": sorted(files),
    }
    reply("export", form, lang, found)


_GIVEN = (
    *("model", "chip", "backend", "version", "weights", "kv"),
    *("isl", "osl", "concurrency", "tp", "dp", "ep", "pp", "replicas"),
)
_COLUMN = {"weights": "weight_format", "version": "backend_version"}


@click.command(
    "import",
    short_help="Results of benchmark tools as a table of measurements.",
    epilog="\b\nExample:\n  chipwise import result.json --chip h200 --tp 8 --weights fp8 "
    "--backend vllm \\\n    --version 0.33.0 --out runs.csv",
)
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--out", type=FILE, required=True, help="CSV: a row for each measurement.")
@click.option("--model", help="Model that was served.")
@click.option("--chip", help="Chip that it ran on.")
@click.option("--backend", help="Engine: vllm, sglang or trtllm.")
@click.option("--version", help="Release of the engine.")
@click.option("--weights", help="Format of the weights.")
@click.option("--kv", help="Format of the KV cache.")
@click.option("--isl", type=LENGTH, help="Prompt tokens.")
@click.option("--osl", type=LENGTH, help="Output tokens.")
@click.option("--concurrency", type=Whole(1, 10**7), help="Clients of the closed loop.")
@click.option("--tp", type=DEGREE, help="Tensor parallel.")
@click.option("--pp", type=DEGREE, help="Pipeline stages.  [default: 1]")
@click.option("--ep", type=DEGREE, help="Expert parallel.  [default: 1]")
@click.option("--dp", type=DEGREE, help="Data-parallel attention.  [default: 1]")
@click.option("--replicas", type=DEGREE, help="Copies that shared the clients.  [default: 1]")
@click.option("--on", type=Day(), help="Day of the measurement.")
@output_options
def import_(*, files: tuple[Path, ...], out: Path, form: str, lang: str, **given: Any) -> None:
    """Read results of vllm bench serve, sglang.bench_serving, guidellm, aiperf, genai-perf or CSV.

    Each of FILES is told by its content. What it does not say is asked for by name and given by
    an option, which also wins over what it says. The table is one that `validate` and `calibrate
    --runs` read, with source, tool and day of each row.
    """
    check_path(out)
    from chipwise import answers, catalog
    from chipwise.catalog.benchmarks import COLUMNS, read_results
    from chipwise.perf.engines import defaults
    from chipwise.perf.formats import KV_WIDTH, WEIGHT_WIDTH
    from chipwise.tables.written import as_csv

    told = {_COLUMN.get(n, n): str(given[n]) for n in _GIVEN if given[n] is not None}
    if given["on"]:
        told["measured_on"] = given["on"].isoformat()
    rows = [row for file in files for row in read_results(file, told)]
    known = {"weight_format": WEIGHT_WIDTH, "kv": KV_WIDTH}
    for row in rows:
        row |= {"model": catalog.model(row["model"]).id, "chip": catalog.chip(row["chip"]).id}
        defaults(row["backend"], catalog.chip(row["chip"]))
        for name, formats in known.items():
            if row[name] and row[name] not in formats:
                raise BadInput(
                    f"{row['source']}: {name} is {row[name]!r}; known are {', '.join(formats)}"
                )
    write(out, as_csv({name: row[name] for name in COLUMNS} for row in rows))
    found = {**answers.envelope("none"), "out": str(out), "rows": rows}
    reply("import", form, lang, found)


COMMANDS = (export, import_)
