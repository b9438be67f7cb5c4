"""Usage as CSV (RFC 4180): a header, a line for each row, each ended by CR and LF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiplat.cli import output

if TYPE_CHECKING:
    from aiplat.control.accounts import UsageReply

FIGURES = (
    "requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens", "total_tokens",
)  # fmt: skip
_BEGIN_A_FORMULA = tuple("=+-@＝＋－＠")
"""What spreadsheets take for a formula, wide forms too (OWASP, "CSV Injection"). A tab or a line's
end, which OWASP names besides, is in no name that `output.flat` has made."""


def csv_text(found: UsageReply) -> str:
    """Write it down; ``name`` is the model, key, day or peer, which others may have chosen."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["name", *FIGURES])
    for row in found.rows:
        writer.writerow([_no_formula(row.name), *(getattr(row, name) for name in FIGURES)])
    return text.getvalue()


def _no_formula(name: str) -> str:
    name = output.flat(name)
    return f"'{name}" if name.startswith(_BEGIN_A_FORMULA) else name
