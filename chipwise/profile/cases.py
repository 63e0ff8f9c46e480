"""What a profile times: operators, formats and shapes, and the work that each of them is.

A case has the shapes of `chipwise.perf.ops`, so that its work is counted as a prediction counts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chipwise.perf import ops
from chipwise.perf.formats import KV_WIDTH, WEIGHT_WIDTH
from chipwise.types import Work

__all__ = ["Case", "Size", "key", "shapes", "work"]


@dataclass(frozen=True, slots=True)
class Case:
    """One operator in a format at a shape, whose dimensions have names."""

    op: str
    format: str
    shape: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Size:
    """How far the shapes of a profile reach.

    `products` are (n, k) of weights and `rows` their m; `caches` (heads, kv_heads, head_dim);
    `batches` and `contexts` of decoding, `prompts` of prefill, `widths` of the hidden state;
    `copies` and `messages` in bytes; `flops` is what a case may take at most. [flop]
    """

    products: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]
    caches: tuple[tuple[int, int, int], ...]
    batches: tuple[int, ...]
    contexts: tuple[int, ...]
    prompts: tuple[int, ...]
    widths: tuple[int, ...]
    copies: tuple[int, ...]
    messages: tuple[int, ...]
    flops: float


_MI = 2**20
# A core computes some ten Gflop/s, an accelerator some hundred Tflop/s. Rows lie closer where
# libraries change kernels: a core's product of three rows may take half again that of two.
SMALL = Size(
    products=(
        *((768, 512), (512, 512), (2816, 512), (512, 1408)),
        *((1536, 1024), (1024, 1024), (5632, 1024), (1024, 2816), (8192, 1024)),
    ),
    rows=(1, 2, 3, 5, 8, 16, 32, 64, 128, 256, 512),
    caches=((8, 2, 64), (16, 8, 64)),
    batches=(1, 4, 16),
    contexts=(64, 256, 1024, 4096),
    prompts=(16, 64, 128, 256, 512, 1024),
    widths=(512, 1024),
    copies=(64 * _MI, 128 * _MI, 256 * _MI),
    messages=(16 * 2**10, 256 * 2**10, 4 * _MI, 64 * _MI),
    flops=6e9,
)
LARGE = Size(
    products=((1024, 1024), (4096, 4096), (6144, 4096), (28672, 4096), (4096, 14336), (8192, 8192)),
    rows=(1, 4, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192),
    caches=((32, 8, 128), (64, 8, 128)),
    batches=(1, 8, 32, 128),
    contexts=(256, 1024, 4096, 16384),
    prompts=(128, 512, 2048, 8192, 16384),
    widths=(4096, 8192),
    copies=(256 * _MI, 1024 * _MI, 4096 * _MI),
    messages=(16 * 2**10, 256 * 2**10, 4 * _MI, 64 * _MI, 512 * _MI),
    flops=1e13,
)
# Sequences or a prompt with which a layer's norms, rotation, residuals and activation are timed.
_ELEMENTWISE = ((1, 0), (4, 0), (16, 0), (48, 0), (0, 64), (0, 512))
_ELEMENT = 2.0  # bytes of what is summed


def key(case: Case) -> str:
    """A case as one text: what a file of measurements tells cases apart by.

    Examples
    --------
    >>> key(Case("gemm", "fp32", {"m": 1, "n": 512, "k": 256}))
    'gemm fp32 m=1 n=512 k=256'
    """
    dims = " ".join(f"{name}={value}" for name, value in case.shape.items())
    return f"{case.op} {case.format} {dims}"


def shapes(size: Size, formats: Sequence[str], ranks: int = 1) -> tuple[Case, ...]:
    """Every case of a profile, in the order in which they are timed.

    Parameters
    ----------
    size : Size
        How far the shapes reach.
    formats : sequence of str
        Of the products' operands; attention and the rest run in the first.
    ranks : int
        Devices that sum what each of them holds; one sums nothing. [1]
    """
    every = (*_cases(size, formats), *_sums(size, formats[0], ranks))
    return tuple(case for case in every if float(work(case).flops) <= size.flops)


def _cases(size: Size, formats: Sequence[str]) -> Iterator[Case]:
    first = formats[0]
    for bytes_ in size.copies:
        yield Case("copy", first, {"bytes": bytes_})
    for form in formats:
        for n, k in size.products:
            for m in size.rows:
                yield Case("gemm", form, {"m": m, "n": n, "k": k})
    for heads, kv_heads, head_dim in size.caches:
        dims = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
        for batch in size.batches:
            for context in size.contexts:
                yield Case("attention_decode", first, {"batch": batch, "context": context, **dims})
        for tokens in size.prompts:
            yield Case("attention_prefill", first, {"tokens": tokens, **dims})
    for hidden in size.widths:
        for sequences, prompt in _ELEMENTWISE:
            dims = {"sequences": sequences, "prompt": prompt, "hidden": hidden}
            yield Case("elementwise", first, dims)


def _sums(size: Size, format: str, ranks: int) -> Iterator[Case]:
    if ranks > 1:
        for bytes_ in size.messages:
            yield Case("all_reduce", format, {"bytes": bytes_, "ranks": ranks})


def work(case: Case, passes: float = 1.0) -> Work:
    """The work of a case, as predictions count it.

    Parameters
    ----------
    case : Case
        What was timed.
    passes : float
        Times that an elementwise token crosses memory, of the calibration. [1]

    Examples
    --------
    >>> work(Case("copy", "fp32", {"bytes": 100})).bytes
    200.0
    """
    dims = case.shape
    match case.op:
        case "copy":
            return Work(bytes=2.0 * dims["bytes"])
        case "gemm":
            return ops.gemm(dims["m"], dims["n"], dims["k"], WEIGHT_WIDTH[case.format])
        case "attention_decode":
            keys = dims["batch"] * dims["context"]
            stored = 2 * dims["kv_heads"] * dims["head_dim"] * KV_WIDTH[case.format]
            return ops.attention_decode(keys, 4.0 * dims["heads"] * dims["head_dim"], stored)
        case "attention_prefill":
            pairs = dims["tokens"] ** 2 / 2.0
            return ops.attention_prefill(pairs, 4.0 * dims["heads"] * dims["head_dim"])
        case "elementwise":
            tokens = dims["sequences"] + dims["prompt"]
            return ops.elementwise(tokens, dims["hidden"], passes)
        case "all_reduce":
            return ops.all_reduce(dims["bytes"] / _ELEMENT, 1.0, dims["ranks"], 0.0)
    raise ValueError(f"a {case.op} is no single operator")
