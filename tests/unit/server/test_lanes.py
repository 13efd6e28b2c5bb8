"""Lanes: one model's crowd is no other model's trouble."""

from __future__ import annotations

import asyncio
import threading

import pytest

from filiera.errors import UnavailableError
from filiera.server.lanes import Lanes, TooManyError


def test_a_model_that_hangs_holds_up_no_other() -> None:
    release = threading.Event()

    async def story() -> str:
        lanes = Lanes(at_once=2)
        stuck = [asyncio.create_task(lanes.run("slow", release.wait)) for _ in range(10)]
        await asyncio.sleep(0.05)
        found = await asyncio.wait_for(lanes.run("quick", lambda: "answer"), timeout=5)
        release.set()
        assert all(await asyncio.gather(*stuck))
        return found

    assert asyncio.run(story()) == "answer"


def test_a_crowd_is_refused_at_once_and_a_long_wait_ends() -> None:
    release = threading.Event()

    async def story() -> None:
        lanes = Lanes(at_once=1, most_waiting=1, patience_s=0.2)
        first = asyncio.create_task(lanes.run("slow", release.wait))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(lanes.run("slow", release.wait))
        await asyncio.sleep(0)
        with pytest.raises(TooManyError) as caught:
            await lanes.run("slow", release.wait)
        assert caught.value.http_status == 429
        with pytest.raises(UnavailableError, match="is busy"):
            await second
        release.set()
        await first
        assert await lanes.run("slow", lambda: 1) == 1, "the lane is free again"

    asyncio.run(story())


def test_an_error_leaves_the_lane_free() -> None:
    async def story() -> None:
        lanes = Lanes(at_once=1)
        with pytest.raises(ZeroDivisionError):
            await lanes.run("m", lambda: 1 // 0)
        assert await lanes.run("m", lambda: 1) == 1

    asyncio.run(story())
