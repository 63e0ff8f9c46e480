"""Plan → SGLang's server."""

from __future__ import annotations

from collections.abc import Sequence

from chipwise.errors import Infeasible
from chipwise.export.bench import bench
from chipwise.export.formats import kv_name, weight_words
from chipwise.export.job import Group, Job
from chipwise.export.shell import PORT, command, script
from chipwise.registry import exporter

__all__ = ["arguments", "route", "serve", "sglang"]

_INIT_PORT = 20000
_BOOTSTRAP = 8998


def arguments(job: Job, group: Group) -> list[str]:
    """Options of the engine, wherever it is started.

    Its tp counts the devices of attention's data-parallel groups too, and it divides the token
    budget and the sequences by those groups; the plan's are of one of them.

    Raises
    ------
    Infeasible
        If SGLang has no option for what the plan says.
    """
    if group.pp > 1 and group.dp > 1:
        raise Infeasible("sglang runs a pipeline or data-parallel attention, not both at once")
    words = [
        *("--tp-size", str(group.devices * group.dp), "--pp-size", str(group.pp)),
        *(["--attn-dp-size", str(group.dp)] if group.dp > 1 else []),
        *(["--ep-size", str(group.ep * group.place.devices)] if group.ep > 1 else []),
        *weight_words(job),
        *("--kv-cache-dtype", kv_name(job)),
        *("--max-running-requests", str(job.seqs * group.dp)),
        *("--chunked-prefill-size", str(job.chunk * group.dp)),
        *("--context-length", str(job.length)),
    ]
    if job.apart:
        words += ["--disaggregation-mode", group.role, "--disaggregation-transfer-backend", "nixl"]
        words += ["--disaggregation-bootstrap-port", str(_BOOTSTRAP)]
    return words


def serve(job: Job, group: Group) -> str:
    """Shell command of one server; of several machines each runs it, by NODE_RANK and HEAD."""
    words = ["--model-path", job.checkpoint, "--host", "0.0.0.0", "--port", PORT]  # noqa: S104
    words += arguments(job, group)
    if group.nodes > 1:
        words += ["--nnodes", str(group.nodes), "--node-rank", "$NODE_RANK"]
        words += ["--dist-init-addr", f"$HEAD:{_INIT_PORT}"]
    return f"exec {command('python3 -m sglang.launch_server', words, more=True)}"


def route(job: Job) -> str:
    """Shell command of the router before several servers, whose addresses are its environment."""
    words = ["--host", "0.0.0.0", "--port", PORT, "--policy", "round_robin"]  # noqa: S104
    router = "python3 -m sglang_router.launch_router"
    if not job.apart:
        return f"exec {command(router, words)} \\\n  --worker-urls $SERVERS"
    each = f'set --\nfor url in $PREFILL; do set -- "$@" --prefill "$url" {_BOOTSTRAP}; done\n'
    each += 'for url in $DECODE; do set -- "$@" --decode "$url"; done\n'
    return f"{each}exec {command(router, [*words, '--pd-disaggregation'], more=True)}"


@exporter("sglang")
def sglang(job: Job, comments: Sequence[str]) -> dict[str, str]:
    """Scripts that start the servers, their router, and the benchmark."""
    files = {f"{g.role}.sh": script(comments, serve(job, g)) for g in job.groups}
    if job.apart or job.groups[0].replicas > 1:
        files["route.sh"] = script(comments, route(job))
    return {**files, "bench.sh": script(comments, bench(job))}
