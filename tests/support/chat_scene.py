"""A chat as pictures show it: one conversation answered, another under way, others kept."""

from __future__ import annotations

from textual.pilot import Pilot

from aiplat.control.history import ConversationSummary, HistoryList
from aiplat.control.messages import (
    Accepted,
    ModelList,
    ModelStatus,
    PeerList,
    PeerStatus,
)
from aiplat.domain.answers import Delta, Finished, Started
from aiplat.domain.usage import Usage
from aiplat.tui.chat.pane import ChatPane
from tests.support.fake_node import MANIFEST
from tests.support.screens import (
    NOW,
    PEER,
    ScriptedLink,
    StillClock,
    status,
    until,
)

OTHER = PEER[:-1] + "2"
ANSWER = """A *quine* prints itself. In Python:

```python
source = 'source = %r\\nprint(source %% source)'
print(source % source)  # the same text again
```

Why it works:

1. `%r` puts the text in with its quotes,
2. `%%` leaves one sign for the second time.

| part | twice? |
|------|-------:|
| text |    yes |
"""
QUESTIONS = ("Packing list for the hut", "Why is the sky blue?", "Letter to the landlord 漢字")


def chat_link() -> ScriptedLink:
    """A node with two models, a peer, and some conversations."""
    models = (
        ModelStatus(name="smollm2-135m", state="ready", processors=1, slots=32, running=1),
        ModelStatus(name="qwen3-8b", state="ready", processors=1, slots=4, running=1, waiting=2),
        ModelStatus(name="llama-70b", state="failed", note="it needs 140 GiB, and 62 are there"),
    )
    peers = (
        PeerStatus(
            peer_id=OTHER, roles=("gateway", "processor"), models=("qwen3-8b",), latency_ms=12.4,
            address=f"/ip4/192.0.2.9/tcp/4001/p2p/{OTHER}", tokens_per_second=38.0, path="direct",
        ),
    )  # fmt: skip
    link = ScriptedLink(models=ModelList(models=models), peers=PeerList(peers=peers))
    link.says["status"] = status(models=models, peers=peers, active=1)
    link.says["history:list"] = HistoryList(conversations=tuple(
        ConversationSummary(
            id=f"cnv-{number:024x}", title=title, created=int(NOW), turns=4,
            updated=int(NOW) - 5000 - 90_000 * number,
        ) for number, title in enumerate(QUESTIONS)
    ), more=12)  # fmt: skip
    return link


async def talk(pilot: Pilot[None], pane: ChatPane, link: ScriptedLink, clock: StillClock) -> None:
    """Ask two questions: one is answered, the other has begun to be."""
    pane.write("What is a quine? Show one.")
    await pilot.press("enter")
    await until(pilot, lambda: link.streams, "it is asked")
    first = link.streams[0]
    first.say(Accepted(request="req-1", kept=True),
              Started(manifest=MANIFEST, prompt_tokens=31, processor=OTHER))  # fmt: skip
    clock.advance(0.62)
    first.say(Delta(ids=(1,), text=ANSWER[:9]))
    await until(pilot, lambda: pane.talk.running[pane.talk.path[-1].id].first, "it began")
    clock.advance(3.1)
    first.say(Delta(ids=(2,), text=ANSWER[9:]), Finished(reason="stop", usage=Usage(31, 112)))
    await until(pilot, lambda: not pane.talk.running, "it ended")
    pane.write("And in one line?")
    await pilot.press("enter")
    await until(pilot, lambda: len(link.streams) == 2, "it is asked")
    second = link.streams[1]
    second.say(Accepted(request="req-2", kept=True),
               Started(manifest=MANIFEST, prompt_tokens=160, processor=OTHER))  # fmt: skip
    clock.advance(0.4)
    second.say(Delta(ids=(1,), text="Yes: "))
    await until(pilot, lambda: pane.talk.running[pane.talk.path[-1].id].first, "it began")
    clock.advance(0.8)
    second.say(Delta(ids=tuple(range(20)), text="`print((s:='print((s:=%r)%%s)')%s)`"))
    await until(pilot, lambda: pane.talk.running[pane.talk.path[-1].id].tokens == 21, "it goes on")
