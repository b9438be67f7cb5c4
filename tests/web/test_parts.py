"""The small parts of the pages, each by itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from aiplat.control.accounts import UsageReply, UsageRow
from aiplat.domain.accounts import Limits
from aiplat.domain.answers import Finished
from aiplat.domain.errors import InvalidRequest
from aiplat.domain.usage import Timings, Usage
from aiplat.http.dashboard.account import _PATHS
from aiplat.http.dashboard.cookies import opened, sealed
from aiplat.http.dashboard.csrf import StaleForm, Tokens
from aiplat.http.dashboard.entering import label_of
from aiplat.http.dashboard.forms import Form, WrongForm, read_form
from aiplat.http.dashboard.operators import plain
from aiplat.http.dashboard.pages import next_path
from aiplat.http.dashboard.playground import facts
from aiplat.http.dashboard.rendering import templates
from aiplat.http.dashboard.static_files import files
from aiplat.http.dashboard.text import harmless, moment, source, span, with_code
from aiplat.http.dashboard.usage import each_day

MOST_BYTES = 150_000
"""Of all that a page loads besides itself: CSS and scripts, as they are served."""


def test_what_pages_load_is_small() -> None:
    loaded = [file for name, file in files().items() if name.endswith((".css", ".js"))]
    assert len(loaded) >= 7
    assert sum(len(file.data) for file in loaded) < MOST_BYTES


def test_what_others_wrote_lies_with_its_licence() -> None:
    for name in ("htmx", "uPlot"):
        assert f"{name}.LICENSE" in files()
        assert b"without" in files()[f"{name}.LICENSE"].data


def test_nothing_is_loaded_or_run_but_files_of_ours() -> None:
    for name in templates().list_templates():
        source, _, _ = templates().loader.get_source(templates(), name)  # type: ignore[union-attr]
        assert "://" not in source.replace("{{ url.scheme }}://", ""), name
        assert "<style" not in source, name
        assert " style=" not in source, name
        assert " onclick" not in source and "hx-on" not in source, name
        for script in source.split("<script")[1:]:
            assert script.startswith(' src="{{ static('), name


# -- tokens and notes ----------------------------------------------------------------------------


def test_a_token_is_of_one_session() -> None:
    tokens = Tokens()
    key = tokens.key("ses-1", "")
    token = tokens.token(key)
    tokens.check(key, token)
    for other in (tokens.key("ses-2", ""), tokens.key("", "ses-1"), Tokens().key("", "")):
        with pytest.raises(StaleForm):
            tokens.check(other, token)
    for given_token in ("", token[:-1], token.upper(), "é"):
        with pytest.raises(StaleForm):
            tokens.check(key, given_token)


def test_before_a_log_in_a_cookie_alone_gives_no_token() -> None:
    assert Tokens().key("", "nonce") != Tokens().key("", "nonce")


def test_after_a_restart_forms_of_a_session_are_good_still() -> None:
    assert Tokens().key("ses", "") == Tokens().key("ses", "")


def test_a_note_is_what_was_sealed() -> None:
    assert opened(sealed("Grüße \ud800", b"key"), b"key") == "Grüße ?"
    assert opened(sealed("x", b"key"), b"other") == ""


@given(st.text())
def test_no_other_note_is_shown(value: str) -> None:
    assert opened(value, b"key") == ""


# -- forms ---------------------------------------------------------------------------------------


def request(kind: str) -> Request:
    head = [(b"content-type", kind.encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": head})


def test_a_form_is_read() -> None:
    form = read_form(
        request("application/x-www-form-urlencoded; charset=UTF-8"),
        b"name=a+b%20c&scopes=x&scopes=y&empty=&bad=%ff",
    )
    assert form.text("name") == "a b c"
    assert form.all("scopes") == ("x", "y")
    assert (form.text("empty", "z"), form.text("none", "z")) == ("", "z")
    assert form.text("bad") == "\ufffd"


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/json", "text/plain", ""]
)
def test_other_kinds_of_forms_are_refused(kind: str) -> None:
    with pytest.raises(WrongForm, match="x-www-form-urlencoded"):
        read_form(request(kind), b"a=b")


def test_a_form_has_a_bound_of_fields() -> None:
    with pytest.raises(WrongForm, match="10000"):
        read_form(request("application/x-www-form-urlencoded"), b"a=1&" * 10_001)


@pytest.mark.parametrize("typed", ["", "x", "-1", "0", "101", "1.5", "٣", "9" * 5000])
def test_a_number_out_of_its_bounds_is_told(typed: str) -> None:
    with pytest.raises(InvalidRequest, match="from 1 to 100") as told:
        Form({"days": [typed]}).whole("days", 1, 100, "The days")
    assert told.value.param == "days"


def test_limits_are_counts_or_nothing() -> None:
    form = Form({"requests_per_minute": ["20k"], "concurrent": [""], "tokens_per_month": ["1,000"]})
    assert form.limits() == Limits(requests_per_minute=20_000, tokens_per_month=1000)
    for wrong in ("many", "0", "-3"):  # 0 shuts nobody out: it is no limit that there is
        with pytest.raises(InvalidRequest) as told:
            Form({"concurrent": [wrong]}).limits()
        assert told.value.param == "concurrent"


# -- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/nothing", "", "javascript:x",
     "/keys\r\nx: y", "/keys/../x", "/é"],
)  # fmt: skip
def test_a_log_in_leads_to_pages_of_ours_alone(wanted: str) -> None:
    assert next_path(wanted, _PATHS) == "/"


def test_a_log_in_leads_back() -> None:
    assert next_path("/usage?since=30d", _PATHS) == "/usage?since=30d"
    assert next_path("/keys?" + "x" * 600, _PATHS) == "/keys"


def test_what_is_not_seen_is_taken_away() -> None:
    assert harmless("a\x1b[31mb\u202ec\u200fd\x00\te\r\nf") == "a[31mbcd\te\nf"


def test_commands_are_shown_as_code() -> None:
    assert with_code("Run `a <b>` now.") == "Run <code>a &lt;b&gt;</code> now."
    assert with_code("one ` <alone>") == "one ` &lt;alone&gt;"


def test_times() -> None:
    assert moment(0) == "never"
    assert ">2026-11-27 00:00<" in moment(1_795_737_600)
    assert ">9999-12-31" in moment(1e18)
    assert [span(n) for n in (0.05, 4.24, 192, 7500, 6 * 86_400)] == [
        "50 ms", "4.2 s", "3 min 12 s", "2 h 5 min", "6 days",
    ]  # fmt: skip


def test_where_somebody_was() -> None:
    assert [source(told) for told in ("", "web:", "web:2001:db8:1:2::/64", "12D3KooWabcdefgh")] == [
        "this machine", "this machine, at the page", "2001:db8:1:2::/64", "…abcdefgh",
    ]  # fmt: skip


def test_settings_are_typed_without_quotes() -> None:
    assert [plain(v) for v in ('"invite"', '"a\\"b"', "12", '["a"]')] == [
        "invite", 'a"b', "12", '["a"]',
    ]  # fmt: skip


def test_a_browser_is_told_by_its_family() -> None:
    linux = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    assert label_of(linux + "HeadlessChrome/150.0.0.0 Safari/537.36") == "Chrome on Linux"
    assert label_of("Mozilla/5.0 (Windows NT 10.0; rv:1) Firefox/150.0") == "Firefox on Windows"
    assert label_of("curl/8\x1b[31m") == "a browser"


def test_each_day_has_its_place() -> None:
    begin = int(datetime(2026, 11, 25, tzinfo=UTC).timestamp())
    row = UsageRow(name="2026-11-26", requests=3)
    reply = UsageReply(rows=(row,), total=row, by="day", since=begin, until=begin + 2 * 86_400 + 5)
    assert [(r.name, r.requests) for r in each_day(reply).rows] == [
        ("2026-11-25", 0), ("2026-11-26", 3), ("2026-11-27", 0),
    ]  # fmt: skip


def test_what_an_answer_came_to() -> None:
    end = Finished("length", Usage(10, 21, cached_tokens=4), Timings(1, 500, 2500))
    assert facts(end) == (
        "10 tokens of prompt (4 known already) · 21 of answer · first after 0.50 s · 2.50 s in "
        "all · 10.0 tokens a second · cut at the most tokens"
    )
    assert facts(Finished("stop", Usage(1, 1))) == "1 tokens of prompt · 1 of answer"
