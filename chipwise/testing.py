"""What every item of the catalog and every plug-in must hold; each check takes one of them.

A check raises AssertionError and says what does not hold.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import yaml

from chipwise import policy
from chipwise.catalog import as_of
from chipwise.catalog.servers import Flag, flags
from chipwise.export import Job, render
from chipwise.export.job import Group
from chipwise.perf.blocks import parameters
from chipwise.policy.metrics import BITS
from chipwise.types import Block, Chip, Fact, Model, Rule
from chipwise.units import from_base

__all__ = ["check_chip", "check_exporter", "check_model", "check_rule"]

_SLUG = re.compile(r"[a-z0-9.]+(-[a-z0-9.]+)*")
_STATUS = ("public", "reported", "announced")
_MARKETS = ("datacenter", "workstation", "consumer", "")
_PROVENANCE = ("source", "reported", "derived", "unverified")
_WEIGHTS = ("fp32", "bf16", "fp16", "fp8", "int8", "nvfp4", "mxfp4", "int4")

# Flops in 16 bits for each byte of memory that chips of all generations have had: a ratio an order
# of magnitude off is a slip of unit. What a chip computes in 8 bits stands for half of that in 16.
_HALF = {"bf16": 1.0, "fp16": 1.0, "fp8": 0.5}
_FLOP_PER_BYTE = (30.0, 1000.0)
# Rounding of printed rates and of printed TPP.
_TPP_TOLERANCE = 0.01
_COUNT_TOLERANCE = 0.01


def _check_fact(name: str, fact: Fact, sources: Mapping[str, Any], on: date) -> None:
    assert fact.source, f"{name} has no source"
    assert fact.source in sources, f"{name}: source {fact.source!r} is not in sources.toml"
    assert fact.provenance in _PROVENANCE, f"{name}: unknown provenance {fact.provenance!r}"
    assert (fact.provenance == "unverified") >= (fact.source == "unverified"), (
        f"{name} has no source and is not said to be unverified"
    )
    assert fact.on is not None, f"{name} has no date"
    assert fact.on <= on, f"{name} is dated {fact.on}, after the catalog's {on}"
    if isinstance(fact.value, float):
        assert fact.unit, f"{name} has no unit"
        low = fact.value if fact.low is None else fact.low
        high = fact.value if fact.high is None else fact.high
        assert low <= fact.value <= high, f"{name} lies outside {low} to {high}"


def _check_rates(chip: Chip) -> None:
    for form, rate in chip.flops.items():
        assert form in BITS, f"unknown format {form}"
        assert math.isfinite(rate), f"rate in {form} is {rate}"
        assert rate > 0, f"rate in {form} is {rate}"
    half = next((share * chip.flops[f] for f, share in _HALF.items() if f in chip.flops), None)
    if half is not None and chip.memory_bandwidth is not None:
        ratio = half / chip.memory_bandwidth
        low, high = _FLOP_PER_BYTE
        assert low <= ratio <= high, f"{ratio:.0f} flops for a byte are not within {low} to {high}"
    for narrow, wide in (("fp8", "bf16"), ("nvfp4", "fp8"), ("fp16", "fp32")):
        if narrow in chip.flops and wide in chip.flops:
            slower = chip.flops[narrow] < chip.flops[wide]
            assert not slower, f"{narrow} is slower than {wide}"


def _check_tpp(chip: Chip) -> None:
    """The TPP that somebody prints lies within what the rates and their other editions give."""
    quoted = chip.facts.get("quoted_tpp")
    if quoted is None or not isinstance(quoted.value, float):
        return
    ends = []
    for end in ("low", "high"):
        rates = []
        for form in chip.flops:
            fact = chip.facts[f"flops.{form}"]
            other = getattr(fact, end)
            scale = 1.0 if other is None else other / float(fact.value or 1.0)
            rates.append(from_base(chip.flops[form], "TFLOPS") * scale * BITS[form])
        ends.append(max(rates))
    low, high = ends[0] * (1 - _TPP_TOLERANCE), ends[1] * (1 + _TPP_TOLERANCE)
    assert low <= quoted.value <= high, f"TPP is quoted as {quoted.value:.0f}, not {low:.0f}"


def _check_size(chip: Chip) -> None:
    if chip.memory is None:
        return
    assert 0 <= chip.memory_spread < 1, f"spread of memory is {chip.memory_spread}"
    printed = chip.facts["memory"].value
    if isinstance(printed, float):
        share = from_base(chip.memory, "GiB") / printed
        assert 0.9 <= share <= 1.03, f"the driver reports {share:.2f} of the printed memory"


def check_chip(chip: Chip, sources: Mapping[str, Any], on: date | None = None) -> None:
    """A chip of the catalog: sourced, dated, consistent with itself.

    Parameters
    ----------
    chip : Chip
        The chip.
    sources : mapping
        Source keys that are known.
    on : date, optional
        No fact may be younger; the catalog's own day unless given.
    """
    assert _SLUG.fullmatch(chip.id), f"{chip.id!r} is no id: small letters, digits and hyphens"
    assert chip.name, "it has no name"
    assert chip.vendor, "it has no vendor"
    assert re.fullmatch(r"[A-Z]{2}", chip.country), f"{chip.country!r} is no country code"
    assert chip.status in _STATUS, f"unknown status {chip.status!r}"
    assert chip.market in _MARKETS, f"unknown market {chip.market!r}"
    for name, fact in chip.facts.items():
        if name != "note":
            _check_fact(name, fact, sources, on or as_of())
    _check_rates(chip)
    _check_size(chip)
    _check_tpp(chip)
    for link in (chip.scaleup, chip.host):
        assert link is None or link.bandwidth > 0, "a link has no bandwidth"
    assert chip.scaleup is None or chip.scaleup.chips > 1, "a scale-up domain of one chip"
    unverified = {n for n, fact in chip.facts.items() if fact.provenance == "unverified"}
    assert unverified or not chip.unverified, "a field is unverified, but no fact is"


def _check_block(part: Block, hidden: int) -> None:
    dims = part.dims
    assert part.count > 0, f"{part.kind} occurs {part.count} times"
    for name, value in dims.items():
        assert math.isfinite(value), f"{part.kind}: {name} is {value}"
        assert value >= 0, f"{part.kind}: {name} is {value}"
    if part.kind == "gqa":
        assert dims["heads"] % dims["kv_heads"] == 0, "kv_heads does not divide heads"
    if part.kind == "moe":
        assert 1 <= dims["topk"] <= dims["experts"], "topk is not within experts"
        assert dims["latent"] <= hidden, "experts work at more than the hidden width"


def check_model(model: Model, sources: Mapping[str, Any], on: date | None = None) -> None:
    """A model of the catalog: sourced, consistent, its size within 1 % of the published one.

    Parameters
    ----------
    model : Model
        The model.
    sources : mapping
        Source keys that are known.
    on : date, optional
        No fact may be younger; the catalog's own day unless given.
    """
    assert _SLUG.fullmatch(model.family), f"{model.family!r} is no family: small letters, hyphens"
    assert model.weights in _WEIGHTS, f"unknown weight format {model.weights!r}"
    assert model.layers, "it has no layers"
    for name, fact in model.facts.items():
        _check_fact(name, fact, sources, on or as_of())
    for part in model.layers:
        _check_block(part, model.hidden)
    mixers = sum(part.count for part in model.layers if part.kind not in ("mlp", "moe"))
    assert mixers <= model.depth, f"{mixers} attention blocks in {model.depth} layers"
    assert model.context is None or model.context > 0, f"context is {model.context}"
    if model.published is not None:
        found = parameters(model)
        off = abs(found / model.published - 1)
        assert off <= _COUNT_TOLERANCE, f"{found:.4g} parameters, published {model.published:.4g}"


def _check_item_condition(rule: Rule, chips: Mapping[str, Chip]) -> None:
    """Chips are caught and spared as the rule's file says, some of either."""
    named = policy.parse(rule.condition)
    for each in {*rule.caught, *rule.spared, *named.chips}:
        assert each in chips, f"there is no chip {each!r}"
    for each in rule.caught:
        assert policy.trace(rule, chips[each]).fires is True, f"{each} is not caught"
    for each in rule.spared:
        assert policy.trace(rule, chips[each]).fires is False, f"{each} is not spared"
    if not named.names:
        assert not rule.caught + rule.spared, "it has no item condition, so it tells no chips apart"
        return
    assert rule.spared, "no chip is named that it does not catch"
    assert rule.caught or rule.extra.get("uncaught_because"), "no chip is named that it catches"


def check_rule(rule: Rule, chips: Mapping[str, Chip], on: date | None = None) -> None:
    """A rule of the catalog: cited, dated, its condition in the language, with chips on both sides.

    Parameters
    ----------
    rule : Rule
        The rule.
    chips : mapping
        Chips of the catalog by id.
    on : date, optional
        It must not be overdue for review on this day; the catalog's own unless given.
    """
    day = on or as_of()
    assert _SLUG.fullmatch(rule.id.lower()), f"{rule.id!r} is no id: letters, digits and hyphens"
    assert rule.citation, "it has no citation"
    assert rule.start <= day, f"it begins on {rule.start}, after {day}"
    assert not policy.overdue([rule], day), f"it was to be looked at again by {rule.review_by}"
    assert rule.destinations, "it has no destination"
    assert rule.routes, "it has no route"
    policy.checked([rule])
    _check_item_condition(rule, chips)
    for reading in rule.readings:
        assert set(reading.chips) <= set(chips), f"a reading names an unknown chip: {reading.chips}"


# Commands that exports start, and where their options are listed: engine, commands.
_PROGRAMS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "vllm serve": (("vllm", "vllm serve"),),
    "vllm bench serve": (("vllm", "vllm bench serve"),),
    "python3 -m sglang.launch_server": (("sglang", "sglang.launch_server"),),
    "python3 -m sglang.benchmark.serving": (("sglang", "sglang.bench_serving"),),
    "python3 -m vllm_router.launch_router": (("vllm-router", "vllm_router.launch_router"),),
    "python3 -m sglang_router.launch_router": (("sglang-router", "sglang_router.launch_router"),),
    "trtllm-serve disaggregated": (("trtllm", "trtllm-serve disaggregated"),),
    "trtllm-serve": (("trtllm", "trtllm-serve"),),
    "python3 -m dynamo.vllm": (("dynamo", "dynamo.vllm"), ("vllm", "vllm serve")),
    "python3 -m dynamo.sglang": (("dynamo", "dynamo.sglang"), ("sglang", "sglang.launch_server")),
    "python3 -m dynamo.trtllm": (("dynamo", "dynamo.trtllm"),),
    "python3 -m dynamo.frontend": (("dynamo", "dynamo.frontend"),),
}
_NUMBERS = {"int": int, "float": float}


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Programs that a shell script starts, with what follows them."""
    program = ""
    set_first: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "set" in words and "--" in words:
            rest = words[words.index("--") + 1 :]
            set_first += rest[: rest.index(";")] if ";" in rest else rest
        for name in _PROGRAMS:
            parts = name.split()
            for at in range(len(words) - len(parts) + 1):
                if words[at : at + len(parts)] == parts and not program:
                    program = name
                    yield name, [*words[at + len(parts) :], *set_first]


def _texts(node: Any) -> Iterator[tuple[str, list[str]]]:
    """Programs in the values of a manifest: as lists of words, and in scripts."""
    match node:
        case {"command": [*program], "args": [*words]} if " ".join(program) in _PROGRAMS:
            yield " ".join(program), words
        case dict():
            for each in node.values():
                yield from _texts(each)
        case list():
            for each in node:
                yield from _texts(each)
        case str():
            yield from _commands(node)


def _check_value(program: str, flag: Flag, values: Sequence[str]) -> None:
    plain = [v for v in values if "$" not in v]
    if flag.kind in ("flag", "switch"):
        assert not values, f"{program}: {flag.name} takes no value, not {values}"
        return
    assert values, f"{program}: {flag.name} has no value"
    assert flag.many or len(values) == 1, f"{program}: {flag.name} takes one value, not {values}"
    for value in plain:
        allowed = [str(c) for c in (*flag.choices, *flag.known)]
        assert not allowed or value in allowed, f"{program}: {flag.name} is not {value}: {allowed}"
        try:
            _NUMBERS.get(flag.kind, str)(value)
            if flag.kind == "json":
                json.loads(value)
        except ValueError:
            message = f"{program}: {flag.name} is {value!r}, no {flag.kind}"
            raise AssertionError(message) from None


def _check_command(program: str, words: Sequence[str]) -> dict[str, str]:
    """Every option is in the engine's list, with a value that it takes; options by name."""
    known: dict[str, Flag] = {}
    for engine, command in _PROGRAMS[program]:
        known |= {**flags(engine, command), **known}
    found: dict[str, list[str]] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name = word
            assert name in known, f"{program}: it has no {name}"
            found.setdefault(known[name].name, [])
        elif name and word != "$@":
            found[known[name].name].append(word)
    for each, values in found.items():
        # An option that may be repeated is told once for each value.
        _check_value(program, known[each], values)
    return {each: " ".join(values) for each, values in found.items()}


def _degrees(job: Job, group: Group, program: str) -> dict[str, int]:
    """What a server's options must say of the plan."""
    ranks = group.devices * group.dp
    if program == "vllm serve" or program.endswith("dynamo.vllm"):
        return {
            "--tensor-parallel-size": group.devices,
            "--pipeline-parallel-size": group.pp,
            "--data-parallel-size": group.dp,
            "--max-num-seqs": job.seqs,
            "--max-num-batched-tokens": job.chunk,
        }
    if "sglang" in program:
        spread = "--dp-size" if "dynamo" in program else "--attn-dp-size"
        return {
            "--tp-size": ranks,
            "--pp-size": group.pp,
            **({spread: group.dp} if group.dp > 1 else {}),
            **({"--ep-size": group.ep * group.place.devices} if group.ep > 1 else {}),
            "--max-running-requests": job.seqs * group.dp,
            "--chunked-prefill-size": job.chunk * group.dp,
        }
    line = "-" if "dynamo" in program else "_"
    experts = "expert" if "dynamo" in program else "moe_expert"
    named = {
        "tensor_parallel_size": ranks,
        "pipeline_parallel_size": group.pp,
        **({f"{experts}_parallel_size": group.ep} if group.ep > 1 else {}),
        "max_batch_size": job.seqs,
        "max_num_tokens": job.chunk,
    }
    return {f"--{name.replace('_', line)}": value for name, value in named.items()}


def check_exporter(name: str, job: Job, *, image: str | None = None) -> dict[str, str]:
    """What an exporter writes of a job: it parses, and says what the plan and the engine say.

    Every option and value stands in the argument list of the engine's stated release; the plan's
    degrees, limits, token budget and formats are there; the benchmark sends its load.

    Parameters
    ----------
    name : str
        Of the exporter.
    job : Job
        Of a plan.
    image : str, optional
        Of the containers.

    Returns
    -------
    dict
        Text of every file by name.
    """
    files = render(job, name, image=image)
    assert {"README.md", "bench.sh"} <= set(files), f"{name} writes {sorted(files)} alone"
    assert render(job, name, image=image) == files, f"{name} writes another text each time"
    found: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for file, text in files.items():
        assert text.endswith("\n"), f"{file} does not end its last line"
        parts: Iterable[tuple[str, list[str]]] = []
        if file.endswith(".yaml"):
            parts = _texts(list(yaml.safe_load_all(text)))
        elif file.endswith(".sh"):
            parts = _commands(text)
        found[file] = [(p, _check_command(p, words)) for p, words in parts]
    programs = [entry for entries in found.values() for entry in entries]
    for group in job.groups:
        _check_server(job, group, programs, files)
    (_, load), *_ = found["bench.sh"]
    assert load["--num-prompts"] == str(job.requests), "the benchmark sends another load"
    return files


def _check_server(
    job: Job,
    group: Group,
    programs: Sequence[tuple[str, dict[str, str]]],
    files: Mapping[str, str],
) -> None:
    """Some server has all that the plan says of a group, and its formats are told."""
    servers = [e for e in programs if any(n in e[0] for n in ("launch_server", "serve", "dynamo"))]
    servers = [e for e in servers if not any(n in e[0] for n in ("bench", "frontend", "disagg"))]
    assert servers, "no server is started"
    fitting = [
        all(told.get(f) == str(v) for f, v in _degrees(job, group, program).items())
        for program, told in servers
    ]
    assert any(fitting), f"no server has the degrees and limits of the {group.role} group"
    text = "".join(files.values())
    kind = {"bf16": "bf16|bfloat16|auto", "fp16": "float16|auto", "fp8": "fp8"}[job.kv]
    cache = rf"(kv[-_]cache[-_]dtype|kv_cache_config).{{0,40}}?({kind})"
    assert re.search(cache, text, re.DOTALL), f"the cache's format {job.kv} is not told"
    told = (job.weights in text) or job.own
    assert told, f"the weights' format {job.weights} is not told"
