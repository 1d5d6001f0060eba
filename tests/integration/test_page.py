"""The page in a real Chromium, over the real application with a real retriever and answers in the documents' words."""

import asyncio
import math
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.ratings import Rating
from include.quarry.errors import QuarryError, Unavailable
from include.quarry.feedback.opinions import Opinions
from include.quarry.feeds.uploads import Uploads
from include.quarry.gateway.answer_routes import answer_routes
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.document_routes import document_routes
from include.quarry.gateway.feedback_routes import feedback_routes
from include.quarry.gateway.page_routes import page_routes
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answering import Answerer
from include.quarry.generation.answers import Answer, AnswerEvent, VerifiedSentence
from include.quarry.generation.protocol import Origin
from include.quarry.records import Hit, Scope
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.settings import Settings
from tests.door import open_test_door, token
from tests.servers.asgi import serving
from tests.unit.routing.corpus import SPEC, Corpus, HashEncoder

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.integration
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
LIGHTHOUSE = """Marrow Point 🗼 lies at the western end of the bay 🌊.

The lighthouse of Marrow Point was built in 1871 by the engineer Ada Finch.
"""
HOSTILE = """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">

The windmill of Crow Hill was burnt in 1790 by the miller <b onmouseover="window.hacked = 3">John Stone</b>.
"""
BUILT = "When was the lighthouse of Marrow Point built?"
BURNT = "When was the windmill of Crow Hill burnt?"


class Platform:
    """The library's own parts in one process; failures and pauses are asked for by the question."""

    def __init__(self, corpus: Corpus, residents: ResidentIndexes) -> None:
        self._residents = residents
        self._answerer = Answerer({})
        self.documents = Uploads(corpus.database, corpus.ingestor)
        self.opinions: list[tuple[str, str, int, str]] = []
        self.fails: QuarryError | None = None
        self.kept = False
        self.lingers = False
        self.goes_on = threading.Event()
        self.left = threading.Event()

    async def retrieve(self, corpus: str, query: str, top_k: int, scope: Scope, visit: Visit, **_: object) -> Retrieval:
        if self.fails:
            failure, self.fails = self.fails, None
            raise failure
        resident = await asyncio.to_thread(self._residents.load, corpus)
        return await resident.live.retrieve(query, top_k=top_k, scope=scope)

    async def answer(self, question: str, hits: Sequence[Hit], wish: Any, visit: Visit) -> AsyncGenerator[AnswerEvent]:
        try:
            async for event in self._answerer.answer(question, hits, wish, visit):
                yield self._kept(event) if self.kept and isinstance(event, Answer) else event
                if isinstance(event, Answer if self.lingers else VerifiedSentence):
                    await asyncio.to_thread(self.goes_on.wait, 20)
        finally:
            self.left.set()

    @staticmethod
    def _kept(answer: Answer) -> Answer:
        return replace(answer, kept=True, origin=Origin("spring", "smollm2-135m", "0a1b2c3d4e5f"))


class RememberedOpinions(Opinions):
    """Takes every opinion without looking for its query, which nobody logs here."""

    def __init__(self, taken: list[tuple[str, str, int, str]]) -> None:
        self._taken = taken

    async def rate(
        self, query_id: str, tenant: str, subject: str, rating: Rating, *, within_s: float = math.inf
    ) -> None:
        self._taken.append((query_id, tenant, rating.rating, rating.comment))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("page")
    settings = Settings(home=home, database_url=f"sqlite:///{home / 'catalog.db'}", _env_file=None)
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    corpus = Corpus(database, settings)
    corpus.put("guide/lighthouse.md", LIGHTHOUSE, "red")
    corpus.put("guide/<i>mill</i>.md", HOSTILE, "red")
    corpus.embed()
    build_version("v1", "main", SPEC, settings)
    promote("v1", settings)
    yield Platform(
        corpus, ResidentIndexes(database, corpus.lake, home / "scratch", lambda _: HashEncoder(), interval_s=1)
    )
    database.close()


@pytest.fixture(scope="module")
def url(platform: Platform) -> Iterator[str]:
    door = open_test_door()
    routers: list[APIRouter] = [
        page_routes(["When was the lighthouse built?"]),
        answer_routes(Asking(platform.retrieve, platform.answer), door),
        document_routes(platform.documents, door),
        feedback_routes(RememberedOpinions(platform.opinions), door),
    ]
    with serving(build_http_app(routers, door, max_document_bytes=100_000)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with playwright.sync_playwright() as engine:
        opened = engine.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, url: str, platform: Platform) -> Iterator[Any]:
    """A tab with a token; whatever the page says in the console on its own account fails the test."""
    platform.goes_on.set()
    platform.left.clear()
    platform.fails, platform.kept, platform.lingers = None, False, False
    yield from tab(browser, url, width=1280, height=800)


def tab(browser: Any, url: str, **size: int) -> Iterator[Any]:
    context = browser.new_context(viewport=size)
    context.set_default_timeout(20_000)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda said: complaints.append(said.text) if "Failed to load" not in said.text else None)
    opened.goto(url)
    opened.evaluate("token => sessionStorage.setItem('quarry.token', token)", token("red"))
    opened.reload()
    yield opened
    context.close()
    assert complaints == []


def ask(page: Any, question: str) -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")


def wait_for_answers(page: Any, count: int) -> None:
    """The newest stands first, so only their number tells that it is whole."""
    page.locator(".facts").nth(count - 1).wait_for()


def test_an_answer_streams_in_and_its_citation_shows_the_passage_in_its_document(page: Any, platform: Platform) -> None:
    platform.goes_on.clear()
    ask(page, BUILT)
    page.wait_for_selector(".sentence")
    assert page.get_attribute(".answer", "aria-busy") == "true"
    assert "1871" in page.inner_text("#news")
    platform.goes_on.set()
    page.wait_for_selector(".facts")
    page.hover(".marker")
    page.locator(".source-text", has_text="western end").wait_for()
    assert page.inner_text(".source-text mark").startswith("The lighthouse of Marrow Point was built in 1871")
    assert page.inner_text(".source-where") == "guide/lighthouse.md"
    assert page.inner_text("#who") == "red · tester"


def test_the_page_works_by_keyboard_alone(page: Any) -> None:
    page.locator("#question:focus").wait_for()
    page.keyboard.type(BUILT)
    page.keyboard.press("Enter")
    page.wait_for_selector(".facts")
    page.focus("#send")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "marker"
    page.wait_for_selector(".source-text mark")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "marker"
    assert page.is_hidden(".source-open")


def test_it_says_whose_words_an_answer_is_and_that_it_was_kept(page: Any, platform: Platform) -> None:
    ask(page, BUILT)
    page.wait_for_selector(".facts")
    assert "Model" not in page.inner_text(".facts")
    assert "Kept" not in page.inner_text(".facts")
    platform.kept = True
    ask(page, BUILT)
    wait_for_answers(page, 2)
    said = page.locator(".facts").first.inner_text()
    assert "smollm2-135m, prompt 0a1b2c3d" in said
    assert "answered before" in said


def test_the_next_question_may_be_asked_before_the_last_stream_is_closed(page: Any, platform: Platform) -> None:
    platform.lingers = True
    platform.goes_on.clear()
    ask(page, BUILT)
    page.wait_for_selector(".facts")
    ask(page, BURNT)
    wait_for_answers(page, 2)
    assert page.locator(".answer .question").all_inner_texts() == [BURNT, BUILT]
    platform.goes_on.set()


def test_thumbs_are_kept_with_the_query(page: Any, platform: Platform) -> None:
    ask(page, BUILT)
    page.click(".thumb.down")
    page.fill(".why input", "too short")
    page.keyboard.press("Enter")
    page.locator(".rating-said", has_text="note").wait_for()
    (query_id, *first), second = platform.opinions[-2:]
    assert len(query_id) == 32
    assert (first, second) == (["red", -1, ""], (query_id, "red", -1, "too short"))
    assert page.get_attribute(".thumb.down", "aria-pressed") == "true"


def test_a_hostile_document_stays_text(page: Any) -> None:
    ask(page, BURNT)
    page.wait_for_selector(".facts")
    page.hover(".marker")
    page.locator(".source-text", has_text="<script>").wait_for()
    assert page.inner_text(".source-where") == "guide/<i>mill</i>.md"
    ask(page, "<img src=x onerror='window.hacked = 4'> built?")
    wait_for_answers(page, 2)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, aside img, aside script, main b").count() == 0


def test_without_a_token_the_page_asks_for_one_and_then_asks_again(page: Any) -> None:
    page.evaluate("sessionStorage.clear()")
    page.reload()
    ask(page, BUILT)
    page.wait_for_selector("dialog[open]")
    page.fill("#token-text", f"Bearer {token('red')}")
    page.click("dialog .loud")
    page.wait_for_selector(".facts")
    assert page.inner_text("#who") == "red · tester"
    assert token("red") not in page.url
    assert page.evaluate("localStorage.length") == 0


def test_a_token_that_is_not_accepted_says_why(page: Any) -> None:
    page.evaluate("sessionStorage.setItem('quarry.token', 'nonsense')")
    ask(page, BUILT)
    page.wait_for_selector("dialog[open]")
    page.click("#forget-token")
    assert page.inner_text("#who") == "Add a token"


def test_a_busy_platform_says_when_to_come_back(page: Any, platform: Platform) -> None:
    platform.fails = Unavailable("the queue is full", retry_after_s=8)
    ask(page, BUILT)
    page.wait_for_selector(".problem")
    assert page.is_disabled(".problem button")
    assert "Come back in" in page.inner_text(".problem-wait")
    page.click(".problem button:enabled")
    page.wait_for_selector(".facts")


def test_a_stopped_answer_ends_the_generation(page: Any, platform: Platform) -> None:
    platform.goes_on.clear()
    ask(page, BUILT)
    page.wait_for_selector(".sentence")
    platform.left.clear()
    page.click("#send")
    page.wait_for_selector("text=You stopped this answer.")
    assert platform.left.wait(15)  # it would go on by itself after 20


def test_a_deleted_document_is_not_shown_any_more(page: Any, platform: Platform) -> None:
    def gone(route: Any) -> None:
        route.fulfill(status=404, json={"title": "Not found", "status": 404, "detail": "no document"})

    page.route("**/v1/documents/**", gone)
    ask(page, BUILT)
    page.hover(".marker")
    page.wait_for_selector("text=This document is gone now.")


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Any, url: str, platform: Platform) -> None:
    platform.goes_on.set()
    for page in tab(browser, url, width=360, height=740):
        ask(page, BUILT)
        page.wait_for_selector(".facts")
        page.click(".marker")
        page.wait_for_selector(".source-text mark")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        small = page.evaluate(
            "[...document.querySelectorAll('button, .tiers span')].filter(e => e.offsetParent)"
            ".filter(e => e.offsetHeight < 24 || e.offsetWidth < 24).map(e => e.outerHTML)"
        )
        assert small == []  # WCAG 2.2, target size
