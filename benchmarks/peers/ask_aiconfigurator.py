"""AIConfigurator's `cli estimate`, through its own Python function; one answer for each row."""

import time

from answering import answer_all

MODELS = {"meta-llama/Llama-3.1-70B": "meta-llama/Meta-Llama-3.1-70B"}


def ask(row):
    from aiconfigurator.cli.api import cli_estimate

    dense = row["experts"] == 0
    formats = {}
    if dense and row["weights"] in ("fp8", "nvfp4"):
        formats = {"gemm_quant_mode": row["weights"]}
    elif row["weights"] == "nvfp4":
        formats = {"gemm_quant_mode": "nvfp4", "moe_quant_mode": "nvfp4"}
    elif row["weights"] == "bf16" and not dense:
        formats = {"gemm_quant_mode": "bfloat16", "moe_quant_mode": "bfloat16"}
    experts = {}
    if not dense:
        shards = row["tp"] * row["dp"]
        experts = {"moe_ep_size": row["ep"], "moe_tp_size": max(shards // row["ep"], 1)}
    given = {
        "backend_name": row["backend"],
        "isl": row["isl"],
        "osl": row["osl"],
        "batch_size": max(row["concurrency"] // row["dp"], 1),
        "tp_size": row["tp"],
        "attention_dp_size": row["dp"],
        **formats,
        **experts,
    }
    model = MODELS.get(row["model"], row["model"])
    system = row["chip"].removeprefix("nvidia-").replace("-", "_")
    begun = time.process_time()
    found = cli_estimate(model, system, **given)
    return {
        "ttft_s": float(found.ttft) / 1000,
        "tpot_s": float(found.tpot) / 1000,
        "seconds": time.process_time() - begun,
    }


answer_all(ask)
