"""What a processor may announce: counts that can be, names that can be shown, and not too many."""

from __future__ import annotations

from aiplat.domain.models import ModelOffer
from aiplat.protocol.errors import Violation
from aiplat.protocol.messages import Announce

MAX_MODELS = 256
MAX_NAME = 200
MAX_NOTE = 500
MAX_COUNT = 1_000_000
MAX_LOAD_MS = 86_400_000
SLOWEST, FASTEST = 1e-3, 1e9
"""Tokens a second; 0 besides, for a speed that is not known yet."""


def check_announce(announce: Announce) -> None:
    """Check what the gateway will reckon with.

    Raises:
        Violation: a figure that cannot be, a name out of bounds or twice, or too many.
    """
    names = [offer.name for offer in announce.models]
    if len(names) > MAX_MODELS or len(set(names)) != len(names):
        raise Violation(f"an Announce of {len(names)} models; {MAX_MODELS} different ones may be")
    if len(announce.paused) > MAX_NOTE:
        raise Violation(f"an Announce with a reason of {len(announce.paused)} characters")
    for offer in announce.models:
        _check_offer(offer)


def _check_offer(offer: ModelOffer) -> None:
    if not 1 <= len(offer.name) <= MAX_NAME or not offer.name.isprintable():
        raise Violation("an Announce of a model whose name cannot be shown")
    if len(offer.note) > MAX_NOTE:
        raise Violation(f"an Announce with a note of {len(offer.note)} characters")
    if not all(0 <= n <= MAX_COUNT for n in (offer.slots, offer.running, offer.waiting)):
        raise Violation("an Announce with a count out of bounds")
    speed = offer.tokens_per_second
    if speed != 0 and not SLOWEST <= speed <= FASTEST:  # also refuses NaN
        raise Violation(f"an Announce of {speed} tokens a second")
    if not 0 <= offer.load_ms <= MAX_LOAD_MS:
        raise Violation(f"an Announce of a model that takes {offer.load_ms} ms to load")
    if offer.cold and (offer.state != "loading" or offer.slots == 0):
        raise Violation("an Announce of a cold model that is no such, or has no slot")
    if offer.state == "ready" and (offer.manifest is None or offer.slots == 0):
        raise Violation("an Announce of a ready model without a manifest or a slot")
