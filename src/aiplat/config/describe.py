"""Writes the settings down as Markdown tables, for ``docs/settings.md``."""

from __future__ import annotations

from collections.abc import Sequence

from aiplat.config.loader import show
from aiplat.config.sections import SectionClass, Setting, section_name, settings_of

_INTRODUCTION = """\
# Settings

Made by `python -m aiplat.runtime.settings > docs/settings.md`. Do not edit: a setting is
described where it is defined.

A setting comes from the first of these places that names it:

1. the command line: an option of its own where there is one; else `serve --set SECTION.NAME=VALUE`;
2. the environment: `AIPLAT_<SECTION>_<NAME>`; the items of a list have commas between them;
3. what an operator changed while the node ran: `aiplat settings set`, or the web page;
4. `config.toml`: a table for each section. It lies in the node's home when there is one
   (`--home DIR` or `AIPLAT_HOME`), else in `~/.config/aiplat/`;
5. the default.

```toml
[node]
heartbeat_seconds = 2
```

A name that does not exist, or a value out of its bounds, stops the start with the place, the
bound and what to do.
"""


def document(sections: Sequence[SectionClass]) -> str:
    """Describe every setting of `sections`, with a heading for each section."""
    return "\n".join([_INTRODUCTION, *(_section(section) for section in sections)])


def _section(section: SectionClass) -> str:
    about = (section.__doc__ or "").strip().split("\n\n")[0]
    rows = [_row(setting) for setting in settings_of(section).values()]
    return "\n".join(
        [
            f"## [{section_name(section)}]",
            "",
            " ".join(about.split()),
            "",
            "| Name | Default | Is | What it does |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _row(setting: Setting) -> str:
    cells = [
        f"`{setting.name}`",
        f"`{show(setting.default)}`",
        setting.kind,
        " ".join(setting.description.split()),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
