"""The console pages: the same values as the API, drawn on the server."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from filiera.automation.report import outcome_text
from filiera.clock import rfc3339
from filiera.core.graph_view import graph_svg
from filiera.core.money import Money
from filiera.server.chart import study_chart
from filiera.server.routes import Api, State
from filiera.server.running import Work, find_work


def home(state: State, _request: Request) -> Response:
    """GET /: the five phases as a picture of this project, and who is at work on it."""
    status = state.workspace.status()
    serving = {name: item.version.label for name, item in state.live.endpoints.items()}
    work = find_work(state.workspace.settings.state / "apply.lock")
    troubles = [trouble.to_json() for trouble in state.troubles.current()]
    return _page("home.html", status=status, serving=serving, work=_told(state, work), troubles=troubles)


def _told(state: State, work: Work | None) -> dict[str, Any] | None:
    """Work in progress, with the last step that it wrote down."""
    if work is None:
        return None
    steps = [entry for entry in state.workspace.audit_entries(20) if entry["action"] != "rows.read"]
    return {"pid": work.pid, "since": rfc3339(work.since_us), "own": work.own, "last": next(iter(steps), None)}


def study(state: State, request: Request) -> Response:
    """GET /studies/{model}: score against money spent."""
    report = state.workspace.study(request.path_params["model"])
    return _page("study.html", study=report, chart=study_chart(report))


def graph(state: State, _request: Request) -> Response:
    """GET /graph: what reads what, coloured by what the plan would do."""
    view = state.workspace.graph()
    return _page("graph.html", view=view, picture=Markup(graph_svg(view)))  # noqa: S704 - its texts are escaped


def events(state: State, _request: Request) -> Response:
    """GET /events: what happened by itself, what came of it, and what waits for a person."""
    return _page("events.html", report=state.workspace.events(), project=state.workspace.settings.project)


def _page(name: str, **values: Any) -> Response:
    text = _templates().get_template(name).render(**values)
    return HTMLResponse(text.encode("utf-8", "replace"))  # names of files need not be proper texts


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(str(_folder("templates"))),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["whole"] = lambda value: f"{value:,}"
    environment.filters["short"] = lambda value: "" if value is None else f"{value:.4g}"
    environment.filters["day"] = lambda text: (text or "")[:10]
    environment.filters["instant"] = lambda text: text[:19].replace("T", " ") + " UTC"
    environment.filters["came"] = outcome_text
    environment.filters["money"] = lambda value: str(Money.of(f"{value['amount']} {value['currency']}"))
    return environment


def _folder(name: str) -> Path:
    return Path(str(files("filiera.console"))) / name


def static_folder() -> Path:
    """Where the style sheet lies."""
    return _folder("static")


PAGES = (
    Api("/", "GET", "project.read", home),
    Api("/graph", "GET", "project.read", graph),
    Api("/events", "GET", "project.read", events),
    Api("/studies/{model}", "GET", "project.read", study),
)
