"""Three questions over HTTP, and answers as a person reads them."""

from typing import Any

import httpx
from rich.markup import escape

from include.quarry.errors import Unavailable
from include.quarry.gateway.composition import bearer
from include.quarry.operations.progress import console

DEFAULT_QUESTIONS = [
    "How many built-in rules does Ruff have?",
    "What does tenacity do?",
    "Who won the football World Cup in 1998?",  # nothing here says so, and neither may the answer
]


def questions_about(titles: list[str]) -> list[str]:
    """A question for each of up to three different titles."""
    return [f"What is {title} about?" for title in dict.fromkeys(title for title in titles if title.strip())][:3]


def ask(http_url: str, question: str, token: str) -> dict[str, Any]:
    """The body of POST /v1/answer. Raises `Unavailable` with the problem that came instead."""
    try:
        response = httpx.post(
            f"{http_url}/v1/answer", json={"question": question}, headers=bearer(token), timeout=120, trust_env=False
        )
    except httpx.HTTPError as error:
        raise Unavailable(f"POST {http_url}/v1/answer: {error}; see `make logs PART=serve`") from error
    if response.is_error:
        raise Unavailable(f"POST {http_url}/v1/answer answered {response.status_code}: {response.text[:500]}")
    document: dict[str, Any] = response.json()
    return document


def print_answer(answer: dict[str, Any]) -> None:
    """The answer, where its markers point, and how long it took."""
    console.print(f"  {escape(answer['answer'])}")
    for citation in answer["citations"]:
        place = f"{citation['uri']} characters {citation['start']} to {citation['end']}"
        console.print(f"    [cyan]\\[{citation['marker']}][/] {escape(place)}")
    timings = ", ".join(f"{name} {value:.0f} ms" for name, value in answer["timings_ms"].items())
    grounded = "grounded" if answer["grounded"] else "not grounded"
    console.print(f"    [dim]{answer['tier']} tier, {grounded}; {timings}[/]")
