"""Requests through the scheduler of a serving engine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chipwise.errors import BadInput
from chipwise.registry import SCHEDULERS
from chipwise.serving import door
from chipwise.serving import schedulers as _schedulers  # noqa: F401 -- enters the engines by name
from chipwise.serving.case import Cluster, Server
from chipwise.types import Prompts, Simulation, StepTable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["simulate", "simulate_apart"]


def simulate(
    table: StepTable,
    arrival: ArrayLike | None,
    isl: ArrayLike,
    osl: ArrayLike,
    *,
    blocks: int,
    concurrency: int | None = None,
    block_size: int = 16,
    max_seqs: int = 256,
    max_tokens: int = 8192,
    scheduler: str = "vllm",
    asynchronous: bool = False,
    long_prefill: int = 0,
    reserve: bool = True,
    watermark: float = 0.0,
    priority: ArrayLike | None = None,
    prefix_caching: bool = False,
    prompts: Prompts | None = None,
    follows: ArrayLike | None = None,
    pause: ArrayLike = 0.0,
    reuse_last: bool = True,
    chunked: bool | None = None,
    policy: str = "no_evict",
    wait: int = 0,
    share: float = 0.9,
    poll: float = 1.0,
    conservativeness: float = 1.0,
    ratio_steps: int = 600,
    margin: int = 20,
    ignore_eos: bool = False,
    draft: int = 0,
    acceptance: float = 0.0,
    seed: int = 0,
    replicas: int = 1,
    router: str = "round_robin",
    router_slack: int = 32,
    lockstep: bool = False,
    record_steps: bool = False,
    loop: str = "auto",
) -> Simulation:
    """What an engine's scheduler does with requests, iteration by iteration.

    The host's time for a request (StepTable.request, request_token) passes half before the
    scheduler sees the request and half after each of its tokens, so that it counts once in TTFT
    and not in TPOT.

    Parameters
    ----------
    table : StepTable
        How long an iteration lasts.
    arrival : array or None
        Times of arrival, not falling. [s] None in a closed loop.
    isl, osl : array
        Tokens of each request's prompt and output. [token]
    blocks : int
        Usable blocks of KV cache. [1]
    concurrency : int, optional
        Clients of a closed loop: all start at 0, and each issues its next request, in order of
        the arrays, when its former one is complete. [1]
    block_size : int
        Tokens in a block. [token]
    max_seqs, max_tokens : int
        Most requests running, most tokens in an iteration.
    scheduler : str
        The engine: ``vllm`` (V1), ``sglang`` or ``trtllm``.
    asynchronous : bool
        Schedule an iteration while the one before it runs.
    long_prefill : int
        Most prompt tokens of one request in an iteration; 0 is no limit. [token]
    reserve : bool
        Admit a request only if its whole sequence fits now (vLLM's scheduler_reserve_full_isl).
    watermark : float
        Share of the blocks that an admission must leave free while others run. [1]
    priority : array, optional
        Of each request, smaller first; without it, first come, first served.
    prefix_caching : bool
        Keep the KV of full blocks, and use it again where a prompt begins with the same tokens.
    prompts : Prompts, optional
        Which tokens the prompts share; without it, none.
    follows, pause : array, optional
        Multi-turn: the request that each follows, which stands before it (-1: none), and how long
        after that one is complete it arrives. [s] Its time of arrival does not count.
    reuse_last : bool
        Use the blocks that were never full again first; before vLLM did so, they queued.
    chunked : bool, optional
        Cut a prompt that exceeds the budget; without it as the engine does: TensorRT-LLM does not.
    policy : str
        TensorRT-LLM's: ``no_evict`` admits what can finish whatever comes, ``max_utilisation``
        what fits now.
    wait, share : int, float
        TensorRT-LLM: iterations for which prompts are held back while others decode, until with
        them they fill that share of the budget. [1]
    poll : float
        SGLang: decode iterations between two looks at the queue.
    conservativeness : float
        SGLang: factor of the new-token ratio that admissions charge the running with. [1]
    ratio_steps, margin : int
        SGLang: decode iterations in which the ratio falls to its floor; tokens of each request
        that a retraction makes room for.
    ignore_eos : bool
        SGLang: charge the running with all of their output, as it does for such requests.
    draft : int
        Tokens proposed for each decode by speculation. [token]
    acceptance : float
        Probability that a proposed token is right, if those before it were. [1]
    seed : int
        Of the draws of acceptance.
    replicas : int
        Engines behind a router, each with `blocks` of its own.
    router : str
        ``round_robin``, ``least_loaded`` (fewest requests) or ``prefix_aware`` (longest cached
        prefix, unless that engine has `router_slack` requests more than the least loaded).
    lockstep : bool
        The engines are ranks of data-parallel attention: each iteration begins in all of them
        together and lasts as long as the longest.
    record_steps : bool
        Keep a row for each iteration in `Simulation.steps`.
    loop : str
        ``plain`` walks the running list in each iteration; ``auto`` keeps it as an aggregate
        where that gives the same answer, to the last bit.

    Returns
    -------
    Simulation
        In the order of the arrays.

    Examples
    --------
    >>> table = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)
    >>> run = simulate(table, [0.0, 0.5], [374, 396], [44, 109], blocks=3000)
    >>> run.iterations
    153
    >>> [round(float(t), 6) for t in run.first - run.arrival]
    [0.028707, 0.029808]
    """
    asked = {
        "table": table,
        "arrival": arrival,
        "isl": isl,
        "osl": osl,
        "blocks": blocks,
        "concurrency": concurrency,
        "block_size": block_size,
        "max_seqs": max_seqs,
        "max_tokens": max_tokens,
        "scheduler": scheduler,
        "asynchronous": asynchronous,
        "long_prefill": long_prefill,
        "reserve": reserve,
        "watermark": watermark,
        "priority": priority,
        "prefix_caching": prefix_caching,
        "prompts": prompts,
        "follows": follows,
        "pause": pause,
        "reuse_last": reuse_last,
        "chunked": chunked,
        "policy": policy,
        "wait": wait,
        "share": share,
        "poll": poll,
        "conservativeness": conservativeness,
        "ratio_steps": ratio_steps,
        "margin": margin,
        "ignore_eos": ignore_eos,
        "draft": draft,
        "acceptance": acceptance,
        "seed": seed,
        "replicas": replicas,
        "router": router,
        "router_slack": router_slack,
        "lockstep": lockstep,
        "record_steps": record_steps,
        "loop": loop,
    }
    case = door.case(asked)
    result: Simulation = SCHEDULERS[scheduler](case)
    return result


def simulate_apart(
    prefill: Server,
    decode: Server,
    arrival: ArrayLike | None,
    isl: ArrayLike,
    osl: ArrayLike,
    *,
    concurrency: int | None = None,
    latency: float = 0.0,
    latency_token: float = 0.0,
    router: str = "least_loaded",
    router_slack: int = 32,
    prefix_caching: bool = False,
    prompts: Prompts | None = None,
    follows: ArrayLike | None = None,
    pause: ArrayLike = 0.0,
    record_steps: bool = False,
) -> Simulation:
    """What engines do that prefill and engines that decode, with a link between them.

    A request leaves its prefill engine with its first token; its blocks there are free once its
    KV has crossed, and then it queues at a decode engine, which takes it in without computing its
    prompt. If that engine preempts it, it computes the prompt there.

    Parameters
    ----------
    prefill, decode : Server
        The engines of either side, with vLLM's scheduler; the host's time is the prefill side's.
    latency, latency_token : float
        Of a transfer, and for each token of the prompt. [s]
    prefix_caching : bool
        On the prefill side.

    The others are those of `simulate`.

    Examples
    --------
    >>> fast = Server(StepTable(prefill=1e-5), blocks=1000)
    >>> slow = Server(StepTable(base=0.02), blocks=1000, replicas=2)
    >>> run = simulate_apart(fast, slow, [0.0], [1000], [11], latency=0.005)
    >>> [round(float(t), 3) for t in (run.first[0], run.finish[0])]
    [0.01, 0.215]
    """
    if not (latency >= 0 and latency_token >= 0):
        raise BadInput("the latency of a transfer must be at least 0 s")
    usual: dict[str, Any] = dict(simulate.__kwdefaults__ or {})
    usual |= {"arrival": arrival, "isl": isl, "osl": osl, "concurrency": concurrency}
    usual |= {"follows": follows, "pause": pause, "record_steps": record_steps}
    caching = {"prefix_caching": prefix_caching, "prompts": prompts}
    prompt, output = door.lengths(isl, "isl"), door.lengths(osl, "osl")
    first = door.case({**usual, **_flags(prefill), **caching}, longest=prompt)
    other = door.case({**usual, **_flags(decode)}, longest=prompt + output - 1)
    cluster = Cluster(
        replicas=prefill.replicas,
        router=router,
        slack=router_slack,
        other=other,
        others=decode.replicas,
        latency=float(latency),
        token=float(latency_token),
    )
    result: Simulation = SCHEDULERS["vllm"](replace(first, cluster=cluster))
    return result


def _flags(server: Server) -> dict[str, Any]:
    """Flags of one engine of a side."""
    names = ("table", "blocks", "block_size", "max_seqs", "max_tokens")
    return {name: getattr(server, name) for name in names}
