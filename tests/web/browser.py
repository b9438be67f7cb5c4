"""Debian's Chromium in front of a real node, and the ways that a person walks through its pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.support.nodes import RunningNode, aiplat

CHROMIUM = shutil.which("chromium") or ""
PASSWORD = "a long enough password"
PAGES = ("/", "/keys", "/usage", "/playground", "/network", "/account")
OPERATORS_PAGES = ("/users", "/users/one?name=ann", "/invites", "/audit", "/settings")
WAIT_MS = 30_000

expect.set_options(timeout=WAIT_MS)

__all__ = ["CHROMIUM", "Browser", "Page", "expect"]


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        there = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=["--no-sandbox"]
        )
        try:
            yield there
        finally:
            there.close()


class Person:
    """Somebody with a browser of their own, from which no request may leave for another host.

    Attributes:
        page: what they see.
        faults: requests elsewhere, errors of scripts, and what the policy of the pages refused.
    """

    def __init__(
        self, browser: Browser, node: RunningNode, *, width: int = 1280, theme: str = "light",
        scripts: bool = True,
    ) -> None:  # fmt: skip
        self.node = node
        self.base = str(node.status["http"])
        self.faults: list[str] = []
        self._context = browser.new_context(
            base_url=self.base, viewport={"width": width, "height": 900},
            color_scheme="dark" if theme == "dark" else "light", java_script_enabled=scripts,
            reduced_motion="reduce",
        )  # fmt: skip
        self._context.set_default_timeout(WAIT_MS)
        self._context.route("**/*", self._let)
        self.page = self._context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("console", self._heard)

    def _let(self, route: Route) -> None:
        asked = urlsplit(route.request.url)
        if asked.netloc == urlsplit(self.base).netloc or asked.scheme == "data":
            route.continue_()
        else:
            self.faults.append(f"elsewhere: {route.request.url}")
            route.abort()

    def _heard(self, message: object) -> None:
        text = str(getattr(message, "text", ""))
        if getattr(message, "type", "") == "error" and "the server responded" not in text:
            self.faults.append(f"console: {text}")

    def close(self) -> None:
        """Go away; nothing went wrong behind what was seen."""
        self._context.close()
        assert self.faults == []

    # -- ways ------------------------------------------------------------------------------------

    def go(self, path: str) -> None:
        self.page.goto(path, wait_until="load")

    def come_in_as_owner(self) -> None:
        link = aiplat(self.node.home, "open", "--print").stdout.strip()
        self.go(link.removeprefix(self.base))
        expect(self.page.get_by_role("heading", name="Welcome, operator")).to_be_visible()

    def register(self, name: str) -> None:
        self.go("/register")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_label("The password again").fill(PASSWORD)
        self.page.get_by_role("button", name="Register").click()
        expect(self.page.get_by_role("heading", name=f"Welcome, {name}")).to_be_visible()

    def make_key(self, name: str) -> str:
        self.go("/keys")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_role("button", name="Make the key").click()
        secret = self.page.locator("#secret").inner_text()
        assert secret.startswith("sk-aip-")
        return secret

    def ask(self, prompt: str, model: str = "echo", most: str = "") -> None:
        self.go("/playground")
        self.page.get_by_label("Model", exact=True).select_option(model)
        self.page.get_by_label("Most tokens of the answer").fill(most)
        self.page.get_by_label("Ask", exact=True).fill(prompt)
        self.page.get_by_role("button", name="Ask").click()

    def tokens_used(self) -> int:
        """Prompts and answers, as the page of usage sums them."""
        self.go("/usage")
        sums = dict(
            zip(
                self.page.locator(".figures dt").all_inner_texts(),
                self.page.locator(".figures dd").all_inner_texts(),
                strict=True,
            )
        )
        wanted = ("Tokens of prompts", "Tokens of answers")
        return sum(int(sums[name].replace(",", "")) for name in wanted)
