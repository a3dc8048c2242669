"""What is wrong with the service's store stands in the page's header."""

from tests.service.dashboard.feed import Feed, Server
from tests.service.dashboard.page import Page


def test_what_is_wrong_is_shown_with_its_beginning(page: Page, feed: Feed, server: Server) -> None:
    feed.problems = [
        {"what": "Redis refuses writes: OOM <b>", "since": feed.now() - 60},
        {"what": "outbox: 3 writes can never be applied", "since": feed.now()},
    ]
    page.open(server)
    page.shows("#problems li", "Redis refuses writes: OOM <b> (since ")
    page.shows("#problems li", "outbox: 3 writes can never be applied (since ")
    assert len(page.all("#problems li")) == 2
    assert page.text("#problems").count(":") >= 2


def test_nothing_is_shown_while_nothing_is_wrong(page: Page, server: Server) -> None:
    page.open(server)
    page.shows_nothing_at("#problems")
