"""Answers that keep to a grammar: llguidance's matchers over a tokenizer of transformers.

Source: https://github.com/guidance-ai/llguidance (docs/syntax.md, docs/json_schema.md). The
library bounds what a grammar may cost, when it is made and at each token, and says so.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiplat.domain.chat import Generate
from aiplat.domain.errors import AiplatError, InvalidRequest, UnsupportedParameter, clip
from aiplat.engine.calling.asked import COMPACT, arguments_schema, held_tools, is_strict, must_call
from aiplat.engine.calling.choosing import NO_ASIDES, Asides
from aiplat.engine.calling.formats import Format
from aiplat.engine.calling.xml_calls import unheld
from aiplat.engine.forms import answer_schema, grammar_of, needs_grammar

_MOST_REASON = 200
_SILENT = "<non-verbose/>"


class Keeping:
    """A `Matcher`: one answer and its grammar."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher
        self.ended = bool(matcher.is_stopped())

    def allowed(self, width: int) -> NDArray[np.intp]:
        """Ids that may come next (`Matcher`)."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise ValueError("the grammar is too complex to go on")
        ids = np.flatnonzero(np.unpackbits(bits, bitorder="little")[:width])
        if not len(ids):
            raise ValueError("the grammar lets nothing follow")
        return ids

    def take(self, token: int) -> bool:
        """Go on by the next token (`Matcher`)."""
        if not self._matcher.consume_token(token):
            return False
        self.ended = bool(self._matcher.is_stopped())
        return True


class Grammars:
    """Makes matchers for one model's tokenizer. The tokenizer's own form is made when first needed.

    Arguments:
        name: the model's, for sentences.
        tokenizer: of transformers.
        vocabulary: tokens of the model.
        ends: those that end an answer.
    """

    def __init__(self, name: str, tokenizer: Any, vocabulary: int, ends: Sequence[int]) -> None:
        self._name = name
        self._tokenizer = tokenizer
        self._vocabulary = max(vocabulary, len(tokenizer))
        self._ends = sorted(ends)
        self._made: Any = None
        fast = getattr(tokenizer, "backend_tokenizer", None) is not None
        self.works = fast and importlib.util.find_spec("llguidance") is not None
        """Whether there is what makes them."""

    def matcher(self, work: Generate, form: Format | None, said: Sequence[int]) -> Keeping | None:
        """What keeps the answer to its form, after the tokens that were said elsewhere.

        Raises:
            UnsupportedParameter: nothing here can.
            InvalidRequest: the grammar library cannot do the schema, or `said` breaks it.
        """
        if not needs_grammar(work):
            return None
        if not self.works:
            raise UnsupportedParameter(
                f"{self._name} runs without what keeps an answer to a form: ask without "
                "response_format and strict tools, and with tool_choice auto.",
                param="tool_choice" if must_call(work) else _param(work),
            )
        self._check(work, form)
        grammar = grammar_of(work, form, self._spell, self._asides(work, form))
        matcher = self._made_of(grammar, _param(work))
        found = Keeping(matcher)
        if said and not all(token in self._ends or found.take(token) for token in said):
            raise InvalidRequest("resume holds what breaks the answer's form.", param="resume")
        return found

    def _check(self, work: Generate, form: Format | None) -> None:
        """Have each schema looked at alone, so that the reason is its own."""
        if (schema := answer_schema(work)) is not None:
            self._check_schema(schema, "response_format", "response_format")
        for tool in held_tools(work):
            schema, where = arguments_schema(tool), f"the tool {tool['name']!r}"
            self._check_schema(schema, "tools", where)
            is_bound = tool.get("strict") and form is not None and form.body == "xml"
            if is_bound and (why := unheld(schema)):
                raise _refused(why, "tools", f"The schema of {where}")

    def _check_schema(self, schema: Mapping[str, Any], param: str, where: str) -> None:
        from llguidance import LLMatcher

        text = json.dumps(schema)
        grammar = LLMatcher.grammar_from_json_schema(text, overrides=COMPACT)  # type: ignore[arg-type]  # its TypedDict
        is_wrong, why = LLMatcher.validate_grammar_with_warnings(grammar, None, limits=_limits())
        if is_wrong:
            raise _refused(why[0], param, f"The schema of {where}")

    def _made_of(self, grammar: str, param: str) -> Any:
        from llguidance import LLMatcher

        made = LLMatcher.grammar_from_lark(grammar)
        matcher = LLMatcher(self._lists(), made, log_level=0, limits=_limits())
        if not matcher.is_error():
            matcher.compute_bitmask()  # only then it shows whether anything can be said at all
        if matcher.is_error():
            raise _refused(matcher.get_error(), param, "What the answer must be")
        return matcher

    def _lists(self) -> Any:
        """The tokenizer as the library has it: about half a second of work, once."""
        if self._made is None:
            from llguidance.hf import from_tokenizer

            try:
                self._made = from_tokenizer(self._tokenizer, self._vocabulary, self._ends or None)
            except (ValueError, RuntimeError) as error:
                raise UnsupportedParameter(
                    f"The tokenizer of {self._name} cannot be used with a grammar: "
                    f"{clip(_reason(str(error)), _MOST_REASON)}.",
                    param="response_format",
                ) from None
        return self._made

    def _asides(self, work: Generate, form: Format | None) -> Asides:
        """Tokens that are no text, and may stand in it: no end of an answer, no mark of a call."""
        if form is None or not is_strict(work):  # no other grammar has text
            return NO_ASIDES
        made, marks = self._lists(), form.marks
        shown = {token: str(one) for token, one in self._tokenizer.added_tokens_decoder.items()}
        others = [
            token
            for token in sorted(shown)
            if made.is_special_token(token)
            and token not in self._ends
            and shown[token] != form.begin
        ]
        special = frozenset(self._tokenizer.all_special_ids)
        hidden = [one for one in others if one in special and shown[one] not in marks]
        return Asides([one for one in others if one not in hidden], hidden)

    def _spell(self, mark: str) -> str:
        """A mark in a grammar: a special token has no text there."""
        ids = self._tokenizer.encode(mark, add_special_tokens=False)
        if len(ids) == 1 and self._lists().is_special_token(ids[0]):
            return f"<[{ids[0]}]>"
        return json.dumps(mark)


def _limits() -> Any:
    """The library's own bounds: some 20 ms to make a grammar, 15 ms for a token at most."""
    from llguidance import LLParserLimits

    return LLParserLimits(verbose_errors=False)  # else an error could show the prompt's schema


def _param(work: Generate) -> str:
    return "tools" if must_call(work) or work.grammar is None else "response_format"


def _refused(why: str, param: str, what: str) -> AiplatError:
    reason = clip(_reason(why), _MOST_REASON)
    return InvalidRequest(f"{what} cannot be kept to: {reason}.", param=param)


def _reason(why: str) -> str:
    """What the library says, on one line and without its own marks."""
    why = why.replace(_SILENT, " ").partition(" Enable '")[0]  # an option that nobody here has
    if "panic" in why:  # with a stack of its own code
        return "it is too large"
    why = re.sub(r"\s+", " ", why).strip().rstrip(".")
    return why if " " in why else "nothing that could be said fits it"  # a bare name of a state
