"""The steps from a home to an answer, each looked at: what is well, what is not, what to do.

With a node that runs its own view is told (`checkup`); without one the steps are taken by a node
that lives for as long as they take (`trial`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

from aiplat.config.loader import Loaded
from aiplat.domain.errors import AiplatError
from aiplat.engine.backends.upstream.settings import UpstreamSettings
from aiplat.node.identity import load_or_create
from aiplat.node.membership.files import NetworkFiles
from aiplat.node.membership.membership import CLOCK_TOLERANCE_SECONDS, Membership
from aiplat.node.settings import NodeSettings
from aiplat.runtime.checkup import Checkup
from aiplat.runtime.networks import held
from aiplat.runtime.places import Places
from aiplat.runtime.reach import NodeClient
from aiplat.runtime.steps import Step, Steps, Tell, note_revoked
from aiplat.runtime.trial import Trial
from aiplat.runtime.upstreams import found_here


class Doctor:
    """Looks at one home.

    Arguments:
        places: the home's folders.
        loaded: its settings.
        tell: hears each step as it is taken.
        clock: the time of day, seconds since 1970 (UTC).
    """

    def __init__(
        self, places: Places, loaded: Loaded, tell: Tell, clock: Callable[[], float] = time.time
    ) -> None:
        self._steps = Steps(tell)
        self._places = places
        self._settings = loaded[NodeSettings]
        self._upstream = loaded[UpstreamSettings]
        self._clock = clock

    @property
    def steps(self) -> list[Step]:
        """What was found."""
        return self._steps.taken

    @property
    def is_well(self) -> bool:
        """Whether every step was."""
        return all(step.ok for step in self.steps)

    def look(self, node: NodeClient | None) -> None:
        """Take every step.

        Arguments:
            node: asks the node that runs here; None when none does.
        """
        try:
            self._places.prepare()
            identity = load_or_create(self._places.identity)
        except AiplatError as fault:
            self._steps.note("identity", False, str(fault))
            return
        self._steps.note("identity", True, f"this node is {identity.peer_id}")
        try:
            membership = Membership(NetworkFiles(self._places.network), identity.peer_id)
        except AiplatError as fault:
            self._steps.note(
                "network", False, str(fault), "Put a copy back, or `aiplat network leave`."
            )
            return
        self._network(membership)
        self._certificate(membership)
        self._servers()
        if node is not None:
            Checkup(self._steps).look(node)
            return
        trial = Trial(self._steps, self._places, self._settings, identity, membership)
        with held(self._places):
            trio.run(trial.look)

    def _servers(self) -> None:
        """What runs on this machine already, and could be used; none is no fault."""
        if self._upstream.url:
            return
        for found in found_here(self._upstream):
            self._steps.note("upstream", True, f"found {found}: `aiplat serve --upstream auto`")

    # -- what the files say ----------------------------------------------------------------------

    def _network(self, membership: Membership) -> None:
        record = membership.record
        if record is None:
            self._steps.note("network", True, "none: this node reaches peers of this machine only")
        else:
            kind = "public" if membership.is_public else "private"
            self._steps.note("network", True, f"{record.name} ({kind})")

    def _certificate(self, membership: Membership) -> None:
        if membership.record is None:
            return
        own = membership.own
        if own is None:
            self._steps.note(
                "certificate", membership.is_public, "none", "Join again: `aiplat join`."
            )
            return
        if note_revoked(self._steps, membership):
            return
        days = (own.expires - self._clock()) / 86_400
        roles = " and ".join(own.roles)
        if own.issued > self._clock() + CLOCK_TOLERANCE_SECONDS:
            self._steps.note("certificate", False, "it begins in the future",
                       "This machine's clock is more than a day slow: set it.")  # fmt: skip
        elif days < 0:
            self._steps.note(
                "certificate", False, f"it ended {-days:.1f} days ago",
                "Start the node where it reaches the owner's, or ask for a new invitation. Is "
                "this machine's clock right?",
            )  # fmt: skip
        else:
            self._steps.note("certificate", True, f"as {roles}, for {days:.0f} more days")
