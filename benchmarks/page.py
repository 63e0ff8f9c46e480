"""How soon a page is there, and what it weighs: `python benchmarks/page.py`, in Chromium.

A server without compiled code, as after an installation, is asked for its first page and for a
plan; when it has compiled, a plan is asked by a click. Wall times are those of a browser on the
same machine and worth as much as the machine is idle; beside them stand the CPU seconds of the
server and all its processes, and what a plan's page weighs over the wire.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import FLAGS
from tests.browser.test_pages import PLAN, opened
from tests.conftest import served

PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
_TICK = os.sysconf("SC_CLK_TCK")


def spent(server: int) -> float:
    """CPU seconds of a process and all that descend from it, those that have ended too. [s]"""
    every: dict[int, tuple[int, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        every[int(stat.parent.name)] = int(fields[1]), sum(map(int, fields[11:15])) / _TICK
    total, front = 0.0, [server]
    while front:
        total += sum(every[pid][1] for pid in front if pid in every)
        front = [pid for pid, (parent, _) in every.items() if parent in front]
    return total


def painted(page: Page, path: str) -> float:
    """First contentful paint after the address was asked. [s]"""
    page.goto(path)
    return float(page.evaluate(PAINT))


def clicked(page: Page, at: int) -> float:
    """From the click to the table of a plan that was not asked before. [s]"""
    page.goto("/plan?lang=en")
    page.get_by_label("Prompt tokens (ISL)").fill(str(2000 + at))
    start = time.monotonic()
    page.get_by_role("button", name="Compute").click()
    page.locator("section.answer table").first.wait_for()
    return time.monotonic() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as above, sync_playwright() as play:
        os.environ["NUMBA_CACHE_DIR"] = str(Path(above) / "compiled")
        folder = Path(above) / "served"
        folder.mkdir()
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        start = time.monotonic()
        with served(folder) as (process, address):
            found = {"server_up_s": time.monotonic() - start}
            page = chromium.new_context(base_url=address).new_page()
            found["first_paint_cold_home_s"] = painted(page, "/?lang=en")
            found["first_paint_cold_plan_s"] = painted(page, f"{PLAN}&lang=en")
            start = time.monotonic()
            opened(page, f"{PLAN}&lang=en")
            found["plan_while_it_compiles_s"] = time.monotonic() - start
            found["server_cpu_until_then_s"] = spent(process.pid)
            clicked(page, 0)
            before = spent(process.pid)
            found["plan_after_click_s"] = min(clicked(page, at) for at in range(1, 6))
            found["server_cpu_a_plan_s"] = (spent(process.pid) - before) / 5
            fresh, sizes = chromium.new_context(base_url=address).new_page(), []
            fresh.on("requestfinished", lambda r: sizes.append(r.sizes()["responseBodySize"]))
            fresh.goto(f"{PLAN}&lang=en", wait_until="networkidle")
            found["plan_page_kB"] = sum(sizes) / 1e3
        chromium.close()
    print(json.dumps({k: round(v, 3) for k, v in found.items()}, indent=1))


if __name__ == "__main__":
    main()
