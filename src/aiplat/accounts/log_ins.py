"""Which log-in a token is of."""

from __future__ import annotations

from aiplat.accounts.directory import Directory, Session
from aiplat.accounts.refusals import disabled, session_over
from aiplat.accounts.secret_forms import NO_HASH, equal, take_apart


def session_of(directory: Directory, token: str, gateway: str, now: float) -> Session:
    """The log-in that holds and whose token it is.

    Arguments:
        gateway: its peer id, for the words.
        now: seconds since 1970 (UTC).

    Raises:
        InvalidApiKey: there is none.
        UserDisabled: its account is disabled.
    """
    given = take_apart(token, "ses")
    session = directory.sessions.get(given.id)
    good = equal(given.hash, NO_HASH if session is None else session.hash)
    if session is None or not good or session.expires <= now:
        raise session_over(gateway)
    if session.user.disabled:
        raise disabled(session.user)
    return session
