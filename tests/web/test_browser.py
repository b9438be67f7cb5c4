"""The pages in Chromium against a real node: whole ways, both themes, the keyboard, no scripts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # no stubs

from tests.support.nodes import RunningNode, aiplat
from tests.support.waiting import eventually
from tests.web.browser import (
    CHROMIUM,
    OPERATORS_PAGES,
    PAGES,
    PASSWORD,
    Browser,
    Person,
    browser,
    expect,
)

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Debian's chromium is not installed")

RATE = 20
"""Tokens a second of echo: what has 2,000 is still under way when the test comes to it."""
LONG = "word " * 2000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as there:
        yield there


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(
        tmp_path_factory.mktemp("web") / "node", "--model", "echo", "--echo-rate", str(RATE),
        "--set", "accounts.registrations_per_peer=1000",
        "--set", "accounts.registrations_per_minute=1000",
    )  # fmt: skip
    try:
        opened = aiplat(running.home, "settings", "set", "accounts.registration", "open")
        assert opened.returncode == 0, opened.stderr
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def owner(chromium: Browser, node: RunningNode) -> Iterator[Person]:
    person = Person(chromium, node)
    person.come_in_as_owner()
    yield person
    person.close()


def test_from_registering_to_the_tokens_just_used(chromium: Browser, node: RunningNode) -> None:
    person = Person(chromium, node)
    person.register("walker")
    key = person.make_key("notebook")
    status, _, _ = node.request("GET", "/v1/models", token=key)
    assert status == 200
    person.ask("one two three")
    expect(person.page.locator(".turn.assistant .text")).to_have_text("one two three")
    expect(person.page.locator("#facts")).to_contain_text("of answer")
    words = person.page.locator("#facts").inner_text().split()
    told = int(words[0]) + int(words[5])
    assert told > 3
    eventually(lambda: person.tokens_used() == told)
    expect(person.page.locator(".chart canvas")).to_have_count(3)
    expect(person.page.locator("#table-model tbody th")).to_have_text("echo")
    person.page.get_by_role("button", name="Log out").click()
    expect(person.page.get_by_text("You are logged out.")).to_be_visible()
    person.go("/keys?ended=1")
    expect(person.page.get_by_role("heading", name="Log in")).to_be_visible()
    person.page.get_by_label("Name").fill("walker")
    person.page.get_by_label("Password").fill(PASSWORD)
    person.page.get_by_role("button", name="Log in").click()
    expect(person.page.get_by_role("rowheader", name="notebook")).to_be_visible()
    assert person.page.url.endswith("/keys?ended=1")
    person.close()


def test_a_conversation_goes_on_and_an_answer_can_be_stopped(
    chromium: Browser, node: RunningNode
) -> None:
    person = Person(chromium, node)
    person.register("talker")
    person.ask("first")
    expect(person.page.locator("#facts")).to_contain_text("of answer")
    person.page.get_by_label("Ask", exact=True).fill(LONG)
    person.page.get_by_role("button", name="Ask").click()
    expect(person.page.locator(".turn.assistant .text").nth(1)).to_contain_text("word word")
    person.page.get_by_role("button", name="Stop").click()
    expect(person.page.locator("#facts")).to_contain_text("stopped by you")
    said = person.page.locator("input[name=said]").evaluate_all("all => all.map(one => one.value)")
    assert said[:3] == ["first", "first", LONG]
    assert 0 < len(said[3]) < len(LONG)
    person.close()


def test_a_user_that_is_disabled_has_its_stream_ended(
    chromium: Browser, node: RunningNode, owner: Person
) -> None:
    person = Person(chromium, node)
    person.register("gone")
    person.ask(LONG)
    expect(person.page.locator(".turn.assistant .text")).to_contain_text("word word")
    owner.go("/users")
    owner.page.get_by_role("link", name="gone").click()
    owner.page.get_by_role("button", name="Disable, and end").click()
    expect(owner.page.locator(".note")).to_contain_text("is disabled")
    expect(person.page.locator("#failure .problem")).to_contain_text("disabled")
    person.go("/keys")
    expect(person.page.get_by_role("heading", name="Log in")).to_be_visible()
    person.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(chromium: Browser, node: RunningNode, theme: str) -> None:
    axe = Axe()
    found: dict[str, str] = {}

    def look(person: Person, name: str) -> None:
        results = axe.run(person.page)
        if results.violations_count:
            found[name] = results.generate_report()

    person = Person(chromium, node, theme=theme)
    for path in ("/login", "/register", "/open", "/login?why=over"):
        person.go(path)
        look(person, path)
    person.come_in_as_owner()
    registered = Person(chromium, node, theme=theme, width=390)
    registered.register(f"ann-{theme}")
    registered.close()
    person.ask("hello")
    expect(person.page.locator("#facts")).to_contain_text("of answer")
    look(person, "an answer")
    person.make_key(f"key-{theme}")
    look(person, "a new key")
    for path in (*PAGES, *OPERATORS_PAGES):
        person.go(path.replace("ann", f"ann-{theme}"))
        look(person, path)
    person.go("/audit?name=nobody")
    look(person, "an error")
    person.close()
    assert found == {}


@pytest.mark.parametrize("path", [*PAGES, *OPERATORS_PAGES[:1], *OPERATORS_PAGES[2:]])
def test_a_telephone_shows_it_without_scrolling_aside(owner: Person, path: str) -> None:
    owner.page.set_viewport_size({"width": 390, "height": 800})
    owner.go(path)
    wide = owner.page.evaluate("document.documentElement.scrollWidth")
    owner.page.set_viewport_size({"width": 1280, "height": 900})
    assert wide <= 390


def test_the_longest_names_fit_a_telephone(chromium: Browser, node: RunningNode) -> None:
    person = Person(chromium, node, width=390)
    person.register("w" * 32)
    person.make_key("x" * 64)
    for path in ("/", "/keys", "/account"):
        person.go(path)
        assert person.page.evaluate("document.documentElement.scrollWidth") <= 390
    person.go("/keys")
    name = person.page.get_by_role("rowheader").first.bounding_box()
    assert name is not None
    assert name["width"] < 250
    person.close()


def test_what_was_wrong_is_in_view_wherever_its_form_is(owner: Person) -> None:
    owner.go("/settings")
    field = owner.page.get_by_label("Whole number").last
    field.fill("-1")
    field.press("Enter")
    expect(owner.page.get_by_role("alert")).to_be_focused()
    expect(owner.page.get_by_role("alert")).to_be_in_viewport()
    expect(owner.page.locator("[aria-invalid]")).to_be_in_viewport()


def test_the_keyboard_alone_logs_in_and_makes_a_key(chromium: Browser, node: RunningNode) -> None:
    first = Person(chromium, node)
    first.register("typist")
    first.close()
    person = Person(chromium, node)
    keyboard = person.page.keyboard
    person.go("/login")
    keyboard.press("Tab")
    expect(person.page.get_by_text("Skip to the content")).to_be_focused()
    keyboard.press("Enter")
    keyboard.press("Tab")
    keyboard.type("typist")
    keyboard.press("Tab")
    keyboard.type(PASSWORD)
    keyboard.press("Enter")
    expect(person.page.get_by_role("heading", name="Welcome, typist")).to_be_visible()
    tab_to(person, "link", "Keys")
    keyboard.press("Enter")
    expect(person.page.get_by_role("heading", name="Make a key")).to_be_visible()
    tab_to(person, "textbox", "Name")
    keyboard.type("by hand")
    tab_to(person, "button", "Make the key")
    keyboard.press("Enter")
    expect(person.page.locator("#secret")).to_contain_text("sk-aip-")
    person.close()


def tab_to(person: Person, role: str, name: str) -> None:
    wanted = person.page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]  # a word
    for _ in range(60):
        person.page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            outline = wanted.evaluate("one => getComputedStyle(one).outlineStyle")
            assert outline == "solid"  # one sees where one is
            return
    raise AssertionError(f"no Tab leads to the {role} {name}")


def test_without_scripts_all_but_the_stream_works(chromium: Browser, node: RunningNode) -> None:
    person = Person(chromium, node, scripts=False)
    person.register("plain")
    person.make_key("plain key")
    for words in ("one two", "three"):
        person.page.goto("/playground") if words == "one two" else None
        person.page.get_by_label("Ask", exact=True).fill(words)
        person.page.get_by_role("button", name="Ask").click()
        expect(person.page.locator(".turn.assistant .text").last).to_contain_text(words)
    expect(person.page.locator(".turn")).to_have_count(4)
    expect(person.page.locator("#facts")).to_contain_text("of answer")
    person.page.get_by_role("button", name="Dark").click()
    expect(person.page.locator("html")).to_have_attribute("data-look", "dark")
    assert person.page.url.endswith("/playground")
    person.go("/keys")
    person.page.get_by_text("Change plain key").click()
    person.page.get_by_role("button", name="Revoke plain key now").click()
    expect(person.page.get_by_text("There is no key that holds")).to_be_visible()
    person.close()


def test_the_network_is_shown_as_it_changes(owner: Person) -> None:
    owner.go("/network")
    moment = owner.page.locator("#live").inner_text()
    with owner.page.expect_response(lambda one: one.url.endswith("/network/live")) as answer:
        pass
    assert answer.value.status == 200
    expect(owner.page.locator("#live")).not_to_have_text(moment, use_inner_text=True)


def test_an_operator_invites_and_changes_a_setting(
    chromium: Browser, node: RunningNode, owner: Person
) -> None:
    owner.go("/settings")
    owner.page.get_by_label("One of closed, invite, open").select_option("invite")
    owner.page.get_by_role("button", name="Set accounts.registration").click()
    expect(owner.page.locator(".note")).to_contain_text("accounts.registration is")
    owner.go("/invites")
    owner.page.get_by_role("button", name="Make an invitation").click()
    code = owner.page.locator("#secret").inner_text()
    person = Person(chromium, node)
    person.go("/register")
    person.page.get_by_label("Invitation code").fill(code)
    person.page.get_by_label("Name").fill("guest")
    person.page.get_by_label("Password", exact=True).fill(PASSWORD)
    person.page.get_by_label("The password again").fill(PASSWORD)
    person.page.get_by_role("button", name="Register").click()
    expect(person.page.get_by_role("heading", name="Welcome, guest")).to_be_visible()
    person.close()
    owner.go("/settings")
    owner.page.get_by_label("One of closed, invite, open").select_option("open")
    owner.page.get_by_role("button", name="Set accounts.registration").click()
    owner.go("/audit")
    expect(owner.page.locator("tbody")).to_contain_text("setting.set")


def test_log_ins_are_listed_and_ended(chromium: Browser, node: RunningNode) -> None:
    person, elsewhere = Person(chromium, node), Person(chromium, node)
    person.register("twice")
    elsewhere.go("/login")
    elsewhere.page.get_by_label("Name").fill("twice")
    elsewhere.page.get_by_label("Password").fill(PASSWORD)
    elsewhere.page.get_by_role("button", name="Log in").click()
    expect(elsewhere.page.get_by_role("heading", name="Welcome, twice")).to_be_visible()
    person.go("/account")
    expect(person.page.get_by_role("rowheader")).to_have_count(2)
    person.page.get_by_role("button", name="End all others").click()
    expect(person.page.get_by_role("rowheader")).to_have_count(1)
    elsewhere.go("/usage?since=30d")
    expect(elsewhere.page.get_by_text("Your log-in is over")).to_be_visible()
    elsewhere.page.get_by_label("Name").fill("twice")
    elsewhere.page.get_by_label("Password").fill(PASSWORD)
    elsewhere.page.get_by_role("button", name="Log in").click()
    expect(elsewhere.page.get_by_role("heading", name="Usage")).to_be_visible()
    assert elsewhere.page.url.endswith("/usage?since=30d")
    person.close()
    elsewhere.close()


def test_a_key_is_rotated_and_both_secrets_hold_until_it_is_revoked(
    chromium: Browser, node: RunningNode
) -> None:
    person = Person(chromium, node)
    person.register("turner")
    old = person.make_key("turned")
    person.go("/keys")
    person.page.get_by_text("Change turned").click()
    person.page.get_by_role("button", name="Rotate turned").click()
    new = person.page.locator("#secret").inner_text()
    assert new != old
    assert [node.request("GET", "/v1/models", token=key)[0] for key in (old, new)] == [200, 200]
    person.go("/keys")
    expect(person.page.locator("tbody")).to_contain_text("rotated")
    active = person.page.get_by_role("row").filter(has_text="active")
    active.get_by_text("Change turned").click()
    active.get_by_role("button", name="Revoke turned now").click()
    expect(person.page.locator(".note")).to_contain_text("revoked")
    assert [node.request("GET", "/v1/models", token=key)[0] for key in (old, new)] == [401, 401]
    person.close()


def test_what_is_live_says_when_it_is_not(chromium: Browser, node: RunningNode) -> None:
    person = Person(chromium, node)
    person.register("watcher")
    person.go("/network")
    expect(person.page.locator("#stale")).to_be_hidden()
    person.page.route("**/network/live", lambda route: route.abort())
    expect(person.page.locator("#stale")).to_be_visible(timeout=15_000)
    person.page.unroute("**/network/live")
    expect(person.page.locator("#stale")).to_be_hidden(timeout=15_000)
    wanted = ("ERR_FAILED", "htmx:sendError", "htmx:afterRequest")  # each failure tells these
    assert [one for one in person.faults if not any(word in one for word in wanted)] == []
    person.faults.clear()
    person.close()


def test_a_password_is_changed(chromium: Browser, node: RunningNode) -> None:
    person = Person(chromium, node)
    person.register("changer")
    person.go("/account")
    for old, new in (("not the password", "another long one"), (PASSWORD, "another long one")):
        person.page.get_by_label("Password now").fill(old)
        person.page.get_by_label("New password", exact=True).fill(new)
        person.page.get_by_label("The new password again").fill(new)
        person.page.get_by_role("button", name="Change it").click()
        if old != PASSWORD:
            expect(person.page.get_by_role("alert")).to_be_visible()
    expect(person.page.locator(".note")).to_be_visible()
    person.page.get_by_role("button", name="Log out").click()
    person.page.get_by_label("Name").fill("changer")
    person.page.get_by_label("Password").fill("another long one")
    person.page.get_by_role("button", name="Log in").click()
    expect(person.page.get_by_role("heading", name="Welcome, changer")).to_be_visible()
    person.close()


def test_an_operator_has_all_of_an_account_in_hand(
    chromium: Browser, node: RunningNode, owner: Person
) -> None:
    person = Person(chromium, node)
    person.register("handled")
    person.close()
    page = owner.page
    owner.go("/users/one?name=handled")
    page.get_by_label("Requests at once").fill("many")
    page.get_by_role("button", name="Set the limits").click()
    expect(page.get_by_role("alert")).to_contain_text("many")
    expect(page.get_by_label("Requests at once")).to_have_value("many")
    page.get_by_label("Requests at once").fill("0")
    page.get_by_role("button", name="Set the limits").click()
    expect(page.get_by_role("alert")).to_contain_text("'0' is not from 1")
    page.get_by_label("Requests at once").fill("3")
    page.get_by_label("Tokens a month").fill("20k")
    page.get_by_role("button", name="Set the limits").click()
    expect(page.locator(".note")).to_contain_text("concurrent 3")
    expect(page.get_by_label("Tokens a month")).to_have_value("20000")
    page.get_by_role("button", name="Make an operator").click()
    expect(page.locator(".note")).to_contain_text("operator now")
    page.get_by_role("button", name="End the log-in").click()
    expect(page.get_by_text("Not logged in anywhere.")).to_be_visible()
    page.get_by_label("New password").fill("given by the operator")
    page.get_by_role("button", name="Set the password").click()
    expect(page.locator(".note")).to_be_visible()
    page.get_by_label("Type handled to delete").fill("handled")
    page.get_by_role("button", name="Delete handled").click()
    expect(page.locator(".note")).to_contain_text("is deleted")
    expect(page.get_by_role("link", name="handled")).to_have_count(0)


def test_invitations_are_withdrawn(owner: Person) -> None:
    owner.go("/invites")
    owner.page.get_by_role("button", name="Make an invitation").click()
    expect(owner.page.locator("#secret")).to_contain_text("inv-aip-")
    owner.go("/invites")
    rows = owner.page.locator("tbody tr").count()
    owner.page.get_by_role("button", name="Withdraw").first.click()
    expect(owner.page.locator(".note")).to_be_visible()
    expect(owner.page.locator("tbody tr")).to_have_count(rows - 1)


def test_the_link_of_the_owner_works_once(chromium: Browser, node: RunningNode) -> None:
    link = aiplat(node.home, "open", "--print").stdout.strip()
    first, second = Person(chromium, node), Person(chromium, node)
    first.page.goto(link)
    expect(first.page.get_by_role("heading", name="Welcome, operator")).to_be_visible()
    second.page.goto(link)
    expect(second.page.get_by_role("alert")).to_be_visible()
    assert "#" not in second.page.url
    assert link.rpartition("-")[2] not in second.page.content()
    first.close()
    second.close()


@pytest.mark.slow
@pytest.mark.model
def test_a_real_model_answers_in_the_playground(chromium: Browser, tmp_path: Path) -> None:
    cache = os.environ.get("AIPLAT_CACHE", "")
    environ = {"AIPLAT_ACCOUNTS_REGISTRATION": "open"} | ({"AIPLAT_CACHE": cache} if cache else {})
    node = RunningNode(tmp_path / "node", "--model", "smollm2-135m", environ=environ)
    try:
        person = Person(chromium, node)
        person.register("reader")
        person.ask("Say hello.", "smollm2-135m", most="12")
        expect(person.page.locator("#facts")).to_contain_text("of answer", timeout=120_000)
        assert person.page.locator(".turn.assistant .text").inner_text()
        eventually(lambda: person.tokens_used() > 12)
        person.close()
    finally:
        node.close()
