"""The official `openai` client, at work in a thread beside the test's loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import openai
import trio

from tests.support.fake_node import TOKEN

Result = TypeVar("Result")


async def use(url: str, work: Callable[[openai.OpenAI], Result], *, key: str = TOKEN) -> Result:
    """Let the blocking client work at the door at `url`."""

    def run() -> Result:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60) as client:
            return work(client)

    return await trio.to_thread.run_sync(run)
