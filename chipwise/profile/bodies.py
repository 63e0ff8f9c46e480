"""Cases → what torch runs for them.

A step passes all its weights and caches before it comes back to one, and finds none of them in the
device's caches. So the operands of a case take turns: they lie one after another in a stretch of
memory that its last-level cache holds a quarter of. Activations, just written in a step, stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from chipwise.perf.formats import KV_WIDTH, WEIGHT_WIDTH
from chipwise.profile.cases import Case
from chipwise.profile.devices import Device, load, place
from chipwise.profile.timing import Body

__all__ = ["bodies", "copies", "element", "formats"]

_COLD = 4.0  # operands that take turns fill the last-level cache so many times


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
    """Calls of a case, each on weights or a cache of its own, so that these are read cold."""
    torch = load()
    make = {
        "copy": _copy,
        "gemm": _gemm,
        "attention_decode": _decode,
        "attention_prefill": _prefill,
    }[case.op]
    return make(torch, case, device)


def element(torch: Any, format: str) -> Any:
    """Torch's type of a format that operands are kept in."""
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[format]


def copies(device: Device, bytes_: float) -> int:
    """Operands of so many bytes that must take turns so that each is read cold. [1]"""
    return max(int(_COLD * device.cache / bytes_), 1)


def _turns(device: Device, format: str, width: float, *shape: int) -> list[Any]:
    """Operands of a shape that take turns."""
    each = math.prod(shape)
    count = copies(device, each * width)
    stretch = _stretch(device, format, max(int(_COLD * device.cache / width), each))
    return [*stretch[: count * each].view(count, *shape)]


@lru_cache(maxsize=1)
def _stretch(device: Device, format: str, count: int) -> Any:
    """So many elements; they are kept, as drawing them takes longer than most cases."""
    torch = load()
    if format == "fp8":
        drawn = torch.randn(count, device=place(device), dtype=torch.bfloat16)
        return drawn.to(_eight_bit_type(torch, device))
    return torch.randn(count, device=place(device), dtype=element(torch, format))


def _copy(torch: Any, case: Case, device: Device) -> list[Body]:
    size = case.shape["bytes"] // 4
    source = torch.ones(size, device=place(device))
    target = torch.empty_like(source)
    return [lambda: target.copy_(source)]


def _gemm(torch: Any, case: Case, device: Device) -> list[Body]:
    m, n, k = (case.shape[name] for name in ("m", "n", "k"))
    weights = _turns(device, case.format, WEIGHT_WIDTH[case.format], n, k)
    if case.format == "fp8":
        return _eight_bit(torch, device, m, weights)
    x = torch.randn(m, k, device=place(device), dtype=element(torch, case.format))
    linear = torch.nn.functional.linear
    return [partial(linear, x, w) for w in weights]


def _eight_bit_type(torch: Any, device: Device) -> Any:
    if device.kind == "rocm":
        arch = torch.cuda.get_device_properties(device.index).gcnArchName
        if arch.startswith("gfx94"):
            return torch.float8_e4m3fnuz
    return torch.float8_e4m3fn


def _eight_bit(torch: Any, device: Device, m: int, weights: Sequence[Any]) -> list[Body]:
    """Products in fp8 with one scale for each operand, quantising of the activations included."""
    kind = _eight_bit_type(torch, device)
    x = torch.randn(m, weights[0].shape[1], device=place(device), dtype=torch.bfloat16)
    one = torch.ones((), device=place(device))
    multiply = torch._scaled_mm  # noqa: SLF001 -- the door to fp8 products of all releases

    def product(w: Any) -> Any:
        return multiply(x.to(kind), w.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

    return [partial(product, w) for w in weights]


def _decode(torch: Any, case: Case, device: Device) -> list[Body]:
    batch, context = case.shape["batch"], case.shape["context"]
    heads, shared, dim = (case.shape[name] for name in ("heads", "kv_heads", "head_dim"))
    made = {"device": place(device), "dtype": element(torch, case.format)}
    query = torch.randn(batch, heads, 1, dim, **made)
    width = KV_WIDTH[case.format]
    caches = _turns(device, case.format, width, 2, batch, shared, context, dim)
    attend = torch.nn.functional.scaled_dot_product_attention
    return [partial(attend, query, c[0], c[1], enable_gqa=True) for c in caches]


def _prefill(torch: Any, case: Case, device: Device) -> list[Body]:
    tokens = case.shape["tokens"]
    heads, shared, dim = (case.shape[name] for name in ("heads", "kv_heads", "head_dim"))
    made = {"device": place(device), "dtype": element(torch, case.format)}
    query = torch.randn(1, heads, tokens, dim, **made)
    key, value = torch.randn(2, 1, shared, tokens, dim, **made)
    attend = torch.nn.functional.scaled_dot_product_attention
    return [lambda: attend(query, key, value, is_causal=True, enable_gqa=True)]
