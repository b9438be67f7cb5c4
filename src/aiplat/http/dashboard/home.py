"""The first page: who one is, what is left to use, and where programs go."""

from __future__ import annotations

from starlette.responses import Response

from aiplat.http.dashboard.forms import Problem
from aiplat.http.dashboard.models import known_models
from aiplat.http.dashboard.pages import Page
from aiplat.http.dashboard.rendering import render
from aiplat.http.dashboard.visit import Visit


def home_page() -> Page:
    """The page."""
    return Page("/", "user", _show)


async def _show(visit: Visit, problem: Problem) -> Response:
    models, no_models = await known_models(visit)
    status = visit.around.operations.status()
    url = visit.request.url
    return render(
        visit, "home.html", problem, models=models, no_models=no_models, status=status,
        base_url=f"{url.scheme}://{url.netloc}",
    )  # fmt: skip
