"""The one decision before any work: who asks, whether it may, and whether that fits its limits."""

from __future__ import annotations

from collections.abc import Callable

from aiplat.accounts.directory import Directory, Key, Session
from aiplat.accounts.limits.limiter import Limiter, LimitHit, Subject
from aiplat.accounts.log_ins import session_of
from aiplat.accounts.meter import Lease, Meter
from aiplat.accounts.refusals import disabled, expired, revoked
from aiplat.accounts.secret_forms import NO_HASH, equal, id_of, looks_like, mark_of, take_apart
from aiplat.accounts.settings import AccountsSettings
from aiplat.domain.accounts import RateState, Scope
from aiplat.domain.errors import (
    InvalidApiKey,
    NotReady,
    PermissionDenied,
    UserDisabled,
    clip,
)
from aiplat.telemetry.metrics import Metrics

PEER = "peer:"
"""Before a peer's id where it stands for an account's."""


class Admission:
    """Lets requests in, or says why not. Called on the loop; returns at once.

    Arguments:
        gateway: this gateway's peer id.
        directory: everyone.
        settings: defaults and bounds.
        limiter: holds the limits.
        meter: counts what is let in.
        metrics: where refusals are counted.
        wall: seconds since 1970 (UTC).
        is_open: whether strangers may come: then nobody asks without a key.
        problem: why nothing may be let in; empty when all is well.
    """

    def __init__(
        self,
        gateway: str,
        directory: Directory,
        settings: AccountsSettings,
        limiter: Limiter,
        meter: Meter,
        metrics: Metrics,
        wall: Callable[[], float],
        is_open: Callable[[], bool],
        problem: Callable[[], str],
    ) -> None:
        self._gateway = gateway
        self._mark = mark_of(gateway)
        self._directory = directory
        self._settings = settings
        self._limiter = limiter
        self._meter = meter
        self._failures = metrics.auth_failures
        self._rejections = metrics.ratelimit_rejections
        self._wall = wall
        self._is_open = is_open
        self._problem = problem
        self._defaults = settings.limits

    def follow(self, settings: AccountsSettings) -> None:
        """Let in by these from now on."""
        self._settings, self._defaults = settings, settings.limits

    def admit(
        self,
        request: str,
        credential: str,
        asker: str | None,
        model: str,
        prompt: int,
        answer: int | None,
        *,
        is_trusted: bool = True,
        beside: Lease | None = None,
    ) -> Lease:
        """Let a request in.

        Arguments:
            request: its name.
            credential: an API key, or of this node's own page a session's token; or empty.
            asker: the peer that asks; None for this node's own faces.
            model: the name that is asked for.
            prompt: how many tokens that may be; known to the token only when a processor has it.
            answer: the most tokens that were asked for.
            is_trusted: whether the peer is a certified member, or on this machine.
            beside: another choice of the same request that is under way, with the same prompt:
                it counts once between them, if both are of one payer and one key.

        Raises:
            InvalidApiKey, PermissionDenied, UserDisabled: it may not.
            RateLimited, QuotaExceeded: a limit is reached; nothing was taken.
            NotReady: what is used cannot be written down.
        """
        session = self._session(credential, asker)
        payer, key, subjects = (
            self._who(credential, asker, model, is_trusted=is_trusted)
            if session is None
            else (session.user.id, "", (session.user.subject,))
        )
        if problem := self._problem():
            raise NotReady(
                f"This gateway lets nothing in that it cannot count: {problem}", retry_after=5
            )
        room = self._settings.reserved_tokens if answer is None else answer
        if beside is not None and ((beside.payer, beside.key) != (payer, key) or beside.ended):
            beside = None
        try:
            reservation = self._limiter.admit(
                subjects, room if beside is not None else prompt + room
            )
        except LimitHit as hit:
            self._rejections.labels(hit.limit).inc()
            raise
        if key:
            self._meter.used(key)
        lease = self._meter.lease(
            payer, key, request, reservation, room, self._settings.reserved_tokens,
            prompt=prompt, beside=beside,
        )  # fmt: skip
        if session is not None:
            lease.session = session.id
            self._meter.used_session(session)
        return lease

    def _session(self, credential: str, asker: str | None) -> Session | None:
        """The log-in that asks, at this node's own page; None where another right is shown."""
        if not (credential.startswith("ses-") and looks_like(credential, "ses")):
            return None
        if asker is not None:
            self._failures.labels("session").inc()
            raise PermissionDenied(
                "A session asks for answers at the page of its gateway alone. Programs and other "
                "nodes need an API key: `aiplat keys create` makes one."
            )
        try:
            return session_of(self._directory, credential, self._gateway, self._wall())
        except (InvalidApiKey, UserDisabled):
            self._failures.labels("session").inc()
            raise

    def _who(
        self, credential: str, asker: str | None, model: str, *, is_trusted: bool
    ) -> tuple[str, str, tuple[Subject, ...]]:
        """Whom the request counts for, by which key, and whose limits hold."""
        if credential:
            key = self.key(credential, "inference")
            if key.models and model not in key.models:
                self._failures.labels("model").inc()
                raise PermissionDenied(
                    f"The key {key.name!r} may not ask the model {clip(model)!r}, but "
                    f"{', '.join(key.models[:5])}.",
                    param="model",
                )
            return key.user.id, key.id, key.subjects
        if asker is None:
            owner = self._directory.owner
            return owner.id, "", (owner.subject,)
        if not is_trusted or not self.keyless:
            self._failures.labels("missing").inc()
            raise InvalidApiKey(
                "This gateway answers nobody without an API key. `aiplat register` (or `login`) "
                "and `aiplat keys create --name …` get one; AIPLAT_API_KEY hands one over."
            )
        payer = PEER + asker
        return payer, "", self.peer(payer)

    def peer(self, payer: str) -> tuple[Subject, ...]:
        """Whose limits hold for a peer without a key."""
        return (Subject(payer, f"the peer …{payer[-8:]}", self._defaults),)

    @property
    def keyless(self) -> bool:
        """Whether members may ask without a key now."""
        return self._settings.keyless == "members" and not self._is_open()

    def default_model(self, credential: str, model: str) -> str:
        """The model that is meant where none is named: of a key with models the first."""
        if model or not credential:
            return model
        key = self._directory.keys.get(id_of(credential, "sk"))
        return key.models[0] if key is not None and key.models else model

    def key(self, text: str, scope: Scope | None = None) -> Key:
        """The key that `text` is, if it holds and has that scope.

        Raises:
            InvalidApiKey: it is none of this gateway's, or holds no more.
            UserDisabled: its account is disabled.
            PermissionDenied: it has not that scope.
        """
        try:
            given = take_apart(text, "sk")
        except InvalidApiKey:
            self._failures.labels("malformed").inc()
            raise
        key = self._directory.keys.get(given.id)
        if not equal(given.hash, NO_HASH if key is None else key.hash) or key is None:
            return self._unknown(given.mark)
        self._check(key)
        if scope is not None and scope not in key.scopes:
            self._failures.labels("scope").inc()
            raise PermissionDenied(
                f"The key {key.name!r} has the scope{'s' * (len(key.scopes) > 1)} "
                f"{', '.join(key.scopes)}, but {scope} is needed. Make another with "
                f"--scope {scope}."
            )
        return key

    def _unknown(self, mark: str) -> Key:
        if mark != self._mark:
            self._failures.labels("other_gateway").inc()
            raise InvalidApiKey(
                "This API key is of another gateway, and of no use here. Make one at this gateway, "
                "or ask the one that gave it (--peer ADDRESS)."
            )
        self._failures.labels("wrong").inc()
        raise InvalidApiKey(
            "This gateway knows no such API key: it was mistyped, or deleted with its account. "
            "`aiplat keys list` shows those that hold."
        )

    def _check(self, key: Key) -> None:
        if key.user.disabled:
            self._failures.labels("disabled").inc()
            raise disabled(key.user)
        if key.revoked:
            self._failures.labels("revoked").inc()
            raise revoked(key)
        if 0 < key.expires <= self._wall():
            self._failures.labels("expired").inc()
            raise expired(key)

    def state(self, credential: str) -> RateState | None:
        """How far a key's limits are used, or without one the owner's; None for no key of here.

        A session has the limits of its user.
        """
        if not credential:
            return self._limiter.state((self._directory.owner.subject,))
        if session := self._directory.sessions.get(id_of(credential, "ses")):
            return self._limiter.state((session.user.subject,))
        key = self._directory.keys.get(id_of(credential, "sk"))
        return None if key is None else self._limiter.state(key.subjects)
