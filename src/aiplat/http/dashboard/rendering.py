"""Templates made into pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from aiplat.http.dashboard import text
from aiplat.http.dashboard.csrf import FIELD
from aiplat.http.dashboard.forms import FINE, Problem
from aiplat.http.dashboard.headers import PAGE
from aiplat.http.dashboard.static_files import url_of
from aiplat.http.dashboard.visit import Visit

_FOLDER = Path(__file__).parent / "templates"


@cache
def templates() -> Environment:
    """The environment of all templates: what is shown is escaped, what is missing is a fault."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=text.finalize, auto_reload=False,
    )  # fmt: skip
    made.filters.update(
        number=text.number, limit=text.limit, moment=text.moment, span=text.span,
        peer=text.short_peer,
        source=text.source, sentence=text.with_code,
    )  # fmt: skip
    made.globals.update(static=url_of, csrf_field=FIELD)
    return made


def render(visit: Visit, template: str, problem: Problem = FINE, **values: object) -> Response:
    """Make a page.

    Arguments:
        problem: what was wrong with the form that it shows again.
        values: what the template shows.
    """
    response = HTMLResponse(
        _text(visit, template, problem, values), problem.status, {**PAGE, **problem.headers}
    )
    if visit.nonce:
        visit.cookies.set(response, visit.nonce, "form", seconds=None)
    if visit.note:
        visit.cookies.drop(response, "note")
    return response


def _text(visit: Visit, template: str, problem: Problem, values: dict[str, object]) -> str:
    return templates().get_template(template).render(
        me=visit.known,
        path=visit.path,
        here=visit.request.url.path + (f"?{visit.request.url.query}" if _has_query(visit) else ""),
        csrf=visit.csrf,
        look=visit.cookies.look(visit.request),
        note=visit.note,
        problem=problem,
        typed=visit.form,
        **values,
    )  # fmt: skip


def _has_query(visit: Visit) -> bool:
    return bool(visit.request.url.query) and visit.request.method != "POST"
