"""The OS keyring, made safe: only a real backend, tried before it is trusted, never waited for."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from threading import Event
from typing import TypeVar

from aiplat.credentials.backends import Backend, described, keeps_not, members, refusal
from aiplat.credentials.calls import Calls
from aiplat.credentials.errors import NoKeyring

T = TypeVar("T")


class Vault:
    """A store. Backend and trial are kept until something fails, and then made anew.

    Arguments:
        service: what the entries are filed under.
        open_keyring: gives keyring's backend.
        calls: what runs each call.
    """

    def __init__(self, service: str, open_keyring: Callable[[], Backend], calls: Calls) -> None:
        self._service = service
        self._open = open_keyring
        self._calls = calls
        self._trusted: Backend | None = None
        self.backend = ""
        """The name of the backend that was last seen, for people."""

    def ready(self) -> None:
        """Check that it can be used, by a trial the first time.

        Raises:
            NoKeyring: says why not, and the mend. So do all methods here.
        """
        self._ready()

    def again(self) -> None:
        """Check it anew, whatever was found before."""
        self._trusted = None
        self._ready()

    def get(self, name: str) -> str | None:
        """The secret, if there is one of that name."""
        return self._run(lambda backend, _: backend.get_password(self._service, name))

    def put(self, name: str, secret: str) -> None:
        """Keep it, instead of another of that name."""

        def job(backend: Backend, abandoned: Event) -> None:
            # It is the look that waits if the keyring has been locked, and nothing was changed.
            backend.get_password(self._service, name)
            if not abandoned.is_set():
                backend.set_password(self._service, name, secret)

        self._run(job)

    def drop(self, names: Iterable[str]) -> None:
        """Forget them; what is not there is fine."""

        def job(backend: Backend, abandoned: Event) -> None:
            for name in names:
                if abandoned.is_set():
                    return
                self._delete(backend, name)

        self._run(job)

    def _run(self, job: Callable[[Backend, Event], T]) -> T:
        backend = self._ready()
        try:
            return self._calls.run(lambda abandoned: job(backend, abandoned))
        except NoKeyring:
            self._trusted = None
            raise

    def _ready(self) -> Backend:
        trusted = self._trusted
        if trusted is None:
            self.backend = ""
            opened = self._calls.run(lambda _: self._open())
            self.backend = described(opened)
            trusted = self._calls.run(lambda abandoned: self._choose(opened, abandoned))
            self.backend = described(trusted)
            self._trusted = trusted
        return trusted

    def _choose(self, opened: Backend, abandoned: Event) -> Backend:
        """The first real backend behind `opened`; some only read, which their trial tells."""
        refused: NoKeyring | None = None
        for backend in members(opened):
            fault = refusal(backend)
            if fault is None:
                try:
                    self._try(backend, abandoned)
                except NotImplementedError:
                    fault = keeps_not(backend, "takes no secrets: it only gives some")
            if fault is None:
                return backend
            refused = refused or fault
        assert refused is not None
        raise refused

    def _try(self, backend: Backend, abandoned: Event) -> None:
        """Write, read and delete a random value; its name is one that no other trial has."""
        name, value = f"trial:{secrets.token_hex(8)}", secrets.token_hex(16)
        backend.get_password(self._service, name)  # as in `put`
        if abandoned.is_set():
            return
        backend.set_password(self._service, name, value)
        if backend.get_password(self._service, name) != value:
            raise keeps_not(backend, "does not give back what it was given")
        self._delete(backend, name)

    def _delete(self, backend: Backend, name: str) -> None:
        if backend.get_password(self._service, name) is None:
            return
        backend.delete_password(self._service, name)
        if backend.get_password(self._service, name) is not None:
            raise keeps_not(backend, "does not delete what it shall forget")
