"""Commands that reach the world outside: export a plan to an engine, import what was measured."""

from __future__ import annotations

from pathlib import Path

import click

from chipwise.cli.inputs import output_options
from chipwise.cli.output import reply, write_folder

__all__ = ["COMMANDS"]

_FILE = click.Path(path_type=Path)


@click.command(
    short_help="What to run of a plan: scripts, manifests, a benchmark.",
    epilog="\b\nExample:\n  chipwise plan llama-2-70b --chips h100,h200 --isl 2048 --osl 128 \\\n"
    "    --out plan.json\n  chipwise export plan.json --to vllm --chip h200 --out run",
)
@click.argument("plan", type=_FILE)
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
@click.option("--out", type=_FILE, required=True, help="Folder to make.")
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


COMMANDS = (export,)
