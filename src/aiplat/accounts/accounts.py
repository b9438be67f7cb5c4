"""The accounts of one gateway: opened, asked, and written down while the gateway lives."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from aiplat.accounts import database, metered, usage
from aiplat.accounts.admission import PEER, Admission
from aiplat.accounts.arrivals import Arrivals, make_operator
from aiplat.accounts.books import Books
from aiplat.accounts.callers import Caller, Callers, check_may
from aiplat.accounts.directory import Directory
from aiplat.accounts.house import Ends, House
from aiplat.accounts.invitations import Invitations
from aiplat.accounts.keys import Keys
from aiplat.accounts.limits.limiter import Limiter
from aiplat.accounts.meter import Lease, Meter
from aiplat.accounts.new_passwords import NewPasswords
from aiplat.accounts.opening import Opening
from aiplat.accounts.pace import Bound, Pace
from aiplat.accounts.passwords import Passwords
from aiplat.accounts.people import People
from aiplat.accounts.proving import Proving
from aiplat.accounts.readers import Readers
from aiplat.accounts.refusals import expired, session_over
from aiplat.accounts.sessions import Sessions
from aiplat.accounts.settings import AccountsSettings
from aiplat.accounts.tuning import Tunable, Tuning
from aiplat.accounts.writer import Writer
from aiplat.accounts.wrongs import Wrongs
from aiplat.control.accounts import METHODS, Method, Nothing, WhoAmI
from aiplat.control.sessions import WEB
from aiplat.domain.accounts import Scope
from aiplat.domain.errors import InvalidRequest, NotReady, PermissionDenied, clip
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.accounts")

_CHANGES = frozenset({
    "keys.create", "keys.rotate", "users.invite", "users.disable", "users.enable", "users.limits",
    "users.role", "users.delete", "users.password", "password.change", "settings.set",
    "settings.reset",
})  # fmt: skip
"""What an account may do so often a minute; `keys.revoke` and `logout` end what these began."""
TEND_SECONDS = 10.0
"""How often sums are brought up to date and old rows removed."""
EXPIRY_SECONDS = 0.25
"""How often requests under way are looked through for keys that expired."""
STOP_SECONDS = 10.0
HANGS = "the disk of its accounts' database hangs, and its log says since when. Ask again in 5 s."


@dataclass(frozen=True)
class StorePlaces:
    """Where the accounts lie: the database, and the folder of the backups before updates."""

    database: Path
    backups: Path


class Accounts:
    """The accounts. Make it with `open_accounts`; `run` it for as long as the gateway lives.

    Arguments:
        gateway: its peer id.
        is_open: whether strangers may come (`Admission`).
        wall: seconds since 1970 (UTC).
        now: a clock that never steps, in seconds.
    """

    def __init__(
        self,
        gateway: str,
        places: StorePlaces,
        settings: AccountsSettings,
        metrics: Metrics,
        *,
        is_open: Callable[[], bool] = lambda: False,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
        passwords: Passwords | None = None,
    ) -> None:
        self._places = places
        self._metrics = metrics
        self._wall = wall
        rejections = metrics.ratelimit_rejections
        self.meter = Meter(wall, lambda limit: rejections.labels(limit).inc())
        directory = Directory()
        limiter = Limiter(now, lambda: usage.month_number(wall()), self._month_ends)
        self._house = House(
            gateway, settings, directory, Writer(places.database, metrics, now), limiter,
            Readers(places.database), Pace(now), wall,
        )  # fmt: skip
        self._is_open = is_open
        self.admission = Admission(
            gateway, directory, settings, limiter, self.meter, metrics, wall,
            lambda: self._is_open() or self.settings.registration != "closed", self._problem,
        )  # fmt: skip
        wrongs = Wrongs(metrics, now)
        self._callers = Callers(gateway, directory, self.admission, wall, wrongs, self.meter)
        passwords = passwords or Passwords(settings.hashing, settings.max_hashing)
        proving = Proving(passwords, wrongs, now)
        house = self._house
        self._sessions = Sessions(house)
        self._invitations = Invitations(house)
        self._arrivals = Arrivals(house, self._invitations, proving, self._sessions)
        self._new_passwords = NewPasswords(house, proving, self._sessions)
        hit = metrics.bound_hits.labels("open_links").inc
        self._opening = Opening(house, proving, self._sessions, now, hit)
        self._tuning = Tuning(house)
        self._people = People(house)
        self._keys = Keys(house)
        self._books = Books(house, places.database, self._written)

    @property
    def settings(self) -> AccountsSettings:
        """Those that hold now."""
        return self._house.settings

    def follow(self, settings: AccountsSettings) -> None:
        """Do by these from now on; `hashing` and `max_hashing` hold for a whole life."""
        self._house.settings = settings
        self.admission.follow(settings)

    def _month_ends(self) -> float:
        now = self._wall()
        return usage.next_month(usage.month_start(now)) - now

    def _problem(self) -> str:
        writer = self._house.writer
        if writer.problem:
            return database.FAILS
        if writer.hangs:
            return HANGS
        if len(self.meter) + writer.unwritten >= self.settings.max_unwritten:
            self._metrics.bound_hits.labels("unwritten_events").inc()
            return (
                f"{self.settings.max_unwritten} requests wait to be written down, which is its "
                "bound (accounts.max_unwritten)."
            )
        return ""

    # -- life ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Prepare the database, and read everyone. Blocking.

        Raises:
            ConfigError: the database cannot be used.
        """
        places, directory, limiter = self._places, self._house.directory, self._house.limiter
        database.prepare(places.database, places.backups, self._wall)
        try:
            with contextlib.closing(database.connect(places.database)) as connection:
                with database.transaction(connection):
                    make_operator(connection, round(self._wall()))
                    interrupted = metered.recover(connection)
                    while usage.fold(connection):
                        pass
                directory.load(connection)
                self._seed(connection, limiter)
        except sqlite3.Error as fault:
            raise database.unusable(places.database, fault) from None
        if interrupted:
            log.warning("%d requests were cut off by this gateway's last end", interrupted)

    def _seed(self, connection: sqlite3.Connection, limiter: Limiter) -> None:
        """What was used of this month and the one before, and let in within the last minute."""
        self._seed_minute(connection, limiter)
        start = usage.month_start(self._wall())
        for begin in (start, usage.month_start(start - 1)):
            month = usage.month_number(begin)
            for user, key, tokens in usage.month_use(connection, begin):
                subject = user if user.startswith("peer:") else f"user:{user}"
                limiter.used_before(subject, month, tokens)
                known = self._house.directory.keys.get(key)
                if known is not None:
                    limiter.used_before(known.subjects[0].id, month, tokens)

    def _seed_minute(self, connection: sqlite3.Connection, limiter: Limiter) -> None:
        """A gateway that is started again lets nobody begin the minute anew."""
        now, directory = self._wall(), self._house.directory
        for at, user, key, tokens in usage.last_minute(connection, now):
            known, account = directory.keys.get(key), directory.users.get(user)
            if known is not None:
                subjects = known.subjects
            elif account is not None:
                subjects = (account.subject,)
            else:
                subjects = self.admission.peer(user) if user.startswith(PEER) else ()
            for subject in subjects:
                limiter.let_in_before(subject, now - at / 1000, tokens)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what is counted, until cancelled; then what is left."""
        writer = self._house.writer
        writer.start()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._flush_always)
                nursery.start_soon(self._tend_always)
                nursery.start_soon(self._expire_always)
                task_status.started()
        finally:
            with trio.CancelScope(shield=True):
                self._flush()
                stopped = await trio.to_thread.run_sync(writer.stop, STOP_SECONDS)
                if not stopped or writer.unwritten:
                    log.error("%d events were not written: %s", writer.unwritten, writer.problem)

    async def _flush_always(self) -> None:
        while True:
            await trio.sleep(self.settings.flush_seconds / 2)
            self._flush()

    def _flush(self) -> None:
        self._house.writer.look()
        batch = self.meter.take()
        if batch is not None:
            for key, minute in batch.used.items():
                known = self._house.directory.keys.get(key)
                if known is not None:
                    known.last_used = max(known.last_used, minute)
            for kind, count in Counter(_kind(event.outcome) for _, event in batch.ended).items():
                self._metrics.accounts_events.labels(kind).inc(count)
            self._house.writer.write(batch)
        self._metrics.accounts_unwritten.set(self._house.writer.unwritten)

    async def _expire_always(self) -> None:
        """A key that expires, or whose overlap is over, ends what it has under way."""
        while True:
            await trio.sleep(EXPIRY_SECONDS)
            now, keys = self._wall(), self._house.directory.keys
            self._end_sessions(now)
            for name in {lease.key for lease in self.meter.live() if lease.key}:
                key = keys.get(name)
                if key is not None and 0 < key.expires <= now:
                    self._house.ends(partial(_is_of, name), expired(key))

    def _end_sessions(self, now: float) -> None:
        sessions = self._house.directory.sessions
        for name in {lease.session for lease in self.meter.live() if lease.session}:
            session = sessions.get(name)
            if session is None or session.expires <= now:
                over = session_over(self._house.gateway)
                self._house.ends(partial(_is_of_session, name), over)

    async def _tend_always(self) -> None:
        is_told = False
        while True:
            await trio.sleep(TEND_SECONDS)
            try:
                await self._tend()
                is_told = False
            except NotReady as error:
                log.log(
                    logging.DEBUG if is_told else logging.WARNING,
                    "the sums of usage were not brought up to date, which is tried again: %s",
                    error,
                )
                is_told = True

    async def _tend(self) -> None:
        """Bring the sums up to date, and remove what is old."""
        settings, change = self.settings, self._house.writer.change
        kept = usage.Kept(settings.events_days, settings.audit_days, settings.audit_rows)
        while await change(usage.fold):
            pass
        while await change(lambda connection: usage.prune(connection, self._wall(), kept)):
            pass

    # -- for the gateway ---------------------------------------------------------------------

    def when_gone(self, ends: Ends) -> None:
        """Say who ends the requests of a key that is revoked, or a user that is disabled."""
        self._house.ends = ends

    def when_deleted(self, told: Callable[[str], None]) -> None:
        """Say who is told the id of a user whose account was deleted."""
        self._house.deleted = told

    def users(self) -> set[str]:
        """The ids of all accounts but the owner's, whose machine it is."""
        return {user.id for user in self._house.directory if not user.is_local}

    def user_of(self, credential: str) -> str:
        """The id of the account that an API key is of; empty for the owner's.

        Raises:
            InvalidApiKey, UserDisabled: the key does not hold.
        """
        user = self.admission.key(credential).user
        return "" if user.is_local else user.id

    def when_tuned(self, tunable: Tunable) -> None:
        """Say whose settings operators see and change."""
        self._tuning.tunable = tunable

    @property
    def is_stuck(self) -> bool:
        """Whether nothing is let in, since it could not be counted."""
        return bool(self._problem())

    def check_key(self, credential: str, scope: Scope) -> tuple[str, ...]:
        """See that an API key holds, and may do that; for an operator's things its user too.

        Gives the models that it may ask; none stands for all.

        Raises:
            InvalidApiKey, PermissionDenied, UserDisabled: it does not.
        """
        key = self.admission.key(credential, scope)
        if scope == "admin" and not key.user.is_operator:
            raise PermissionDenied(
                f"Only an operator may do that, and the key's user {key.user.name!r} is none."
            )
        return key.models

    # -- what is asked -------------------------------------------------------------------------

    async def answer(
        self, method: str, wish: object, credential: str, peer: str | None
    ) -> msgspec.Struct:
        """Do what is asked.

        Arguments:
            method: a name of `METHODS`; `wish` is its struct.
            credential: a session's token or an API key; empty for none.
            peer: who is at the other end of the channel; None for the control socket, where
                without a credential the owner asks; `WEB` and an address for who sits at the page.

        Raises:
            AiplatError: it may not, or it cannot be.
        """
        known = METHODS.get(method)
        if known is None:
            raise InvalidRequest(f"There is nothing to ask of accounts named {clip(method)!r}.")
        _check_door(known, peer)
        if known.need == "nobody":
            with _no_paths(shown=peer is None):
                return await self._answers_to_all()[method](wish, peer or "")
        caller = self._callers.find(credential, peer)
        check_may(caller, known)
        self._check_pace(caller, method)
        with _no_paths(shown=caller.is_operator):
            return await self._answers()[method](caller, wish)

    def _check_pace(self, caller: Caller, method: str) -> None:
        """Each change is a row of the audit log. What ends something is never kept waiting."""
        if method in _CHANGES and caller.by != "operator":
            user = caller.user
            self._house.pace.take(
                Bound(f"changes:{user.id}", self.settings.changes_per_minute,
                      f"changes by the account {user.name!r}", "accounts.changes_per_minute")
            )  # fmt: skip

    def _answers_to_all(self) -> dict[str, Callable[[Any, str], Awaitable[msgspec.Struct]]]:
        come = self._arrivals
        return {
            "register": come.register, "login": come.login, "policy": come.policy,
            "open.redeem": self._opening.redeem,
        }  # fmt: skip

    def _answers(self) -> dict[str, Callable[[Caller, Any], Awaitable[msgspec.Struct]]]:
        people, keys, sessions, tuning = self._people, self._keys, self._sessions, self._tuning
        return {
            "logout": sessions.logout, "whoami": self._whoami,
            "sessions.list": sessions.list, "sessions.end": sessions.end,
            "password.change": self._new_passwords.change,
            "keys.create": keys.create, "keys.list": keys.list, "keys.show": keys.show,
            "keys.rotate": keys.rotate, "keys.revoke": keys.revoke,
            "usage": self._books.usage,
            "users.list": people.list, "users.invite": self._invitations.make,
            "users.invitations": self._invitations.list,
            "users.uninvite": self._invitations.withdraw,
            "users.disable": people.disable, "users.enable": people.enable,
            "users.limits": people.limits, "users.role": people.role,
            "users.delete": people.delete, "users.audit": people.audit,
            "users.password": self._new_passwords.reset,
            "settings.list": tuning.list, "settings.set": tuning.set,
            "settings.reset": tuning.reset, "open": self._opening.make,
            "db.backup": self._books.backup, "db.check": self._books.check,
        }  # fmt: skip

    async def _whoami(self, caller: Caller, wish: Nothing) -> WhoAmI:
        told = self._people.whoami(caller)
        if caller.key is None:
            return told
        return msgspec.structs.replace(told, key=self._keys.told(caller.key))

    async def _written(self) -> None:
        """Wait until what was counted is on the disk."""
        self._flush()
        await self._house.writer.change(lambda connection: None)


@contextlib.contextmanager
def _no_paths(*, shown: bool) -> Iterator[None]:
    """Where the database lies is not `shown` to everybody."""
    try:
        yield
    except database.StoreFails as fault:
        raise fault if shown else fault.for_others() from None


def _is_of(key: str, lease: Lease) -> bool:
    """Whether a request came with that key."""
    return lease.key == key


def _is_of_session(session: str, lease: Lease) -> bool:
    """The same of a log-in."""
    return lease.session == session


def _check_door(method: Method, peer: str | None) -> None:
    """Raise `PermissionDenied` for what belongs to the page, asked from elsewhere."""
    if method.door and not (peer or "").startswith(WEB):
        raise PermissionDenied(f"That ({method.name}) is done at the gateway's own page only.")


def _kind(outcome: str) -> str:
    """An outcome as a label: a closed set."""
    return outcome if outcome in usage.GOOD else "failed"
