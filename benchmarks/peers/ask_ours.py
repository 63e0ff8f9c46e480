"""chipwise itself, asked as the peers are: rows of the serving table, as `validate` answers."""

import time

from answering import answer_all


def ask(row):
    from chipwise import catalog
    from chipwise.validation import serving

    begun = time.process_time()
    found = serving.line(row["told"], catalog.calibration())
    if found["error"]:
        raise ValueError(found["error"])
    return {
        "ttft_s": float(found["pred_ttft_ms"]) / 1000,
        "tpot_s": float(found["pred_tpot_ms"]) / 1000,
        "seconds": time.process_time() - begun,
    }


answer_all(ask)
