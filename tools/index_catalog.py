"""Writes the catalog's index of names from its files: `python tools/index_catalog.py`."""

import json

from chipwise.catalog.files import DATA
from chipwise.catalog.names import build_index

if __name__ == "__main__":
    lines = (
        f'"{kind}": [\n' + ",\n".join(json.dumps(e, ensure_ascii=False) for e in entries) + "\n]"
        for kind, entries in build_index().items()
    )
    (DATA / "index.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
