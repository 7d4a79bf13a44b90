"""The page, its API and its stream, as one ASGI application. All it does to a run is `runner.control.ask`.

A halt has threads of its own and waits for nobody. Everything else that is passed on to the runner goes
through a few places: who finds none is told so, instead of keeping a line from somebody else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from gameday.canonical import from_json
from gameday.console.story import TAKES
from gameday.console.web import shapes
from gameday.console.web.feed import Feed, place_of
from gameday.console.web.guard import ENTER, Guard
from gameday.console.web.programme import Programmes
from gameday.console.web.sessions import LINK_S, SESSION_S, Sessions
from gameday.console.web.stream import CLIENTS_MAX, Crowd, Stream
from gameday.errors import GameDayError, Refused, UsageError
from gameday.evidence.page import stylesheet
from gameday.plan.approvals import Subject, statement_bytes
from gameday.runner.approvals import file_name
from gameday.runner.control import ask
from gameday.runner.statements import make_statement, sign_command, statement_lines

PAGE = Path(__file__).parent / "page"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
ASKING_MAX = 6
REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": shapes.Trouble, "description": words}
    for code, words in (
        (400, "A body that is no JSON."),
        (401, "Nobody was let in by this request's cookie."),
        (403, "A write that does not come from our own page."),
        (409, "The run says no, or does not answer."),
        (413, "Larger than anything we take."),
        (422, "Not what this place expects."),
        (429, "Too many at once."),
    )
}
ENTERED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>gameday console</title>
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<meta http-equiv="refresh" content="0; url=/"><p><a href="/">You are in: go on to the console</a></p>
"""
SPENT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>gameday console</title>
<h1>This link was used before, or is too old</h1>
<p>Ask somebody who is in the console for another, or press Enter where <code>gameday console</code> runs.</p>
"""


class Console:
    """What the routes share."""

    def __init__(self, feed: Feed, sessions: Sessions, cookie: str, project: Path | None = None) -> None:
        self.feed = feed
        self.programmes = Programmes(project)
        self.sessions = sessions
        self.cookie = cookie
        self.crowd = Crowd(feed)
        self.halts = ThreadPoolExecutor(4, thread_name_prefix="halt")
        self._asking = threading.BoundedSemaphore(ASKING_MAX)

    def run_dir(self) -> Path:
        """Return the folder of the run that is followed.

        Raises:
            Refused: There is none yet.
        """
        found = self.feed.run_dir
        if found is None:
            raise Refused("no run is followed yet", todo="Start one: `gameday run PLAN`.")
        return found

    def taking(self, step: str, note: str) -> str:
        """Return the note that says that somebody takes a step of the plan.

        Raises:
            Refused: The plan has no such step.
        """
        story = self.feed.story
        known = story.state.script.steps.get(step) if story is not None else None
        if known is None:
            raise Refused(f"the plan has no step {step!r}")
        return f"{TAKES}{step}: {known.name}{f' ({note})' if note else ''}"

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the few places at the runner's door.

        Raises:
            HTTPException: All are taken.
        """
        if not self._asking.acquire(blocking=False):
            raise HTTPException(429, "others are being heard at the moment: try again")
        try:
            yield
        finally:
            self._asking.release()

    async def halt(self, asked: shapes.HaltRequest) -> dict[str, Any]:
        """Halt the run, in a thread that nothing else uses."""
        run_dir, by = self.run_dir(), named(asked.by)
        reason = asked.reason or "HALT was pressed in the web console"
        work = asyncio.get_running_loop().run_in_executor(
            self.halts, lambda: ask(run_dir, "halt", by=by, text=reason)
        )
        return await work


def named(by: str) -> str:
    """Return a typed name as it is recorded: claimed, whatever it says."""
    return f"{' '.join(by.split()) or 'somebody'}, as typed in the web console"


def build(console: Console, *, beyond_loopback: bool = False, follows: bool = True) -> Guard:
    """Return the whole application.

    Args:
        console: What the routes share.
        beyond_loopback: Whether others than this machine may come.
        follows: Whether it starts the thread that follows the run; a test may tick by hand.
    """

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        console.crowd.bind(asyncio.get_running_loop())
        if follows:
            threading.Thread(target=console.feed.run, name="feed", daemon=True).start()
        try:
            yield
        finally:
            console.feed.stop()
            console.crowd.close()

    app = FastAPI(
        title="gameday console", version="1", lifespan=living, docs_url=None, redoc_url=None,
        openapi_url="/api/openapi.json", responses=REFUSALS, redirect_slashes=False,
    )  # fmt: skip
    app.state.console = console
    _troubles(app)
    _pages(app, console)
    _reads(app, console)
    _writes(app, console)
    _doors(app, console)
    return Guard(app, console.sessions, console.cookie, beyond_loopback=beyond_loopback)


def _troubles(app: FastAPI) -> None:
    @app.exception_handler(GameDayError)
    async def _refused(_: Request, error: GameDayError) -> Response:
        code = 422 if isinstance(error, UsageError) else 409
        return JSONResponse({"error": str(error), "todo": error.todo}, code)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{place}: {first['msg']}"}, 422)


def _pages(app: FastAPI, console: Console) -> None:
    """The page's files are read once: no path of a request ever reaches the disk."""
    files = {path.name: path.read_bytes() for path in sorted(PAGE.iterdir()) if path.suffix in KINDS}
    files["report.css"] = stylesheet()

    @app.get("/", include_in_schema=False)
    async def _index() -> Response:
        return Response(files["index.html"], media_type=KINDS[".html"])

    @app.get("/page/{name}", include_in_schema=False)
    async def _file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "there is no such file")
        return Response(files[name], media_type=KINDS[Path(name).suffix])

    @app.get("/programme", include_in_schema=False)
    def _programme() -> Response:
        status, page = console.programmes.page()
        return HTMLResponse(page, status)

    @app.get(ENTER, include_in_schema=False)
    async def _enter(token: Annotated[str, Query(max_length=200)] = "") -> Response:
        secret = console.sessions.enter(token)
        if secret is None:
            return HTMLResponse(SPENT, 403)
        answer = HTMLResponse(ENTERED)
        answer.set_cookie(
            console.cookie, secret, max_age=SESSION_S, httponly=True, samesite="strict", path="/"
        )
        return answer


def _reads(app: FastAPI, console: Console) -> None:
    @app.get("/api/story")
    def _story() -> dict[str, Any]:
        """Everything that has happened so far."""
        return console.feed.story_data()

    @app.get("/api/programme")
    def _programme() -> dict[str, Any]:
        """The programme of drills: coverage, quarters, trends; `doubt` where the register does not hold."""
        return console.programmes.document()

    @app.get("/api/stream", response_class=Response)
    async def _stream(
        after: Annotated[str, Query(max_length=60)] = "",
        last_event_id: Annotated[str, Header(max_length=60)] = "",
    ) -> Response:
        """What happens, as server-sent events: the story first, then the news. `after` resumes."""
        if console.feed.watching >= CLIENTS_MAX:
            raise HTTPException(429, f"{CLIENTS_MAX} pages are open already")
        return Raw(Stream(console.crowd, place_of(last_event_id or after)))

    @app.get("/api/statement")
    def _statement(
        gate: Annotated[str, Query(max_length=200)],
        name: Annotated[str, Query(max_length=64)],
        role: Annotated[str, Query(max_length=64)],
        lasting: Annotated[str, Query(max_length=20)] = "24h",
    ) -> shapes.Statement:
        """What `name` would sign as `role` at a gate that waits. Making it approves nothing."""
        run_dir = console.run_dir()
        with console.place():
            gates = ask(run_dir, "gates", by=named(name))["gates"]
        found = next((one for one in gates if one["gate"] == gate), None)
        if found is None:
            raise Refused(f"the gate {gate!r} does not wait")
        subject = from_json(Subject, found["subject"], "the runner's answer")
        made = make_statement(subject, principal=name, role=role, lasting=lasting)
        file = file_name(made)
        return shapes.Statement(
            statement=statement_bytes(made).decode(),
            file=file,
            lines=list(statement_lines(made)),
            sign=sign_command(file),
            alone=f"gameday approve {run_dir.name} --as {name} --role {role}",
        )


def _writes(app: FastAPI, console: Console) -> None:
    @app.post("/api/halt")
    async def _halt(asked: shapes.HaltRequest) -> shapes.Answer:
        """Halt the run: the safe direction, so it asks nothing back."""
        reply = await console.halt(asked)
        return shapes.Answer(said=f"put down {reply['file']}" if "file" in reply else "asked")

    @app.post("/api/notes")
    def _note(asked: shapes.NoteRequest) -> shapes.Answer:
        """Add a note, or mark the moment something was detected, acknowledged or mitigated."""
        text = asked.text.strip()
        if not text and not asked.mark:
            raise HTTPException(422, "body.text: a note says something")
        with console.place():
            ask(console.run_dir(), "note", by=named(asked.by), text=text, mark=asked.mark)
        return shapes.Answer(said="noted")

    @app.post("/api/steps")
    def _step(asked: shapes.StepRequest) -> shapes.Answer:
        """Take a step that is to be done by hand, or say that it is done or cannot be done."""
        run_dir, by, note = console.run_dir(), named(asked.by), asked.note.strip()
        if asked.outcome == "failed" and not note:
            raise HTTPException(422, "body.note: say what went wrong; it is recorded")
        with console.place():
            if asked.outcome == "taken":
                ask(run_dir, "note", by=by, text=console.taking(asked.step, note))
            else:
                ask(run_dir, asked.outcome, by=by, text=note, step=asked.step)
        return shapes.Answer(said=asked.outcome)

    @app.post("/api/approvals")
    def _approve(asked: shapes.ApprovalRequest) -> shapes.Answer:
        """Hand in a signed statement. The runner verifies it; without a valid signature it is refused."""
        if "SSH SIGNATURE" not in asked.signature:
            raise HTTPException(422, "body.signature: expected what ssh-keygen wrote into FILE.sig")
        with console.place():
            reply = ask(
                console.run_dir(), "approve", by=named(""), statement=asked.statement,
                signature=asked.signature.replace("\r\n", "\n").strip() + "\n",
            )  # fmt: skip
        return shapes.Answer(said=f"signed; still needed: {reply.get('still', '')}")


def _doors(app: FastAPI, console: Console) -> None:
    @app.post("/api/invitations")
    async def _invite(request: Request) -> shapes.Invitation:
        """Make a link that lets one more person in, once."""
        token = console.sessions.invite()
        origin = request.headers["origin"]  # Ourselves, as the guard has seen; with the scheme of a proxy.
        return shapes.Invitation(url=f"{origin}{ENTER}?token={token}", lasting_s=LINK_S)

    @app.post("/api/leave")
    async def _leave(request: Request) -> JSONResponse:
        """End this session."""
        console.sessions.leave(request.scope["state"]["secret"])
        answer = JSONResponse({"ok": True, "said": "bye"})
        answer.delete_cookie(console.cookie, path="/")
        return answer


class Raw(Response):
    """A response that is an ASGI application itself."""

    def __init__(self, app: Stream) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let it answer."""
        await self._app(scope, receive, send)
