"""Commands about one's own machines: fit on one's own runs, ask what to run next, time a device."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from chipwise.cli.inputs import DEGREE, FILE, Day, Names, Number, Whole, Wholes, output_options
from chipwise.cli.output import check_path, progress, reply, write

__all__ = ["COMMANDS"]

_COUNT = Whole(1, 10_000_000)


def _server_options(command: Any) -> Any:
    """What was served, and how: for a log of requests, or for runs to come."""
    for option in (
        click.option(
            "--block-size", type=Whole(1, 65536), default=16, show_default=True, help="Tokens."
        ),
        click.option(
            "--kv-blocks", type=_COUNT, help="Usable blocks of KV cache.  [default: memory's rule]"
        ),
        click.option(
            "--max-num-batched-tokens", type=_COUNT, help="Tokens of an iteration at most."
        ),
        click.option("--max-num-seqs", type=_COUNT, help="Sequences running at most."),
        click.option("--kv", default="auto", show_default=True, help="Format of the KV cache."),
        click.option("--weights", help="Format of the weights.  [default: the maker's]"),
        click.option("--backend", default="vllm", show_default=True, help="Engine."),
        click.option("--ep", type=DEGREE, default=1, show_default=True, help="Expert parallel."),
        click.option(
            "--dp", type=DEGREE, default=1, show_default=True, help="Data-parallel attention."
        ),
        click.option("--tp", type=DEGREE, default=1, show_default=True, help="Tensor parallel."),
        click.option("--chip", help="Chip, where the runs do not name it."),
        click.option("--model", help="Model, where the runs do not name it."),
    ):
        command = option(command)
    return command


@click.command(
    short_help="Fit on runs: a calibration of your own, or a general one.",
    epilog="\b\nExamples:\n"
    "  chipwise calibrate --runs runs.csv --name mine\n"
    "  chipwise calibrate --runs log.csv --name mine --model llama-3.1-8b --chip rtx4090\n"
    "  chipwise calibrate --suggest 3 --model llama-3.1-8b --chip rtx4090\n"
    "  chipwise calibrate --runs runs.csv --out mine.json",
)
@click.option(
    "--runs",
    type=FILE,
    help="Serving table with what was measured, or a server's log of requests.  "
    "[default: the catalog's]",
)
@click.option("--name", help="Keep a calibration of your own under this name, on this machine.")
@click.option(
    "--until",
    type=Number(0.0, 1.0, open_low=True),
    default=1.0,
    show_default=True,
    help="Share of a log's time that is fitted on; the rest is predicted and compared.",
)
@click.option("--suggest", type=Whole(1, 20), help="Tell so many runs to make next, and why.")
@click.option("--isl", type=Wholes(), help="Prompt tokens to choose among for those.")
@click.option("--osl", type=Wholes(), help="Output tokens to choose among for those.")
@click.option("--list", "listed", is_flag=True, help="List the calibrations of your own.")
@_server_options
@click.option("--out", type=FILE, help="Fit all anew and write this JSON; takes some minutes.")
@click.option(
    "--op-timings",
    type=FILE,
    help="With --out: fit classes of operators on the installed op timings too, into this JSON.",
)
@output_options
def calibrate(*, form: str, lang: str, **given: Any) -> None:
    """Fit on measured runs.

    With --name: what your runs say of your chip and engine beyond the general calibration, with
    intervals of their own; seconds. Say --calibration NAME to use it. It stays on this machine.
    With --out: engines' habits, stacks' residuals and intervals, all anew; minutes.
    """
    from chipwise.errors import BadInput

    asked = [n for n in ("name", "suggest", "listed", "out") if given[n] not in (None, False)]
    if len(asked) != 1:
        raise BadInput("give one of --name, --suggest, --list and --out")
    kind, found = {
        "name": _own,
        "suggest": _suggested,
        "listed": _listed,
        "out": _anew,
    }[asked[0]](given)
    reply(kind, form, lang, found)


def _anew(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """All that a general calibration holds, fitted on a table."""
    from chipwise import answers
    from chipwise.validation import fitting

    out, timings = given["out"], given["op_timings"]
    for path in (out, timings):
        check_path(path)
    with progress("calibrate"):
        if timings:
            write(timings, fitting.operators())
        text = fitting.written(given["runs"])
        write(out, text)
    made = json.loads(text)
    return "calibrate", {
        **answers.envelope(made["id"]),
        "out": str(out),
        "stacks": len(made["stacks"]),
        "widths": made["widths"],
    }


def _listed(_: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    from chipwise import answers, catalog
    from chipwise.catalog.folder import own_calibrations, user_folder

    kept = [catalog.calibration(name) for name in own_calibrations()]
    return "calibrate_list", {
        **answers.envelope(catalog.calibration().id),
        "folder": str(user_folder()),
        "calibrations": [
            {"name": c.id, "base": c.base, "fitted_on": c.fitted_on, "stacks": _stacks(c.own)}
            for c in kept
        ],
    }


def _stacks(own: Mapping[tuple[str, ...], Mapping[str, float]]) -> list[str]:
    return [" ".join(stack) for stack in sorted(own)]


def _own(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A calibration from one's own runs, kept in the user's folder."""
    from chipwise import answers, catalog
    from chipwise.catalog.folder import check_name, own_path
    from chipwise.catalog.measured import table
    from chipwise.errors import BadInput
    from chipwise.validation import local

    name, runs = check_name(given["name"]), given["runs"]
    if runs is None:
        raise BadInput("--runs is missing: a table of runs, or a server's log of requests")
    path, general = own_path("calibrations", name), catalog.calibration()
    check_path(path)
    kind, rows = table(runs)
    if kind == "requests":
        made = _from_log(given, name)
    elif kind == "serving":
        made = _from_runs(given, rows, name)
    else:
        raise BadInput(
            f"{runs}: a table of {kind} runs; a calibration of your own is fitted on serving runs "
            "or on a server's log of requests"
        )
    write(path, local.written(made), private=True)
    halves = made.halves
    return "calibrate_own", {
        **answers.envelope(name),
        "name": name,
        "base": general.id,
        "file": str(path),
        "evidence": made.evidence,
        "factors": dict(made.factors),
        "stacks": [
            {
                **dict(zip(("family", "chip", "backend"), stack, strict=True)),
                "rows": made.rows[stack],
                "scored": made.scored[stack],
                "widths": dict(widths),
                "general_widths": dict(general.widths["stack"]),
            }
            for stack, widths in sorted(made.calibration.own.items())
        ],
        "left_out": None
        if halves is None
        else {
            "until_s": halves.until,
            "fitted": halves.fitted,
            "requests": halves.requests,
            **{
                f"{quantity}_s": {
                    "measured": halves.measured[quantity],
                    "general": halves.general[quantity],
                    "local": halves.local[quantity],
                }
                for quantity in ("ttft", "tpot")
            },
        },
    }


def _from_runs(given: Mapping[str, Any], rows: Any, name: str) -> Any:
    from chipwise import catalog
    from chipwise.errors import BadInput
    from chipwise.validation import fitting, local

    if given["until"] < 1.0:
        raise BadInput("--until is for a log of requests; a table's runs are left out in turn")
    measured, _ = fitting.sorted_out(rows)
    with progress("calibrate"):
        return local.fit_runs(rows, measured, catalog.calibration(), name)


def _from_log(given: Mapping[str, Any], name: str) -> Any:
    """From requests as a server served them; the options say how."""
    from chipwise import catalog
    from chipwise.catalog.traces import served
    from chipwise.errors import BadInput
    from chipwise.validation import local

    log = served(given["runs"])
    if log is None:
        raise BadInput(f"{given['runs']}: not a CSV of requests with first and last tokens")
    model, made, flags = _server(given, float((log.isl + log.osl).mean()))
    with progress("calibrate"):
        return local.fit_served(
            log, model, made, flags, catalog.calibration(), name, share=given["until"]
        )


def _server(given: Mapping[str, Any], length: float) -> tuple[Any, Any, dict[str, Any]]:
    """Model, deployment and flags of the scheduler that the options describe."""
    from chipwise import api, serving
    from chipwise.errors import BadInput

    for name in ("model", "chip"):
        if given[name] is None:
            raise BadInput(f"--{name} is missing: neither a log nor a question names it")
    model, chip = api.model(given["model"]), api.chip(given["chip"])
    degrees = {k: given[k] for k in ("tp", "dp", "ep", "weights", "kv", "backend")}
    degrees["chunk"] = given["max_num_batched_tokens"]
    _, room, usual = api.engine(model, chip, length, size=given["block_size"], **degrees)
    seqs = given["max_num_seqs"] or usual.max_seqs
    made = api.deployment(model, chip, batch=seqs, **degrees)
    return (
        model,
        made,
        {
            **serving.presets.flags(given["backend"], None),
            "asynchronous": False,
            "blocks": given["kv_blocks"] or room,
            "block_size": given["block_size"],
            "max_seqs": seqs,
            "max_tokens": given["max_num_batched_tokens"] or usual.chunk,
            "replicas": given["dp"],
            "lockstep": given["dp"] > 1,
        },
    )


def _suggested(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Which runs to make next."""
    from chipwise import answers, catalog
    from chipwise.catalog.measured import table
    from chipwise.errors import BadInput
    from chipwise.validation import design, fitting

    model, made, _ = _server(given, 2048.0)
    done: list[tuple[float, float, float]] = []
    if given["runs"] is not None:
        kind, rows = table(given["runs"])
        if kind != "serving":
            raise BadInput(f"{given['runs']}: a table of {kind} runs; serving runs were expected")
        stack = (model.family, made.decode.chip.id, made.backend, made.weights)
        done = [
            (float(m.run.concurrency), float(m.run.isl), float(m.run.osl))
            for m in fitting.sorted_out(rows)[0]
            if (*m.stack, m.run.weights) == stack
        ]
    general = catalog.calibration()
    runs = design.suggest(
        model,
        made,
        general,
        done,
        count=given["suggest"],
        isl=given["isl"] or (),
        osl=given["osl"] or (),
    )
    return "calibrate_suggest", {
        **answers.envelope(general.id),
        "model": model.id,
        "chip": made.decode.chip.id,
        "backend": made.backend,
        "known": len(done),
        "runs": [
            {
                "concurrency": run.concurrency,
                "isl": run.isl,
                "osl": run.osl,
                "duration_s": run.seconds,
                "reason": run.reason,
                "half_widths_before": dict(run.before),
                "half_widths_after": dict(run.after),
            }
            for run in runs
        ],
    }


@click.command(
    short_help="Time this machine's own device with torch; calibrate on it.",
    epilog="\b\nExamples:\n  chipwise profile --name my-cpu\n"
    "  chipwise profile --device cuda --chip h100 --name my-h100",
)
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, npu; auto: the fastest."
)
@click.option("--threads", type=Whole(1, 1024), default=1, show_default=True, help="Of a CPU.")
@click.option("--formats", type=Names(), help="Of products.  [default: those the device computes]")
@click.option(
    "--size",
    type=click.Choice(["auto", "small", "large"]),
    default="auto",
    show_default=True,
    help="Reach of the shapes: small for a CPU, large for an accelerator.",
)
@click.option("--rounds", type=Whole(1, 100), default=5, show_default=True, help="Of all cases.")
@click.option("--ranks", type=Whole(1, 64), help="Devices that sum.  [default: all of the kind]")
@click.option("--chip", help="Chip that the device is.  [default: by its name, or a new one]")
@click.option("--name", help="Of the calibration that is kept.  [default: the device's]")
@click.option("--out", type=FILE, help="File of measurements.  [default: in your folder]")
@click.option("--on", type=Day(), default="today", show_default=True, help="Day of measurement.")
@output_options
def profile(*, form: str, lang: str, **given: Any) -> None:
    """Time products, copies, attention and sums on this machine's device, and learn from them.

    Minutes; a killed run goes on where it was. The measurements are kept in a file, the factors
    of operators as a calibration of your own, the device as a chip of your own where the catalog
    lacks it. Then whole steps of a small model, which took no part in the fit, are predicted and
    compared. Nothing leaves the machine. Needs torch.
    """
    from dataclasses import asdict

    from chipwise import answers, catalog
    from chipwise import profile as timing
    from chipwise.catalog.folder import check_name, own_path
    from chipwise.profile.bodies import formats
    from chipwise.profile.devices import find
    from chipwise.profile.runner import time_case
    from chipwise.validation import local

    device = find(given["device"], given["threads"])
    known = _known_chip(given["chip"], device.name)
    name = check_name(given["name"] or _slug(device.name))
    out = given["out"] or own_path("profiles", name)
    check_path(out)
    size = given["size"]
    if size == "auto":
        size = "small" if device.kind == "cpu" else "large"
    ranks = given["ranks"] or device.count
    forms = given["formats"] or formats(device)
    header = {
        "device": asdict(device),
        "torch": device.torch,
        "threads": device.threads,
        "on": given["on"].isoformat(),
        "chipwise": answers.envelope("")["chipwise_version"],
        "size": size,
    }
    cases = timing.planned(size, forms, ranks)
    with progress("profile") as mapped:
        lines = timing.measure(
            out,
            header,
            cases,
            time_case(device, timing.CONFIGS[size]),
            rounds=given["rounds"],
            map=mapped,
        )
    chip_file = None
    if known is None:
        chip_file = own_path("chips", name)
        peak, copied = timing.rates(timing.typical(lines))
        text = timing.chip_facts(name, asdict(device), peak, copied, given["on"])
        write(chip_file, text, private=True)
        known = catalog.chip(str(chip_file))
    learned = timing.learn(lines, size, known, catalog.calibration(), name)
    kept = own_path("calibrations", name)
    evidence = f"{len(lines)} timings of {device.name} with torch {device.torch}"
    made = local.Local(learned.calibration, {}, {}, {}, evidence)
    write(kept, local.written(made), private=True)
    reply("profile", form, lang, _profiled(learned, device, known.id, len(lines), {
        "measurements_file": str(out),
        "calibration_file": str(kept),
        "chip_file": chip_file and str(chip_file),
    }))  # fmt: skip


def _profiled(
    learned: Any, device: Any, chip: str, count: int, files: Mapping[str, Any]
) -> dict[str, Any]:
    """JSON of `profile`."""
    from statistics import median

    from chipwise import answers

    off = [abs(step.predicted / step.measured - 1.0) for step in learned.steps]
    return {
        **answers.envelope(learned.calibration.id),
        "device": device.name,
        "torch": device.torch,
        "threads": device.threads,
        "chip": chip,
        "timings": count,
        **files,
        "operators": [
            {
                "op": f.op,
                "format": f.format,
                "cases": f.rows,
                "start_s": f.factors.start,
                "compute": f.factors.compute,
                "memory": f.factors.memory,
                "exponent": f.factors.exponent,
                "median_off": f.median,
                "worst_off": f.worst,
            }
            for f in learned.fitted
        ],
        "steps": [
            {
                "prompt": step.prompt,
                "sequences": step.sequences,
                "context": step.context,
                "measured_s": step.measured,
                "predicted_s": step.predicted,
                "off": step.predicted / step.measured - 1.0,
            }
            for step in learned.steps
        ],
        "steps_median_off": median(off) if off else None,
        "steps_worst_off": max(off, default=None),
    }


def _known_chip(asked: str | None, device: str) -> Any:
    """The catalog's chip that a device is: as asked for, or by the name that torch tells."""
    from chipwise import catalog
    from chipwise.errors import ChipwiseError

    if asked is not None:
        return catalog.chip(asked)
    try:
        return catalog.chip(device)
    except ChipwiseError:
        return None


def _slug(name: str) -> str:
    """A device's name as that of a file.

    >>> _slug("AMD EPYC 7763 64-Core")
    'amd-epyc-7763-64-core'
    """
    import re

    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64] or "device"


COMMANDS = (calibrate, profile)
