"""The parser of Markdown: CommonMark with tables and strikethrough, whose nesting has an end."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock

    Rule = Callable[[StateBlock, int, int, bool], bool]

MAX_LEVEL = 30
"""Of quotes within quotes; a list counts twice."""


@lru_cache(maxsize=1)
def parser() -> MarkdownIt:
    """No HTML, which is shown as it stands."""
    from markdown_it import MarkdownIt  # 30 ms, and an empty screen needs none
    from markdown_it.ruler import RuleOptionsType
    from markdown_it.rules_block import blockquote, list_block

    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    # Beyond its own bound markdown-it drops what comes; beyond ours, which comes first, the marks
    # of lists and quotes are text.
    made.options.maxNesting = MAX_LEVEL + 10
    # What each may end, as it is there.
    list_ends: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote"]}
    quote_ends: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    made.block.ruler.at("list", _up_to(MAX_LEVEL, list_block), list_ends)
    made.block.ruler.at("blockquote", _up_to(MAX_LEVEL, blockquote), quote_ends)
    return made


def _up_to(level: int, rule: Rule) -> Rule:
    def bounded(state: StateBlock, first: int, last: int, silent: bool) -> bool:
        return state.level < level and rule(state, first, last, silent)

    return bounded
