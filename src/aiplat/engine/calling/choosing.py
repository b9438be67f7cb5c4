"""The grammar of an answer that may call tools, and whose calls are held to a form. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiplat.engine.calling.asked import Spell, arguments_rule, call_rules
from aiplat.engine.calling.formats import Format

_BLANK = r"[\s\x1c-\x1f]*"  # what Python's `strip` takes too
_GAP = r"[ \t\n]{0,8}"


class Asides(NamedTuple):
    """Tokens that are no text, and may stand in an answer's.

    Arguments:
        seen: those that whoever looks for calls sees, as written.
        hidden: those of which nothing is seen.
    """

    seen: Sequence[int] = ()
    hidden: Sequence[int] = ()


NO_ASIDES = Asides()


def free_grammar(
    form: Format,
    tools: Sequence[Mapping[str, Any]],
    spell: Spell,
    asides: Asides = NO_ASIDES,
    *,
    one: bool,
) -> str:
    """The grammar of an answer that is text, in which calls may follow to its end.

    As in llguidance's `StructTag`, a mark ends the text wherever it is written, for its lexeme is
    lazy; where it is a token, as that token and letter by letter.

    Arguments:
        tools: those that may be called; the arguments of those that are `strict` keep to their
            schema.
        asides: tokens that are no text, and may stand in it, as those around a thought.
        one: whether there is one call, no more.
    """
    mark, written = spell(form.begin), json.dumps(form.begin)
    is_token = mark != written
    runs, unbegun = [], []
    if asides.seen:
        runs.append(f"TEXT {_any_of(asides.seen)}")
    if asides.hidden and not form.bare:
        runs.append(f"UNBEGUN {_any_of(asides.hidden)}")
        unbegun.append(_unbegun(form.begin))
    rules = [
        f"start: {'run* ' if runs else ''}(TEXT | head calls{' | bare' if form.bare else ''})",
        f"head: written{' | token' if is_token else ''}",
        f"written[lazy]: TEXT {written}",
        *([f"token: TEXT {mark}"] if is_token else []),
        *([f"run: {' | '.join(runs)}", *unbegun] if runs else []),
        *(_bare(tools) if form.bare else ["TEXT: /(?s:.*)/"]),
    ]
    held = [bool(tool.get("strict")) for tool in tools]
    return "\n".join(rules) + "\n" + call_rules(form, tools, held, spell, one=one)


def _bare(tools: Sequence[Mapping[str, Any]]) -> list[str]:
    """Calls that need no mark: an answer that is one object, which names one of the tools.

    What would be read as a call (`finding`, `bodies`) is no text, in letters or in escapes of
    letters; other JSON is, but for some that names a tool further within.
    """
    names = "|".join(_escaped(tool["name"]) for tool in tools)
    keys = "name|type|function|parameters|arguments"
    is_call = rf'{_BLANK}\{{\s*("({keys})"(?s:.*))?"name"\s*:\s*"({names})"(?s:.*)'
    hides = rf'{_BLANK}\{{\s*"({keys})"(?s:.*)\\u00[2-7](?s:.*)'
    rules = [f"TEXT: /(?s:.*)/ & ~/{is_call}/ & ~/{hides}/"]
    rules += ["bare: " + " | ".join(f"bare_{place}" for place in range(len(tools)))]
    for place, tool in enumerate(tools):
        head = (
            rf'{_GAP}\{{{_GAP}("type"{_GAP}:{_GAP}"function"{_GAP},{_GAP})?'
            rf'"name"{_GAP}:{_GAP}"{_escaped(tool["name"])}"{_GAP},{_GAP}'
            rf'"(parameters|arguments)"{_GAP}:{_GAP}'
        )
        arguments = arguments_rule(tool, held=bool(tool.get("strict")))
        rules += [f"bare_{place}: /{head}/ {arguments} /{_GAP}\\}}/"]
    return rules


def _any_of(tokens: Sequence[int]) -> str:
    return f"<[{','.join(map(str, tokens))}]>"


def _unbegun(mark: str) -> str:
    """A text that does not end in the beginning of a mark: what is hidden would stand within it."""
    begun = "|".join(_escaped(mark[:length]) for length in range(1, len(mark)))
    return rf"UNBEGUN: TEXT & ~/(?s:.*)({begun})/"


def _escaped(name: str) -> str:
    """A name within a regular expression that stands between slashes."""
    return re.escape(json.dumps(name)[1:-1]).replace("/", r"\/")
