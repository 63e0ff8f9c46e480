"""One function for each operator and collective: shapes → Work.

Every function takes numbers or arrays that broadcast together. Work counts what the mathematics
asks for; how a chip fares with it is roofline's matter.
"""

from __future__ import annotations

import numpy as np

from chipwise.registry import operator
from chipwise.types import Numeric, Work

__all__ = [
    "all_reduce",
    "all_to_all",
    "attention_decode",
    "attention_prefill",
    "distinct_experts",
    "elementwise",
    "experts",
    "gemm",
    "permute",
    "send",
    "state_update",
]

ACTIVATION = 2.0  # bytes of a bf16 activation


@operator("gemm")
def gemm(m: Numeric, n: Numeric, k: Numeric, width: float) -> Work:
    """Dense matrix product of an m×k activation and a k×n weight.

    2mnk flops; each operand and the result cross memory once. [1]_

    Parameters
    ----------
    m, n, k : numeric
        Rows, columns, inner dimension. [1]
    width : float
        Width of one stored weight. [byte]

    Returns
    -------
    Work
        Fields broadcast over m, n and k.

    Examples
    --------
    >>> gemm(1, 8192, 8192, width=2).flops
    134217728

    References
    ----------
    .. [1] S. Williams et al., "Roofline," CACM 52(4), 2009, doi:10.1145/1498765.1498785.
    """
    return Work(flops=2 * m * n * k, bytes=n * k * width + ACTIVATION * m * (n + k))


def distinct_experts(tokens: Numeric, experts: float, topk: float, correlation: float) -> Numeric:
    """Expected number of distinct experts that `tokens` tokens reach.

    E·(1 − (1 − k/E)^(T^c)): independent uniform routing at c = 1; c < 1 because tokens of one
    batch resemble one another.

    Parameters
    ----------
    tokens : numeric
        Tokens that are routed together. [token]
    experts, topk : float
        Experts in the layer, experts for each token. [1]
    correlation : float
        Exponent c. [1]

    Examples
    --------
    >>> round(float(distinct_experts(1, 256, 8, 1.0)), 6)
    8.0
    """
    return experts * (1.0 - (1.0 - topk / experts) ** (np.maximum(tokens, 1e-9) ** correlation))


@operator("experts")
def experts(
    tokens: Numeric,
    active: Numeric,
    topk: float,
    weights: float,
    width: float,
    ranks: Numeric,
) -> Work:
    """Routed experts of one layer, on one of `ranks` ranks.

    Each token passes `topk` experts; each expert that is reached is read once.

    Parameters
    ----------
    tokens : numeric
        Tokens over all ranks. [token]
    active : numeric
        Distinct experts reached, over all ranks. [1]
    topk : float
        Experts for each token. [1]
    weights : float
        Weights of one expert. [1]
    width : float
        Width of one stored weight. [byte]
    ranks : numeric
        Ranks over which the experts are spread. [1]

    Examples
    --------
    >>> experts(1, 8, 8, weights=1000, width=1, ranks=1)
    Work(flops=16000.0, bytes=8000.0, wire=0.0, messages=0.0)
    """
    return Work(
        flops=2.0 * weights * topk * tokens / ranks, bytes=1.0 * active * weights * width / ranks
    )


@operator("permute")
def permute(tokens: Numeric, topk: float, hidden: float, passes: float, ranks: Numeric) -> Work:
    """Gathering tokens by expert and scattering them back: memory traffic alone.

    Parameters
    ----------
    tokens : numeric
        Tokens over all ranks. [token]
    topk, hidden : float
        Experts for each token; width of a token. [1]
    passes : float
        Times that a routed token crosses memory. [1]
    ranks : numeric
        Ranks that share the routed tokens: by expert or by data, not by tensor. [1]

    Examples
    --------
    >>> permute(10, 8, 4096, 5, 1).bytes
    3276800.0
    """
    return Work(bytes=ACTIVATION * topk * tokens * hidden * passes / ranks)


@operator("attention_decode")
def attention_decode(keys: Numeric, flops: Numeric, bytes: Numeric) -> Work:
    """Attention of new tokens over a cache of `keys` tokens in all.

    Parameters
    ----------
    keys : numeric
        Cached tokens that are read, summed over the sequences. [token]
    flops : numeric
        Flops for each cached token on this rank. [flop]
    bytes : numeric
        Cache bytes for each token on this rank. [byte]

    Examples
    --------
    >>> attention_decode(100.0, 4.0, 2.0)
    Work(flops=400.0, bytes=200.0, wire=0.0, messages=0.0)
    """
    return Work(flops=keys * flops, bytes=keys * bytes)


@operator("attention_prefill")
def attention_prefill(pairs: Numeric, flops: Numeric) -> Work:
    """Attention of a prompt over itself and what was cached before it.

    Parameters
    ----------
    pairs : numeric
        (query, key) pairs: a chunk of k tokens after p done has k·(p + k/2). [1]
    flops : numeric
        Flops for each pair on this rank. [flop]

    Examples
    --------
    >>> attention_prefill(8.0, 4.0).flops
    32.0
    """
    return Work(flops=pairs * flops)


@operator("state_update")
def state_update(sequences: Numeric, state: Numeric) -> Work:
    """Reading and writing the recurrent state of linear attention, once for each sequence.

    Parameters
    ----------
    sequences : numeric
        Decoding sequences. [1]
    state : numeric
        State of one sequence in one layer on this rank. [byte]

    Examples
    --------
    >>> state_update(2, 100.0).bytes
    400.0
    """
    return Work(bytes=2.0 * sequences * state)


@operator("elementwise")
def elementwise(tokens: Numeric, hidden: float, passes: float) -> Work:
    """Norms, residuals, rotary embedding and activations: passes over the hidden state.

    Parameters
    ----------
    tokens : numeric
        Tokens. [token]
    hidden : float
        Width of a token. [1]
    passes : float
        Times that a token crosses memory in a layer. [1]

    Examples
    --------
    >>> elementwise(2, 8, 10).bytes
    320.0
    """
    return Work(bytes=ACTIVATION * tokens * hidden * passes)


@operator("all_reduce")
def all_reduce(tokens: Numeric, hidden: float, ranks: Numeric, growth: float) -> Work:
    """Sum of the hidden state over `ranks` ranks, by ring or switch.

    Each rank sends 2(n−1)/n of the message [1]_; the start grows by `growth` for each doubling.

    Parameters
    ----------
    tokens : numeric
        Tokens of a rank. [token]
    hidden : float
        Width of a token. [1]
    ranks : numeric
        Ranks n; 1 sends nothing. [1]
    growth : float
        Share of the start added by each doubling of n. [1]

    Examples
    --------
    >>> all_reduce(4, 8, 2, 0.0)
    Work(flops=0.0, bytes=0.0, wire=64.0, messages=1.0)

    References
    ----------
    .. [1] R. Thakur et al., "Optimization of collective communication operations in MPICH,"
       IJHPCA 19(1), 2005, doi:10.1177/1094342005051521.
    """
    n = np.maximum(ranks, 1)
    many = np.where(n > 1, 1.0, 0.0)[()]
    return Work(
        wire=many * ACTIVATION * tokens * hidden * 2.0 * (n - 1) / n,
        messages=many * (1.0 + growth * np.log2(n)),
    )


@operator("all_to_all")
def all_to_all(tokens: Numeric, topk: float, hidden: float, ranks: Numeric) -> Work:
    """Sending each token to the ranks of its experts, and the results back.

    A token reaches at most min(topk, n − 1) other ranks, each way.

    Parameters
    ----------
    tokens : numeric
        Tokens of a rank. [token]
    topk, hidden : float
        Experts for each token; width of a token. [1]
    ranks : numeric
        Ranks n; 1 sends nothing. [1]

    Examples
    --------
    >>> all_to_all(4, 8, 16, 2)
    Work(flops=0.0, bytes=0.0, wire=256.0, messages=2.0)
    """
    n = np.maximum(ranks, 1)
    many = np.where(n > 1, 1.0, 0.0)[()]
    return Work(
        wire=many * 2.0 * ACTIVATION * tokens * hidden * np.minimum(topk, n - 1),
        messages=2.0 * many,
    )


@operator("send")
def send(bytes: Numeric, hops: Numeric) -> Work:
    """Passing `bytes` on to the next rank, `hops` times.

    Parameters
    ----------
    bytes : numeric
        Message. [byte]
    hops : numeric
        Times that it is sent, one after the other. [1]

    Examples
    --------
    >>> send(100.0, 3).wire
    300.0
    """
    return Work(wire=bytes * hops, messages=1.0 * hops)
