"""A small Llama in plain torch: a layer, and whole steps that no operator's timing has seen.

Norms, rotation, residuals and activation are timed in a layer of other widths, in their places
between its products: these stream their weights through the caches, so that what stands between
them finds neither its data nor, on a CPU, the framework's code there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from chipwise.profile.bodies import copies, element
from chipwise.profile.cases import Case
from chipwise.profile.devices import Device, load, place
from chipwise.profile.timing import Body

__all__ = ["CONFIGS", "between", "forward", "steps"]

# As in a config.json, so that chipwise reads them as it reads any model's.
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "small": {
        "model_type": "llama",
        "hidden_size": 768,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "intermediate_size": 2048,
        "vocab_size": 8000,
    },
    "large": {
        "model_type": "llama",
        "hidden_size": 5120,
        "num_hidden_layers": 8,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 13824,
        "vocab_size": 32000,
    },
}
# (prompt, sequences, context): a prompt is prefilled alone, or sequences decode one token each.
_STEPS: Mapping[str, Sequence[tuple[int, int, int]]] = {
    "small": (
        *((24, 0, 0), (100, 0, 0), (200, 0, 0), (400, 0, 0), (700, 0, 0)),
        *((0, 1, 200), (0, 1, 1500), (0, 2, 700), (0, 6, 400), (0, 12, 150), (0, 24, 300)),
    ),
    "large": (
        *((300, 0, 0), (1500, 0, 0), (6000, 0, 0)),
        *((0, 1, 700), (0, 12, 3000), (0, 48, 1500), (0, 160, 700)),
    ),
}
# The layer around what is timed between products: sequences of so many tokens, a gate of so many
# hidden widths, and so many query heads for each that is stored.
_CONTEXT, _FFN, _GROUP, _HEAD = 256, 2.75, 4, 64


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Weights of a layer, and keys and values of the sequences."""

    before: Any
    attention: Any
    out: Any
    after: Any
    up: Any
    down: Any
    cache: Any


def steps(size: str, format: str) -> tuple[Case, ...]:
    """Whole steps of the model of a size: a prompt alone, or sequences that decode."""
    return tuple(
        Case("step", format, {"prompt": prompt, "sequences": sequences, "context": context})
        for prompt, sequences, context in _STEPS[size]
    )


def forward(case: Case, config: Mapping[str, Any], device: Device) -> Sequence[Body]:
    """One step of the model that a config describes, as a call.

    Parameters
    ----------
    case : Case
        Of `steps`.
    config : mapping
        Keys of a Llama's config.json.
    device : Device
        Where it runs.
    """
    torch = load()
    made = {"device": place(device), "dtype": element(torch, case.format)}
    rows, new, length = _tokens(case, case.shape["context"])
    layers = [_layer(torch, config, rows, length, made) for _ in range(config["num_hidden_layers"])]
    hidden, vocab = config["hidden_size"], config["vocab_size"]
    table = torch.randn(vocab, hidden, **made)
    last, head = torch.ones(hidden, **made), 0.02 * torch.randn(vocab, hidden, **made)
    ids = torch.randint(vocab, (rows, new), device=place(device))
    angles = torch.randn(2, new, 1, config["head_dim"], **made)
    functions = torch.nn.functional
    linear, attend = functions.linear, functions.scaled_dot_product_attention

    def step() -> Any:
        x = functions.embedding(ids, table)
        for layer in layers:
            x = _through(torch, layer, x, angles, linear, attend)
        return linear(_norm(torch, x[:, -1], last), head)

    return [step]


def between(
    case: Case, device: Device, aside: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Sequence[Body]:
    """Layers of a hidden width, whose products and attention do not count.

    Parameters
    ----------
    case : Case
        An elementwise one.
    device : Device
        Where it runs.
    aside : callable
        From `timing.apart`.
    """
    torch = load()
    made = {"device": place(device), "dtype": element(torch, case.format)}
    rows, new, length = _tokens(case, _CONTEXT)
    hidden = case.shape["hidden"]
    config = {
        "hidden_size": hidden,
        "intermediate_size": int(_FFN * hidden),
        "num_attention_heads": hidden // _HEAD,
        "num_key_value_heads": hidden // _HEAD // _GROUP,
        "head_dim": _HEAD,
    }
    one = _layer(torch, config, rows, length, made)
    weights = sum(w.nbytes for w in (one.attention, one.out, one.up, one.down))
    more = (_layer(torch, config, rows, length, made) for _ in range(copies(device, weights) - 1))
    x = torch.randn(rows, new, hidden, **made)
    angles = torch.randn(2, new, 1, _HEAD, **made)
    functions = torch.nn.functional
    linear, attend = aside(functions.linear), aside(functions.scaled_dot_product_attention)
    return [partial(_through, torch, layer, x, angles, linear, attend) for layer in (one, *more)]


def _tokens(case: Case, context: int) -> tuple[int, int, int]:
    """Sequences, new tokens of each and its length: one prompt, or outputs over a context."""
    prompt = case.shape["prompt"]
    return (1, prompt, prompt) if prompt else (case.shape["sequences"], 1, context)


def _layer(
    torch: Any, config: Mapping[str, Any], rows: int, length: int, made: Mapping[str, Any]
) -> _Layer:
    hidden, ffn, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]

    def weight(n: int, k: int) -> Any:
        return 0.02 * torch.randn(n, k, **made)

    return _Layer(
        torch.ones(hidden, **made),
        weight((heads + 2 * shared) * dim, hidden),
        weight(hidden, heads * dim),
        torch.ones(hidden, **made),
        weight(2 * ffn, hidden),
        weight(hidden, ffn),
        torch.randn(2, rows, shared, length, dim, **made),
    )


def _through(torch: Any, layer: _Layer, x: Any, angles: Any, linear: Body, attend: Body) -> Any:
    """A layer: attention over the cache, whose last places are the new tokens', and the rest."""
    rows, new, hidden = x.shape
    _, _, shared, length, dim = layer.cache.shape
    heads = layer.out.shape[1] // dim
    mixed = linear(_norm(torch, x, layer.before), layer.attention).view(rows, new, -1, dim)
    query, key, value = mixed.split((heads, shared, shared), 2)
    layer.cache[0, :, :, length - new :].copy_(_rotate(torch, key, *angles).transpose(1, 2))
    layer.cache[1, :, :, length - new :].copy_(value.transpose(1, 2))
    query = _rotate(torch, query, *angles).transpose(1, 2)
    found = attend(query, layer.cache[0], layer.cache[1], is_causal=new > 1, enable_gqa=True)
    x = x + linear(found.transpose(1, 2).reshape(rows, new, hidden), layer.out)
    wide = _gate(torch, linear(_norm(torch, x, layer.after), layer.up))
    return x + linear(wide, layer.down)


def _norm(torch: Any, x: Any, weight: Any) -> Any:
    """Root-mean-square norm over the hidden state."""
    return torch.nn.functional.rms_norm(x, (x.shape[-1],), weight)


def _rotate(torch: Any, x: Any, cosine: Any, sine: Any) -> Any:
    """Rotary embedding of heads: x of (…, dim), angles that broadcast with it."""
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), -1)
    return x * cosine + turned * sine


def _gate(torch: Any, both: Any) -> Any:
    """SwiGLU of the gate and up projections, which lie side by side."""
    left, right = both.chunk(2, -1)
    return torch.nn.functional.silu(left) * right
