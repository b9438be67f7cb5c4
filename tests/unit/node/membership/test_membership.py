"""Who may be what in a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from aiplat.domain.errors import ConfigError, InvalidRequest, NotAMember
from aiplat.domain.ids import Role
from aiplat.node.identity import Identity
from aiplat.node.membership import joining, owner
from aiplat.node.membership.files import NetworkFiles
from aiplat.node.membership.membership import Membership
from aiplat.node.membership.owner import CERTIFICATE_SECONDS, create, need_owner, owner_of
from aiplat.protocol.messages import Hello
from aiplat.protocol.token import decode
from tests.support.networks import Lab, peer_id

DAY = 86_400


def hello(membership: Membership, *roles: Role) -> Hello:
    return Hello(roles=roles, certificate=membership.certificate)


def test_in_no_network_a_peer_is_what_it_claims() -> None:
    assert Membership().admit(peer_id(), Hello(roles=("gateway",))) == ("gateway",)
    with pytest.raises(NotAMember, match="no role"):
        Membership().admit(peer_id(), Hello())


def test_a_certificate_gives_its_roles_and_no_more(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    identity, member = lab.member("processor", "client")
    admit = lab.membership.admit
    assert admit(identity.peer_id, hello(member, "processor")) == ("processor",)
    assert admit(identity.peer_id, hello(member, "gateway", "client")) == ("client",)
    with pytest.raises(NotAMember, match=r"wants to be gateway.*certificate says client and proc"):
        admit(identity.peer_id, hello(member, "gateway"))


def test_without_a_certificate_nobody_is_anything(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    for role in ("client", "gateway", "processor"):
        with pytest.raises(NotAMember, match="shows no certificate"):
            lab.membership.admit(peer_id(), Hello(roles=(role,)))


def test_in_a_public_network_anyone_may_be_a_client_and_only_that(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    assert lab.membership.psk is None
    assert lab.membership.admit(peer_id(), Hello(roles=("client", "gateway"))) == ("client",)
    with pytest.raises(NotAMember):
        lab.membership.admit(peer_id(), Hello(roles=("processor",)))
    identity, member = lab.member("processor")
    roles = lab.membership.admit(identity.peer_id, hello(member, "processor", "client"))
    assert roles == ("client", "processor")


def test_who_was_revoked_comes_to_no_public_network_as_a_client_either(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    identity, _ = lab.member("processor")
    lab.owner.revoke(identity.peer_id)
    with pytest.raises(NotAMember, match="was revoked from the network lab"):
        lab.membership.admit(identity.peer_id, Hello(roles=("client",)))


@pytest.mark.parametrize("public", [False, True])
def test_a_node_may_be_what_its_certificate_says(tmp_path: Path, public: bool) -> None:
    assert Membership().roles == ("client", "gateway", "processor")
    lab = Lab(tmp_path, public=public)
    _, member = lab.member("processor")
    assert member.roles == (("client", "processor") if public else ("processor",))
    member.take(replace(lab.record, certificate=b""))
    if public:
        assert member.roles == ("client",)


def test_the_certificate_of_another_is_no_use(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    _, member = lab.member("gateway")
    with pytest.raises(NotAMember, match="the certificate of another"):
        lab.membership.admit(peer_id(), hello(member, "gateway"))


def test_nor_is_one_of_another_network(tmp_path: Path) -> None:
    lab, other = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    identity, member = other.member("gateway")
    with pytest.raises(NotAMember, match="of another network"):
        lab.membership.admit(identity.peer_id, hello(member, "gateway"))


def test_clocks_may_differ_by_hours_but_not_for_ever(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    identity, member = lab.member("processor")
    shown = hello(member, "processor")
    lab.clock.now -= 10 * 3600  # this node's clock is behind the owner's
    assert lab.membership.admit(identity.peer_id, shown)
    lab.clock.now += CERTIFICATE_SECONDS + 20 * 3600  # hours beyond the end
    assert lab.membership.admit(identity.peer_id, shown)
    lab.clock.now += 2 * DAY
    with pytest.raises(NotAMember, match=r"ended 2\.4 days ago by the clock of .*, 2027-02-16"):
        lab.membership.admit(identity.peer_id, shown)
    lab.clock.now -= CERTIFICATE_SECONDS + 6 * DAY
    with pytest.raises(NotAMember, match=r"begins only in 3\.6 days by the clock of .* is wrong"):
        lab.membership.admit(identity.peer_id, shown)


def test_the_blocked_and_the_revoked_are_out(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    identity, member = lab.member("processor")
    lab.owner.revoke(identity.peer_id)
    with pytest.raises(NotAMember, match="was revoked"):
        lab.membership.admit(identity.peer_id, hello(member, "processor"))
    assert identity.peer_id in Membership(NetworkFiles(tmp_path / "owner")).revoked, "on disk"
    lab.membership.blocked = frozenset({identity.peer_id})
    with pytest.raises(NotAMember, match="blocks"):
        lab.membership.admit(identity.peer_id, hello(member, "processor"))


# -- the owner's office --------------------------------------------------------------------------


def test_the_owner_is_a_member_in_every_role(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert lab.membership.own is not None
    assert lab.membership.own.roles == ("client", "gateway", "processor")
    again = Membership(NetworkFiles(tmp_path / "owner"), lab.identity.peer_id, lab.clock)
    assert again.own == lab.membership.own
    assert owner_of(again) is not None


@pytest.mark.parametrize("name", ["", "x" * 41, " lab", "a\nb", "\x1b[31m"])
def test_a_name_that_cannot_be_shown_is_refused_and_nothing_is_left(
    tmp_path: Path, name: str
) -> None:
    membership = Membership(NetworkFiles(tmp_path / "n"), peer_id())
    with pytest.raises(InvalidRequest, match="1 to 40 printable"):
        create(membership, name)
    assert not (tmp_path / "n").exists()


def test_a_node_is_in_one_network_only(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    with pytest.raises(NotAMember, match=r"in the network lab already.*leave"):
        create(lab.membership, "other")


def test_a_voucher_is_used_up_but_good_for_who_used_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    voucher = decode(lab.token("processor", uses=2)).voucher
    first, second, third = peer_id(), peer_id(), peer_id()
    lab.owner.grant(voucher, first)
    lab.owner.grant(voucher, first)
    lab.owner.grant(voucher, second)
    with pytest.raises(NotAMember, match=r"used already, by as many nodes as it was for \(2\)"):
        lab.owner.grant(voucher, third)
    lab.owner.grant(voucher, second)
    assert set(lab.owner.members()) == {lab.identity.peer_id, first, second}


def test_an_expired_voucher_says_since_when(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    voucher = decode(lab.token(seconds=3600)).voucher
    lab.clock.now += 3600 + 3 * 3600
    with pytest.raises(NotAMember, match="expired 3 hours ago"):
        lab.owner.grant(voucher, peer_id())


def test_another_networks_voucher_is_refused(tmp_path: Path) -> None:
    lab, other = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    with pytest.raises(NotAMember, match=r"not one of the network lab: .*another network"):
        lab.owner.grant(decode(other.token()).voucher, peer_id())


def test_the_revoked_do_not_come_back(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    identity, _ = lab.member("client")
    lab.owner.revoke(identity.peer_id)
    voucher = decode(lab.token()).voucher
    with pytest.raises(NotAMember, match=r"was revoked.*cannot come back"):
        lab.owner.grant(voucher, identity.peer_id)
    with pytest.raises(NotAMember, match=r"was revoked.*cannot come back"):
        lab.owner.renew(identity.peer_id)


def test_nobody_revokes_the_owner_or_a_stranger(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    with pytest.raises(NotAMember, match="cannot revoke itself"):
        lab.owner.revoke(lab.identity.peer_id)
    with pytest.raises(NotAMember, match="is no member"):
        lab.owner.revoke(peer_id())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"roles": ()}, "one or more of"),
        ({"expires_seconds": 59}, "60 s to 31536000 s .*not 59 s"),
        ({"uses": 0}, "1 to 10000 uses, not 0"),
        ({"addresses": ()}, "not known where this node is reached"),
    ],
)
def test_an_invitation_has_bounds(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    wish = {"roles": ("client",), "expires_seconds": 60, "uses": 1, "addresses": ("/a",)} | changes
    with pytest.raises(InvalidRequest, match=words):
        Lab(tmp_path).owner.invite(**wish)  # type: ignore[arg-type]  # test data


def test_only_the_owner_has_the_office(tmp_path: Path) -> None:
    _, member = Lab(tmp_path).member("gateway")
    with pytest.raises(NotAMember, match="Only the owner's node of the network lab"):
        need_owner(member)
    with pytest.raises(NotAMember, match="in no network"):
        need_owner(Membership(NetworkFiles(tmp_path / "none"), peer_id()))


# -- files ---------------------------------------------------------------------------------------


def test_nobody_else_can_read_what_is_kept(tmp_path: Path) -> None:
    Lab(tmp_path)
    folder = tmp_path / "owner"
    assert {path.name for path in folder.iterdir()} == {"network.json", "owner.key", "ledger.json"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["network.json", "owner.key", "ledger.json"])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, name: str) -> None:
    Lab(tmp_path)
    (tmp_path / "owner" / name).chmod(0o644)
    files = NetworkFiles(tmp_path / "owner")
    with pytest.raises(ConfigError, match=rf"{name}: its mode is 0644.*chmod 600"):
        (files.record(), files.owner_key(), files.ledger())


@pytest.mark.parametrize(("name", "words"), [("network.json", "broken"), ("owner.key", "no key")])
def test_a_broken_file_is_told_and_left(tmp_path: Path, name: str, words: str) -> None:
    Lab(tmp_path)
    (tmp_path / "owner" / name).write_bytes(b"{")
    files = NetworkFiles(tmp_path / "owner")
    with pytest.raises(ConfigError, match=words):
        (files.record(), files.owner_key())
    assert (tmp_path / "owner" / name).read_bytes() == b"{"


def test_leaving_keeps_the_owners_key_aside(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    seed = (tmp_path / "owner" / "owner.key").read_bytes()
    network = lab.record.network.hex()
    lab.membership.files.clear()  # type: ignore[union-attr]  # it has files
    ledger = f"ledger-of-{network[:16]}.json"
    kept = {path.name: path for path in (tmp_path / "owner").iterdir()}
    assert set(kept) == {f"owner-of-{network[:16]}.key", ledger}
    assert kept[f"owner-of-{network[:16]}.key"].read_bytes() == seed
    assert lab.identity.peer_id in kept[ledger].read_text()


def test_what_was_kept_aside_is_never_overwritten(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    folder = tmp_path / "owner"
    seed = (folder / "owner.key").read_bytes()
    for _ in range(2):
        NetworkFiles(folder).clear()
        (folder / "owner.key").write_bytes(seed)
        (folder / "owner.key").chmod(0o600)
    lab.membership.take(None)
    create(lab.membership, "other")  # a key without a record is not taken for the new network's
    assert (folder / "owner.key").read_bytes() != seed
    assert len(list(folder.glob("owner-of-*.key"))) == 3
    (folder / "owner.key").write_bytes(b"{")
    (folder / "network.json").write_bytes(b"{")
    NetworkFiles(folder).clear()
    assert (folder / "owner-of-unknown.key").read_bytes() == b"{"
    assert not (folder / "network.json").exists()


@pytest.mark.parametrize("field", ["certificate", "revocations"])
def test_a_record_whose_signatures_do_not_hold_is_told(tmp_path: Path, field: str) -> None:
    lab, other = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    other.owner.revoke(other.member("client")[0].peer_id)
    files = NetworkFiles(tmp_path / "a" / "owner")
    files.keep_record(replace(lab.record, **{field: getattr(other.record, field)}))
    with pytest.raises(ConfigError, match=r"network\.json is damaged .*aiplat network leave"):
        Membership(files, lab.identity.peer_id)
    before = lab.membership.record
    with pytest.raises(ConfigError):
        lab.membership.reload()
    assert lab.membership.record is before
    assert lab.membership.own is not None


def test_a_newcomer_keeps_no_list_that_does_not_hold(tmp_path: Path) -> None:
    lab, other = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    other.owner.revoke(other.member("client")[0].peer_id)
    token, us = decode(lab.token()), peer_id()
    reply = joining.JoinReply(lab.owner.certify(us, ("client",)), other.record.revocations)
    with pytest.raises(NotAMember, match=r"list of the revoked .* of another network"):
        joining._record(token, reply, us)


# -- what an owner forgets, and what it lost --------------------------------------------------


def test_members_that_are_long_gone_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "MAX_MEMBERS", 4)
    lab = Lab(tmp_path)
    away, revoked, invited = (Identity.generate().peer_id for _ in range(3))
    for peer in (away, revoked):
        lab.owner.certify(peer, ("client",))
    voucher = decode(lab.token(seconds=100 * DAY)).voucher
    lab.owner.grant(voucher, invited)
    lab.owner.revoke(revoked)
    lab.owner.revoke(invited)
    new = peer_id()
    with pytest.raises(NotAMember, match="has 4 members, which is the bound"):
        lab.owner.certify(new, ("client",))
    lab.clock.now += 2 * CERTIFICATE_SECONDS - 1
    with pytest.raises(NotAMember, match="which is the bound"):
        lab.owner.certify(new, ("client",))
    lab.clock.now += 1
    lab.owner.certify(new, ("client",))
    assert set(lab.owner.members()) == {lab.identity.peer_id, invited, new}
    with pytest.raises(NotAMember, match="was revoked"):
        lab.owner.grant(voucher, invited)  # by an invitation that is open still
    lab.owner.revoke(new)
    assert lab.membership.revoked == {new}, "the others are over, and need no place on the list"


def test_the_list_of_the_revoked_outlives_the_ledger(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    first, second = (lab.member("client")[0].peer_id for _ in range(2))
    for peer in (first, second):
        lab.owner.revoke(peer)
    (tmp_path / "owner" / "ledger.json").unlink()
    lab.owner.renew(lab.identity.peer_id)  # it is a member still
    third = lab.member("client")[0].peer_id
    lab.owner.revoke(third)
    assert lab.membership.revocations is not None
    assert lab.membership.revocations.version == 3, "else no member would take it"
    assert lab.membership.revoked == {first, second, third}
    with pytest.raises(NotAMember, match="was revoked"):
        lab.owner.renew(first)


def test_no_secret_is_in_a_repr(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert repr(lab.record) == "Record('lab')"
    assert lab.record.psk not in repr(replace(lab.record, addresses=("/a",)))
    assert Identity.generate().peer_id not in repr(lab.membership)


def test_only_the_latest_certificate_of_who_got_fewer_roles_holds(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    identity, member = lab.member("gateway", "processor")
    peer, old = identity.peer_id, member.certificate
    same = lab.owner.certify(peer, ("gateway", "processor"))
    assert lab.membership.check(peer, old).roles == lab.membership.check(peer, same).roles
    assert not lab.record.revocations, "nobody need be told"
    new = lab.owner.certify(peer, ("client",))
    for certificate in (old, same):
        with pytest.raises(NotAMember, match="must show that one"):
            lab.membership.check(peer, certificate)
    assert lab.membership.check(peer, new).roles == ("client",)
    assert not lab.membership.revoked
    lab.clock.now += 3 * CERTIFICATE_SECONDS
    lab.owner.revoke(lab.member("client")[0].peer_id)
    assert lab.membership.revocations is not None
    assert lab.membership.revocations.least == {}, "the old ones are long over"


def test_after_a_lost_ledger_new_certificates_are_not_too_old(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    identity, _ = lab.member("processor")
    lab.owner.certify(identity.peer_id, ("client",))
    assert lab.membership.files is not None
    (lab.membership.files.folder / "ledger.json").unlink()
    new = lab.owner.certify(identity.peer_id, ("client",))
    assert lab.membership.check(identity.peer_id, new).roles == ("client",)
