"""Which roles a node takes when nobody says: all that are possible on this machine."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

from aiplat.engine.catalogue import ECHO
from aiplat.runtime.options import ServeOptions, default_roles

NO_MODELS = (
    "torch and transformers are not installed, so this node runs no models: it is client and "
    "gateway. To run models here: pip install 'aiplat[local]'"
)


def can_run_models() -> bool:
    """Tell whether what runs models is installed; imports nothing of it."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "transformers"))


def with_roles(options: ServeOptions, *, can_run: bool | None = None) -> tuple[ServeOptions, str]:
    """Fill in the roles of a node that was told none.

    Arguments:
        options: what was said.
        can_run: whether this machine runs models; found out when not given.

    Returns:
        The options with roles, and what a person shall be told, or an empty text.
    """
    if options.roles:
        return options, ""
    can = can_run_models() if can_run is None else can_run
    can = can or (bool(options.models) and set(options.models) == {ECHO})  # needs neither
    return replace(options, roles=default_roles(can)), "" if can else NO_MODELS
