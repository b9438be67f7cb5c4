"""Which roles a node takes when nobody says: all that are possible on this machine."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

from aiplat.domain.errors import ConfigError, NotAMember, PermissionDenied
from aiplat.domain.ids import ROLES, Role
from aiplat.engine.catalogue import ECHO
from aiplat.node.membership.files import NetworkFiles
from aiplat.node.membership.membership import Membership, revoked_text
from aiplat.runtime.options import ServeOptions, default_roles
from aiplat.runtime.places import Places

_LACKING = "torch and transformers are not installed"
NO_MODELS = (
    f"{_LACKING}, so this node runs no models: it is client and gateway. To run models here: "
    "pip install 'aiplat[local]'"
)
NO_PROCESSOR = (
    f"{_LACKING}, so no model but echo runs here. To install them: pip install 'aiplat[local]'"
)


def can_run_models() -> bool:
    """Tell whether what runs models is installed; imports nothing of it."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "transformers"))


def certified_roles(places: Places) -> tuple[Role, ...]:
    """What this home's network lets its node be; all roles in no network."""
    return Membership(NetworkFiles(places.network)).roles


def refuse_without_client(places: Places, running: tuple[Role, ...] = ()) -> None:
    """See that no prompt is asked where the network lets this home ask none.

    Arguments:
        places: the home.
        running: the roles of the node that runs there, if one does.

    Raises:
        NotAMember: the owner revoked it.
        PermissionDenied: its certificate is for a processor only.
    """
    membership = Membership(NetworkFiles(places.network))
    if membership.record is None:
        return
    name = membership.record.name
    if membership.is_revoked:
        raise NotAMember(revoked_text(name))
    asks = {"client", "gateway"}
    if asks & set(running) or asks & set(membership.roles):
        return
    raise PermissionDenied(
        f"This home's certificate of the network {name} is for {' and '.join(membership.roles)} "
        'only: it may not ask. Ask on another member, or have the owner invite it ("aiplat invite '
        f'--role client{"".join(f" --role {role}" for role in membership.roles)}"), and join with '
        "that after `aiplat network leave`."
    )


def refuse_without_certificate(options: ServeOptions, places: Places) -> None:
    """See that what needs a certificate is not tried without one, in a public network.

    Raises:
        ConfigError: it would be: no gateway would let it be more than a client.
    """
    membership = Membership(NetworkFiles(places.network))
    extra = [role for role in options.roles if role not in membership.roles]
    if membership.own is not None or membership.record is None or not extra:
        return
    named = " ".join(f"--role {role}" for role in extra)
    raise ConfigError(
        f"In the public network {membership.record.name} anyone may be a client, but a "
        f"{' and a '.join(extra)} needs a certificate, and this home has none. Ask the network's "
        f'owner for a token ("aiplat invite {named}"), and join with it after `aiplat network '
        "leave`."
    )


def with_roles(
    options: ServeOptions,
    *,
    can_run: bool | None = None,
    certified: tuple[Role, ...] = ROLES,
) -> tuple[ServeOptions, str]:
    """Fill in the roles of a node that was told none.

    Arguments:
        options: what was said.
        can_run: whether this machine runs models, or a server does for it; found out when not
            given.
        certified: the roles that its network lets it have.

    Returns:
        The options with roles, and what a person shall be told, or an empty text.

    Raises:
        ConfigError: it shall be a processor, and can be none.
    """
    can = can_run_models() if can_run is None else can_run
    can = can or (bool(options.models) and set(options.models) == {ECHO})  # needs neither
    if options.roles:
        if "processor" in options.roles and not can:
            raise ConfigError(NO_PROCESSOR)
        return options, _not_certified(options.roles, certified)
    roles = tuple(role for role in default_roles(can) if role in certified)
    if not roles:  # a processor that cannot run models: it would be nothing
        raise ConfigError(NO_PROCESSOR)
    note = "" if can or "processor" not in certified else NO_MODELS
    return replace(options, roles=roles), note


def refuse_models_without_processor(options: ServeOptions, *, can_run: bool | None = None) -> None:
    """See that models that were named are not ignored, once the roles are filled in.

    Raises:
        ConfigError: they would be.
    """
    if not (options.models or options.upstream) or "processor" in options.roles:
        return
    if not (can_run_models() if can_run is None else can_run):
        raise ConfigError(NO_PROCESSOR)
    raise ConfigError(
        f"This home's certificate says {' and '.join(options.roles)}, so this node runs no models: "
        f"leave {'--upstream' if options.upstream else '--model'} out, or join with an invitation "
        "for a processor."
    )


def _not_certified(roles: tuple[Role, ...], certified: tuple[Role, ...]) -> str:
    extra = " and ".join(role for role in roles if role not in certified)
    if not extra:
        return ""
    text = (
        f"This home's certificate says {' and '.join(certified)}, so nobody in its network uses "
        f'this node as {extra}. The owner can invite it anew ("aiplat invite"), after `aiplat '
        "network leave` here."
    )
    if not any(role in certified for role in roles):
        raise NotAMember(text)  # everybody would turn it away, again and again
    return text
