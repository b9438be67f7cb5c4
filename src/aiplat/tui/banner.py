"""The line above the panes while the node is not there: what happens, and what one can do."""

from __future__ import annotations

from collections.abc import Callable

from aiplat.tui.notice import Kind, Notice
from aiplat.tui.world import World


class Banner(Notice):
    """What stands between the person and the node; nothing while all is well."""

    DEFAULT_CSS = """
    Banner { background: $panel; }
    """

    def show(self, world: World, key_of: Callable[[str], str]) -> None:
        """Say how the node is, if it is not there.

        Arguments:
            key_of: gives the key of an action now, as it is shown.
        """
        self.tell(*banner_words(world, key_of))


def banner_words(world: World, key_of: Callable[[str], str]) -> tuple[str, Kind]:
    """What is said of the node, and how grave it is; nothing while it is there."""
    start_key, leave_key = key_of("app.start"), key_of("app.leave")
    match world.phase:
        case "attached":
            return _attached_words(world, key_of)
        case "looking":
            return "", "info"
        case "starting":
            steps = [step.strip() for step in world.steps if step.strip()]
            return f"The node starts … {steps[-1] if steps else ''}".rstrip(), "info"
        case "failed":
            return f"{world.trouble} {start_key} tries again.", "error"
        case "lost":
            left = world.restarts_in
            if left is not None:
                after = f"It is started again in {left:.0f} s ({start_key}: now, {leave_key}: not)."
            else:
                after = f"{start_key} starts it; what you see stays."
            return f"{world.trouble} {after}", "error"


def _attached_words(world: World, key_of: Callable[[str], str]) -> tuple[str, Kind]:
    status = world.status
    if status is None:
        return "", "info"
    if status.network is not None and status.network.revoked:
        text = (
            f"The owner of {status.network.name} revoked this node: it gets nothing there any "
            "more. Leave the network in Peers, or ask its owner for a new invitation."
        )
        return text, "error"
    if status.drained:
        key = key_of("peers.undrain")
        text = f"This node is drained: it takes no new requests. {key} in Peers ends that."
        return text, "warning"
    return "", "info"
