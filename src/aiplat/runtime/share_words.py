"""How a machine is shared, in words for its owner."""

from __future__ import annotations

from aiplat.control.messages import ShareStatus, ShareTerms, ShareUser
from aiplat.control.series import ShareSum
from aiplat.domain.ids import short
from aiplat.runtime.log_lines import one_line

_NOBODY = "others get nothing new"


def in_short(share: ShareStatus) -> str:
    """One line of `aiplat status`."""
    under_way = sum(user.running for user in share.users)
    used = f"; {_requests(under_way)} of others under way" if under_way else ""
    if share.state == "open":
        return f"with all who may ask{_until(share)}{used}"
    return f"{_NOBODY}: {share.reason}{_until(share)}{used}"


def what_holds(share: ShareStatus, ended: int = 0) -> str:
    """What a change came to, in a sentence or two.

    Arguments:
        ended: requests of others that were ended by it.
    """
    if share.state == "stopped":
        return f"Kept for the next start of the node: {_terms(share.terms)}."
    if share.state == "open":
        return f"Others may ask this machine{_until(share)}; its terms: {_terms(share.terms)}."
    left = sum(user.running for user in share.users)
    rest = f" {_requests(ended)} of theirs ended, to be placed elsewhere." if ended else ""
    if left:
        rest += (
            f" {_requests(left)} of theirs under way {'goes' if left == 1 else 'go'} on to the end"
        )
        rest += " (`aiplat share --pause --now` ends them)." if share.state == "paused" else "."
    note = f" ({share.note})" if share.note else ""
    end = " `aiplat share --resume` ends the pause." if share.state == "paused" else ""
    return f"Now {_NOBODY}: {share.reason}{note}{_until(share)}.{rest}{end}"


def describe_share(share: ShareStatus) -> list[str]:
    """All of it, in lines."""
    terms = share.terms
    rows = [("state", _state(share))]
    if share.state != "none":
        rows += [
            ("paused", "yes" if terms.paused else "no"),
            ("hours", f"{terms.hours}{_until(share)}"),
            ("idle only", "yes" if terms.idle_only else "no"),
            ("memory", terms.max_memory or "no bound"),
            ("threads", str(terms.threads) if terms.threads else "no bound"),
        ]
    if share.state not in ("none", "stopped"):
        rows += [("used by", _user(user)) for user in share.users] or [("used by", "nobody else")]
        if share.own:
            rows.append(("own", f"{_requests(share.own)} of this machine's own"))
        got = f"{_requests(share.requests)} and {share.tokens} tokens of others"
        rows.append(("in all", f"{got} since the node started, {span(share.since_seconds)} ago"))
    if (exchange := share.exchange) is not None:
        rows += [
            ("gave", f"{_answered(exchange.gave_day)} in 24 h"),
            ("", f"{_answered(exchange.gave_month)} in 30 days"),
            ("took", f"{_answered(exchange.took_day)} in 24 h"),
            ("", f"{_answered(exchange.took_month)} in 30 days"),
        ]
    return [f"{name:<9} {one_line(text)}" for name, text in rows]


def _state(share: ShareStatus) -> str:
    if share.state == "open":
        return "open: others may ask"
    if share.state == "stopped":
        return "no node runs here: this holds from its next start"
    if share.state == "none":
        return "this node is no processor: it runs no models, and so gives nothing"
    note = f" ({share.note})" if share.note else ""
    return f"{share.state}: {_NOBODY}, {share.reason}{note}"


def _until(share: ShareStatus) -> str:
    """When the hours next open or close."""
    if share.changes_in is None or share.state in ("paused", "draining"):
        return ""
    what = "opens" if share.state == "closed" else "closes"
    return f", {what} at {share.changes_at} (in {span(share.changes_in)})"


def _user(user: ShareUser) -> str:
    by = "" if user.role == "gateway" else ", by this gateway"
    who = (
        f"{short(user.peer_id)} ({user.role}{by})"
        if user.peer_id
        else "clients by key, at this node's door"
    )
    return (
        f"{who}: {user.model}, {_requests(user.running)}, "
        f"{user.tokens} tokens so far, for {span(user.since_seconds)}"
    )


def _terms(terms: ShareTerms) -> str:
    parts = ["paused"] if terms.paused else []
    parts.append("at any hour" if terms.hours == "always" else f"at the hours {terms.hours}")
    parts += ["while it is idle"] if terms.idle_only else []
    parts += [f"memory at most {terms.max_memory}"] if terms.max_memory else []
    parts += [f"threads at most {terms.threads}"] if terms.threads else []
    return ", ".join(parts)


def _answered(total: ShareSum) -> str:
    return f"{_requests(total.requests)}, {total.completion_tokens} tokens"


def _requests(count: int) -> str:
    return f"{count} request{'s' * (count != 1)}"


def span(seconds: float) -> str:
    """Some time, as a person would say it."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"
