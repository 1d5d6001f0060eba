"""GET /: the page for people. Its files are read once; nothing is built, and nothing comes from elsewhere."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from fastapi import APIRouter, Request, Response

_FOLDER = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX, _EXAMPLES = "/", "/page/examples.json"
_FILES = {
    _INDEX: "index.html",
    **{
        f"/page/{name}": name
        for name in (
            "answer.js",
            "api.js",
            "elements.js",
            "icon.svg",
            "page.css",
            "page.js",
            "problem.js",
            "rating.js",
            "source.css",
            "source.js",
            "token.js",
        )
    },
}
PAGE_PATHS = frozenset({*_FILES, _EXAMPLES})
"""What is served to everybody: whoever has no token yet needs the page to give one."""

_HEADERS = {
    "Cache-Control": "no-cache",  # kept, and asked for again by its tag: an update is seen at once
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    content_type: str

    def answer(self, request: Request) -> Response:
        """The file, or 304 for a browser that has this very content."""
        tag = f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'
        headers = {**_HEADERS, "ETag": tag}
        known = request.headers.get("if-none-match", "")
        if tag in [each.strip().removeprefix("W/") for each in known.split(",")]:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.content_type)


def page_routes(examples: Sequence[str]) -> APIRouter:
    """The page, with questions that a newcomer may begin with."""
    router = APIRouter(include_in_schema=False)
    files = {path: _read(_FOLDER / name) for path, name in _FILES.items()}
    files[_EXAMPLES] = _File(orjson.dumps(list(examples)), "application/json")
    for path, file in files.items():
        router.add_api_route(path, file.answer, methods=["GET", "HEAD"])
    return router


def _read(file: Path) -> _File:
    return _File(file.read_bytes(), _TYPES[file.suffix])
