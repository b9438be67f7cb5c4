"""The certificate that the front door shows, for the door's life: also when its files change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import trio

from aiplat.domain.errors import ConfigError, clip
from aiplat.http.pair import Pair, read_pair, stamp_of
from aiplat.http.settings import HttpSettings

log = logging.getLogger("aiplat.http.tls")

_LAST_PART = 0.1
"""The share of its life that is left when one speaks of a certificate's end."""


class Certificate:
    """A certificate that is shown, and renewed without a restart.

    Connections take the pair that is there when they begin.

    Arguments:
        certificate: its PEM file, the chain in it.
        key: the PEM file of its key.
        now: the time of day, with its zone.

    Raises:
        ConfigError: as `read_pair`.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._paths = (certificate, key)
        self._now = now
        self._stamp = stamp_of(certificate, key)
        self._said = ""
        self.pair: Pair = read_pair(certificate, key, now())

    def renew(self) -> bool:
        """Take the pair that the files hold, if they changed; one that is bad is not taken.

        Why not is logged once, and it is looked at again each time: a file may be there before
        its key, or before its time. Blocks.

        Returns:
            Whether there is another pair now.
        """
        stamp = stamp_of(*self._paths)
        if stamp == self._stamp:
            self._speak_of_end()
            return False
        try:
            pair = read_pair(*self._paths, self._now())
        except Exception as fault:  # noqa: BLE001  # whatever it is, the old one serves on
            why = str(fault) if isinstance(fault, ConfigError) else type(fault).__name__
            self._say(logging.ERROR, "the TLS certificate's files changed, and the old one is "
                      f"kept: {why}")  # fmt: skip
            return False
        self.pair, self._stamp, self._said = pair, stamp, ""
        log.info("the TLS certificate was renewed, until %s", f"{pair.ends:%Y-%m-%d %H:%M UTC}")
        return True

    def _speak_of_end(self) -> None:
        """Nothing else tells an operator in time: clients just stay away."""
        left = self.pair.ends - self._now()
        ends = f"{self.pair.ends:%Y-%m-%d %H:%M UTC}"
        if left.total_seconds() <= 0:
            self._say(logging.ERROR, f"the TLS certificate expired at {ends}: clients refuse it. "
                      f"Put a new one at {self._paths[0]}")  # fmt: skip
        elif left < (self.pair.ends - self.pair.begins) * _LAST_PART:
            self._say(logging.WARNING, f"the TLS certificate ends at {ends}: put a new one at "
                      f"{self._paths[0]} before")  # fmt: skip

    def _say(self, level: int, words: str) -> None:
        if words != self._said:
            self._said = words
            log.log(level, "%s", words)

    async def watch(self, seconds: float) -> None:
        """Renew it every so many seconds, for ever."""
        while True:
            # Its thread only ever swaps the pair: one on a file system that hangs may be left.
            await trio.to_thread.run_sync(self.renew, abandon_on_cancel=True)
            await trio.sleep(seconds)


def certificate_of(settings: HttpSettings) -> Certificate | None:
    """The certificate that the settings name; None when they name none.

    Raises:
        ConfigError: only one of the two files is named, or as `read_pair`.
    """
    named = {"certificate": settings.tls_certificate, "key": settings.tls_key}
    if not any(named.values()):
        return None
    for what, other in (("certificate", "key"), ("key", "certificate")):
        if not named[other]:
            raise ConfigError(
                f"http.tls_{what} is set and http.tls_{other} is not, but TLS needs both. Give the "
                f"other with --tls-{other} FILE, or leave both out."
            )
    if settings.plain_beyond_loopback:
        raise ConfigError(
            "http.plain_beyond_loopback is for a door without TLS, but a certificate is set: the "
            "door speaks https alone. Leave one of the two out."
        )
    return Certificate(
        _path("http.tls_certificate", settings.tls_certificate),
        _path("http.tls_key", settings.tls_key),
    )


def _path(name: str, text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        path = Path(text)  # of an account that is not there
    if not path.is_absolute() or "\0" in text:
        raise ConfigError(
            f"{name} must be the whole path of a file, such as /etc/aiplat/tls.pem, but is "
            f"{clip(text)!r}."
        )
    return path
