"""``aiplat register``, ``login``, ``logout``, ``password``, ``whoami``: a person at a gateway."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import account_options, options, output, typed

if TYPE_CHECKING:
    from aiplat.cli.at_gateway import AtGateway
    from aiplat.control.accounts import Session
    from aiplat.domain.errors import AiplatError

Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Of the account; else it is asked for.")
]


def register(
    context: typer.Context,
    gateway: account_options.Gateway = None,
    name: Name = None,
    insecure: account_options.Insecure = False,
    json: options.Json = False,
) -> None:
    """Make an account at a gateway, and log in.

    Its operator chooses who may: everyone, who has an invitation, or nobody. The password has 8
    characters or more; it is asked for twice, or is the first line of what is piped in. So is the
    code of an invitation where one is needed: asked for, or the second line.

    \b
    Examples:
      aiplat register --gateway 8hCcz2pQ --name ann
      aiplat register --name ann <password.txt
      cat password.txt code.txt | aiplat register --name ann
    """
    from aiplat.cli.at_gateway import at_gateway

    at = at_gateway(context, gateway)
    _refuse_without_keyring(at, insecure=insecure)
    name = _name(name)
    password = typed.new_password(name)
    made = _registered(at, name, password, insecure=insecure)
    _tell(made, f"Registered as {made.user.name}, and logged in", json=json)
    if not json:
        output.say("Next: `aiplat keys create --name laptop` makes a key.")


def _registered(at: AtGateway, name: str, password: str, *, insecure: bool) -> Session:
    """Register; what the gateway refuses is asked for anew, where there is somebody to ask."""
    from aiplat.control.accounts import Register, Session
    from aiplat.domain.errors import AiplatError

    invitation = ""
    left = {"invitation": typed.TRIES, "name": typed.TRIES - 1, "password": typed.TRIES - 1}
    while True:
        wish = Register(
            name=name, password=password, invitation=invitation, label="aiplat register"
        )
        try:
            return at.ask("register", wish, Session, insecure=insecure)
        except AiplatError as error:
            wrong = _refused(error, invitation)
            if not typed.is_human():
                invitation = _piped_code() if wrong == "invitation" and not invitation else ""
                if not invitation:
                    raise
                continue
            if not left.get(wrong):
                raise
            if wrong == "invitation" and not invitation:
                output.say("This gateway wants an invitation: the code that its operator gave you.")
            else:
                output.say(output.flat(error.message))
        left[wrong] -= 1
        if wrong == "invitation":
            invitation = typed.hidden("Invitation code")
        elif wrong == "name":
            name = _name(None)
        else:
            password = typed.new_password(name)


def _piped_code() -> str:
    """Read the invitation's code, which is secret, after the password; "" if none was piped in."""
    return typed.piped_line("invitation code", needed=False).strip()


def _refused(error: AiplatError, invitation: str) -> str:
    """Tell which of the things that a person types was refused; empty when it was none."""
    from aiplat.domain.errors import InvalidApiKey

    if invitation and isinstance(error, InvalidApiKey):
        return "invitation"
    return error.param or ""


def login(
    context: typer.Context,
    gateway: account_options.Gateway = None,
    name: Name = None,
    insecure: account_options.Insecure = False,
    json: options.Json = False,
) -> None:
    """Log in at a gateway; this home's node keeps the session in the keyring.

    The password is asked for, or is the first line of what is piped in; it is no option, because
    the history and ps keep those.

    \b
    Examples:
      aiplat login --gateway 8hCcz2pQ --name ann
      aiplat login --name ann <password.txt
    """
    from aiplat.cli.at_gateway import at_gateway

    at = at_gateway(context, gateway)
    _refuse_without_keyring(at, insecure=insecure)
    name = _name(name)
    password = typed.password(name)
    made = _logged_in(at, name, password, insecure=insecure)
    _tell(made, f"Logged in as {made.user.name}", json=json)


def _logged_in(at: AtGateway, name: str, password: str, *, insecure: bool) -> Session:
    from aiplat.control.accounts import Login, Session
    from aiplat.domain.errors import InvalidApiKey

    for left in reversed(range(typed.TRIES)):
        try:
            wish = Login(name=name, password=password, label="aiplat login")
            return at.ask("login", wish, Session, insecure=insecure)
        except InvalidApiKey as error:
            if not left or not typed.is_human():
                raise
            output.say(output.flat(error.message))
        password = typed.password(name)
    raise AssertionError  # the last try is returned or raised


def logout(
    context: typer.Context, gateway: account_options.Gateway = None, json: options.Json = False
) -> None:
    """End the session; keys stay.

    \b
    Examples:
      aiplat logout
      aiplat logout --gateway 8hCcz2pQ
    """
    from aiplat.cli.at_gateway import at_gateway, tell
    from aiplat.control.accounts import Nothing
    from aiplat.control.messages import Done

    tell(at_gateway(context, gateway).ask("logout", Nothing(), Done), json=json)


def password(
    context: typer.Context, gateway: account_options.Gateway = None, json: options.Json = False
) -> None:
    """Change your password at a gateway; your other log-ins end, keys stay.

    The old and the new one are asked for, or are the first and the second line of what is piped
    in.

    \b
    Examples:
      aiplat password
      cat old.txt new.txt | aiplat password
    """
    from aiplat.cli.at_gateway import at_gateway, tell
    from aiplat.control.accounts import Nothing, WhoAmI
    from aiplat.control.messages import Done
    from aiplat.control.sessions import PasswordChange

    at = at_gateway(context, gateway)
    name = at.ask("whoami", Nothing(), WhoAmI).user.name
    old = typed.password(f"{name} (the old one)" if typed.is_human() else name)
    wish = PasswordChange(old=old, new=typed.new_password(name))
    tell(at.ask("password.change", wish, Done), json=json)


def whoami(
    context: typer.Context, gateway: account_options.Gateway = None, json: options.Json = False
) -> None:
    """Show who you are at a gateway, by which right, and your limits.

    \b
    Examples:
      aiplat whoami
      aiplat whoami --json | jq -r .user.name
    """
    from aiplat.cli.account_words import who_lines
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.whole import give
    from aiplat.control.accounts import Nothing, WhoAmI

    def say(me: WhoAmI) -> None:
        output.data("\n".join(who_lines(me, output.width(sys.stdout))) + "\n")

    give(at_gateway(context, gateway).ask("whoami", Nothing(), WhoAmI), say, json=json)


def _refuse_without_keyring(at: AtGateway, *, insecure: bool) -> None:
    """Say it to a person before a password is typed; the node looks again in any case."""
    from aiplat.domain.errors import ConfigError

    if insecure or not typed.is_human():
        return
    state = at.client.keyring()
    if not state.usable:
        raise ConfigError(f"{state.reason} {state.mend}")


def _name(given: str | None) -> str:
    """Give the account's name: as said, or typed."""
    if given is None and typed.is_human():
        given = typed.line("Name")
    if not given or not given.strip():
        raise typer.BadParameter("say whose account it is", param_hint="--name")
    return given.strip()


def _tell(made: Session, what: str, *, json: bool) -> None:
    """Say that a session began; its token is the node's, and shown to nobody."""
    from aiplat.cli.account_words import kept_in, when
    from aiplat.cli.whole import whole
    from aiplat.domain.ids import short

    if json:
        told = {"user": whole(made.user), "id": made.id, "expires": made.expires,
                "gateway": made.gateway, "kept": made.kept}  # fmt: skip
        output.print_json(told)
        return
    kept = f" The session is kept in {kept_in(made.kept)}." if made.kept else ""
    output.say(
        output.flat(
            f"{what} at the gateway {short(made.gateway)}, until {when(made.expires)}.{kept}"
        ),
        "done",
    )
