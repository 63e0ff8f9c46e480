"""Cases → what torch runs for them, on operands of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from chipwise.perf.formats import KV_WIDTH, WEIGHT_WIDTH
from chipwise.profile.cases import Case
from chipwise.profile.devices import Device, load, place

__all__ = ["bodies", "formats", "gate", "norm", "rotate"]

Body = Callable[[], Any]

_COLD = 4.0  # operands that follow one another fill the last-level cache so many times
_COPIES = 64
_FFN = 2.75  # width of a feed-forward layer, in hidden widths
_HEAD = 64


def formats(device: Device) -> tuple[str, ...]:
    """Formats of products that torch multiplies natively on the device, the usual one first."""
    torch = load()
    if device.kind == "cpu":
        return ("fp32",)
    found = ["bf16"]
    if device.kind == "cuda" and torch.cuda.get_device_capability(device.index) >= (8, 9):
        found.append("fp8")
    if device.kind == "rocm" and hasattr(torch, "float8_e4m3fnuz"):
        arch = torch.cuda.get_device_properties(device.index).gcnArchName
        found += ["fp8"] if arch.startswith(("gfx94", "gfx95")) else []
    return tuple(found)


def bodies(case: Case, device: Device) -> Sequence[Body]:
    """Calls of a case, each on operands of its own, so that weights and caches are read cold."""
    torch = load()
    make = {
        "copy": _copy,
        "gemm": _gemm,
        "attention_decode": _decode,
        "attention_prefill": _prefill,
        "elementwise": _elementwise,
    }[case.op]
    return make(torch, case, device)


def _type(torch: Any, format: str) -> Any:
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[format]


def _copies(device: Device, bytes_: float) -> int:
    """Operands of so many bytes that are needed to run cold. [1]"""
    return max(1, min(math.ceil(_COLD * device.cache / bytes_), _COPIES))


def _copy(torch: Any, case: Case, device: Device) -> list[Body]:
    size = case.shape["bytes"] // 4
    source = torch.ones(size, device=place(device))
    target = torch.empty_like(source)
    return [lambda: target.copy_(source)]


def _gemm(torch: Any, case: Case, device: Device) -> list[Body]:
    m, n, k = (case.shape[name] for name in ("m", "n", "k"))
    count = _copies(device, n * k * WEIGHT_WIDTH[case.format])
    if case.format == "fp8":
        return _eight_bit(torch, device, m, n, k, count)
    made = {"device": place(device), "dtype": _type(torch, case.format)}
    x = torch.randn(m, k, **made)
    weights = [torch.randn(n, k, **made) for _ in range(count)]
    linear = torch.nn.functional.linear
    return [partial(linear, x, w) for w in weights]


def _eight_bit(torch: Any, device: Device, m: int, n: int, k: int, count: int) -> list[Body]:
    """Products in fp8 with one scale for each operand, quantising of the activations included."""
    kind = torch.float8_e4m3fn
    if device.kind == "rocm":
        arch = torch.cuda.get_device_properties(device.index).gcnArchName
        kind = torch.float8_e4m3fnuz if arch.startswith("gfx94") else kind
    at = place(device)
    x = torch.randn(m, k, device=at, dtype=torch.bfloat16)
    weights = [torch.randn(n, k, device=at).to(kind) for _ in range(count)]
    one = torch.ones((), device=at)
    multiply = torch._scaled_mm  # noqa: SLF001 -- the door to fp8 products of all releases

    def product(w: Any) -> Any:
        return multiply(x.to(kind), w.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

    return [partial(product, w) for w in weights]


def _decode(torch: Any, case: Case, device: Device) -> list[Body]:
    batch, context = case.shape["batch"], case.shape["context"]
    heads, shared, dim = (case.shape[name] for name in ("heads", "kv_heads", "head_dim"))
    made = {"device": place(device), "dtype": _type(torch, case.format)}
    query = torch.randn(batch, heads, 1, dim, **made)
    held = 2 * batch * context * shared * dim * KV_WIDTH[case.format]
    caches = [
        torch.randn(2, batch, shared, context, dim, **made) for _ in range(_copies(device, held))
    ]
    attend = torch.nn.functional.scaled_dot_product_attention
    return [partial(attend, query, c[0], c[1], enable_gqa=True) for c in caches]


def _prefill(torch: Any, case: Case, device: Device) -> list[Body]:
    tokens = case.shape["tokens"]
    heads, shared, dim = (case.shape[name] for name in ("heads", "kv_heads", "head_dim"))
    made = {"device": place(device), "dtype": _type(torch, case.format)}
    query = torch.randn(1, heads, tokens, dim, **made)
    key, value = torch.randn(2, 1, shared, tokens, dim, **made)
    attend = torch.nn.functional.scaled_dot_product_attention
    return [lambda: attend(query, key, value, is_causal=True, enable_gqa=True)]


def norm(torch: Any, x: Any, weight: Any) -> Any:
    """Root-mean-square norm over the hidden state."""
    return torch.nn.functional.rms_norm(x, (x.shape[-1],), weight)


def rotate(torch: Any, x: Any, cosine: Any, sine: Any) -> Any:
    """Rotary embedding of heads: x of (…, dim), angles that broadcast with it."""
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), -1)
    return x * cosine + turned * sine


def gate(torch: Any, both: Any) -> Any:
    """SwiGLU of the gate and up projections, which lie side by side."""
    left, right = both.chunk(2, -1)
    return torch.nn.functional.silu(left) * right


def _elementwise(torch: Any, case: Case, device: Device) -> list[Body]:
    """What a layer does beside products and attention."""
    tokens, hidden = case.shape["tokens"], case.shape["hidden"]
    made = {"device": place(device), "dtype": _type(torch, case.format)}
    x, weight = torch.randn(tokens, hidden, **made), torch.ones(hidden, **made)
    heads = hidden // _HEAD
    query = torch.randn(tokens, heads, _HEAD, **made)
    key = torch.randn(tokens, max(heads // 4, 1), _HEAD, **made)
    cache = torch.empty(2, *key.shape, **made)
    cosine = torch.randn(tokens, 1, _HEAD, **made)
    both = torch.randn(tokens, 2 * int(_FFN * hidden), **made)

    def layer() -> Any:
        y = norm(torch, x, weight)
        rotate(torch, query, cosine, cosine)
        cache[0].copy_(rotate(torch, key, cosine, cosine))
        cache[1].copy_(key)
        y = norm(torch, x + y, weight)
        return gate(torch, both), x + y

    return [layer]
