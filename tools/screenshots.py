"""Pictures of every page in both languages, for docs/screenshots: `python tools/screenshots.py`.

It serves the page itself, and needs the system's Chromium.
"""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import sync_playwright

from tests.browser.conftest import FLAGS
from tests.browser.test_pages import PAGES, SIMULATE, spoken
from tests.conftest import served

OUT = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
# The same pages where they are hardest to draw.
SMALL = {"plan-small-dark": ("plan", 380, "dark"), "chip-small": ("chip", 380, "light")}


def main() -> None:
    OUT.mkdir(exist_ok=True)
    views = {name: (name, 1100, "light") for name in PAGES} | SMALL
    pages = {**PAGES, "simulate": SIMULATE}
    with tempfile.TemporaryDirectory() as above, sync_playwright() as play:
        folder = Path(above) / "served"
        folder.mkdir()
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with served(folder) as (_, address):
            for view, (name, width, scheme) in views.items():
                for lang in ("en", "zh"):
                    size = {"width": width, "height": 900}
                    page = chromium.new_page(viewport=size, color_scheme=scheme)
                    page.goto(address + spoken(pages[name], lang))
                    if name == "simulate":
                        page.locator("section.answer table").wait_for()
                    page.wait_for_timeout(300)
                    page.screenshot(
                        path=OUT / f"{view}.{lang}.jpg", type="jpeg", quality=50, full_page=False
                    )
                    page.close()
        chromium.close()


if __name__ == "__main__":
    main()
