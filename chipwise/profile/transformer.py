"""A small Llama in plain torch, to time whole steps that no operator's timing has seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chipwise.profile.bodies import gate, norm, rotate
from chipwise.profile.cases import Case
from chipwise.profile.devices import Device, load, place

__all__ = ["CONFIGS", "forward", "steps"]

Body = Callable[[], Any]

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
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[case.format]
    made = {"device": place(device), "dtype": kind}
    prompt, context = case.shape["prompt"], case.shape["context"]
    rows = 1 if prompt else case.shape["sequences"]
    new = prompt or 1
    length = prompt or context
    layers = [_layer(torch, config, rows, length, made) for _ in range(config["num_hidden_layers"])]
    hidden, vocab = config["hidden_size"], config["vocab_size"]
    table = torch.randn(vocab, hidden, **made)
    last, head = torch.ones(hidden, **made), 0.02 * torch.randn(vocab, hidden, **made)
    ids = torch.randint(vocab, (rows, new), device=place(device))
    angles = torch.randn(2, new, 1, config["head_dim"], **made)
    linear = torch.nn.functional.linear

    def step() -> Any:
        x = torch.nn.functional.embedding(ids, table)
        for layer in layers:
            x = _through(torch, config, layer, x, angles, length)
        return linear(norm(torch, x[:, -1], last), head)

    return [step]


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


def _through(
    torch: Any, config: Mapping[str, Any], layer: _Layer, x: Any, angles: Any, length: int
) -> Any:
    """A layer: attention over the cache, whose last places are the new tokens', and the rest."""
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    rows, new, hidden = x.shape
    linear = torch.nn.functional.linear
    mixed = linear(norm(torch, x, layer.before), layer.attention).view(
        rows, new, -1, angles.shape[-1]
    )
    query, key, value = mixed.split((heads, shared, shared), 2)
    layer.cache[0, :, :, length - new :].copy_(rotate(torch, key, *angles).transpose(1, 2))
    layer.cache[1, :, :, length - new :].copy_(value.transpose(1, 2))
    query = rotate(torch, query, *angles).transpose(1, 2)
    found = torch.nn.functional.scaled_dot_product_attention(
        query, layer.cache[0], layer.cache[1], is_causal=new > 1, enable_gqa=True
    )
    x = x + linear(found.transpose(1, 2).reshape(rows, new, hidden), layer.out)
    wide = gate(torch, linear(norm(torch, x, layer.after), layer.up))
    return x + linear(wide, layer.down)
