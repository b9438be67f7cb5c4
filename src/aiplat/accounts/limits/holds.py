"""What one request asks, and what it has, of one subject's limits. Pure data."""

from __future__ import annotations

from msgspec import Struct

from aiplat.accounts.limits.months import Use
from aiplat.accounts.limits.state import State
from aiplat.accounts.limits.window import Bucket

Asked = tuple[State, Use]
"""A subject that a request would count for, and its use of the month that it is."""


class Hold(Struct, eq=False):
    """A place among those under way, and tokens of the minute and of the month.

    Attributes:
        state: of whose limits.
        use: of the month in which the request was let in.
        bucket: where its first tokens are charged; None without a limit of a minute.
        more: the same of those that were added later: how many each time, and where.
    """

    state: State
    use: Use
    bucket: Bucket | None
    more: list[tuple[int, Bucket | None]] | None = None
