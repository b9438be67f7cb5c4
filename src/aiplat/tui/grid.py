"""The grid of a live table: what stands in it is changed where it is otherwise than before.

To take all rows out and in again costs half a second with some thousands of them, and a live
table is shown anew each second. It knows cells alone, not what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual.binding import BindingType
from textual.coordinate import Coordinate
from textual.widgets import DataTable

MANY_LESS: Final = 50
"""From so many rows less on all are put in again: taking one out goes through all others."""


class Grid(DataTable[Text]):
    """The grid."""

    BINDINGS: ClassVar[list[BindingType]] = []
    ALLOW_SELECT: ClassVar[bool] = False

    def lay_out(
        self,
        labels: Mapping[str, Text],
        widths: Mapping[str, int],
        rows: Sequence[Sequence[Text]],
    ) -> None:
        """Put all in anew.

        Arguments:
            labels: what stands above each column, by its key.
            widths: cells of each column.
        """
        self.clear(columns=True)
        for key, label in labels.items():
            self.add_column(label, key=key, width=widths[key])
        self.add_rows(rows)

    def put(self, rows: Mapping[int, Sequence[Text]]) -> None:
        """Put other cells in rows, by their places.

        `update_cell` looks for the row and draws for each cell: too long for thousands.
        """
        keys = [column.key for column in self.ordered_columns]
        for place, cells in rows.items():
            key = self.coordinate_to_cell_key(Coordinate(place, 0)).row_key
            self._data[key] = dict(zip(keys, cells, strict=True))
        if rows:
            self._update_count += 1  # what was drawn is of the old ones
            self.refresh()

    def shorten(self, count: int) -> None:
        """Take the last rows out, so that so many stay."""
        while self.row_count > count:
            self.remove_row(self.coordinate_to_cell_key(Coordinate(self.row_count - 1, 0)).row_key)

    def widen(self, widths: Mapping[str, int]) -> None:
        """Give columns other widths, in cells."""
        for column in self.ordered_columns:
            column.width = widths[str(column.key.value)]
        self._update_count += 1  # as above
        self._require_update_dimensions = True
        self.check_idle()
        self.refresh()
