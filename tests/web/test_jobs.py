"""Questions in hand: what is not there soon is handed back as work, and goes on."""

import asyncio

from chipwise.web import jobs


def test_what_takes_long_is_handed_back_and_goes_on(monkeypatch):
    async def asked():
        future = asyncio.get_running_loop().create_future()
        job = jobs.Job("one", "plan", {})
        monkeypatch.setattr(jobs, "start", lambda *_: (job, future))
        monkeypatch.setattr(jobs, "_PATIENCE", 0.01)
        at = jobs.Desk({})
        assert await jobs.soon(at, "plan", {}) is job
        assert not future.done()
        future.set_result("{}")
        assert await jobs.soon(at, "plan", {}) == "{}"

    asyncio.run(asked())
