"""``aiplat chat``: a conversation in lines. Type, Enter, read."""

from __future__ import annotations

from functools import partial

import typer

from aiplat.cli import options
from aiplat.cli.face import face_of


def chat(
    context: typer.Context,
    model: options.Model = "",
    system: options.System = "",
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    max_tokens: options.MaxTokens = None,
    seed: options.Seed = None,
    deadline: options.Deadline = options.DEFAULT_DEADLINE,
    json: options.Json = False,
) -> None:
    """Talk with a model: type, Enter, read.

    "exit" or Ctrl-D leaves, Ctrl-C stops an answer, "/new" begins again. Works through pipes
    and on dumb terminals too. When no node runs, one is started.

    \b
    Examples:
      aiplat chat
      printf 'Hello!\\nexit\\n' | aiplat chat --json
    """
    import msgspec

    from aiplat.cli.ask import make_ask
    from aiplat.cli.conversation import Conversation
    from aiplat.cli.ensure import default_name, ensure, named
    from aiplat.cli.lines import Lines
    from aiplat.domain.chat import Message, Sampling

    face = face_of(context)
    lines = Lines(face.runtime.prompt_bytes)
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed)
    name, model = named(face, model)
    first = make_ask((Message("user", "?"),), name, sampling, deadline)  # checks the options
    renew = partial(ensure, face, model=model)
    client = renew()
    first = msgspec.structs.replace(first, model=name or default_name(client))
    talk = Conversation(client, first, system, renew=renew, json=json, human=lines.human)
    code = talk.run(lines)
    if code:
        raise typer.Exit(code)
