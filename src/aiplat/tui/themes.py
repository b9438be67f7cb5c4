"""The two themes of our own; Textual's and the terminal's own colours are there besides."""

from __future__ import annotations

from textual.color import Color
from textual.theme import Theme

_MUTED = 0.62
"""How much of the foreground is left in a text that is less important."""

DARK = "aiplat-dark"
LIGHT = "aiplat-light"

THEMES = (
    Theme(
        name=DARK,
        primary="#7aa2f7",
        secondary="#7dcfff",
        accent="#f2a65a",
        warning="#e0af68",
        error="#f7768e",
        success="#9ece6a",
        foreground="#c8d0e8",
        background="#15171f",
        surface="#1b1e29",
        panel="#242838",
        dark=True,
        variables={
            "border": "#3b4261",
            "border-blurred": "#2b3045",
            "footer-background": "#15171f",
            "footer-key-foreground": "#f2a65a",
            "footer-description-foreground": "#8b93b0",
            "input-selection-background": "#7aa2f7 35%",
            "block-cursor-background": "#2f3b63",
            "block-cursor-foreground": "#e6ebff",
            "block-cursor-blurred-background": "#252b45",
        },
    ),
    Theme(
        name=LIGHT,
        primary="#2959aa",
        secondary="#0f6f8f",
        accent="#a8520a",
        warning="#8a6100",
        error="#b3203f",
        success="#3c7112",
        foreground="#22263a",
        background="#f6f7fb",
        surface="#eceef5",
        panel="#e0e4ef",
        dark=False,
        variables={
            "border": "#a6aec8",
            "border-blurred": "#c9cfe0",
            "footer-background": "#f6f7fb",
            "footer-key-foreground": "#a8520a",
            "footer-description-foreground": "#565d78",
            "block-cursor-background": "#c3d3f5",
            "block-cursor-foreground": "#15171f",
            "block-cursor-blurred-background": "#d8e0f2",
        },
    ),
)


def with_muted(variables: dict[str, str], theme: Theme) -> dict[str, str]:
    """Make ``text-muted`` a colour of its own: half transparent it is lost where styles are laid
    over each other, as in a line of several.
    """
    if theme.ansi:
        muted = "ansi_bright_black"
    else:
        ground = Color.parse(variables["background"])
        muted = ground.blend(Color.parse(variables["foreground"]), _MUTED).hex
    return {**variables, "text-muted": muted, "foreground-muted": muted}
