"""The headers that go with every page: nothing runs, is loaded or is sent but what is ours."""

from __future__ import annotations

_POLICY = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
))  # fmt: skip

_ALWAYS = {
    "x-content-type-options": "nosniff",
    # With `no-referrer` a browser sends `Origin: null` with forms (Fetch, 3.2), which the door
    # refuses as any foreign one. This tells others as little.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
PAGE: dict[str, str] = {
    **_ALWAYS,
    "content-security-policy": _POLICY,
    "cache-control": "no-store",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""Of pages, and of all else that is somebody's."""
STATIC: dict[str, str] = _ALWAYS
"""Of files that are everybody's."""
