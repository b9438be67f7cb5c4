"""A model's chat template and tokenizer: prompts in, text and calls of tools out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from aiplat.domain.chat import Generate
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter, clip
from aiplat.engine.calling.asked import arguments_schema, callable_tools
from aiplat.engine.calling.finding import Finder
from aiplat.engine.calling.formats import Format, format_of
from aiplat.engine.calling.rendering import messages_for, tools_for, uses_tools
from aiplat.engine.calling.voice import CallingVoice
from aiplat.engine.rows import Voice
from aiplat.engine.speech import Speech

_PROBE = "find_the_probe"
_ERRORS = (TemplateError, TypeError, ValueError, KeyError, AttributeError)


class Templates:
    """Renders and reads for one model.

    Arguments:
        name: the model's, for sentences.
        tokenizer: of transformers, with a chat template.
        ends: tokens that end an answer.

    Attributes:
        form: how the model writes calls of tools; None where its template has no tools, or they
            are written as nobody here can read.
    """

    def __init__(self, name: str, tokenizer: Any, ends: frozenset[int]) -> None:
        self._name = name
        self._tokenizer = tokenizer
        self._ends = ends
        self._special = frozenset(tokenizer.all_special_ids)
        self._takes_tools = self._renders_tools()
        self.form: Format | None = format_of(self._text()) if self._takes_tools else None
        marks = self.form.marks if self.form is not None else ()
        self._marks = frozenset(tokenizer.convert_tokens_to_ids(list(marks)))

    def encode(self, work: Generate) -> list[int]:
        """The tokens of a prompt (`Backend.encode`)."""
        if work.prompt is not None:
            return list(self._tokenizer.encode(work.prompt))
        if uses_tools(work) and self.form is None:
            raise self._without_tools(work)
        short = self.form is not None and self.form.short_ids
        messages = messages_for(work, short_ids=short)
        try:
            return list(self._apply(messages, tools_for(work), tokenize=True))
        except _ERRORS as error:
            raise InvalidRequest(
                f"The model's chat template does not take these messages: {clip(str(error), 200)}",
                param="messages",
            ) from None

    def voice(self, work: Generate) -> Voice:
        """What makes text of an answer's tokens (`Backend.voice`)."""
        stops, tools = work.sampling.stop, callable_tools(work)
        if self.form is None or not tools:
            return Speech(self._decode, self._ends, stops)
        schemas = {tool["name"]: arguments_schema(tool) for tool in tools}
        speech = Speech(self._decode_marks, self._ends, stops)
        return CallingVoice(speech, Finder(self.form, schemas), one=work.one_call)

    def _without_tools(self, work: Generate) -> UnsupportedParameter:
        why = "has no tools"
        if self._takes_tools:
            why = "has tools, whose calls have a form that is not known here"
        return UnsupportedParameter(
            f"The template of {self._name} {why}: leave them out.",
            param="tools" if work.tools else "messages",
        )

    # -- the template ----------------------------------------------------------------------------

    def _apply(self, messages: Any, tools: Any, *, tokenize: bool) -> Any:
        return self._tokenizer.apply_chat_template(
            messages, tools=tools, add_generation_prompt=True, tokenize=tokenize, return_dict=False
        )

    def _renders_tools(self) -> bool:
        """Whether a tool that is given is seen in the prompt."""
        schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": []}
        tool = {"name": _PROBE, "description": "Finds it.", "parameters": schema}
        probe = [{"role": "user", "content": "Where is it?"}]
        try:
            told = self._apply(probe, [{"type": "function", "function": tool}], tokenize=False)
        except _ERRORS:
            return False
        return _PROBE in str(told)

    def _text(self) -> str:
        """The template's text; a model may have another for tools."""
        return str(self._tokenizer.get_chat_template(None, [{}]))

    # -- text of tokens --------------------------------------------------------------------------

    def _decode(self, ids: Sequence[int]) -> str:
        text = self._tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)

    def _decode_marks(self, ids: Sequence[int]) -> str:
        """Text with the marks of calls in it: with some models they are special tokens."""
        hidden = self._special - self._marks
        text = self._tokenizer.decode(
            [token for token in ids if token not in hidden],
            skip_special_tokens=False,
            clean_up_tokenization_spaces=False,
        )
        return str(text)
