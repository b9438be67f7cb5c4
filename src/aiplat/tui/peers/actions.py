"""What is done with the network, step by step with the person: the pane and the first card use it.

Each is called within a worker of Textual's, tells the person how it went, and raises nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiplat.control import calls
from aiplat.control.calls import Call
from aiplat.control.faults import NoNode
from aiplat.control.messages import (
    Done,
    DrainWish,
    Invitation,
    JoinRequest,
    NetworkStatus,
    PeerName,
    ShareWish,
)
from aiplat.domain.errors import AiplatError
from aiplat.tui.dialogs import Confirm, Field, Form
from aiplat.tui.peers import wishes
from aiplat.tui.peers.invited import Invited
from aiplat.tui.peers.words import invited, leaving
from aiplat.tui.peers.working import Working
from aiplat.tui.text import flat, short_peer

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame

ENDING_SECONDS = 15.0
"""For a background node that gives way to one with other roles."""
_LOOK_SECONDS = 0.05


# -- the network ---------------------------------------------------------------------------------


async def create(app: Frame) -> bool:
    """Make a network, of which this node is the owner; tells whether it was made."""
    form = Form(
        "New network",
        [Field("name", "Name", hint="home, lab, …"),
         Field("public", "Public: anyone may be a client, and no key hides it", yes_no=True)],
        text="This node becomes its owner: it alone invites others and takes that back.",
        done="Make it", check=wishes.network_wish,
    )  # fmt: skip
    said = await app.push_screen_wait(form)
    if said is None:
        return False
    wish = wishes.network_wish(said)
    return await _carried_out(
        app, calls.create_network(wish), "New network",
        f"Making the network {flat(wish.name)}; then this node listens anew.",
    )  # fmt: skip


async def join(app: Frame) -> bool:
    """Join the network of a token; tells whether this node is in it now."""
    form = Form(
        "Join a network",
        [Field("token", "Token", hint="aiplat1-…", secret=True)],
        text="Paste the token that the network's owner made (Invite). It is not shown.",
        done="Join", check=wishes.token_of,
    )  # fmt: skip
    said = await app.push_screen_wait(form)
    if said is None:
        return False
    return await _carried_out(
        app, calls.join_network(JoinRequest(token=wishes.token_of(said))), "Joining",
        "Asking the owner's node at the addresses in the token, one after the other. It has to run "
        "and to be reached.",
    )  # fmt: skip


async def leave(app: Frame, network: NetworkStatus) -> bool:
    """Belong to no network any more; the person types its name."""
    sure = await app.push_screen_wait(
        Confirm(f"Leave {flat(network.name)}", leaving(network), yes="Leave it",
                typed=flat(network.name))
    )  # fmt: skip
    if not sure:
        return False
    return await _carried_out(
        app, calls.leave_network(), "Leaving", f"Leaving the network {flat(network.name)}."
    )


async def _carried_out(app: Frame, call: Call[Done], title: str, text: str) -> bool:
    """Do what takes its time, in sight of the person, who may leave it to go on."""
    box = Working(title, text, call.seconds)
    await app.push_screen(box)
    try:
        done = await app.link.call(call)
    except AiplatError as fault:
        if not box.failed(str(fault)):
            app.tell_fault(fault)
        app.world.look_now()
        return False
    box.finished()
    app.tell(done.message)
    await _started_again(app)
    return True


async def _started_again(app: Frame) -> None:
    """Start the node that a background node gave way to, with the roles of its certificate.

    It is told to end by the node itself, which a person did not: so it is started without a word.
    """
    world = app.world
    if not await _ends(app):
        world.look_now()
        return
    end = asyncio.get_running_loop().time() + ENDING_SECONDS
    while world.phase != "lost" and asyncio.get_running_loop().time() < end:
        world.look_now()
        await asyncio.sleep(_LOOK_SECONDS)
    world.start_now()


async def _ends(app: Frame) -> bool:
    """Whether the node is on its way out, or gone."""
    try:
        status = await app.link.call(calls.status())
    except NoNode:
        return True
    except AiplatError:
        return False
    return status.state == "draining" and not status.drained


# -- inviting ------------------------------------------------------------------------------------


async def invite(app: Frame) -> Invitation | None:
    """Make a token, and show it."""
    values = {"client": "yes", "gateway": "", "processor": "yes", "expires": "24h", "uses": "1"}
    while True:
        said = await app.push_screen_wait(_invite_form(values))
        if said is None:
            return None
        values = said
        try:
            made = await app.link.call(calls.invite(wishes.invite_wish(values)))
        except AiplatError as fault:
            app.tell_fault(fault)
            continue
        await app.push_screen_wait(Invited(invited(made, app.clock.local), made.token))
        return made


def _invite_form(values: dict[str, str]) -> Form:
    return Form(
        "Invite a machine",
        [Field("processor", "processor: runs models", values["processor"], yes_no=True),
         Field("gateway", "gateway: takes requests, and places them", values["gateway"],
               yes_no=True),
         Field("client", "client: asks", values["client"], yes_no=True),
         Field("expires", "For how long: 90m, 24h, 7d", values["expires"]),
         Field("uses", "For how many machines", values["uses"])],
        text="What shall it do?", done="Make the token", check=wishes.invite_wish,
    )  # fmt: skip


# -- peers ---------------------------------------------------------------------------------------


async def told(app: Frame, call: Call[Done], said: str = "") -> bool:
    """Do what is quick, and tell how it went.

    Arguments:
        said: what is told where it went well; empty for the node's own words, which may name a
            command where the screen has a key.
    """
    try:
        done = await app.link.call(call)
    except AiplatError as fault:
        app.tell_fault(fault)
        return False
    app.tell(said or done.message)
    app.world.look_now()
    return True


async def drain(app: Frame, peer: str, *, off: bool) -> bool:
    """Place nothing more on a processor, or with an empty name take nothing more; or end that."""
    key = app.key_of("peers.undrain")
    if off:
        said = ""
    elif peer:
        said = f"Nothing new is placed on …{flat(short_peer(peer))} until {key} ends that."
    else:
        said = f"This node takes no new requests until {key} ends that; it finishes what it has."
    return await told(app, calls.drain(DrainWish(peer=peer, off=off)), said)


async def block(app: Frame, peer: str) -> bool:
    """Shut a peer out, once the person is sure."""
    sure = await app.push_screen_wait(
        Confirm(f"Block …{flat(short_peer(peer))}",
                "Its channel is closed at once, and what it has under way here ends. It stays out "
                "until it is unblocked.", yes="Block it")
    )  # fmt: skip
    said = f"…{flat(short_peer(peer))} is shut out. {app.key_of('peers.unblock')} lets it in again."
    return bool(sure) and await told(app, calls.block(PeerName(peer=peer)), said)


async def unblock(app: Frame, peer: str) -> bool:
    """Let a peer in again."""
    return await told(app, calls.unblock(PeerName(peer=peer)))


async def revoke(app: Frame, peer: str) -> bool:
    """Take a member's certificate away; the person types the end of its id."""
    name = flat(short_peer(peer))
    sure = await app.push_screen_wait(
        Confirm(f"Revoke …{name}",
                "Its certificate holds no more, and all members know within a minute. It comes "
                f"back only by a new invitation.\n\n{flat(peer)}", yes="Revoke it", typed=name)
    )  # fmt: skip
    return bool(sure) and await told(app, calls.revoke(PeerName(peer=peer)))


# -- sharing -------------------------------------------------------------------------------------


async def edit_share(app: Frame) -> bool:
    """Choose on which terms others may use this machine; tells whether they were changed."""
    try:
        share = await app.link.call(calls.share())
    except AiplatError as fault:
        app.tell_fault(fault)
        return False
    terms = share.terms
    values = {
        "hours": terms.hours, "idle": "yes" if terms.idle_only else "",
        "memory": terms.max_memory, "threads": str(terms.threads or ""),
    }  # fmt: skip
    while True:
        said = await app.push_screen_wait(
            _share_form(values, lambda typed: wishes.terms_wish(typed, terms))
        )
        if said is None:
            return False
        values = said
        wish = wishes.terms_wish(values, terms)
        if wish == ShareWish():
            app.tell("The terms stay as they are.")
            return False
        if await told(app, calls.set_share(wish)):
            return True


def _share_form(values: dict[str, str], check: Callable[[dict[str, str]], object]) -> Form:
    return Form(
        "Share this machine",
        [Field("hours", "Hours (always, 22-08, mon-fri 18:30-24, …)",
               values["hours"], hint="always"),
         Field("idle", "Only while nobody else uses this machine", values["idle"], yes_no=True),
         Field("memory", "Memory of each model at most: 4GiB, 75%", values["memory"],
               hint="no bound"),
         Field("threads", "Threads of each model at most", values["threads"], hint="no bound")],
        text="On these terms others may use it. What is asked here is answered all the same.",
        done="Keep", check=check,
    )  # fmt: skip


async def pause(app: Frame, *, off: bool, now: bool = False) -> bool:
    """Take nothing new from others, or take it again.

    Arguments:
        now: end what they have under way, too, once the person is sure.
    """
    if now:
        sure = await app.push_screen_wait(
            Confirm("Pause at once",
                    "What others have under way here ends, and is placed elsewhere, from its "
                    "beginning if it has to be.", yes="Pause and end theirs")
        )  # fmt: skip
        if not sure:
            return False
    return await told(app, calls.set_share(ShareWish(pause=not off, now=now)))
