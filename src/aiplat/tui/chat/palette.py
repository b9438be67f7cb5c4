"""Which colours the styles of `aiplat.tui.markdown` have in a theme."""

from __future__ import annotations

from collections.abc import Mapping

from rich.color import Color as RichColor
from rich.color import ColorParseError
from rich.style import Style
from textual.color import Color
from textual.color import ColorParseError as TextualColorError

_TEXT = {
    "strong": Style(bold=True),
    "em": Style(italic=True),
    "strike": Style(strike=True),
    "link": Style(underline=True),
}
_COLOURS = {
    "muted": "text-muted",
    "h1": "primary",
    "h2": "primary",
    "h3": "primary",
    "link": "secondary",
    "mark": "accent",
    "quote": "text-muted",
    "you": "accent",
    "model": "primary",
    "error": "error",
    "warning": "warning",
    "good": "success",
    "code": "foreground",
    "fence.head": "text-muted",
    "fence.more": "text-muted",
    "fence.fill": "foreground",
    "fence.tab": "foreground",
    "code.keyword": "primary",
    "code.function": "secondary",
    "code.builtin": "secondary",
    "code.string": "success",
    "code.number": "accent",
    "code.comment": "text-muted",
    "code.deleted": "error",
    "code.inserted": "success",
    "gutter": "border",
    "gutter.you": "accent",
    "gutter.at": "accent",
}
_BOLD = frozenset({"h1", "h2", "h3", "you", "model"})


class Palette:
    """The colours of a theme.

    Arguments:
        variables: of the theme, as Textual gives them to its style sheets.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._background = _colour(variables.get("background", ""))
        self._known: dict[str, Style] = {}
        self.base = Style(
            color=self._of("foreground"), bgcolor=_rich(variables.get("background", ""))
        )

    def style(self, name: str) -> Style:
        """The style of some words, such as ``strong em``."""
        found = self._known.get(name)
        if found is None:
            found = self.base
            for word in name.split():
                found += self._word(word)
            self._known[name] = found
        return found

    def _word(self, word: str) -> Style:
        style = _TEXT.get(word, Style())
        variable = _COLOURS.get(word)
        if variable is not None:
            style += Style(color=self._of(variable))
        if word in _BOLD:
            style += Style(bold=True)
        if word == "code" or word.startswith(("code.", "fence.")):
            shade = "panel" if word == "fence.head" else "surface"
            style += Style(bgcolor=_rich(self._variables.get(shade, "")))
        return style

    def _of(self, variable: str) -> RichColor | None:
        """A variable's colour; what is half transparent is laid over the background."""
        value = self._variables.get(variable, "")
        if value.startswith("auto"):
            share = value.rpartition(" ")[2].removesuffix("%")
            base = _colour(self._variables.get("foreground", ""))
            if base is None or self._background is None or not share.isdigit():
                return None
            return self._background.blend(base, int(share) / 100).rich_color
        return _rich(value)


def _colour(value: str) -> Color | None:
    try:
        return Color.parse(value)
    except TextualColorError:
        return None


def _rich(value: str) -> RichColor | None:
    if value.startswith("ansi_"):
        name = value.removeprefix("ansi_")
        try:
            return None if name == "default" else RichColor.parse(name)
        except ColorParseError:
            return None
    found = _colour(value)
    return found.rich_color if found is not None else None
