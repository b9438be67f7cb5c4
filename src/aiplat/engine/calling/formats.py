"""How families of models write the calls of tools, as their own chat templates tell.

Sources: the templates of Qwen2.5, Qwen3 and Qwen3-Coder, Hermes 2 and 3, SmolLM2, Llama 3.1 to
3.3, and Mistral's instruct models; mistral-common for the two forms of the last.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Body = Literal["object", "list", "parameters", "named", "xml", "function"]
"""What stands between the marks.

``object``: ``{"name": …, "arguments": {…}}``; ``list``: a list of these; ``parameters``: as
``object`` with Llama's word for the arguments; ``named``: ``name[ARGS]{…}``; ``xml``:
``<function=name>`` with a ``<parameter=…>`` for each argument; ``function``: ``name>{…}``.
"""


class Format(NamedTuple):
    """How one family writes its calls.

    Arguments:
        body: how a call is written; what is read is not so strict.
        begin: the mark before a call.
        end: the mark after it; empty where the next call or the end of the answer ends it.
        bare: whether an answer that begins like a call needs no mark.
        short_ids: whether the template takes ids of calls of nine letters and digits alone.
        one: whether an answer has one call at most.
    """

    body: Body
    begin: str
    end: str = ""
    bare: bool = False
    short_ids: bool = False
    one: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """What has to be seen in the text, be it a special token."""
        marks = [self.begin, self.end, *(("[ARGS]", "[CALL_ID]") if self.short_ids else ())]
        return tuple(mark for mark in marks if mark)


ARGUMENTS = "[ARGS]"
"""Mistral's mark between a tool's name and its arguments."""

_TAG, _TAG_END = "<tool_call>", "</tool_call>"
HERMES = Format("object", _TAG, _TAG_END)
SMOLLM = Format("list", _TAG, _TAG_END)
CODER = Format("xml", _TAG, _TAG_END)
FUNCTION = Format("function", "<function=", "</function>")
LLAMA = Format("parameters", "<|python_tag|>", bare=True, one=True)
MISTRAL = Format("list", "[TOOL_CALLS]", short_ids=True)
TEKKEN = Format("named", "[TOOL_CALLS]", short_ids=True)

FORMATS = (HERMES, SMOLLM, CODER, FUNCTION, LLAMA, MISTRAL, TEKKEN)
"""All that are known."""


def format_of(template: str) -> Format | None:
    """How the model of a chat template writes its calls; None where that is not known."""
    if MISTRAL.begin in template:
        return TEKKEN if ARGUMENTS in template else MISTRAL
    if _TAG in template:
        if "<function=" in template:
            return CODER
        return SMOLLM if f"{_TAG}[" in template else HERMES
    if LLAMA.begin in template or ('"parameters"' in template and "ipython" in template):
        return LLAMA
    return FUNCTION if FUNCTION.begin in template else None
