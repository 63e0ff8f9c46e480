"""Pictures of every page in both languages, for docs/screenshots: `python tools/screenshots.py`.

It serves the page itself, and needs the system's Chromium.
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import FLAGS
from tests.browser.test_pages import PAGES, SIMULATE, opened, spoken
from tests.conftest import served

OUT = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
# What a page shows when it was asked, where the tests of all pages do not ask.
ASKED = {
    "plan": "/plan?model=llama-2-70b&chips=h200,h20,910c&isl=2048&osl=128&mode=agg",
    "simulate": SIMULATE,
    "fleet": "/fleet?cut_off=vendor%3DNVIDIA&since=2027-Q1",
    "map": "/policy?on=2025-06-01",
    "studies": "/studies?name=eight&name=sixteen",
}
# The same pages where they are hardest to draw.
SMALL = {
    "plan-small-dark": ("plan", 380, "dark"),
    "map-small": ("map", 380, "light"),
    "chip-small": ("chip", 380, "light"),
    "map-dark": ("map", 1100, "dark"),
}
_LARGE = 1_870_000  # of a page, the rest is left out [pixel]
# Long lists, of which the beginning tells enough.
_LISTS = ("chips", "prices", "rules", "sources", "claims")


def pictured(page: Page, into: Path) -> None:
    """A page as a picture that weighs little."""
    most = _LARGE // 2 if into.name.startswith(_LISTS) else _LARGE
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    shot.crop((0, 0, shot.width, min(shot.height, most // shot.width))).save(
        into, "webp", quality=32, method=6
    )


def saved(above: Path) -> None:
    """Two studies to compare, where the server looks for them."""
    for name, batch in (("eight", "8"), ("sixteen", "16")):
        asked = ["estimate", "llama-2-70b", "--chip", "h200", "--tp", "2", "--batch", batch]
        program = Path(sys.executable).with_name("chipwise")
        subprocess.run(
            [program, *asked, "--isl", "2048", "--osl", "128", "--save", name],
            check=True,
            capture_output=True,
            env={**os.environ, "CHIPWISE_STUDIES": str(above / "studies.db")},
        )


def main() -> None:
    OUT.mkdir(exist_ok=True)
    pages = {**PAGES, **ASKED}
    views = {name: (name, 1100, "light") for name in pages} | SMALL
    with tempfile.TemporaryDirectory() as above, sync_playwright() as play:
        folder = Path(above) / "served"
        folder.mkdir()
        saved(folder.parent)
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with served(folder) as (_, address):
            for view, (name, width, scheme) in views.items():
                for lang in ("en", "zh"):
                    size = {"width": width, "height": 900}
                    page = chromium.new_page(viewport=size, color_scheme=scheme)
                    opened(page, address + spoken(pages[name], lang))
                    page.wait_for_timeout(300)
                    pictured(page, OUT / f"{view}.{lang}.webp")
                    page.close()
        chromium.close()


if __name__ == "__main__":
    main()
