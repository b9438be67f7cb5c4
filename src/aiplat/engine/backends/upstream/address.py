"""Where the upstream is: its URL checked, and what is decided by it. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

import msgspec

from aiplat.domain.errors import ConfigError, clip

_EXAMPLE = "such as http://127.0.0.1:8000/v1"
_ENDPOINTS = ("/chat/completions", "/completions", "/models", "/embeddings")


class Address(msgspec.Struct, frozen=True):
    """A base URL that ends without a slash, and its parts that matter.

    Arguments:
        base: what ``/models`` and ``/chat/completions`` are added to.
        host: name or number, with the port where one was given.
        is_loopback: whether it is this machine, by number or as `localhost`.
        is_tls: whether what is sent is encrypted.
    """

    base: str
    host: str
    is_loopback: bool
    is_tls: bool

    @property
    def trusts_environment(self) -> bool:
        """Whether the proxies of the environment are used, and its certificates (SSL_CERT_FILE).

        For https alone: there a proxy carries what it cannot read. Over plain http it would read
        prompts and the key; and what is on this machine is reached without leaving it.
        """
        return self.is_tls and not self.is_loopback

    @property
    def is_open(self) -> bool:
        """Whether prompts and the key cross a network that anybody on it can read."""
        return not self.is_tls and not self.is_loopback


def parse_address(text: str) -> Address:
    """Read a URL; one without a path means OpenAI's usual ``/v1``.

    Raises:
        ConfigError: it is none, of another kind, or holds a password.
    """
    shown = repr(clip(text.strip()))
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"The upstream's URL {shown} cannot be read ({error}).") from None
    if parts.username is not None or parts.password is not None:  # never shown: it is a secret
        raise ConfigError(
            "The upstream's URL holds a name or a password, which would show in process lists: put "
            "the key into an environment variable, and name that with --upstream-key-env."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"The upstream's URL {shown} must begin with http:// or https:// and name a host, "
            f"{_EXAMPLE}; or be `auto`."
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"The upstream's URL {shown} must end with its path, {_EXAMPLE}.")
    host = parts.hostname if port is None else f"{parts.hostname}:{port}"
    return Address(_base(parts, shown), host, _is_loopback(parts.hostname), parts.scheme == "https")


def _base(parts: SplitResult, shown: str) -> str:
    path = parts.path.rstrip("/")
    for endpoint in _ENDPOINTS:
        if path.endswith(endpoint):
            raise ConfigError(
                f"The upstream's URL {shown} names one endpoint: leave {endpoint} off."
            )
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
