"""llm-analysis: seconds of a training step; it asks its user for the share of the peak."""

import json
import logging
import time
from pathlib import Path
from tempfile import mkdtemp

from answering import answer_all

RECOMPUTE = {"none": 0, "selective": 1, "full": 2}


def ask(row):
    from llm_analysis.analysis import train

    logging.disable(logging.WARNING)
    shape = {
        "name": row["model"],
        "num_layers": row["layers"],
        "n_head": row["heads"],
        "hidden_dim": row["hidden"],
        "vocab_size": 51200,
        "max_seq_len": row["seq"],
        "ffn_embed_dim": 4 * row["hidden"],
        "model_type": "gpt2",
    }
    config = Path(mkdtemp()) / "model.json"
    config.write_text(json.dumps(shape))
    begun = time.process_time()
    found = train(
        model_name=str(config),
        gpu_name="a100-sxm-80gb",
        log_level="ERROR",
        batch_size_per_gpu=row["micro"],
        global_batch_size=row["batch"],
        seq_len=row["seq"],
        activation_recomputation=RECOMPUTE[row["recompute"]],
        dp_size=row["dp"],
        tp_size=row["tp"],
        pp_size=row["pp"],
        flash_attn=False,
        total_num_tokens=row["batch"] * row["seq"],
        **({"flops_efficiency": row["share"]} if row.get("share") else {}),
    )
    key = next(k for k in ("latency_per_iter", "total_training_latency") if k in found)
    return {"step_s": float(found[key]), "seconds": time.process_time() - begun}


answer_all(ask)
