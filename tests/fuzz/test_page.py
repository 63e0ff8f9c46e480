"""Whatever the page or its API is asked: every route and field is drawn, new ones with them."""

from __future__ import annotations

import asyncio
import json
import random
import re
from urllib.parse import quote

import pytest

from chipwise.errors import Infeasible
from chipwise.tables.written import as_json
from chipwise.web import api, application, jobs
from chipwise.web.forms import FORMS
from chipwise.web.server import ROUTES
from chipwise.web.work import WORK
from tests.fuzz.drawn import TIMES, patience
from tests.test_fuzz import VALUES
from tests.web.asking import HOST, ask, open_page

# Questions of a tenth of a second or more; the command line's tests ask them.
_LONG = frozenset({"plan", "train", "simulate", "fleet", "landscape", "claims"})
_KNOWN = {"chips": "h200", "models": "llama-2-70b", "prices": "h200", "rules": "us-2023-10-nondc"}
_WHOLE = {
    "estimate": {"model": "gpt-oss-20b", "chip": "h100", "isl": "64", "osl": "8", "batch": "2"},
    "compare": {"model_1": "gpt-oss-20b", "chip_1": "h100", "model_2": "gpt-oss-20b",
                "chip_2": "h200", "isl": "64", "osl": "8", "batch": "2"},
    "policy": {"chip": "h200"},
    "train": {"model": "llama-2-70b", "chip": "h100", "chips": "64", "seq": "4096", "batch": "64"},
    "plan": {"model": "gpt-oss-20b", "chips": "h100", "isl": "64", "osl": "8"},
    "simulate": {"model": "gpt-oss-20b", "chip": "h100"},
}  # fmt: skip
_CODES = frozenset({200, 202, 204, 303, 304, 307, 400, 403, 404, 405, 413, 414, 421, 422, 503})
_PATHS = ("..", "%2e%2e", "x" * 300, "中文", "\x00", "<script>", "a/b/c", " ", "'", "%00", "h200")


@pytest.fixture
def page(monkeypatch, tmp_path):
    """The application, answering in this process; what takes long is refused."""

    def run(job, _):
        job.at["state"] = "running"
        if job.kind in _LONG:
            raise Infeasible("not in this test")
        return as_json(WORK[job.kind](job.given, lambda *_: None))

    monkeypatch.setattr(jobs, "_run", run)
    monkeypatch.setattr("multiprocessing.forkserver.ensure_running", lambda: None)
    monkeypatch.setenv("CHIPWISE_STUDIES", str(tmp_path / "studies.db"))
    monkeypatch.chdir(tmp_path)
    app, loop = application(), asyncio.new_event_loop()
    with open_page(app, loop):
        yield lambda *asked, **more: loop.run_until_complete(ask(app, *asked, **more))
    loop.close()
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("studies.db")]


def word(random_):
    return random_.choice((*VALUES, *_PATHS))


def filled(random_, path):
    """A route's path with something for each of its parts."""

    def part(found):
        name = found.group(1).partition(":")[0]
        known = (*FORMS, *api.CATALOG, *(f"{k}.csv" for k in FORMS), "estimate.html")
        if name == "kind" and random_.random() < 0.8:
            return random_.choice(known)
        if name == "key" and random_.random() < 0.5:
            return random_.choice(tuple(_KNOWN.values()))
        return quote(word(random_).encode("utf-8", "replace"), safe=random_.choice(("", "/.%")))

    return re.sub(r"\{([^}]+)\}", part, path)


def query(random_, kind):
    """A form's question with one to three values odd, missing, doubled, or unknown."""
    given = dict(_WHOLE.get(kind, {}))
    names = [field.name for field in FORMS.get(kind, ())] or ["name", "lang", "kind"]
    pairs = list(given.items())
    for _ in range(random_.choice((0, 1, 1, 2, 3))):
        name = random_.choice((*names, *names, "lang", "x"))
        if random_.random() < 0.2 or random_.random() < 0.7:
            pairs = [pair for pair in pairs if pair[0] != name]
        pairs.append((name, word(random_)))
    if random_.random() < 0.05:
        pairs.append((random_.choice(names), "y" * random_.choice((100, 9000))))
    texts = [
        f"{quote(k)}={quote(v.encode('utf-8', 'replace'), safe=random_.choice(('', ',=')))}"
        for k, v in pairs
    ]
    return "&".join(texts)


def drawn(page, route, seed, count):
    random_ = random.Random(f"{route.path} {sorted(route.methods)} {seed}")
    codes = set()
    for _ in range(count):
        path = filled(random_, route.path)
        kind = path.strip("/").split("/")[-1].partition(".")[0]
        kind = random_.choice(tuple(FORMS)) if kind == "jobs" else kind
        text = query(random_, kind)
        if path == "/jobs":
            text = f"kind={kind}&{text}"
        method = random_.choice((*sorted(route.methods), "GET", "POST"))
        headers = [HOST]
        if random_.random() < 0.1:
            odd = word(random_).encode("utf-8", "replace")
            name = random_.choice((b"accept-language", b"cookie", b"content-length", b"host"))
            headers = [*headers[: name != b"host"], (name, odd)]
        line = (method, path, text, headers)
        with patience(line):
            code, kept, content = page(
                path.encode(), text.encode(), method=method, headers=headers, body=b"x" * 9
            )
        codes.add(code)
        assert code in _CODES, (line, content[-900:])
        assert b"Traceback" not in content, line
        assert "script-src 'self'" in kept["content-security-policy"], line
        packed = "content-encoding" in kept
        if kept.get("content-type", "").startswith("application/json") and not packed:
            json.loads(content, parse_constant=pytest.fail)
        if kept.get("content-type", "").startswith("text/html") and not packed:
            assert b"<script>" not in content.lower().replace(b"<script>x", b""), line
    return codes


ALL = [pytest.param(r, id=f"{'+'.join(sorted(r.methods - {'HEAD'}))} {r.path}") for r in ROUTES]


def test_questions_that_are_long_or_short_are_all_there_are():
    assert set(FORMS) == set(WORK)
    assert set(WORK) >= _LONG | set(_WHOLE)


@pytest.mark.parametrize("route", ALL)
def test_some_requests(page, route):
    drawn(page, route, 0, 3)


@pytest.mark.slow
@pytest.mark.parametrize("route", ALL)
def test_many_requests(page, route):
    codes = drawn(page, route, 1, 80 * TIMES)
    assert len(codes) > 1


@pytest.mark.parametrize("kind", ["estimate", "policy", "compare"])
def test_the_whole_question_has_an_answer(page, kind):
    text = "&".join(f"{k}={v}" for k, v in _WHOLE[kind].items())
    code, _, content = page(f"/api/{kind}".encode(), text.encode())
    assert code == 200, content
