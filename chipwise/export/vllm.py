"""Plan → `vllm serve`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from chipwise.errors import Infeasible
from chipwise.export.bench import bench
from chipwise.export.formats import kv_name, weight_words
from chipwise.export.job import Group, Job
from chipwise.export.shell import PORT, command, script
from chipwise.registry import exporter

__all__ = ["arguments", "route", "serve", "vllm"]

_RPC_PORT = 13345
# Whoever decodes fetches the cache from the address that whoever prefilled tells.
_CHANNEL = (
    "export VLLM_NIXL_SIDE_CHANNEL_HOST="
    '"${VLLM_NIXL_SIDE_CHANNEL_HOST:-$(hostname -i | cut -d " " -f 1)}"\n'
)
# NIXL's connector takes its place on either side from the request.
_TRANSFER = {"kv_connector": "NixlConnector", "kv_role": "kv_both"}


def arguments(job: Job, group: Group) -> list[str]:
    """Options of the engine, wherever it is started.

    Raises
    ------
    Infeasible
        If vLLM has no option for what the plan says.
    """
    ranks = group.tp * group.dp
    if group.ep not in (1, ranks):
        raise Infeasible(
            f"vllm spreads experts over all {ranks} ranks (tp × dp) or divides each over them; "
            f"ep {group.ep} is neither"
        )
    words = [
        *("--tensor-parallel-size", str(group.devices)),
        *("--pipeline-parallel-size", str(group.pp)),
        *("--data-parallel-size", str(group.dp)),
        *(["--enable-expert-parallel"] if group.ep > 1 else []),
        *weight_words(job),
        *("--kv-cache-dtype", kv_name(job)),
        *("--max-num-seqs", str(job.seqs)),
        *("--max-num-batched-tokens", str(job.chunk)),
        *("--gpu-memory-utilization", f"{_utilisation(job):.3g}"),
        *("--max-model-len", str(job.length)),
    ]
    if job.apart:
        words += ["--kv-transfer-config", json.dumps(_TRANSFER)]
    return words


def _utilisation(job: Job) -> float:
    """Share of the memory that the plan lets the engine use."""
    memory: Mapping[str, float] = job.row["memory_bytes"]
    return 1.0 - memory["reserve"] / memory["capacity"]


def serve(job: Job, group: Group) -> str:
    """Shell commands of one server; of several machines each runs them, by NODE_RANK and HEAD."""
    words = [job.checkpoint, "--host", "0.0.0.0", "--port", PORT]  # noqa: S104 -- a server
    words += arguments(job, group)
    before = _CHANNEL if job.apart else ""
    if group.nodes == 1:
        return f"{before}exec {command('vllm serve', words, more=True)}"
    if group.dp > 1:
        more, others = _ranks(group)
    else:
        more = ["--nnodes", str(group.nodes), "--node-rank", "$NODE_RANK", "--master-addr", "$HEAD"]
        others = ["--headless"]
    rest = f'  set -- "$@" {" ".join(_bare(w) for w in others)}\n'
    head = f'if [ "$NODE_RANK" -gt 0 ]; then\n{rest}fi\n'
    return f"{before}{head}exec {command('vllm serve', [*words, *more], more=True)}"


def _bare(word: str) -> str:
    return f'"{word}"' if "$" in word else word


def _ranks(group: Group) -> tuple[list[str], list[str]]:
    """Options that deal the data-parallel ranks out to machines: of all, and of all but one."""
    each = group.tp * group.pp
    if group.place.server % each:
        raise Infeasible(
            f"vllm keeps a data-parallel rank within a machine: {each} chips of a rank do not "
            f"divide the {group.place.server} of a server"
        )
    local = group.place.server // each
    every = [
        *("--data-parallel-size-local", str(local)),
        *("--data-parallel-address", "$HEAD", "--data-parallel-rpc-port", str(_RPC_PORT)),
    ]
    return every, ["--headless", "--data-parallel-start-rank", f"$((NODE_RANK * {local}))"]


def route(job: Job) -> str:
    """Shell command of the router before several servers, whose addresses are its environment."""
    words = ["--host", "0.0.0.0", "--port", PORT, "--policy", "round_robin"]  # noqa: S104
    if not job.apart:
        started = command("python3 -m vllm_router.launch_router", words)
        return f"exec {started} \\\n  --worker-urls $SERVERS"
    each = 'set --\nfor url in $PREFILL; do set -- "$@" --prefill "$url"; done\n'
    each += 'for url in $DECODE; do set -- "$@" --decode "$url"; done\n'
    words += ["--vllm-pd-disaggregation"]
    return f"{each}exec {command('python3 -m vllm_router.launch_router', words, more=True)}"


@exporter("vllm")
def vllm(job: Job, comments: Sequence[str]) -> dict[str, str]:
    """Scripts that start the servers, their router, and the benchmark."""
    files = {f"{g.role}.sh": script(comments, serve(job, g)) for g in job.groups}
    if job.apart or job.groups[0].replicas > 1:
        files["route.sh"] = script(comments, route(job))
    return {**files, "bench.sh": script(comments, bench(job))}
