"""The values that labels may have: closed sets, and what each label means. No label is open."""

from __future__ import annotations

from typing import NamedTuple

from aiplat.domain.accounts import Limits
from aiplat.domain.errors import LEAVES

MAX_MODEL_LABELS = 50
"""Names of models come from peers; each new one costs a page of histogram buckets."""

LIMITS: tuple[str, ...] = Limits.__struct_fields__
AUTH_REASONS: tuple[str, ...] = (
    "missing", "malformed", "wrong", "expired", "revoked", "disabled", "other_gateway", "scope",
    "model", "host", "origin", "elsewhere",
)  # fmt: skip
"""Why a credential was refused: there was none; it has no form of a key; nobody's; over its time;
taken back; its user disabled; of another gateway; not for this; not for this model; the `Host` or
`Origin` not of this door; the local token from another machine."""
LOST: tuple[str, ...] = ("eof", "silence", "write", "overflow", "violation", "fault")
"""How a channel ended without a goodbye."""
ENDS: tuple[str, ...] = ("stop", "length", "cancelled", "tool_calls")
"""How a request ended that went well, or that its asker ended."""


class Label(NamedTuple):
    """What a label says, and how many values it has at most; in words where the code says it."""

    meaning: str
    most: int | str


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
    "aiplat_auth_failures_total reason": Label(
        f"why: {', '.join(f'`{reason}`' for reason in AUTH_REASONS)}", len(AUTH_REASONS)
    ),
    "aiplat_channels_lost_total reason": Label(
        f"how: {', '.join(f'`{reason}`' for reason in LOST)}", len(LOST)
    ),
    "limit": Label(f"which: {', '.join(f'`{limit}`' for limit in LIMITS)}", len(LIMITS)),
    "bound": Label(
        "which: a setting's name, or one of [guards.md](guards.md)", "names in the code"
    ),
    "model": _ENGINE,
}
"""By name; where metrics differ in it, by the metric's name and the label's."""


def entry_of(metric: str, label: str) -> str:
    """Give the entry of `LABELS` that a metric's label has."""
    own = f"{metric} {label}"
    return own if own in LABELS else label
