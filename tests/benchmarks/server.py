"""A small OpenAI-compatible server that streams words, for the benchmark tools on loopback.

    python tests/benchmarks/server.py PORT [together]

It answers as many tokens as are asked for, the first after 20 ms, the others 2 ms apart. The usage
follows in a part of its own, as vLLM sends it, or comes together with the last token.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

MODEL = "meta-llama/Llama-3.3-70B-Instruct"
FIRST, GAP = 0.02, 0.002
TOGETHER = "together" in sys.argv


def _choice(*, chat: bool, text: str, end: bool) -> dict[str, Any]:
    told = {"delta": {"role": "assistant", "content": text}} if chat else {"text": text}
    return {"index": 0, **told, "finish_reason": "length" if end else None}


async def _stream(asked: dict[str, Any], *, chat: bool) -> AsyncIterator[str]:
    count = int(asked.get("max_completion_tokens") or asked.get("max_tokens") or 16)
    prompt = asked.get("prompt") or " ".join(str(m["content"]) for m in asked["messages"])
    read = len(prompt) if isinstance(prompt, list) else len(prompt.split())
    head = {"id": "x", "object": "chat.completion.chunk" if chat else "text_completion"}
    head |= {"created": 0, "model": MODEL}
    usage = {"prompt_tokens": read, "completion_tokens": count, "total_tokens": read + count}
    for at in range(count):
        await asyncio.sleep(GAP if at else FIRST)
        made = _choice(chat=chat, text=f"w{at % 100} ", end=at == count - 1)
        last = {"usage": usage} if TOGETHER and at == count - 1 else {}
        yield f"data: {json.dumps({**head, 'choices': [made], **last})}\n\n"
    if not TOGETHER:
        yield f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


async def _whole(asked: dict[str, Any], *, chat: bool) -> JSONResponse:
    parts = [p async for p in _stream(asked, chat=chat)]
    usage = json.loads(parts[-2].removeprefix("data: ")).get("usage")
    text = {"message": {"role": "assistant", "content": "w"}} if chat else {"text": "w"}
    choice = {"index": 0, "finish_reason": "length", **text}
    return JSONResponse({"id": "x", "model": MODEL, "choices": [choice], "usage": usage})


async def _answer(request: Request) -> Any:
    asked = await request.json()
    chat = request.url.path.endswith("chat/completions")
    if asked.get("stream"):
        return StreamingResponse(_stream(asked, chat=chat), media_type="text/event-stream")
    return await _whole(asked, chat=chat)


async def _models(_: Request) -> JSONResponse:
    return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model"}]})


async def _health(_: Request) -> JSONResponse:
    return JSONResponse({})


app = Starlette(
    routes=[
        Route("/v1/completions", _answer, methods=["POST"]),
        Route("/v1/chat/completions", _answer, methods=["POST"]),
        Route("/v1/models", _models),
        Route("/health", _health),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
