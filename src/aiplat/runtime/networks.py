"""What a person does with networks: the same steps with a running node and without one.

Without one they hold the node's lock for as long as they take, and leave no node behind.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from aiplat.config.loader import Loaded
from aiplat.control.messages import (
    Done,
    Invitation,
    InviteRequest,
    MemberList,
    MemberStatus,
    NetworkStatus,
)
from aiplat.domain.errors import ConfigError, InvalidRequest, NotAMember
from aiplat.domain.ids import PeerId, short
from aiplat.node.identity import Identity, load_or_create
from aiplat.node.listening import PortMemory, announced, where_to_listen
from aiplat.node.membership.files import NetworkFiles, Record
from aiplat.node.membership.joining import join, needs_no_certificate, without_certificate
from aiplat.node.membership.membership import Membership
from aiplat.node.membership.owner import create, need_owner, owner_of, refuse_if_in_one
from aiplat.node.settings import NodeSettings
from aiplat.protocol.token import MAX_ADDRESSES, Token, TokenError, decode
from aiplat.runtime.lock import NodeLock
from aiplat.runtime.logs import into_file
from aiplat.runtime.places import Places
from aiplat.telemetry.metrics import Metrics


class Networks:
    """The network of one home.

    Arguments:
        membership: the node's, or read from the home's files.
        identity: the node's keys.
        settings: deadlines.
        addresses: gives where the node is reached, or will be.
        forget_peers: forgets whom it knew in a network that it left.
        gateways: gives where other gateways are reached: a client that needs no certificate can
            begin with them while the owner's node is away.
    """

    def __init__(
        self,
        membership: Membership,
        identity: Identity,
        settings: NodeSettings,
        addresses: Callable[[], tuple[str, ...]],
        forget_peers: Callable[[], None],
        gateways: Callable[[], tuple[str, ...]] = lambda: (),
    ) -> None:
        self.membership = membership
        self._identity = identity
        self._settings = settings
        self._addresses = addresses
        self._forget_peers = forget_peers
        self._gateways = gateways

    def create(self, name: str, *, public: bool) -> Done:
        """Make one, of which this node is the owner."""
        create(self.membership, name, public=public)
        kind = "public network" if public else "network"
        return Done(
            message=f"This node owns the {kind} {name}. `aiplat invite --role processor` invites "
            "another machine.",
            peer_id=self._identity.peer_id,
        )

    def invite(self, wish: InviteRequest) -> Invitation:
        """Make a token."""
        owner = need_owner(self.membership)
        for_anyone = self.membership.is_public and wish.roles == ("client",)
        others = self._gateways()[: MAX_ADDRESSES // 2] if for_anyone else ()
        addresses = (*self._addresses()[: MAX_ADDRESSES - len(others)], *others)
        text, voucher = owner.invite(wish.roles, wish.expires_seconds, wish.uses, addresses)
        assert self.membership.record is not None
        return Invitation(
            token=text, network=self.membership.record.name, roles=voucher.roles,
            expires=voucher.expires, uses=voucher.uses, for_anyone=for_anyone,
        )  # fmt: skip

    async def join(self, text: str) -> Done:
        """Become a member of the network of a token, or a client of a public one."""
        refuse_if_in_one(self.membership)
        token = read_token(text)
        if needs_no_certificate(token):
            return self._become_client(without_certificate(token))
        record = await join(self._identity, self._settings, token, Metrics())
        self._adopt(record)
        own = self.membership.own
        assert own is not None
        return Done(
            message=f"This node is a member of the network {record.name}, as "
            f"{' and '.join(own.roles)}.",
            peer_id=self._identity.peer_id,
        )

    def _become_client(self, record: Record) -> Done:
        self._adopt(record)
        return Done(
            message=f"This node is a client of the public network {record.name}, without a "
            "certificate. It finds the gateways when it runs: `aiplat ask`, `aiplat peers`.",
            peer_id=self._identity.peer_id,
        )

    def _adopt(self, record: Record) -> None:
        refuse_if_in_one(self.membership)  # another command may have been quicker
        assert self.membership.files is not None
        self.membership.files.keep_record(record)
        self.membership.take(record)

    @property
    def is_owners(self) -> bool:
        """Whether an owner's key is here: who leaves with it leaves the network without one."""
        files = self.membership.files
        return files is not None and files.has_owner_key()

    def leave(self) -> Done:
        """Belong to no network any more, also where the record of it cannot be read."""
        record, files = self.membership.record, self.membership.files
        if files is None or (record is None and not files.is_in_network()):
            raise NotAMember("This node is in no network.")
        owned = self.is_owners
        files.clear()
        self.membership.take(None)
        self._forget_peers()
        kept = (
            f" Its owner's key and ledger are kept in {files.folder}: nobody can be invited or "
            "revoked without them."
            if owned
            else ""
        )
        name = "its network" if record is None else f"the network {record.name}"
        return Done(message=f"This node left {name}.{kept}")

    def members(self, connected: Iterable[PeerId] | None = None) -> MemberList:
        """Everyone with a certificate, and those whose was taken away.

        Arguments:
            connected: to whom there is a channel; None where no node runs that could know.
        """
        found = need_owner(self.membership).members()
        here = None if connected is None else {self._identity.peer_id, *connected}
        assert self.membership.record is not None
        return MemberList(
            network=self.membership.record.name,
            members=tuple(
                MemberStatus(
                    peer_id=peer, roles=member.roles, joined=member.joined,
                    expires=member.expires, revoked=member.revoked,
                    connected=None if here is None else peer in here,
                )
                for peer, member in sorted(found.items(), key=lambda item: item[1].joined)
            ),
        )  # fmt: skip

    def revoke(self, name: str) -> PeerId:
        """Take a member's certificate away; gives whose."""
        owner = need_owner(self.membership)
        peer = match_peer(name, owner.members(), "member of the network")
        owner.revoke(peer)
        return peer

    def status(self, searching: str = "") -> NetworkStatus | None:
        """The network, for a person; None in no network."""
        record, own = self.membership.record, self.membership.own
        if record is None:
            return None
        return NetworkStatus(
            name=record.name, key=record.network.hex(), public=self.membership.is_public,
            owner=owner_of(self.membership) is not None,
            roles=own.roles if own is not None else self.membership.roles,
            expires=own.expires if own is not None else 0, searching=searching,
            revoked=self.membership.is_revoked,
        )  # fmt: skip


def read_token(text: str) -> Token:
    """Read what a person gave.

    Raises:
        InvalidRequest: says what is wrong with it.
    """
    try:
        return decode(text)
    except TokenError as fault:
        raise InvalidRequest(str(fault), param="token") from None


def match_peer(name: str, known: Iterable[PeerId], what: str) -> PeerId:
    """The one of `known` that `name` is, or is the end of.

    Raises:
        InvalidRequest: none is, or several are.
    """
    name = name.strip().removeprefix("…")
    found = [peer for peer in known if peer == name or (len(name) >= 4 and peer.endswith(name))]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidRequest(
            f"No {what} has the peer id {short(name)!r}, or one that ends so. Give the whole id, "
            "or at least its last four characters.",
            param="peer",
        )
    raise InvalidRequest(
        f"{len(found)} peers have an id that ends in {name!r}: give more of it.", param="peer"
    )


@contextmanager
def held(places: Places) -> Iterator[None]:
    """Hold a home as its node would: none starts meanwhile, and what is logged is in its log.

    Raises:
        NodeRuns: one runs.
    """
    places.prepare()
    with NodeLock(places.node_lock, background=False), into_file(places.log):
        yield


@contextmanager
def without_node(places: Places, loaded: Loaded, *, to_leave: bool = False) -> Iterator[Networks]:
    """The network of a home in which no node runs; none can start meanwhile.

    Arguments:
        places: the home's.
        loaded: its settings.
        to_leave: whether it is only about leaving, for which a record need not be readable.

    Raises:
        ConfigError: a file is broken, or others may read it.
        NodeRuns: one runs.
    """
    with held(places):
        identity = load_or_create(places.identity)
        membership = _membership(NetworkFiles(places.network), identity.peer_id, to_leave=to_leave)
        settings = loaded[NodeSettings]

        def addresses() -> tuple[str, ...]:
            port = PortMemory(places.port)
            if not port.port:
                port.keep(_free_port())  # the node will take it at its start
            listen = where_to_listen(settings.listen, in_network=True, port=port.port)
            return announced(listen, identity.peer_id)

        def forget() -> None:
            places.known_peers.unlink(missing_ok=True)

        yield Networks(membership, identity, settings, addresses, forget)


def _membership(files: NetworkFiles, peer: PeerId, *, to_leave: bool) -> Membership:
    try:
        return Membership(files, peer)
    except ConfigError:
        if not to_leave:
            raise
        membership = Membership(None, peer)
        membership.files = files
        return membership


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
