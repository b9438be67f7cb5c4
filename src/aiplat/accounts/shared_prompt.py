"""A prompt that several choices of one request have in common: it counts once among them.

Knows no limit and no store.
"""

from __future__ import annotations

from typing import Protocol


class Member(Protocol):
    """A request that has it."""

    def take_over(self) -> None:
        """Reserve the prompt, and count it at the end: who did so had no use of it."""


class SharedPrompt:
    """The prompt, and who answers for it.

    One of its requests holds it: it is part of what that one reserves, and of what it comes to, if
    any of them made use of it. When that one ends before anybody did, the next one holds it. So a
    request that is asked beside another, which is then cancelled, gets no prompt for nothing.

    Attributes:
        holder: who counts it.
        tokens: how many, once somebody made use of it; None before.
        joined: how many requests ever had it, those that ended too.
    """

    __slots__ = ("_members", "holder", "joined", "tokens")

    def __init__(self, holder: Member) -> None:
        self.holder = holder
        self.tokens: int | None = None
        self._members = [holder]
        self.joined = 1

    def join(self, member: Member) -> None:
        """One more has it."""
        self._members.append(member)
        self.joined += 1

    def counted(self, member: Member, tokens: int | None) -> int:
        """What of it counts for a member.

        Arguments:
            tokens: how many it has, where that member made use of it; None where it did not.
        """
        if self.tokens is None:
            self.tokens = tokens
        if self.holder is not member or self.tokens is None:
            return 0
        return self.tokens if tokens is None else tokens

    def left(self, member: Member) -> None:
        """A member ended."""
        self._members.remove(member)
        if self.holder is member and self.tokens is None and self._members:
            self.holder = self._members[0]
            self.holder.take_over()
