"""Imported once by the process from which those that answer are forked: they start warm.

What takes long the first time is done here: the catalog is read, compiled code is loaded.
"""

import gc

from chipwise import catalog, questions

__all__: list[str] = []

for _name in catalog.chip_ids():
    catalog.chip(_name)
_LOAD = {"model": "llama-3.1-8b", "isl": 512, "osl": 32}
questions.plan({**_LOAD, "chips": ["h100"]})
questions.plan({**_LOAD, "chips": ["h100"], "mode": "agg", "rate": 1.0, "ttft": 5.0})
questions.simulate({**_LOAD, "chip": "h100", "concurrency": 2, "requests": 4})
questions.landscape({})
questions.claims({})
# What is here now is shared by all that are forked; the collector would copy it by touching it.
gc.freeze()
