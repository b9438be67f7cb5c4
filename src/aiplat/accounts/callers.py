"""Who asks something of the accounts, and what it may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aiplat.accounts.admission import Admission
from aiplat.accounts.directory import Directory, Key, Session, User
from aiplat.accounts.log_ins import session_of
from aiplat.accounts.meter import Meter
from aiplat.accounts.secret_forms import looks_like
from aiplat.accounts.wrongs import Wrongs
from aiplat.control.accounts import Method
from aiplat.domain.accounts import SCOPES, Scope
from aiplat.domain.errors import InvalidApiKey, PermissionDenied
from aiplat.domain.ids import short

_BY_SCOPE: dict[str, tuple[str, ...]] = {
    "inference": ("whoami",),
    "usage": ("whoami", "usage"),
}
"""What a key may ask of the accounts by each scope; with ``admin`` all that its user may."""


@dataclass(frozen=True)
class Caller:
    """Somebody who is known. `peer` is empty at the control socket."""

    user: User
    by: Literal["operator", "session", "key"]
    peer: str = ""
    key: Key | None = None
    session: Session | None = None

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What it may."""
        return SCOPES if self.key is None else self.key.scopes

    @property
    def is_operator(self) -> bool:
        """Whether it may do operators' things: with a key only by its scope ``admin``."""
        return self.user.is_operator and "admin" in self.scopes

    @property
    def expires(self) -> int:
        """When that ends, in seconds since 1970 (UTC); 0 for never."""
        if self.session is not None:
            return self.session.expires
        return 0 if self.key is None else self.key.expires


class Callers:
    """Tells who calls.

    Arguments:
        gateway: this gateway's peer id, for the words.
        directory: everyone.
        admission: knows keys.
        wall: seconds since 1970 (UTC).
        wrongs: where wrong sessions are told.
        meter: notes when a session was used.
    """

    def __init__(
        self,
        gateway: str,
        directory: Directory,
        admission: Admission,
        wall: Callable[[], float],
        wrongs: Wrongs,
        meter: Meter,
    ) -> None:
        self._wrongs = wrongs
        self._meter = meter
        self._gateway = gateway
        self._directory = directory
        self._admission = admission
        self._wall = wall

    def find(self, credential: str, peer: str | None) -> Caller:
        """Who calls with that credential; without one, at the control socket, the owner.

        Arguments:
            peer: who is at the other end of the channel; None for the control socket.

        Raises:
            InvalidApiKey: nobody who is known.
            UserDisabled: its account is disabled.
        """
        if looks_like(credential, "ses"):
            return self._by_session(credential, peer or "")
        if credential:
            key = self._admission.key(credential)
            return Caller(key.user, "key", peer or "", key=key)
        if peer is None:
            return Caller(self._directory.owner, "operator")
        raise InvalidApiKey(
            f"The gateway {short(self._gateway)} must know who asks: log in first (`aiplat login`, "
            "or `aiplat register`)."
        )

    def _by_session(self, credential: str, peer: str) -> Caller:
        try:
            session = session_of(self._directory, credential, self._gateway, self._wall())
        except InvalidApiKey:
            self._wrongs.saw("session", peer)
            raise
        self._meter.used_session(session)
        return Caller(session.user, "session", peer, session=session)


def check_may(caller: Caller, method: Method) -> None:
    """Raise `PermissionDenied` when it may not ask that."""
    if caller.key is not None and "admin" not in caller.key.scopes:
        allowed = {name for scope in caller.key.scopes for name in _BY_SCOPE[scope]}
        if method.name not in allowed:
            raise PermissionDenied(
                f"The key {caller.key.name!r} has the scopes {', '.join(caller.key.scopes)}, which "
                f"do not allow that ({method.name}). Log in, or use a key with the scope admin."
            )
    if method.need == "operator" and not caller.is_operator:
        raise PermissionDenied(
            f"Only an operator of the gateway may do that ({method.name}), and "
            f"{caller.user.name!r} is none."
        )
    if method.here and caller.peer:
        raise PermissionDenied(f"That ({method.name}) is done on the gateway's own machine only.")
