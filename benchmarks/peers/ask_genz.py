"""GenZ's prefill and decode models at their defaults; a prompt waits for nobody there."""

import time

from answering import answer_all

SYSTEMS = {"nvidia-h100-sxm": "H100_GPU"}
MODELS = {
    "meta-llama/Llama-3.1-70B": "meta-llama/Llama-3.1-70B",
    "meta-llama/Llama-3.1-8B-Instruct-FP8": "meta-llama/Llama-3.1-8B",
}
BITS = {"bf16": "bf16", "fp8": "int8"}


def ask(row):
    from GenZ import decode_moddeling, prefill_moddeling

    if row["chip"] not in SYSTEMS:
        raise ValueError(f"it has no system {row['chip']}")
    if row["weights"] not in BITS:
        raise ValueError(f"it has no format {row['weights']}")
    batch = row["concurrency"]
    given = {
        "model": MODELS.get(row["model"], row["model"]),
        "system_name": SYSTEMS[row["chip"]],
        "bits": BITS[row["weights"]],
        "tensor_parallel": row["tp"],
        "input_tokens": row["isl"],
    }
    begun = time.process_time()
    first = prefill_moddeling(batch_size=1, **given)
    each = decode_moddeling(batch_size=batch, Bb=1, output_tokens=row["osl"], **given)
    return {
        "ttft_s": float(first["Latency"]) / 1000,
        "tpot_s": float(each["Latency"]) / 1000,
        "seconds": time.process_time() - begun,
    }


answer_all(ask)
