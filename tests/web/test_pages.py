"""The pages without a browser: who may see them, their headers and cookies, and what goes wrong."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
import trio
import trio.testing

from aiplat.control.accounts import (
    KeyList,
    KeyStatus,
    NewKey,
    Session,
    UserList,
    UserStatus,
    WhoAmI,
)
from aiplat.control.messages import Done, ModelStatus, PeerStatus
from aiplat.control.sessions import Policy
from aiplat.domain.chat import Generate
from aiplat.domain.errors import (
    AiplatError,
    InvalidApiKey,
    InvalidRequest,
    NotReady,
    RateLimited,
    UserDisabled,
)
from aiplat.http.app import make_public_app
from aiplat.http.asgi import App
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import HOLD, PEER, TOKEN, FakeNode, finished, started
from tests.unit.http.asgi_client import Answer, call, scope

HOST = {"host": "127.0.0.1:8777"}
COOKIE = f"aiplat-{PEER[-8:]}"
SESSION = "ses-aip-aaaabbbbccccddddeeeeffff-secretsecret"
ANN = UserStatus(id="u1", name="ann", keys=1)
BOSS = UserStatus(id="u2", name="boss", role="operator")
KEY = KeyStatus(id="k1", name="<i>editor\u202e</i>", user="ann", scopes=("inference",))
GRANT = Session(user=ANN, id="s1", token=SESSION, expires=9_999_999_999, gateway=PEER)


class Site:
    """The door of a fake node, and a browser's cookies."""

    def __init__(self, node: FakeNode | None = None, **settings: Any) -> None:
        self.node = node or FakeNode()
        self.metrics = Metrics()
        self.app: App = make_public_app(self.node, HttpSettings(**settings), TOKEN, self.metrics)
        self.jar: dict[str, str] = {}
        self.secure = False
        self.node.here = {
            "policy": Policy(gateway=PEER, registration="open", min_password=8, max_password=256),
            "whoami": WhoAmI(gateway=PEER, user=ANN, by="session"),
            "keys.list": KeyList(keys=(KEY,)),
            "users.list": UserList(users=(ANN, BOSS)),
            "login": GRANT,
            "register": GRANT,
            "logout": Done(message="out"),
        }

    @property
    def asked(self) -> list[Any]:
        """What accounts were asked: the method, its wish, the session and the address."""
        return list(self.node.orders)

    def log_in(self, user: UserStatus = ANN) -> Site:
        self.jar[COOKIE] = SESSION
        self.node.here["whoami"] = WhoAmI(gateway=PEER, user=user, by="session")
        return self

    async def get(self, path: str, **headers: str) -> Answer:
        return await self._call("GET", path, headers)

    async def post(self, path: str, page: str | None = None, **fields: Any) -> Answer:
        """Send a form with the token that its page has."""
        token = token_of(await self.get(page or path))
        return await self.send(path, {"csrf": token, **fields})

    async def send(self, path: str, fields: Any, **headers: str) -> Answer:
        body = urlencode(fields, doseq=True).encode()
        kind = {"content-type": "application/x-www-form-urlencoded", **headers}
        return await self._call("POST", path, kind, body)

    async def _call(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        sent: list[Any] = []
        target, _, query = path.partition("?")
        head = {**HOST, **headers} | ({"cookie": cookies} if cookies else {})
        head["content-length"] = str(len(body))
        asked = scope(method, target, head) | {"query_string": query.encode()}
        asked["scheme"] = "https" if self.secure else "http"
        coming = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if coming:
                return coming.pop()
            await trio.sleep_forever()

        async def send(message: Any) -> None:
            sent.append(message)

        with trio.fail_after(10):
            await self.app(asked, receive, send)
        answer = Answer(sent[0]["status"], {}, b"".join(part["body"] for part in sent[1:]))
        self.cookies_set: list[str] = []
        for name, value in sent[0]["headers"]:
            if name == b"set-cookie":
                self.cookies_set.append(value.decode())
                self._keep(value.decode())
            answer.headers[name.decode()] = value.decode()
        return answer

    def _keep(self, cookie: str) -> None:
        name, _, value = cookie.partition(";")[0].partition("=")
        if "Max-Age=0" in cookie:
            self.jar.pop(name, None)
        else:
            self.jar[name] = value.strip('"')


def token_of(answer: Answer) -> str:
    found = re.search(rb'name="csrf" value="([0-9a-f]+)"', answer.body)
    assert found is not None, answer.body
    return found[1].decode()


# -- headers, files, cookies ---------------------------------------------------------------------


async def test_every_page_has_its_headers() -> None:
    site = Site()
    for path in ("/login", "/register", "/open", "/", "/network/live", "/look"):
        headers = (await site.get(path)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert headers["x-request-id"].startswith("req-")


async def test_files_are_kept_for_long_under_a_name_of_their_content() -> None:
    site = Site()
    page = (await site.get("/login")).body.decode()
    paths = re.findall(r'"(/static/[^"]+)"', page)
    assert any(re.fullmatch(r"/static/app\.[0-9a-f]{12}\.css", path) for path in paths)
    for path in paths:
        answer = await site.get(path)
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
    for path in ("/static/app.css", "/static/../app.py", "/static/", "/static/app.000.css"):
        assert (await site.get(path)).status == 404


async def test_who_mistypes_a_page_sees_one_that_says_so() -> None:
    answer = await Site().get("/nosuch<b>", accept="text/html,*/*;q=0.8")
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/html")
    page = answer.body.decode()
    assert "There is no page at /nosuch&lt;b&gt;." in page
    assert 'href="/"' in page
    inside = await Site().log_in().get("/nosuch", accept="text/html")
    assert 'href="/keys"' in inside.body.decode()
    other = await Site().get("/nosuch", accept="application/json, text/html;q=0.1")
    assert other.error["code"] == "not_found"


async def test_the_api_keeps_its_own_errors() -> None:
    answer = await Site().get("/nothing")
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    answer = await Site().get("/v1/models")
    assert answer.error["code"] == "invalid_api_key"


async def test_a_log_in_is_a_cookie_named_for_the_node() -> None:
    site = Site()
    answer = await site.post("/login", name="ann", password="x" * 9, next="/keys")
    assert (answer.status, answer.headers["location"]) == (303, "/keys")
    [cookie] = [one for one in site.cookies_set if one.startswith(f"{COOKIE}=")]
    assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower() and "Path=/" in cookie
    assert "Secure" not in cookie
    assert site.jar[COOKIE] == SESSION
    [(_, wish, session, source)] = [one for one in site.asked if one[0] == "login"]
    assert (wish.name, wish.label, session, source) == ("ann", "a browser", "", "127.0.0.1")


async def test_over_tls_it_is_secure_and_of_this_host() -> None:
    site = Site()
    site.secure = True
    await site.post("/login", name="ann", password="x" * 9)
    [cookie] = [one for one in site.cookies_set if one.startswith("__Host-aiplat=")]
    assert "Secure" in cookie and "Domain" not in cookie and "Path=/" in cookie
    assert all(one.startswith("__Host-aiplat") for one in site.jar)


# -- who may see what ----------------------------------------------------------------------------

KNOWN = ["/", "/keys", "/usage", "/playground", "/network", "/account"]
OPERATORS = ["/users", "/users/one", "/invites", "/audit", "/settings"]


@pytest.mark.parametrize("path", [*KNOWN[1:], *OPERATORS])
async def test_who_is_not_known_logs_in_first(path: str) -> None:
    answer = await Site().get(path)
    assert (answer.status, answer.headers["location"]) == (303, f"/login?next={path}")


@pytest.mark.parametrize("path", OPERATORS)
async def test_operators_pages_are_for_operators(path: str) -> None:
    answer = await Site().log_in().get(path)
    assert answer.status == 403
    assert b"This page is for operators, and ann is none." in answer.body
    assert b'href="/users"' not in answer.body


async def test_operators_forms_are_for_operators() -> None:
    site = Site().log_in()
    token = token_of(await site.get("/keys"))
    for path in ("/users/disable", "/users/delete", "/invites", "/settings"):
        answer = await site.send(path, {"csrf": token, "name": "boss", "sure": "boss"})
        assert answer.status == 403
    assert {one[0] for one in site.asked} <= {"whoami", "keys.list", "policy"}


@pytest.mark.parametrize(
    ("error", "why"), [(InvalidApiKey("over"), "over"), (UserDisabled("disabled"), "disabled")]
)
async def test_a_session_that_is_over_leads_to_the_log_in_and_back(
    error: AiplatError, why: str
) -> None:
    site = Site().log_in()
    site.node.here["whoami"] = error
    answer = await site.get("/usage?since=30d")
    assert answer.headers["location"] == f"/login?next=/usage%3Fsince%3D30d&why={why}"
    assert COOKIE not in site.jar
    shown = await site.get(answer.headers["location"])
    assert b'name="next" value="/usage?since=30d"' in shown.body
    assert (b"over" if why == "over" else b"disabled") in shown.body


async def test_what_polls_is_sent_to_the_log_in_as_a_whole() -> None:
    answer = await Site().get("/network/live", **{"hx-request": "true"})
    assert answer.headers["hx-redirect"] == "/login?next=/network"


async def test_addresses_are_for_operators() -> None:
    site = Site()
    site.node.listed = (PeerStatus(peer_id=PEER, address="/ip4/10.1.2.3/tcp/1", note="why"),)
    assert b"10.1.2.3" not in (await site.log_in().get("/network")).body
    assert b"10.1.2.3" in (await site.log_in(BOSS).get("/network")).body


# -- forms ---------------------------------------------------------------------------------------


async def test_a_form_without_its_token_does_nothing_and_loses_nothing() -> None:
    site = Site().log_in()
    for token in ("", "0" * 64):
        answer = await site.send("/keys", {"csrf": token, "name": "typed name"})
        assert answer.status == 403
        assert b"Nothing was done" in answer.body
        assert b'value="typed name"' in answer.body
    assert "keys.create" not in {one[0] for one in site.asked}
    counted = site.metrics.auth_failures.labels("csrf")._value.get()
    assert counted == 2


async def test_a_token_of_another_session_is_no_good() -> None:
    site = Site().log_in()
    token = token_of(await site.get("/keys"))
    site.jar[COOKIE] = SESSION + "x"
    assert (await site.send("/keys", {"csrf": token, "name": "n"})).status == 403


async def test_a_log_in_needs_the_cookie_of_its_form() -> None:
    site = Site()
    token = token_of(await site.get("/login"))
    site.jar.clear()
    answer = await site.send("/login", {"csrf": token, "name": "ann", "password": "x" * 9})
    assert answer.status == 403
    assert COOKIE not in site.jar


async def test_pages_of_others_are_refused_before() -> None:
    site = Site().log_in()
    token = token_of(await site.get("/keys"))
    for origin in ("https://evil.example", "null"):
        answer = await site.send("/keys", {"csrf": token, "name": "n"}, origin=origin)
        assert (answer.status, answer.error["code"]) == (403, "permission_denied")


async def test_what_was_wrong_stands_beside_its_form() -> None:
    site = Site().log_in()
    site.node.here["keys.create"] = InvalidRequest("The name is taken: <b>x</b>.", param="name")
    answer = await site.post(
        "/keys", name='a"><script>', scopes=["inference", "usage"], expires="30", concurrent="7"
    )
    text = answer.body.decode()
    assert answer.status == 400
    assert 'id="problem" tabindex="-1" autofocus>The name is taken: &lt;b&gt;x&lt;/b&gt;.' in text
    assert 'value="a&#34;&gt;&lt;script&gt;" aria-invalid="true"' in text
    assert '<option value="30" selected>' in text
    assert 'value="7"' in text
    assert "<script>" not in text


async def test_no_password_is_shown_again() -> None:
    site = Site()
    site.node.here["login"] = InvalidApiKey("wrong")
    answer = await site.post("/login", name="ann", password="hunter2hunter2")
    assert answer.status == 401
    assert b"The name or the password is wrong." in answer.body
    assert b'value="ann"' in answer.body
    assert b"hunter2" not in answer.body


async def test_who_is_too_quick_is_told_when_to_come_back() -> None:
    site = Site()
    site.node.here["login"] = RateLimited("Too often: wait 7 s.", retry_after=7)
    answer = await site.post("/login", name="ann", password="x" * 9)
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")


async def test_a_form_has_a_bound() -> None:
    site = Site(max_body_bytes=1000).log_in()
    answer = await site.send("/keys", {"name": "x" * 2000})
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")
    assert site.metrics.bound_hits.labels("http_body")._value.get() == 1


async def test_who_is_not_known_sends_no_conversation() -> None:
    """Else each connection of a stranger's would have the node keep a whole body."""
    site, long = Site(), {"prompt": "x" * 40_000, "model": "echo"}
    for path in ("/login", "/open", "/playground", "/playground/stream", "/keys"):
        answer = await site.send(path, long)
        assert (path, answer.status) == (path, 413)
    site.jar[COOKIE] = SESSION
    site.node.here["whoami"] = InvalidApiKey("over")
    assert (await site.send("/playground/stream", long)).status == 413
    site.log_in()
    assert (await site.send("/playground/stream", long)).status != 413
    assert (await site.send("/keys", {"name": "x" * 40_000})).status == 413


async def test_files_are_no_form() -> None:
    site = Site().log_in()
    answer = await site.send("/keys", {}, **{"content-type": "multipart/form-data; boundary=x"})
    assert answer.status == 400
    assert b"x-www-form-urlencoded" in answer.body


async def test_names_of_others_are_escaped_and_cleaned() -> None:
    site = Site().log_in()
    site.node.offered = (ModelStatus(name="<img src=x>\x1b[31m\u202e", state="ready"),)
    text = (await site.get("/keys")).body.decode()
    assert "&lt;i&gt;editor&lt;/i&gt;" in text
    assert "&lt;img src=x&gt;[31m" in text
    assert "\u202e" not in text and "\x1b" not in text


async def test_a_key_is_shown_once() -> None:
    site = Site().log_in()
    site.node.here["keys.create"] = NewKey(
        id="k2", name="n", key="sk-aip-whole", status=KEY, gateway=PEER
    )
    answer = await site.post("/keys", name="n", scopes="inference", expires="0")
    assert b"sk-aip-whole" in answer.body
    assert answer.headers["cache-control"] == "no-store"
    assert b"sk-aip-whole" not in (await site.get("/keys")).body


async def test_what_was_done_is_said_on_the_next_page_once() -> None:
    site = Site().log_in()
    site.node.here["keys.revoke"] = Done(message="The key <x> is `revoked`.")
    answer = await site.post("/keys/revoke", "/keys", key="k1")
    assert answer.headers["location"] == "/keys"
    assert b"The key &lt;x&gt; is <code>revoked</code>." in (await site.get("/keys")).body
    assert b"revoked</code>" not in (await site.get("/keys")).body


async def test_nobody_else_puts_words_onto_a_page() -> None:
    site = Site().log_in()
    site.jar[f"{COOKIE}-note"] = "SGVsbG8=.0123"
    assert b"Hello" not in (await site.get("/keys")).body


async def test_a_node_that_is_no_gateway_says_so() -> None:
    site = Site()
    site.node.here["policy"] = NotReady("This node is no gateway.")
    answer = await site.get("/login")
    assert answer.status == 503
    assert b"This node is no gateway." in answer.body


async def test_a_fault_of_ours_is_a_page_without_its_words() -> None:
    site = Site().log_in()
    del site.node.here["keys.list"]
    answer = await site.get("/keys")
    assert answer.status == 500
    assert b"keys.list" not in answer.body and b"inside the node" in answer.body


async def test_the_switch_of_the_look_goes_back_to_its_page_alone() -> None:
    site = Site().log_in()
    answer = await site.post("/look", "/keys", look="dark", next="//evil.example")
    assert answer.headers["location"] == "/"
    assert b'data-look="dark"' in (await site.get("/keys")).body
    assert (await site.post("/look", "/keys", look="pink")).status == 400


async def test_an_account_is_deleted_by_who_typed_its_name() -> None:
    site = Site().log_in(BOSS)
    token = token_of(await site.get("/users"))
    site.node.here |= {
        "users.delete": Done(message="gone"),
        "sessions.list": NotReady("no"),
    }
    await site.send("/users/delete", {"csrf": token, "name": "ann", "sure": "bob"})
    assert "users.delete" not in {one[0] for one in site.asked}
    answer = await site.send("/users/delete", {"csrf": token, "name": "ann", "sure": "Ann"})
    assert answer.headers["location"] == "/users"


# -- the playground ------------------------------------------------------------------------------


async def test_an_answer_comes_in_lines() -> None:
    site = Site().log_in()
    token = token_of(await site.get("/playground"))
    fields = {"csrf": token, "prompt": "one two", "model": "echo", "said": ["a", "b\r\nc"],
              "system": "be brief", "temperature": "0.5", "max_tokens": "9"}  # fmt: skip
    answer = await site.send("/playground/stream", fields)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.body.splitlines() if line]
    assert "".join(line.get("text", "") for line in lines) == "one two "
    assert "2 of answer" in lines[-1]["finished"]
    [asking] = site.node.answers.asked
    work = asking.submission.work
    assert asking.submission.credential == SESSION
    assert isinstance(work, Generate)
    assert [(one.role, one.content) for one in work.messages] == [
        ("system", "be brief"), ("user", "a"), ("assistant", "b\nc"), ("user", "one two"),
    ]  # fmt: skip
    sampling = work.sampling
    assert (sampling.temperature, sampling.max_tokens) == (0.5, 9)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"prompt": ""}, "Type something"),
        ({"model": ""}, "Choose a model"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": "3"}, "from 0 to 2"),
        ({"temperature": "nan"}, "from 0 to 2"),
        ({"max_tokens": "0"}, "from 1 to"),
    ],
)
async def test_what_cannot_be_asked_is_told(fields: dict[str, str], word: str) -> None:
    site = Site().log_in()
    good = {"prompt": "my long question", "model": "echo"}
    answer = await site.post("/playground", **{**good, **fields})
    assert answer.status == 400
    assert word in answer.body.decode()
    if "prompt" not in fields:
        assert b"my long question" in answer.body
    token = token_of(await site.get("/playground"))
    streamed = await site.send("/playground/stream", {"csrf": token, **good, **fields})
    assert streamed.status == 400
    assert word in json.loads(streamed.body)["failed"]


async def test_a_stream_needs_a_log_in_and_a_token() -> None:
    site = Site()
    assert (await site.send("/playground/stream", {"prompt": "x"})).status == 401
    site.log_in()
    assert (await site.send("/playground/stream", {"prompt": "x"})).status == 403
    assert site.node.answers.asked == []


async def test_a_refusal_has_its_status() -> None:
    site = Site().log_in()
    token = token_of(await site.get("/playground"))
    site.node.not_there = NotReady("No gateway is there.")
    answer = await site.send("/playground/stream", {"csrf": token, "prompt": "x", "model": "echo"})
    assert (answer.status, json.loads(answer.body)["failed"]) == (503, "No gateway is there.")


async def test_answers_have_a_bound() -> None:
    site = Site(FakeNode(lambda _: [started(), HOLD, finished(0)]), max_requests=1).log_in()
    token = token_of(await site.get("/playground"))
    fields = {"csrf": token, "prompt": "x", "model": "echo"}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.send, "/playground/stream", fields)
        while not site.node.answers.asked:
            await trio.lowlevel.checkpoint()
        answer = await site.send("/playground/stream", fields)
        assert answer.status == 503
        assert site.metrics.bound_hits.labels("http_requests")._value.get() == 1
        nursery.cancel_scope.cancel()


async def test_who_leaves_cancels_the_answer() -> None:
    site = Site(FakeNode(lambda _: [started(), HOLD, finished(0)])).log_in()
    token = token_of(await site.get("/playground"))
    body = urlencode({"csrf": token, "prompt": "x", "model": "echo"}).encode()
    head = {**HOST, "cookie": f"{COOKIE}={SESSION}", "content-length": str(len(body)),
            "content-type": "application/x-www-form-urlencoded"}  # fmt: skip
    coming = [{"type": "http.request", "body": body, "more_body": False}]
    begun = trio.Event()

    async def receive() -> Any:
        if coming:
            return coming.pop()
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        begun.set()

    with trio.fail_after(10):
        await site.app(scope("POST", "/playground/stream", head), receive, send)
    [asking] = site.node.answers.asked
    assert asking.cancelled.is_set()


async def test_only_ones_own_answer_is_stopped() -> None:
    site = Site(FakeNode(lambda _: [started(), HOLD, finished(0)])).log_in()
    token = token_of(await site.get("/playground"))
    answers: list[Answer] = []

    async def ask() -> None:
        fields = {"csrf": token, "prompt": "x", "model": "echo"}
        answers.append(await site.send("/playground/stream", fields))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        asking = await site.node.answers.next_asking()
        await trio.testing.wait_all_tasks_blocked()
        stop = {"csrf": token, "request": asking.submission.id}
        site.node.here["whoami"] = WhoAmI(gateway=PEER, user=BOSS, by="session")
        assert (await site.send("/playground/stop", stop)).status == 404
        assert not asking.cancelled.is_set()
        site.log_in()
        assert (await site.send("/playground/stop", stop)).status == 204
    [answer] = answers
    assert "stopped by you" in json.loads(answer.body.splitlines()[-1])["finished"]
    assert (await site.send("/playground/stop", stop)).status == 404
    assert (await call(site.app, "GET", "/playground/stop")).status == 405
