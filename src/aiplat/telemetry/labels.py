"""The values that labels may have: closed sets, and what each label means. No label is open."""

from __future__ import annotations

from typing import NamedTuple

from aiplat.domain.accounts import Limits
from aiplat.domain.errors import LEAVES

MAX_MODEL_LABELS = 50
"""Names of models come from peers; each new one costs a page of histogram buckets."""

LIMITS: tuple[str, ...] = Limits.__struct_fields__
AUTH_REASONS: dict[str, str] = {
    "missing": "there was none",
    "malformed": "it has no form of a key",
    "wrong": "it is nobody's",
    "expired": "its time is over",
    "revoked": "it was taken back",
    "disabled": "its user is disabled",
    "other_gateway": "it is another gateway's",
    "scope": "not for this",
    "model": "not for this model",
    "host": "the `Host` is no name of this door",
    "origin": "the `Origin` is another's page",
    "elsewhere": "the local token came from another machine",
    "password": "a wrong name or password at a log-in",
    "invitation": "an invitation that is none, or is used up or over",
    "session": "a session that is none, or is over",
    "link": "a one-time link that is none, or is used up or over",
    "csrf": "the token of a page's form is too old, or another's",
}
"""Why a credential was refused."""
LOST: dict[str, str] = {
    "eof": "the connection broke",
    "silence": "nothing came for too long, or no answer to what was asked",
    "write": "nothing could be sent",
    "overflow": "the peer took too little of what waited for it",
    "violation": "it broke the protocol",
    "fault": "a fault of this node",
}
"""How a channel ended without a goodbye."""
ENDS: tuple[str, ...] = ("stop", "length", "cancelled", "tool_calls")
"""How a request ended that went well, or that its asker ended."""


class Label(NamedTuple):
    """What a label says, and how many values it has at most; in words where the code says it."""

    meaning: str
    most: int | str


def _listed(meanings: dict[str, str]) -> str:
    return ", ".join(f"`{value}` ({meaning})" for value, meaning in meanings.items())


_MODELS = Label(
    "a model that a processor of this gateway offers; `unknown` for any other name, `other` for "
    f"those after the first {MAX_MODEL_LABELS}",
    MAX_MODEL_LABELS + 2,
)
_OUTCOME = Label(
    f"how it ended: {', '.join(f'`{end}`' for end in ENDS)}; or the code of the error, `other` for "
    "one that is not ours",
    len(ENDS) + len(LEAVES) + 1,
)
_ENGINE = Label("a model that this node serves itself", "models served")

LABELS: dict[str, Label] = {
    "gen_ai_request_model": _MODELS,
    "gen_ai_token_type": Label("`input` or `output`", 2),
    "outcome": _OUTCOME,
    "aiplat_route_attempts_total outcome": Label(
        f"{_OUTCOME.meaning}; besides `refused`, where the processor took it not, and `retried`, "
        "where another was tried",
        len(ENDS) + len(LEAVES) + 3,
    ),
    "aiplat_accounts_events_total outcome": Label(
        f"{', '.join(f'`{end}`' for end in ENDS)}; or `failed`", len(ENDS) + 1
    ),
    "role": Label("`processor`: a gateway counts whom it may place on", 1),
    "state": Label("`connected`", 1),
    "aiplat_auth_failures_total reason": Label(f"why: {_listed(AUTH_REASONS)}", len(AUTH_REASONS)),
    "aiplat_channels_lost_total reason": Label(f"how: {_listed(LOST)}", len(LOST)),
    "limit": Label(f"which: {', '.join(f'`{limit}`' for limit in LIMITS)}", len(LIMITS)),
    "bound": Label("which: one of the labels of [guards.md](guards.md)", "labels of guards.md"),
    "model": _ENGINE,
}
"""By name; where metrics differ in it, by the metric's name and the label's."""


def entry_of(metric: str, label: str) -> str:
    """Give the entry of `LABELS` that a metric's label has."""
    own = f"{metric} {label}"
    return own if own in LABELS else label
