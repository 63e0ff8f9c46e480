"""Documents → a site in build/site that needs nothing else: `make docs`.

Pages as they are in the repository, a list of them beside each, links and figures kept; the
reference of the Python API is made from docstrings. A link that leads nowhere is an error.
"""

from __future__ import annotations

import html
import importlib
import inspect
import posixpath
import re
import shutil
import sys
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"
MODULES = ("chipwise.api", "chipwise.types")
COPIED = (".svg", ".jpg", ".json", ".toml", ".csv")
# The order of a reader; pages that are not here follow by name.
FIRST = (
    *("README.md", "README.zh.md", "docs/install.md", "docs/first-hour.md", "docs/tutorial.md"),
    *("docs/cli.md", "docs/api.md", "docs/web.md", "docs/simulator.md", "docs/training.md"),
    *("docs/fleet.md", "docs/rules.md", "docs/claims.md", "docs/method.md", "docs/fidelity.md"),
)
STYLE = """
:root{color-scheme:light dark}
body{margin:0;display:flex;font:16px/1.55 system-ui,sans-serif}
nav{flex:0 0 15rem;padding:1rem;box-sizing:border-box;height:100vh;overflow:auto;position:sticky}
nav{top:0}
nav a{display:block;padding:.15rem 0;text-decoration:none}
nav a[aria-current]{font-weight:bold}
main{flex:1;min-width:0;max-width:60rem;padding:1rem 2rem 4rem}
pre,table{display:block;overflow-x:auto;font-size:.85rem}
pre{padding:.8rem;border:1px solid #8886;border-radius:4px;line-height:1.35}
td,th{padding:.2rem .6rem;border-bottom:1px solid #8886;text-align:left;vertical-align:top}
img{max-width:100%}
@media(max-width:50rem){body{display:block}nav{height:auto;position:static}main{padding:1rem}}
"""
_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · chipwise</title><link rel="stylesheet" href="{up}style.css"></head>
<body><nav aria-label="pages">{nav}</nav><main>{body}</main></body></html>
"""


def pages() -> dict[str, str]:
    """Markdown of every page by its path in the repository."""
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    found = {p.relative_to(ROOT).as_posix(): p.read_text("utf-8") for p in files}
    found["docs/api.md"] = reference()
    first = [name for name in FIRST if name in found]
    return {name: found[name] for name in [*first, *sorted(set(found) - set(first))]}


def reference() -> str:
    """What the public modules offer, from their docstrings."""
    parts = ["# Python API", "", "Made from the docstrings of `chipwise.api` and `chipwise.types`."]
    for name in MODULES:
        module = importlib.import_module(name)
        parts += ["", f"## {name}", "", inspect.getdoc(module) or ""]
        for item in module.__all__:
            thing = getattr(module, item)
            told = inspect.getdoc(thing) if callable(thing) else None
            parts += ["", f"### {item}", ""]
            if told:
                parts += ["```text", f"{item}{signature(thing)}", "", told, "```"]
    return "\n".join(parts)


def signature(thing: object) -> str:
    try:
        return str(inspect.signature(thing)) if inspect.isfunction(thing) else ""
    except ValueError:
        return ""


def place(name: str) -> str:
    """Where a page stands in the site."""
    return "index.html" if name == "README.md" else f"{name.removesuffix('.md')}.html"


def anchor(text: str) -> str:
    """The name of a heading, as the repository's own viewers make it."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def title(text: str) -> str:
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found.group(1).replace("`", "") if found else "chipwise"


def drawn(text: str) -> str:
    """Markdown as HTML, its headings named; marks of generated parts are left out."""
    text = re.sub(
        r"<!-- \[\[\[cog.*?\]\]\] -->\n?|<!-- \[\[\[end\]\]\] -->\n?", "", text, flags=re.DOTALL
    )
    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = made.parse(text)
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(tokens[at + 1].content))
    return str(made.renderer.render(tokens, made.options, {}))


def led(body: str, name: str, known: dict[str, str], broken: list[str]) -> str:
    """Links of a page to where the pages stand; those that lead nowhere are noted."""

    def one(found: re.Match[str]) -> str:
        kind, target = found.group(1), html.unescape(found.group(2))
        path, mark, part = target.partition("#")
        if re.match(r"[a-z]+:", target) or not path:
            return found.group(0)
        full = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        if full in known:
            path = posixpath.relpath(place(full), posixpath.dirname(place(name)) or ".")
        elif not (ROOT / full).exists():
            broken.append(f"{name}: {target}")
        elif full.endswith(COPIED) and (ROOT / full).is_file():
            (SITE / full).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / full, SITE / full)
        return f'{kind}="{html.escape(path + mark + part)}"'

    return re.sub(r'(href|src)="([^"]*)"', one, body)


def main() -> int:
    """Write the site; 1 where a link leads nowhere."""
    known, broken = pages(), list[str]()
    shutil.rmtree(SITE, ignore_errors=True)
    SITE.mkdir(parents=True)
    for name, text in known.items():
        here, up = place(name), "../" * place(name).count("/")
        nav = "".join(
            f'<a href="{up}{place(other)}"{" aria-current=page" if other == name else ""}>'
            f"{html.escape(title(content))}</a>"
            for other, content in known.items()
        )
        body = led(drawn(text), name, known, broken)
        lang = "zh" if ".zh." in name else "en"
        page = _PAGE.format(lang=lang, title=html.escape(title(text)), up=up, nav=nav, body=body)
        (SITE / here).parent.mkdir(parents=True, exist_ok=True)
        (SITE / here).write_text(page, encoding="utf-8")
    (SITE / "style.css").write_text(STYLE, encoding="utf-8")
    for each in broken:
        sys.stderr.write(f"a link leads nowhere: {each}\n")
    sys.stdout.write(f"{len(known)} pages in {SITE.relative_to(ROOT)}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
