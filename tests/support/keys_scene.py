"""What a gateway says of accounts and keys, written down for the tests of the pane Keys."""

from __future__ import annotations

from typing import Any

from aiplat.control.accounts import (
    AuditEntry,
    AuditLog,
    Invitation,
    InvitationList,
    KeyList,
    KeyringState,
    KeyStatus,
    NewKey,
    Session,
    UserInvitation,
    UserList,
    UserStatus,
    WhoAmI,
)
from aiplat.control.messages import Done
from aiplat.domain.accounts import Limits, RateState
from aiplat.domain.errors import InvalidApiKey
from tests.support.screens import NOW, ScriptedLink

GATEWAY = "12D3KooWGatewayGatewayGatewayGatewayGatewayGate1234"
SECRET = "sk-aip-abcdefghijklabcdefghijkl-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq"
CODE = "inv-aip-abcdefghijklabcdefghijkl-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq"
PASSWORD = "correct horse ñ"
DAY = 86_400
T = int(NOW)

RING = KeyringState(
    backend="SecretService Keyring", usable=True,
    held=("key laptop of ann (aaaa) for the gateway …Gate1234, in the keyring",
          "session ann of ann (ssss) for the gateway …Gate1234, in the keyring"),
)  # fmt: skip
NO_RING = KeyringState(
    backend="", usable=False,
    reason="This machine has no keyring: nothing offers a Secret Service to this session.",
    mend="Install one, such as gnome-keyring, and try again. To do without a keyring, pass the key "
         "in AIPLAT_API_KEY, or have it kept as plain text with --insecure-storage.",
)  # fmt: skip

ANN = UserStatus(
    id="u1", name="ann", role="user", created=T - 40 * DAY, keys=4, used_this_month=1_234_567,
    limits=Limits(requests_per_minute=60, tokens_per_minute=20_000, concurrent=4,
                  tokens_per_month=5_000_000),
)  # fmt: skip
BOB = UserStatus(id="u2", name="bob", disabled=True, created=T - 20 * DAY, keys=1)
OWNER = UserStatus(
    id="u0", name="operator", role="operator", created=T - 90 * DAY, keys=1, local=True
)
ME = WhoAmI(
    gateway=GATEWAY, user=ANN, by="session", expires=T + 6 * DAY,
    rate=RateState(requests_limit=60, requests_remaining=48, tokens_limit=20_000,
                   tokens_remaining=14_800),
    asks_by="the key laptop of ann",
)  # fmt: skip
BOSS = WhoAmI(gateway=GATEWAY, user=OWNER, by="operator")
NOBODY = InvalidApiKey(
    "The gateway …Gate1234 must know who asks: log in first (`aiplat login`, or `aiplat register`)."
)

LAPTOP = KeyStatus(
    id="abcdefghijklaaaabbbbcccc", name="laptop", user="ann", scopes=("inference",),
    created=T - 30 * DAY, last_used=T - 180, used_this_month=912_345, kept="keyring",
)  # fmt: skip
CI = KeyStatus(
    id="abcdefghijklddddeeeeffff", name="ci", user="ann", scopes=("inference", "usage"),
    models=("smollm2-135m", "qwen3-4b"), created=T - 60 * DAY, expires=T + 3 * DAY,
    last_used=T - 5 * 3600, used_this_month=322_222,
    limits=Limits(requests_per_minute=30, tokens_per_month=1_000_000),
)  # fmt: skip
WEB = KeyStatus(
    id="abcdefghijklgggghhhhiiii", name="web", user="ann", scopes=("inference",), state="rotated",
    created=T - 90 * DAY, expires=T + 20 * 3600, last_used=T - 3 * DAY, kept="file",
)  # fmt: skip
OLD = KeyStatus(
    id="abcdefghijkljjjjkkkkllll", name="old", user="ann", scopes=("inference", "admin"),
    state="revoked", created=T - 300 * DAY, revoked=T - 10 * DAY,
)  # fmt: skip
BOBS = KeyStatus(
    id="abcdefghijklmmmmnnnnoooo", name="phone", user="bob", scopes=("inference",),
    created=T - 10 * DAY,
)  # fmt: skip
MADE = NewKey(id=LAPTOP.id, name="laptop", key=SECRET, status=LAPTOP, gateway=GATEWAY)
SESSION = Session(user=ANN, id="s1", token="", expires=T + 7 * DAY, gateway=GATEWAY, kept="keyring")
CARD = Invitation(id="xznxwdkk7pgkmevfebrdptpo", created=T - DAY, expires=T + 2 * DAY, uses=3)
ENTRIES = (
    AuditEntry(at=T - 60, actor="operator", action="user.disable", target="bob"),
    AuditEntry(at=T - 3600, actor="ann", action="key.create", target=LAPTOP.id,
               detail="name laptop, scopes inference", peer=GATEWAY),
)  # fmt: skip


def link_of(**says: Any) -> ScriptedLink:
    """A gateway where ann is logged in; what is said otherwise comes by name, `_` for `:` and `.`.

    ``accounts_keys_list=…`` is ``accounts:keys.list``.
    """
    usual: dict[str, Any] = {
        "keyring": RING,
        "accounts:whoami": ME,
        "accounts:keys.list": lambda wish: KeyList(
            keys=(LAPTOP, CI, WEB, *((OLD,) if wish.ended else ()),
                  *((BOBS,) if wish.everyone else ()))),
        "accounts:keys.create": MADE,
        "accounts:keys.rotate": MADE,
        "accounts:keys.revoke": Done(message="The key 'laptop' is revoked: it holds no more."),
        "accounts:register": SESSION,
        "accounts:login": SESSION,
        "accounts:logout": Done(message="The session is over."),
        "accounts:users.list": UserList(users=(ANN, OWNER, BOB)),
        "accounts:users.disable": Done(message="ann is disabled."),
        "accounts:users.enable": Done(message="bob is let in again."),
        "accounts:users.limits": Done(message="The limits of ann are changed."),
        "accounts:users.role": Done(message="ann is an operator."),
        "accounts:users.delete": Done(message="ann is deleted."),
        "accounts:users.invite": UserInvitation(
            code=CODE, expires=T + 7 * DAY, uses=1, gateway=GATEWAY, id=CARD.id),
        "accounts:users.invitations": InvitationList(invitations=(CARD,)),
        "accounts:users.uninvite": Done(message="Nobody can register with it any more."),
        "accounts:users.audit": AuditLog(entries=ENTRIES),
    }  # fmt: skip
    link = ScriptedLink(**usual)
    for name, said in says.items():
        kind, _, method = name.partition("_")
        link.says[f"{kind}:{method.replace('_', '.')}" if method else name] = said
    return link
