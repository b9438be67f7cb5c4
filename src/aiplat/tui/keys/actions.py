"""What is done with one's account and keys, step by step with the person.

The pane and the card of the first run use it. Each is called within a worker of Textual's, tells
the person how it went, and raises nothing. A secret goes from the form to the node, or from the
node to the box that shows it this once, and is kept nowhere here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from aiplat.control import calls
from aiplat.control.accounts import (
    KeyName,
    KeyringState,
    KeyStatus,
    Login,
    NewKey,
    Nothing,
    Register,
    Session,
    WhoAmI,
)
from aiplat.control.messages import Done
from aiplat.domain.errors import AiplatError, InvalidApiKey, PermissionDenied
from aiplat.domain.ids import short
from aiplat.tui.dialogs import Confirm, Field
from aiplat.tui.keys import wishes
from aiplat.tui.keys.facts import Choose, FactBox
from aiplat.tui.keys.faults import fault_words, in_screen_words, is_invite_only
from aiplat.tui.keys.form import SendForm, ShowOnce
from aiplat.tui.keys.words import (
    is_operator,
    kept_in,
    keyring_rows,
    name,
    new_key_words,
    when,
)
from aiplat.tui.text import flat, short_peer

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame
    from aiplat.tui.world import World

Got = TypeVar("Got")
Registration = Literal["", "done", "invite", "closed"]
"""How a registration went; nothing where a person left it for no reason that is known."""

_SLOW_SECONDS = 0.5


# -- an account ----------------------------------------------------------------------------------


async def register(app: Frame, gateway: str = "") -> Registration:
    """Make an account at a gateway, and log in; tells what was learnt of it.

    Arguments:
        gateway: what stands in that field at first.
    """
    insecure = await _may_keep(app, "the session")
    if insecure is None:
        return ""
    learnt: list[Registration] = [""]

    async def send(values: dict[str, str]) -> Session:
        wish = wishes.register(values)
        try:
            return await _begin(app, "register", wish, values["gateway"], insecure=insecure)
        except PermissionDenied as fault:
            learnt[0] = "invite" if is_invite_only(fault) else "closed"
            raise

    form = SendForm(
        "Register",
        [
            Field("name", "Name", hint="a-z, digits, . _ -"),
            Field("password", "Password", hint="8 characters or more", secret=True),
            Field("again", "The same again", secret=True),
            Field("invitation", "Invitation", hint="the code, if one is wanted", secret=True),
            gateway_field(app.world, gateway),
        ],
        send,
        text="An account of your own at a gateway: it has keys, limits and a usage.",
        done="Register",
    )  # fmt: skip
    made = await _filled(app, form)
    if made is None:
        return learnt[0]
    _tell_session(app, made, "Registered as")
    return "done"


async def log_in(app: Frame, gateway: str = "") -> bool:
    """Log in at a gateway; tells whether it was done."""
    insecure = await _may_keep(app, "the session")
    if insecure is None:
        return False

    async def send(values: dict[str, str]) -> Session:
        wish = wishes.login(values)
        return await _begin(app, "login", wish, values["gateway"], insecure=insecure)

    form = SendForm(
        "Log in",
        [
            Field("name", "Name"),
            Field("password", "Password", secret=True),
            gateway_field(app.world, gateway),
        ],
        send,
        done="Log in",
    )
    made = await _filled(app, form)
    if made is not None:
        _tell_session(app, made, "Logged in as")
    return made is not None


async def log_out(app: Frame, gateway: str = "") -> bool:
    """End the session; tells whether it was done."""
    text = "The session ends, here and at the gateway. Keys stay, and go on holding."
    if not await app.push_screen_wait(Confirm("Log out?", text, yes="Log out")):
        return False
    call = calls.accounts("logout", Nothing(), Done, gateway=gateway)
    done = await told(app, call)
    return done is not None


async def _begin(
    app: Frame,
    method: Literal["register", "login"],
    wish: Register | Login,
    gateway: str,
    *,
    insecure: bool,
) -> Session:
    return await app.link.call(
        calls.accounts(method, wish, Session, gateway=gateway, insecure=insecure)
    )


def _tell_session(app: Frame, made: Session, what: str) -> None:
    kept = f" The session is kept in {kept_in(made.kept)}." if made.kept else ""
    app.tell(
        f"{what} {name(made.user.name)} at {short(made.gateway)}, until "
        f"{when(made.expires, app.clock)}.{kept}"
    )


def gateway_field(world: World, gateway: str = "") -> Field:
    """Where it is said which gateway is meant; empty is the usual one."""
    near = gateways(world)
    here = f"; or {', '.join(near[:3])}" if len(near) > 1 else ""
    return Field("gateway", "Gateway", value=gateway, hint=f"the usual one{here}")


def gateways(world: World) -> list[str]:
    """The ends of the ids of the gateways that this node reaches, its own first."""
    status = world.status
    if status is None:
        return []
    own = [short_peer(status.peer_id)] if "gateway" in status.roles else []
    return own + [
        short_peer(peer.peer_id)
        for peer in status.peers
        if peer.state == "connected" and "gateway" in peer.roles
    ]


# -- keys ----------------------------------------------------------------------------------------


async def make_key(app: Frame, gateway: str = "") -> bool:
    """Make a key, and show it this once; tells whether it was made. Who is nobody logs in first."""
    me = await _known(app, gateway)
    state = None if me is None else await _keyring(app)
    if me is None or state is None:
        return False

    async def send(values: dict[str, str]) -> NewKey:
        wish = wishes.key(values)
        return await app.link.call(
            calls.accounts("keys.create", wish, NewKey, gateway=values["gateway"],
                           insecure=wish.insecure)
        )  # fmt: skip

    made = await _filled(app, _key_form(app, me, state, gateway, send))
    if made is None:
        return False
    await _show_key(app, made)
    return True


def _key_form(
    app: Frame, me: WhoAmI, state: KeyringState, gateway: str, send: object
) -> SendForm[NewKey]:
    whose = [Field("user", "For the account", hint="empty: yours")]
    return SendForm(
        "New key",
        [
            Field("name", "Name", hint="laptop, ci, …"),
            Field("expires", "Holds for", value="never", hint="never, or 12h, 90d, …"),
            Field("models", "Models", hint="all; or names, with commas"),
            Field("may_inference", "May|ask for answers", value="yes", yes_no=True),
            Field("may_usage", "|see your usage", yes_no=True),
            Field("may_admin", "|do all that you may", yes_no=True),
            *limit_fields(),
            Field("keep", "Keep it", choices=keeping(state)),
            *(whose if is_operator(me) else []),
            gateway_field(app.world, gateway),
        ],
        send,  # type: ignore[arg-type]  # what `make_key` hands in
        done="Make it",
        parts={"requests_per_minute": "Limits of this key", "keep": "Where it goes"},
        warning=_warning(state),
    )


def limit_fields(hint: str = "none") -> list[Field]:
    """The four limits."""
    return [
        Field("requests_per_minute", "Requests a minute", hint=hint),
        Field("tokens_per_minute", "Tokens a minute", hint=hint),
        Field("concurrent", "Requests at once", hint=hint),
        Field("tokens_per_month", "Tokens a month", hint=hint),
    ]


def keeping(state: KeyringState) -> tuple[tuple[str, str], ...]:
    """Where a key can be kept, the safest first."""
    nowhere = ("no", "nowhere: it is for another program")
    if state.usable:
        return (("keyring", "in the keyring: this node asks with it"), nowhere)
    return (nowhere, ("file", "▲ in a file, in the clear"))


def _warning(state: KeyringState) -> str:
    if state.usable:
        return ""
    return f"There is no keyring to keep it in. {in_screen_words(state.reason)}"


async def rotate(app: Frame, key: KeyStatus, me: WhoAmI, gateway: str = "") -> bool:
    """Put a new secret in a key's place, and show it this once; tells whether it was done."""
    user = _other(key, me)
    state = await _keyring(app)
    if state is None:
        return False

    async def send(values: dict[str, str]) -> NewKey:
        wish = wishes.rotation(key, user, values)
        return await app.link.call(
            calls.accounts("keys.rotate", wish, NewKey, gateway=gateway, insecure=wish.insecure)
        )

    choices = keeping(state)
    if state.usable and not key.kept:  # it was for another program, and so is what comes
        choices = choices[::-1]
    keep = [] if user else [Field("keep", "Keep it", choices=choices)]
    form = SendForm(
        f"Rotate {name(key.name)}",
        [Field("overlap", "Old one holds for", value="24h", hint="0s, 1h, 7d"), *keep],
        send,
        text="A new secret takes its place, with the same name, rights and limits. The old one "
        "holds beside it for a while, so that programs can change over.",
        done="Rotate",
        warning="" if user else _warning(state),
    )
    made = await _filled(app, form)
    if made is None:
        return False
    await _show_key(app, made)
    return True


async def revoke(app: Frame, key: KeyStatus, me: WhoAmI, gateway: str = "") -> bool:
    """Take a key away, once its name was typed; tells whether it was done."""
    whose = f" of {name(key.user)}" if _other(key, me) else ""
    text = (
        f"The key {flat(key.name)}{whose} ({flat(key.id)}) ends at once and for good, and with it "
        "what is asked with it."
    )
    if key.state == "rotated":
        text += " The secret that took its place goes on holding."
    typed = flat(key.name) or flat(key.id)
    if not await app.push_screen_wait(Confirm("Revoke the key?", text, yes="Revoke", typed=typed)):
        return False
    wish = KeyName(key=key.id, user=_other(key, me))
    return await told(app, calls.accounts("keys.revoke", wish, Done, gateway=gateway)) is not None


def _other(key: KeyStatus, me: WhoAmI) -> str:
    """Whose a key is, where it is not one's own."""
    return "" if key.user == me.user.name else key.user


async def _show_key(app: Frame, made: NewKey) -> None:
    text = new_key_words(made, app.clock)
    await app.push_screen_wait(
        ShowOnce(f"The key {name(made.name)}", text, made.key, is_kept=bool(made.kept))
    )


# -- where secrets are kept ----------------------------------------------------------------------


async def show_keyring(app: Frame) -> KeyringState | None:
    """Look whether secrets can be kept, and tell all of it."""
    state = await _keyring(app)
    if state is not None:
        await app.push_screen_wait(FactBox("Where secrets are kept", keyring_rows(state)))
    return state


async def _keyring(app: Frame) -> KeyringState | None:
    """Have the keyring tried; one that hangs takes some seconds, and that is said."""
    slow = app.set_timer(_SLOW_SECONDS, lambda: app.tell("The keyring is being tried …"))
    try:
        return await app.link.call(calls.keyring())
    except AiplatError as fault:
        app.tell_fault(fault)
        return None
    finally:
        slow.stop()


async def _may_keep(app: Frame, what: str) -> bool | None:
    """Whether it may be kept in the clear, where it must; None where a person left."""
    state = await _keyring(app)
    if state is None:
        return None
    if state.usable:
        return False
    text = (
        f"{state.reason} {state.mend}\n\nWithout it {what} can be kept in a file that only your "
        "account reads, in the clear: who gets at that file, or a copy of it, is you."
    )
    asked = Choose(
        "▲ No keyring", "\n\n".join(map(in_screen_words, text.split("\n\n"))),
        [("clear", "Keep it in the clear")], careful=True,
    )  # fmt: skip
    return True if await app.push_screen_wait(asked) else None


# -- asking --------------------------------------------------------------------------------------


async def _known(app: Frame, gateway: str) -> WhoAmI | None:
    """Who one is; who is nobody may log in or register now."""
    call = calls.accounts("whoami", Nothing(), WhoAmI, gateway=gateway)
    try:
        return await app.link.call(call)
    except InvalidApiKey as fault:
        question = Choose(
            "Who are you?", f"A key is an account's. {fault_words(fault)}",
            [("login", "Log in"), ("register", "Register")],
        )  # fmt: skip
        said = await app.push_screen_wait(question)
    except AiplatError as fault:
        app.tell(fault_words(fault), severity="error")
        return None
    done = said == "login" and await log_in(app, gateway)
    done = done or (said == "register" and await register(app, gateway) == "done")
    return await told(app, call) if done else None


async def _filled(app: Frame, form: SendForm[Got]) -> Got | None:
    """Show a form, and give what came of it; None where a person left."""
    await app.push_screen_wait(form)
    return form.got


async def told(app: Frame, call: calls.Call[calls.Reply]) -> calls.Reply | None:
    """Ask, and tell how it went; None when it failed."""
    try:
        reply = await app.link.call(call)
    except AiplatError as fault:
        app.tell(fault_words(fault), severity="error")
        return None
    if text := getattr(reply, "message", ""):
        app.tell(in_screen_words(text))
    return reply
