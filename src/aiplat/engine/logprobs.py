"""What is told of a drawn token beside its id: its text and its logprob. Pure."""

from __future__ import annotations

from collections.abc import Callable

from aiplat.domain.answers import MAX_LOGPROB_CHARS, TokenLogprob
from aiplat.engine.outbox import Told
from aiplat.engine.rows import Drawn, Voice


def told(drawn: Drawn, voice: Voice, spell: Callable[[int], bytes]) -> Told | None:
    """The logprobs of a token, where they were asked for.

    Arguments:
        drawn: the token, with what the backend tells of it.
        voice: knows which tokens are no text.
        spell: the bytes of a token.
    """
    if drawn.logprob is None:
        return None
    own = TokenLogprob(drawn.token, "", drawn.logprob)
    if not voice.is_end(drawn.token):
        own = _entry(drawn.token, drawn.logprob, spell)
    return own, tuple(_entry(token, logprob, spell) for token, logprob in drawn.top)


def _entry(token: int, logprob: float, spell: Callable[[int], bytes]) -> TokenLogprob:
    spelt = spell(token)
    text = spelt.decode("utf-8", "replace")[:MAX_LOGPROB_CHARS]
    whole = text.encode()
    if len(text) == MAX_LOGPROB_CHARS or whole == spelt:
        return TokenLogprob(token, text, logprob)
    return TokenLogprob(token, text, logprob, spelt)
