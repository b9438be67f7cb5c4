"""``aiplat ask``: one prompt, one answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import Face, face_of

if TYPE_CHECKING:
    from aiplat.cli.reply import Reply
    from aiplat.control.messages import Ask
    from aiplat.domain.chat import Message, Sampling


def ask(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="The question; `-` reads stdin.")
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", metavar="FILE", help="Add a file to it; repeatable."),
    ] = None,
    model: options.Model = "",
    peer: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Ask the gateway at this multiaddr, and no other."),
    ] = None,
    system: options.System = "",
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    top_k: options.TopK = None,
    min_p: options.MinP = None,
    repetition_penalty: options.RepetitionPenalty = None,
    presence_penalty: options.PresencePenalty = None,
    frequency_penalty: options.FrequencyPenalty = None,
    max_tokens: options.MaxTokens = None,
    seed: options.Seed = None,
    stop: options.Stops = None,
    deadline: options.Deadline = options.DEFAULT_DEADLINE,
    privacy: options.Privacy = options.PrivacyName.any,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say who answered, and the request's name.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Ask one question; the answer comes as it is made.

    What is piped in is added to the prompt. When no node runs, one is started.

    \b
    Examples:
      aiplat ask "What is the capital of France?"
      git diff | aiplat ask "review this" -f notes.md
      aiplat ask --json --max-tokens 20 "Say hello."
    """
    from msgspec.structs import replace

    from aiplat.cli.prompts import gather, piped_stdin
    from aiplat.domain.chat import Message, Sampling

    if peer is not None and not peer.strip():  # an unset variable of a script's, say
        raise typer.BadParameter("it is empty: leave it out to ask any gateway",
                                 param_hint="--peer")  # fmt: skip
    face = face_of(context)
    limit = face.runtime.prompt_bytes
    text = gather(prompt, file or [], piped_stdin(), limit, output.say, max(deadline, 0.0))
    sampling = Sampling(
        temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed,
        stop=tuple(stop or ()), top_k=top_k, min_p=min_p, repetition_penalty=repetition_penalty,
        presence_penalty=presence_penalty, frequency_penalty=frequency_penalty,
    )  # fmt: skip
    said = [Message("system", system)] if system else []
    asked = make_ask((*said, Message("user", text)), model, sampling, deadline, peer or "")
    asked = replace(asked, privacy=privacy.value)
    _run(face, asked, json=json, verbose=verbose)


def make_ask(
    messages: tuple[Message, ...], model: str, sampling: Sampling, deadline: float, peer: str = ""
) -> Ask:
    """Check what the command line says, and make the request.

    Raises:
        InvalidRequest: something is out of its bounds: exit code 2, before a node is started.
    """
    from aiplat.cli.prompts import check_text
    from aiplat.control.messages import Ask
    from aiplat.domain.answers import MAX_DEADLINE_MS
    from aiplat.domain.chat import check_sampling
    from aiplat.domain.errors import InvalidRequest

    check_sampling(sampling)
    if not 0.001 <= deadline <= MAX_DEADLINE_MS / 1000:
        raise InvalidRequest(
            f"--deadline must be from 0.001 to {MAX_DEADLINE_MS // 1000} seconds, but is "
            f"{deadline:g}."
        )
    for text in (model, peer, *sampling.stop):
        check_text(text)
    return Ask(
        messages=messages, model=model, sampling=sampling, peer=peer,
        deadline_ms=round(deadline * 1000),
    )  # fmt: skip


def _run(face: Face, asked: Ask, *, json: bool, verbose: bool) -> None:
    import msgspec

    from aiplat.cli.ensure import default_name, ensure, named
    from aiplat.cli.failures import Failure
    from aiplat.cli.reply import Reply

    elsewhere = bool(asked.peer)
    name, model = named(face, asked.model, elsewhere=elsewhere)
    client = ensure(face, model=model, elsewhere=elsewhere)
    if not name and not elsewhere:
        name = default_name(client)
    asked = msgspec.structs.replace(asked, model=name)
    reply = Reply((lambda text: None) if json else output.data, waiting)
    try:
        reply.run(client, asked)
    except KeyboardInterrupt:
        if not (sys.stdout.isatty() and sys.stderr.isatty()):  # where `main` ends the line
            _end_line(reply, json=json)
        raise
    except Failure:
        _end_line(reply, json=json)
        if verbose and reply.request:
            output.say(f"`aiplat explain {reply.request}` tells where it went.")
        raise
    _end_line(reply, json=json)
    if verbose:
        output.say(told_of(reply))
    if json:
        output.print_json(reply.as_json())


def told_of(reply: Reply) -> str:
    """Say who answered, and what to type to know why."""
    from aiplat.domain.ids import short

    started, finished = reply.started, reply.finished
    parts = []
    if started is not None:
        parts.append(f"{output.flat(started.manifest.name)} on {short(started.processor)}")
        parts.append(f"by the gateway {short(started.gateway)}")
    if finished is not None:
        seconds = finished.timings.total_ms / 1000
        parts.append(f"{finished.usage.completion_tokens} tokens in {seconds:.1f} s")
    return f"{', '.join(parts)}. `aiplat explain {reply.request}` tells why there."


def _end_line(reply: Reply, *, json: bool) -> None:
    if not json and reply.text and not reply.text.endswith("\n"):
        output.data("\n")


def waiting(text: str) -> None:
    """Say why an answer does not begin."""
    output.say(text, "request")
