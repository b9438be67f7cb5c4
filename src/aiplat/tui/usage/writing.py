"""Writes what is shown to a file that a person names: asks for it, and tells how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiplat.domain.errors import AiplatError
from aiplat.tui.dialogs import Field, Form
from aiplat.tui.threads import in_thread
from aiplat.tui.usage import export

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame


async def write_out(app: Frame, shown: str, text: str) -> None:
    """Ask for a name, and write; called within a worker of Textual's.

    Arguments:
        shown: the time that is shown, as in ``15 m``; a part of the name that is offered.
        text: comma-separated values, a line of titles first.
    """
    if text.count("\n") < 2:
        app.tell("There is nothing to write yet.", severity="warning")
        return
    time = app.clock.local(app.clock.now())
    name = f"aiplat-usage-{shown.replace(' ', '')}-{time:%Y%m%d-%H%M%S}.csv"
    form = Form(
        "Export", [Field("path", "File", name, hint="a name, or a path")], done="Write",
        text="Writes what is shown as comma-separated values. A file that is there stays.",
        check=lambda values: export.path_of(values["path"]),
    )  # fmt: skip
    values = await app.push_screen_wait(form)
    if values is None:
        return
    try:
        path = export.path_of(values["path"])
        await in_thread(lambda: export.write(path, text))
    except AiplatError as fault:
        app.tell_fault(fault)
    else:
        app.tell(f"Written to {path.absolute()}.")
