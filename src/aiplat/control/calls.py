"""Every question that a face may put to a node: its path, what is sent, what comes, how long.

Sends nothing: `client` (blocking) and `aio` (asyncio) do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from aiplat.control import history as history_messages
from aiplat.control.accounts import METHODS, AccountsCall, KeyringState
from aiplat.control.history import HistoryCall
from aiplat.control.machine import (
    DoctorReply,
    LogAsk,
    LogReply,
    PullWish,
    ServeWish,
    Shelf,
)
from aiplat.control.messages import (
    Access,
    Done,
    DrainWish,
    Explanation,
    Invitation,
    InviteRequest,
    JoinRequest,
    MemberList,
    ModelList,
    ModelName,
    NetworkCreate,
    PeerList,
    PeerName,
    RequestName,
    ShareStatus,
    ShareWish,
    Status,
    Stop,
    Stopping,
)
from aiplat.control.series import SeriesAsk, SeriesReply

Reply = TypeVar("Reply", bound=msgspec.Struct)

ITSELF = 0.0
"""No seconds of its own: the node answers by itself, from memory; one that takes longer than the
client's `timeout` is frozen."""
FROM_DISK = 15.0
"""Seconds for what lies on its disk, which may be slow."""
ASKING_OTHERS = 15.0
"""Seconds for what it may ask another node for; it gives up before (`http.call_seconds`)."""
ACCOUNTS = 60.0
"""Seconds for a question about accounts: a password's hash and its queue, a keyring that hangs (3 s
and again), a gateway to be reached; a backup has to be done by then too."""
CHANGING = 150.0
"""Seconds for taking up a network: joining asks at up to eight addresses, one after the other
(`node.connect_seconds` each), and then the node listens anew (`node.rejoin_seconds`)."""
LOOKING = 120.0
"""Seconds for a doctor's look: it asks at each address that should answer."""


@dataclass(frozen=True)
class Call(Generic[Reply]):
    """One question.

    Arguments:
        path: of the control API.
        reply: what comes.
        wish: what is sent; None makes it a GET.
        seconds: that the node may take; `ITSELF` for the client's own.
    """

    path: str
    reply: type[Reply]
    wish: msgspec.Struct | None = None
    seconds: float = ITSELF

    @property
    def method(self) -> str:
        """Of HTTP."""
        return "GET" if self.wish is None else "POST"

    @property
    def body(self) -> bytes | None:
        """The wish as JSON."""
        return None if self.wish is None else msgspec.json.encode(self.wish)


class _Empty(msgspec.Struct, frozen=True):
    """A wish without more to say."""


def _tell(path: str, wish: msgspec.Struct, seconds: float = ITSELF) -> Call[Done]:
    return Call(path, Done, wish, seconds)


# -- the node ------------------------------------------------------------------------------------


def status() -> Call[Status]:
    """The node, now."""
    return Call("/control/status", Status)


def access() -> Call[Access]:
    """How programs reach its HTTP door."""
    return Call("/control/access", Access)


def stop(wish: Stop) -> Call[Stopping]:
    """End it, as `wish` says."""
    return Call("/control/stop", Stopping, wish)


def series(ask: SeriesAsk) -> Call[SeriesReply]:
    """What the graphs show."""
    return Call("/control/series", SeriesReply, ask, FROM_DISK)


def log(ask: LogAsk) -> Call[LogReply]:
    """The node's log."""
    return Call("/control/log", LogReply, ask)


def doctor() -> Call[DoctorReply]:
    """Look at each step from here to an answer."""
    return Call("/control/doctor", DoctorReply, _Empty(), LOOKING)


# -- models --------------------------------------------------------------------------------------


def model_list() -> Call[ModelList]:
    """The models that can be asked for, and what else lies on the node's machine."""
    return Call("/control/models", ModelList, None, ASKING_OTHERS)


def remove_model(model: ModelName) -> Call[Done]:
    """Remove a pulled model from the disk."""
    return _tell("/control/models/remove", model, FROM_DISK)


def shelf() -> Call[Shelf]:
    """The models that this machine has or could have, and what is being brought."""
    return Call("/control/models/shelf", Shelf, None, FROM_DISK)


def pull_model(wish: PullWish) -> Call[Done]:
    """Begin to bring a model onto this machine, or end that; `shelf` tells how far it is."""
    return _tell("/control/models/pull", wish, FROM_DISK)


def serve_model(wish: ServeWish) -> Call[Done]:
    """Offer a model that lies here, or no more."""
    return _tell("/control/models/serve", wish, FROM_DISK)


# -- the network ---------------------------------------------------------------------------------


def create_network(wish: NetworkCreate) -> Call[Done]:
    """Make a network; comes back when the node listens again."""
    return _tell("/control/network/create", wish, CHANGING)


def join_network(wish: JoinRequest) -> Call[Done]:
    """Join a network; comes back when the node listens again."""
    return _tell("/control/network/join", wish, CHANGING)


def leave_network() -> Call[Done]:
    """Belong to no network any more."""
    return _tell("/control/network/leave", _Empty(), CHANGING)


def invite(wish: InviteRequest) -> Call[Invitation]:
    """Make a token."""
    return Call("/control/network/invite", Invitation, wish)


def members() -> Call[MemberList]:
    """Everyone with a certificate."""
    return Call("/control/network/members", MemberList)


def revoke(peer: PeerName) -> Call[Done]:
    """Take a member's certificate away."""
    return _tell("/control/network/revoke", peer)


def peers() -> Call[PeerList]:
    """The peers that the node has, or wants, a channel to."""
    return Call("/control/peers", PeerList)


def drain(wish: DrainWish) -> Call[Done]:
    """Place no more on a processor; with an empty name, take no more at all. Or end that."""
    return _tell("/control/drain", wish)


def share() -> Call[ShareStatus]:
    """How the machine is shared with others, and who uses it."""
    return Call("/control/share", ShareStatus)


def set_share(wish: ShareWish) -> Call[Done]:
    """Share it on other terms."""
    return _tell("/control/share", wish)


def block(peer: PeerName) -> Call[Done]:
    """Shut a peer out."""
    return _tell("/control/block", peer)


def unblock(peer: PeerName) -> Call[Done]:
    """Let a peer in again."""
    return _tell("/control/unblock", peer)


def explain(request: str) -> Call[Explanation]:
    """Why a request went where it went."""
    return Call("/control/explain", Explanation, RequestName(request=request), ASKING_OTHERS)


# -- accounts, secrets, conversations ------------------------------------------------------------


def accounts(
    method: str,
    wish: msgspec.Struct,
    reply: type[Reply],
    *,
    gateway: str = "",
    insecure: bool = False,
) -> Call[Reply]:
    """Ask something of a gateway's accounts.

    Arguments:
        method: a name of `accounts.METHODS`; `wish` and `reply` are its structs.
        gateway: which (`AccountsCall`).
        insecure: whether what is to be kept may be kept in the clear.
    """
    assert METHODS[method].reply is reply
    raw = msgspec.Raw(msgspec.json.encode(wish))
    call = AccountsCall(method=method, wish=raw, gateway=gateway, insecure=insecure)
    return Call("/control/accounts", reply, call, ACCOUNTS)


def keyring() -> Call[KeyringState]:
    """Where the node keeps secrets, and whether it can."""
    return Call("/control/keyring", KeyringState, None, ASKING_OTHERS)


def history(method: str, wish: msgspec.Struct, reply: type[Reply]) -> Call[Reply]:
    """Ask something of the conversations; `method` is a name of `history.METHODS`."""
    assert history_messages.METHODS[method].reply is reply
    call = HistoryCall(method=method, wish=msgspec.Raw(msgspec.json.encode(wish)))
    return Call("/control/history", reply, call, FROM_DISK)


def stop_answer(request: str) -> Call[Done]:
    """End an answer that the node keeps, as a person does who has read enough."""
    return _tell("/control/answers/stop", RequestName(request=request))
