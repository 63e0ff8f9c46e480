"""Who may ask, how much, and what a browser may do with the answer."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from chipwise.errors import BadInput
from chipwise.web import serve
from chipwise.web.safety import LOOPBACK, guarded

TOKEN = "correct-horse-battery"


def called(path="/", *, query="", method="GET", token=None, hosts=LOOPBACK, body=b"", **headers):
    """Status and headers of one call through the guard."""
    headers = {"host": "localhost:8000", **{k.replace("_", "-"): v for k, v in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        message = await receive()
        code = 400 if message["type"] == "http.disconnect" else 200
        await PlainTextResponse("inside", code)(scope, receive, send)

    asyncio.run(guarded(app, token=token, hosts=hosts)(scope, receive, send))
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], found


def test_every_answer_is_sealed():
    for code, headers in (called(), called(token=TOKEN)):
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert code in (200, 401)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_a_foreign_name_for_this_machine_reads_nothing(host):
    assert called(host=host)[0] == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "[::1]:80"])
def test_this_machine_may_be_called_by_its_names(host):
    assert called(host=host)[0] == 200


def test_a_page_elsewhere_may_link_but_not_act():
    assert called(sec_fetch_site="cross-site")[0] == 200
    assert called(method="POST", sec_fetch_site="cross-site")[0] == 403
    assert called(method="DELETE", sec_fetch_site="same-site")[0] == 403
    assert called(method="POST", sec_fetch_site="same-origin")[0] == 200


def test_sizes_are_limited():
    assert called(query="a" * 9000)[0] == 414
    assert called(content_length="100000")[0] == 413
    assert called(content_length="-1")[0] == 413
    assert called(body=b"x" * 70_000)[0] == 400


def test_without_the_token_nothing_is_shown():
    asked = {"token": TOKEN, "hosts": None}
    assert called(**asked)[0] == 401
    assert called(query="token=wrong", **asked)[0] == 401
    assert called(authorization=f"Bearer {TOKEN}x", **asked)[0] == 401
    assert called(cookie="chipwise_token=wrong", **asked)[0] == 401
    assert called(authorization=f"Bearer {TOKEN}", **asked)[0] == 200
    assert called(cookie=f"chipwise_token={TOKEN}", **asked)[0] == 200


def test_the_token_moves_from_the_address_to_a_cookie():
    code, headers = called("//evil.example/a", query=f"x=1&token={TOKEN}", token=TOKEN, hosts=None)
    assert code == 303
    assert headers["location"] == "/evil.example/a?x=1"
    assert "HttpOnly" in headers["set-cookie"]
    assert "samesite=strict" in headers["set-cookie"].lower()


def test_beyond_this_machine_a_token_is_needed():
    with pytest.raises(BadInput, match="give a --token"):
        serve("0.0.0.0", 0, None)
    with pytest.raises(BadInput, match="at least 16"):
        serve("0.0.0.0", 0, "short")
