"""The inline part of Markdown as spans: emphasis, code, links, whose addresses are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiplat.tui.markdown.lines import Span
from aiplat.tui.text import clean, flat

if TYPE_CHECKING:
    from markdown_it.token import Token

_STYLES = {"strong_open": "strong", "em_open": "em", "s_open": "strike", "link_open": "link"}
_MAX_ADDRESS = 200


def spans_of(tokens: Sequence[Token] | None, base: str = "") -> list[Span]:
    """Turn the children of an inline token into spans.

    They are cleaned here once more: entities and percent signs become characters in the parser.

    Arguments:
        tokens: of markdown-it.
        base: the style of all of it.
    """
    spans: list[Span] = []
    styles: list[str] = [base] if base else []
    links: list[tuple[str, int]] = []
    for token in tokens or ():
        style = " ".join(styles)
        match token.type:
            case "text" | "html_inline" | "text_special":
                spans.append((clean(token.content), style))
            case "code_inline":
                spans.append((clean(token.content), f"{style} code".strip()))
            case "softbreak":
                spans.append((" ", style))
            case "hardbreak":
                spans.append(("\n", style))
            case "image":
                address = flat(str(token.attrs.get("src", "")))[:_MAX_ADDRESS]
                text = f"[{clean(token.content) or 'image'}: {address}]"
                spans.append((text, f"{style} link".strip()))
            case "link_open":
                links.append((flat(str(token.attrs.get("href", ""))), len(spans)))
                styles.append("link")
            case "link_close":
                styles.pop()
                spans += _address(spans, *links.pop(), style)
            case kind if kind in _STYLES:
                styles.append(_STYLES[kind])
            case kind if kind.endswith("_close") and len(styles) > bool(base):
                styles.pop()
            case _:
                if token.content:
                    spans.append((clean(token.content), style))
    return spans


def _address(spans: list[Span], address: str, begin: int, style: str) -> list[Span]:
    """Where a link leads, unless its text says so: a model's link is not to be trusted unseen."""
    said = "".join(text for text, _ in spans[begin:])
    if not address or address in (said, f"http://{said}", f"https://{said}", f"mailto:{said}"):
        return []
    return [(f" ({address[:_MAX_ADDRESS]})", "muted")]
