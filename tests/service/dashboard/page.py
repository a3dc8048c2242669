"""The page in a real Chromium: what it shows and how it is used."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator
from playwright.sync_api import Page as Tab

from tests.limits import ENOUGH_S
from tests.service.dashboard.feed import Server, wait_until

SPAN_S = 90  # that a ribbon shows
# A stopped server, and a status that the page is told of, are the browser's complaint, not ours.
EXPECTED = ("ERR_", "the server responded with a status of")


class Page:
    """The page as a person sees and uses it."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.errors: list[str] = []
        tab.set_default_timeout(1000 * ENOUGH_S)
        tab.on("console", self._note)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(text in message.text for text in EXPECTED):
            self.errors.append(message.text)

    def open(self, server: Server, view: str = "needs") -> "Page":
        self.tab.goto(f"http://127.0.0.1:{server.port}/#/{view}")
        wait_until(lambda: self.connection == "Live")
        return self

    def set_clock(self, at: float) -> None:
        """Lets the page have one time, epoch seconds, until it is set again; timers go on."""
        self.tab.clock.set_fixed_time(datetime.fromtimestamp(at, UTC))

    def go(self, view: str) -> None:
        self.tab.evaluate("(hash) => { location.hash = hash; }", f"#/{view}")

    def all(self, selector: str) -> Locator:
        """Returns those that are shown."""
        return self.tab.locator(selector).filter(visible=True)

    def count(self, selector: str) -> int:
        return self.all(selector).count()

    def press(self, selector: str) -> None:
        """Presses the first that is shown, and moves the pointer away."""
        self.all(selector).first.click()
        self.tab.mouse.move(2, 2)

    def texts(self, selector: str) -> list[str]:
        # In one step, because the page may redraw between two.
        script = "(s) => [...document.querySelectorAll(s)].map((e) => e.innerText)"
        return list(self.tab.evaluate(script, selector))

    def text(self, selector: str) -> str:
        (text,) = self.texts(selector)
        return text

    def shows(self, selector: str, text: str) -> None:
        def holds() -> None:
            assert text in " | ".join(self.texts(selector))

        wait_until(holds)

    def shows_nothing_at(self, selector: str) -> None:
        wait_until(lambda: self.count(selector) == 0)

    @property
    def connection(self) -> str:
        return self.text("#connection")

    def pixels(self, ago_s: float, ribbon: int = 0) -> list[list[int]]:
        """Returns the ribbon's column at `ago_s` before now, top to bottom, as [r, g, b, a]."""
        script = """([ago, ribbon, span]) => {
            const canvas = document.querySelectorAll("canvas.ribbon")[ribbon];
            const { width, height } = canvas;
            const x = Math.min(width - 1, Math.round(width * (1 - ago / span)));
            const { data } = canvas.getContext("2d").getImageData(x, 0, 1, height);
            return Array.from({ length: height }, (_, y) => [...data.slice(4 * y, 4 * y + 4)]);
        }"""
        return list(self.tab.evaluate(script, [ago_s, ribbon, SPAN_S]))

    def band(self, name: str, ago_s: float, ribbon: int = 0) -> list[int]:
        """Returns one pixel of the ribbon: of a band, beside its letter, or off the middle."""
        column = self.pixels(ago_s, ribbon)
        share = {"above": 0.3, "anger": 0.46, "neither": 0.46, "happiness": 0.56, "below": 0.7}
        return column[round(share[name] * len(column))]

    def point_at(self, ago_s: float) -> None:
        canvas = self.tab.locator("canvas.ribbon").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box
        x = box["x"] + box["width"] * (1 - ago_s / SPAN_S)
        self.tab.mouse.move(x, box["y"] + box["height"] / 2)


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[Page]:
    """Yields a page of somebody of their own; it must have caused no error at the end."""
    usual = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US", "color_scheme": "light"}
    context = browser.new_context(**(usual | options))
    try:
        page = Page(context.new_page())
        yield page
        assert not page.errors
    finally:
        context.close()


def is_orange(pixel: list[int]) -> bool:
    red, green, blue, alpha = pixel
    return alpha == 255 and red > green + 15 and green > blue


def is_green(pixel: list[int]) -> bool:
    red, green, blue, alpha = pixel
    return alpha == 255 and green > red + 15 and green > blue


def is_grey(pixel: list[int]) -> bool:
    return pixel[3] == 255 and max(pixel[:3]) - min(pixel[:3]) < 25
