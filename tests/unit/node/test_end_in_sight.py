"""An end that came in the same bytes as what is handed on: nothing more is said to the peer."""

from __future__ import annotations

import pytest

from aiplat.domain.answers import AnswerEvent, Delta, Finished
from tests.unit.node.helpers import Sink, channels, settle, submission


class Quits(Sink):
    """Takes each token, and wants no more than the first."""

    def deliver(self, event: AnswerEvent) -> None:
        super().deliver(event)
        if isinstance(event, Delta):
            assert self.asking is not None
            self.asking.accept(len(self.ids), event.cost)
            self.asking.cancel()


@pytest.mark.trio
async def test_a_cancel_at_the_last_token_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with channels() as (left, right):
        sink = Quits()
        sink.asking = left.channel.submit(submission(1), sink)
        await settle()
        [serving] = right.handler.requests
        serving.start()
        right.pipe.stall()
        serving.say(7, text="w")
        serving.finish(1)
        right.pipe.flow()  # the token and the end leave in one write
        await settle()
        assert sink.ids == [7]
        assert isinstance(sink.end, Finished)
        assert left.ask(2).end is None, "the channel goes on"
    assert caplog.text == ""
