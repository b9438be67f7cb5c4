"""What only the owner's node does: make the network, invite, certify, revoke."""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from aiplat.domain.errors import InvalidRequest, NotAMember
from aiplat.domain.ids import ROLES, PeerId, Role, short
from aiplat.node.membership.files import Least, Ledger, Member, NetworkFiles, Record, Use
from aiplat.node.membership.membership import Membership
from aiplat.protocol.membership import (
    MAX_REVOKED,
    VOUCHER_ID_BYTES,
    Certificate,
    RevocationList,
    SealError,
    Voucher,
    in_order,
    seal,
    unseal,
)
from aiplat.protocol.token import MAX_ADDRESSES, MAX_NAME, Token, encode, is_network_name

CERTIFICATE_SECONDS = 30 * 86_400
"""A certificate's life. It is renewed from its half on, so an owner may be away for two weeks."""

MAX_INVITATION_SECONDS = 365 * 86_400
MAX_USES = 10_000
MAX_VOUCHERS = 10_000
MAX_MEMBERS = 10_000


def create(membership: Membership, name: str, *, public: bool = False) -> None:
    """Make a network, of which this node is the owner and a member in every role.

    Raises:
        InvalidRequest: the name cannot be one.
        NotAMember: the node is in a network already.
    """
    files, peer = _places(membership)
    if not is_network_name(name):
        raise InvalidRequest(
            f"A network's name has 1 to {MAX_NAME} printable characters, and no space around "
            f"them; this one has {len(name)}{_unprintable(name)}.",
            param="name",
        )
    refuse_if_in_one(membership)
    files.clear()  # an owner's key without a record is of another network, and is kept aside
    key = Ed25519PrivateKey.generate()
    files.keep_owner_key(key)
    kept = files.owner_key()
    assert kept is not None
    network = kept.public_key().public_bytes_raw()
    files.keep_ledger(Ledger())
    psk = "" if public else secrets.token_hex(32)
    membership.take(Record(name=name, network=network, psk=psk))
    owner = Owner(membership, kept)
    record = membership.record
    assert record is not None
    record = replace(record, certificate=owner.certify(peer, ROLES))
    files.keep_record(record)
    membership.take(record)


def _unprintable(name: str) -> str:
    """Name the first character that a person could not see."""
    found = next((n for n, character in enumerate(name) if not character.isprintable()), None)
    return "" if found is None else f", and its character {found + 1} is {name[found]!a}"


def refuse_if_in_one(membership: Membership) -> None:
    """Raise `NotAMember` when the node is in a network: it can be in one only."""
    if membership.record is not None:
        raise NotAMember(
            f"This node is in the network {membership.record.name} already, and can be in one "
            "only. `aiplat network leave` leaves it."
        )


def owner_of(membership: Membership) -> Owner | None:
    """The owner's office, when this node holds the key of the network that it is in."""
    if membership.files is None or membership.record is None:
        return None
    key = membership.files.owner_key()
    if key is None or key.public_key().public_bytes_raw() != membership.record.network:
        return None
    return Owner(membership, key)


def need_owner(membership: Membership) -> Owner:
    """The owner's office.

    Raises:
        NotAMember: this node is in no network, or not its owner's.
    """
    if membership.record is None:
        raise NotAMember(
            "This node is in no network. `aiplat network create NAME` makes one, `aiplat join` "
            "joins one."
        )
    owner = owner_of(membership)
    if owner is None:
        raise NotAMember(
            f"Only the owner's node of the network {membership.record.name} can do that: the one "
            "on which it was created."
        )
    return owner


def _places(membership: Membership) -> tuple[NetworkFiles, PeerId]:
    assert membership.files is not None
    assert membership.peer is not None
    return membership.files, membership.peer


class Owner:
    """The owner's office. What it decides is on disk before it is said.

    Arguments:
        membership: this node's.
        key: the owner's.
    """

    def __init__(self, membership: Membership, key: Ed25519PrivateKey) -> None:
        assert membership.record is not None
        self._membership = membership
        self._files, self._peer = _places(membership)
        self._key = key
        self._network = membership.record.network
        self._name = membership.record.name

    # -- inviting --------------------------------------------------------------------------------

    def invite(
        self, roles: tuple[Role, ...], expires_seconds: int, uses: int, addresses: tuple[str, ...]
    ) -> tuple[str, Voucher]:
        """Make a token; gives its text, and the voucher in it.

        Arguments:
            roles: what the members will be.
            expires_seconds: how long it can be used.
            uses: how many peers may join with it.
            addresses: where this node is reached, complete multiaddrs, best first.

        Raises:
            InvalidRequest: a figure is out of bounds.
        """
        self._check_invitation(roles, expires_seconds, uses, addresses)
        ledger, now = self._ledger(), self._now()
        voucher = Voucher(
            network=self._network, id=secrets.token_bytes(VOUCHER_ID_BYTES),
            roles=in_order(roles), expires=now + expires_seconds, uses=uses,
        )  # fmt: skip
        kept = {name: use for name, use in ledger.vouchers.items() if use.expires > now}
        if len(kept) >= MAX_VOUCHERS:
            raise InvalidRequest(
                f"{MAX_VOUCHERS} invitations are open, which is the bound. Wait until one expires."
            )
        ledger.vouchers = kept | {voucher.id.hex(): Use(expires=voucher.expires, uses=uses)}
        self._files.keep_ledger(ledger)
        record = self._membership.record
        assert record is not None
        token = Token(
            name=self._name, network=self._network, psk=record.psk,
            addresses=addresses[:MAX_ADDRESSES], voucher=seal(voucher, self._key.sign),
        )  # fmt: skip
        return encode(token), voucher

    @staticmethod
    def _check_invitation(
        roles: tuple[Role, ...], expires_seconds: int, uses: int, addresses: tuple[str, ...]
    ) -> None:
        if not roles or any(role not in ROLES for role in roles):
            raise InvalidRequest(
                f"An invitation is for one or more of {', '.join(ROLES)}.", param="roles"
            )
        if not 60 <= expires_seconds <= MAX_INVITATION_SECONDS:
            raise InvalidRequest(
                f"An invitation holds from 60 s to {MAX_INVITATION_SECONDS} s (a year), not "
                f"{expires_seconds} s.",
                param="expires_seconds",
            )
        if not 1 <= uses <= MAX_USES:
            raise InvalidRequest(
                f"An invitation is for 1 to {MAX_USES} uses, not {uses}.", param="uses"
            )
        if not addresses:
            raise InvalidRequest(
                "Nobody could come by this invitation: it is not known where this node is "
                "reached. Start it once (`aiplat serve`), so that it has a port, and invite again."
            )

    # -- certifying ------------------------------------------------------------------------------

    def grant(self, sealed: bytes, peer: PeerId) -> bytes:
        """A certificate for a peer that shows a voucher; the same peer may come again with it.

        Raises:
            NotAMember: the voucher is not this network's, expired or used up; or the peer was
                revoked.
        """
        name = self._name
        try:
            voucher = unseal(sealed, Voucher, self._network)
        except SealError as fault:
            raise NotAMember(
                f"The invitation is not one of the network {name}: {fault}. Ask its owner for "
                "a new one."
            ) from None
        now, ledger = self._now(), self._ledger()
        self._refuse_revoked(ledger, peer)
        if voucher.expires <= now:
            ago = _span(now - voucher.expires)
            raise NotAMember(
                f"The invitation to the network {name} expired {ago} ago. Ask its owner for a "
                "new one."
            )
        use = ledger.vouchers.get(voucher.id.hex())
        if use is None or (peer not in use.used_by and len(use.used_by) >= use.uses):
            raise NotAMember(
                f"The invitation to the network {name} was used already, by as many nodes as it "
                f"was for ({voucher.uses}). Ask its owner for a new one."
            )
        if peer not in use.used_by:
            use.used_by.append(peer)
        return self._certify(ledger, peer, voucher.roles)

    def renew(self, peer: PeerId) -> bytes:
        """A new certificate in place of a member's old one; that one again before its half-life.

        Raises:
            NotAMember: it is no member, or was revoked.
        """
        ledger = self._ledger()
        self._refuse_revoked(ledger, peer)
        member = ledger.members.get(peer)
        if member is None and peer == self._peer:  # the ledger was lost
            return self._certify(ledger, peer, ROLES)
        if member is None:
            raise NotAMember(
                f"The owner of the network {self._name} does not know the peer {short(peer)}: "
                "join again with a new invitation."
            )
        if self._now() < member.expires - CERTIFICATE_SECONDS / 2:
            return self._seal(peer, member)  # nothing is written: it is the same, byte by byte
        return self._certify(ledger, peer, member.roles)

    def is_member(self, peer: PeerId) -> bool:
        """Whether a peer has a certificate that holds."""
        member = self._ledger().members.get(peer)
        return member is not None and not member.revoked and member.expires > self._now()

    def certify(self, peer: PeerId, roles: tuple[Role, ...]) -> bytes:
        """A certificate for a peer, without a voucher."""
        return self._certify(self._ledger(), peer, roles)

    def _certify(self, ledger: Ledger, peer: PeerId, roles: tuple[Role, ...]) -> bytes:
        if peer not in ledger.members and len(ledger.members) >= MAX_MEMBERS:
            self._drop_the_gone(ledger)
        if peer not in ledger.members and len(ledger.members) >= MAX_MEMBERS:
            raise NotAMember(
                f"The network {self._name} has {MAX_MEMBERS} members, which is the bound. Who "
                "leaves makes room when its certificate has been over for 30 days."
            )
        now = self._now()
        known = ledger.members.get(peer)
        ledger.serial += 1
        ledger.members[peer] = member = Member(
            roles=in_order(roles), joined=known.joined if known else now,
            expires=now + CERTIFICATE_SECONDS, serial=ledger.serial,
        )  # fmt: skip
        if known is not None and set(known.roles) - set(roles):
            # The older certificate, which says more, would hold for weeks.
            ledger.least[peer] = Least(serial=member.serial, until=now + 2 * CERTIFICATE_SECONDS)
            self._publish(ledger)
        else:
            self._files.keep_ledger(ledger)
        return self._seal(peer, member)

    def _seal(self, peer: PeerId, member: Member) -> bytes:
        certificate = Certificate(
            network=self._network, peer=peer, owner=self._peer, roles=member.roles,
            issued=member.expires - CERTIFICATE_SECONDS, expires=member.expires,
            serial=member.serial,
        )  # fmt: skip
        return seal(certificate, self._key.sign)

    def _drop_the_gone(self, ledger: Ledger) -> None:
        """Forget whose certificates are long over, and who cannot come back by an old invitation.

        It is done when room is needed, and not before: a clock that is wrong for a day must not
        cost a network its members.
        """
        now = self._now()
        ledger.vouchers = {v: use for v, use in ledger.vouchers.items() if use.expires > now}
        invited = {peer for use in ledger.vouchers.values() for peer in use.used_by}
        ledger.members = {
            peer: member
            for peer, member in ledger.members.items()
            if peer == self._peer
            or member.expires + CERTIFICATE_SECONDS > now
            or (member.revoked and peer in invited)
        }

    def _ledger(self) -> Ledger:
        """The book. What a lost one said of the revoked is taken from the list that is kept.

        The list's version then grows on from there: members take no list that is not newer.
        """
        ledger, kept = self._files.ledger(), self._membership.revocations
        if kept is None or kept.version <= ledger.revision:
            return ledger
        ledger.revision = kept.version
        until = kept.issued + CERTIFICATE_SECONDS  # none of theirs can hold for longer
        for peer in kept.peers:
            lost = Member(roles=(), joined=kept.issued, expires=until, serial=0)
            ledger.members.setdefault(peer, lost).revoked = True
        for peer, serial in kept.least.items():
            ledger.least.setdefault(peer, Least(serial=serial, until=until))
            ledger.serial = max(ledger.serial, serial)  # or new certificates would be too old
        return ledger

    def _refuse_revoked(self, ledger: Ledger, peer: PeerId) -> None:
        member = ledger.members.get(peer)
        if member is not None and member.revoked:
            raise NotAMember(
                f"The peer {short(peer)} was revoked from the network {self._name} by its owner, "
                "and cannot come back with the same identity. It takes a new one there, which "
                "leaves the models alone: `aiplat reset --identity`, then `aiplat join` with a "
                "new invitation."
            )

    # -- revoking --------------------------------------------------------------------------------

    def members(self) -> dict[PeerId, Member]:
        """Everyone who has a certificate, or had one that was revoked."""
        return self._ledger().members

    def revoke(self, peer: PeerId) -> bytes:
        """Take a member's certificate away; gives the new list, sealed.

        Raises:
            NotAMember: it is no member, or the owner's node itself.
        """
        if peer == self._peer:
            raise NotAMember(
                "The owner's node cannot revoke itself. `aiplat network leave` leaves."
            )
        ledger = self._ledger()
        member = ledger.members.get(peer)
        if member is None:
            raise NotAMember(
                f"The peer {peer} is no member of the network {self._name}: `aiplat network "
                "members` lists them."
            )
        member.revoked = True
        return self._publish(ledger)

    def _publish(self, ledger: Ledger) -> bytes:
        """Make, keep and give the new list of what holds no more; the ledger is kept before."""
        now = self._now()
        ledger.least = {peer: least for peer, least in ledger.least.items() if least.until > now}
        # A certificate that is over needs no revocation; the tolerance of clocks is far below this.
        listed = [p for p, m in ledger.members.items()
                  if m.revoked and m.expires + CERTIFICATE_SECONDS > now]  # fmt: skip
        ledger.revision += 1
        revocations = RevocationList(
            network=self._network, version=ledger.revision, issued=now,
            peers=tuple(listed[-MAX_REVOKED:]),
            least={p: ledger.least[p].serial for p in list(ledger.least)[-MAX_REVOKED:]},
        )  # fmt: skip
        self._files.keep_ledger(ledger)
        sealed = seal(revocations, self._key.sign)
        record = self._membership.record
        assert record is not None
        record = replace(record, revocations=sealed)
        self._files.keep_record(record)
        self._membership.take(record)
        return sealed

    def _now(self) -> int:
        return int(self._membership.clock())


def _span(seconds: int) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
