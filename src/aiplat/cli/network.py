"""``aiplat network``: the network that this node belongs to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of
from aiplat.cli.homes import with_or_without_node

if TYPE_CHECKING:
    from aiplat.control.messages import Done, MemberList, MemberStatus, NetworkStatus

network = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    help="The private network that this node belongs to.\n\n"
    "\b\nExamples:\n  aiplat network create lab\n  aiplat network members",
)


@network.callback()
def _without_command(context: typer.Context, json: options.Json = False) -> None:
    """Show the network, when no command is given."""
    if context.invoked_subcommand is None:
        show(context, json=json)


@network.command()
def show(context: typer.Context, json: options.Json = False) -> None:
    """Show the network that this node belongs to.

    \b
    Example:
      aiplat network show
    """
    found = with_or_without_node(
        face_of(context), lambda client: client.status().network, lambda n: n.status()
    )
    if json:
        output.print_json(found)
    elif found is None:
        output.say("This node is in no network. `aiplat network create NAME` makes one, "
                   "`aiplat join` joins one.")  # fmt: skip
    else:
        output.data("\n".join(describe(found)) + "\n")


def describe(found: NetworkStatus) -> list[str]:
    """Write a network down in lines."""
    kind = "public" if found.public else "private"
    lines = [
        f"network {output.flat(found.name)} ({kind})",
        f"  key     {found.key}",
        f"  owner   {'this node' if found.owner else 'another node'}",
        f"  roles   {', '.join(found.roles)}",
    ]
    if found.expires and not found.revoked:
        lines.append(f"  until   {day(found.expires)} (the certificate is renewed before)")
    if found.revoked:
        lines.append("  state   REVOKED by its owner: this node is no member any more")
    if found.searching:
        lines.append(f"  seeks   {output.flat(found.searching)}")
    return lines


def day(seconds: int) -> str:
    """Write a time down for a person, in UTC."""
    import datetime

    when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return when.strftime("%Y-%m-%d %H:%M UTC")


@network.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people will call it.")],
    public: Annotated[
        bool,
        typer.Option("--public", help="Anyone may be a client; no pre-shared key hides it."),
    ] = False,
    json: options.Json = False,
) -> None:
    """Make a network, of which this node is the owner.

    \b
    Examples:
      aiplat network create lab
      aiplat network create town --public
    """
    from aiplat.control.messages import NetworkCreate

    done = with_or_without_node(
        face_of(context),
        lambda client: client.create_network(NetworkCreate(name=name, public=public)),
        lambda networks: networks.create(name, public=public),
    )
    tell(done, json=json)


@network.command()
def members(context: typer.Context, json: options.Json = False) -> None:
    """List everyone who has a certificate, on the owner's node.

    \b
    Example:
      aiplat network members
    """
    found = with_or_without_node(
        face_of(context), lambda client: client.members(), lambda n: n.members()
    )
    if json:
        output.print_json(found)
    else:
        _print(found)


def _print(found: MemberList) -> None:
    wide = output.width(sys.stdout) >= _WIDE or not sys.stdout.isatty()
    for member in found.members:
        state = _state(member)
        roles = ", ".join(member.roles)
        name = member.peer_id if wide else f"…{member.peer_id[-8:]}"
        output.data(f"{name}  {state:<9}  until {day(member.expires)[:10]}  {roles}\n")

    if any(member.connected is None for member in found.members):
        output.say("Who is connected is not known while the node of this home is stopped: "
                   "`aiplat serve`.")  # fmt: skip


def _state(member: MemberStatus) -> str:
    if member.revoked:
        return "revoked"
    return {None: "unknown", True: "connected", False: "away"}[member.connected]


_WIDE = 110


@network.command()
def revoke(
    context: typer.Context,
    peer: Annotated[str, typer.Argument(metavar="PEER", help="Its peer id, or the end of it.")],
    json: options.Json = False,
) -> None:
    """Take a member's certificate away; all members know within a minute.

    \b
    Example:
      aiplat network revoke 8hCcz2pQ
    """
    from aiplat.control.messages import Done, PeerName

    def offline(networks: object) -> Done:
        from aiplat.runtime.networks import Networks

        assert isinstance(networks, Networks)
        gone = networks.revoke(peer)
        return Done(message=f"The peer {gone} is revoked. The others learn of it when this node "
                    "runs again.", peer_id=gone)  # fmt: skip

    done = with_or_without_node(
        face_of(context), lambda client: client.revoke(PeerName(peer=peer)), offline
    )
    tell(done, json=json)


@network.command()
def leave(
    context: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, on the owner's node.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Belong to no network any more. On the owner's node it asks first.

    \b
    Examples:
      aiplat network leave
      aiplat network leave --yes
    """
    face = face_of(context)
    if not yes and with_or_without_node(
        face, lambda client: _is_owners(client.status().network), lambda n: n.is_owners,
        to_leave=True,
    ) and not _confirmed():  # fmt: skip
        output.say("Nothing was changed.")
        raise typer.Exit(1)
    done = with_or_without_node(
        face, lambda client: client.leave_network(), lambda n: n.leave(), to_leave=True
    )
    tell(done, json=json)


def _is_owners(found: NetworkStatus | None) -> bool:
    return found is not None and found.owner


def _confirmed() -> bool:
    """Ask; without a terminal nobody can be asked."""
    from aiplat.domain.errors import InvalidRequest

    what = (
        "This node is the owner's: without it nobody can be invited, revoked or renewed, and the "
        "network ends as its certificates do, within 30 days."
    )
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidRequest(f"{what} Add --yes to leave it all the same.")
    output.say(what)
    return typer.confirm("Leave it?", err=True)


def tell(done: Done, *, json: bool) -> None:
    """Say what was done."""
    if json:
        output.print_json(done)
    else:
        output.say(done.message, "done")
