"""The page in a real Chromium: what it shows and how it is used."""

from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.service.dashboard.feed import Server, wait_until


class Page:
    """The page as a person sees and uses it."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def open(self, server: Server) -> "Page":
        self.browser.get(f"http://127.0.0.1:{server.port}/")
        wait_until(lambda: self.connection == "Live")
        return self

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        # In one step, because the page may redraw between two.
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        return list(self.browser.execute_script(script, selector))

    def text(self, selector: str) -> str:
        (text,) = self.texts(selector)
        return text

    def shows(self, selector: str, text: str) -> None:
        def holds() -> None:
            assert text in " | ".join(self.texts(selector))

        wait_until(holds)

    def shows_nothing_at(self, selector: str) -> None:
        wait_until(lambda: not any(element.is_displayed() for element in self.all(selector)))

    @property
    def connection(self) -> str:
        return self.text("#connection")

    def pixels(self, ago_s: float, call: int = 0, ribbon: int = 0) -> list[list[int]]:
        """Returns the ribbon's column at `ago_s` before now, top to bottom, as [r, g, b, a]."""
        script = """
            const row = document.querySelectorAll(".call")[arguments[1]];
            const canvas = row.querySelectorAll("canvas")[arguments[2]];
            const { width, height } = canvas;
            const x = Math.min(width - 1, Math.round(width * (1 - arguments[0] / 300)));
            const { data } = canvas.getContext("2d").getImageData(x, 0, 1, height);
            return Array.from({ length: height }, (_, y) => [...data.slice(4 * y, 4 * y + 4)]);
        """
        return list(self.browser.execute_script(script, ago_s, call, ribbon))

    def band(self, name: str, ago_s: float, **where: int) -> list[int]:
        """Returns one pixel of the ribbon: of a band, beside its letter, or off the middle."""
        column = self.pixels(ago_s, **where)
        share = {"above": 0.3, "anger": 0.46, "neither": 0.46, "happiness": 0.56, "below": 0.7}
        return column[round(share[name] * len(column))]

    def point_at(self, ago_s: float) -> None:
        (canvas,) = self.all("canvas")
        width = canvas.size["width"]
        x = round(width / 2 - width * ago_s / 300)
        ActionChains(self.browser).move_to_element_with_offset(canvas, x, 0).perform()

    def emulate(self, command: str, **fields: Any) -> None:
        self.browser.execute_cdp_cmd(f"Emulation.{command}", fields)

    def prefer(self, scheme: str) -> None:
        self.emulate(
            "setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )


def is_orange(pixel: list[int]) -> bool:
    red, green, blue, alpha = pixel
    return alpha == 255 and red > green + 15 and green > blue


def is_green(pixel: list[int]) -> bool:
    red, green, blue, alpha = pixel
    return alpha == 255 and green > red + 15 and green > blue


def is_grey(pixel: list[int]) -> bool:
    return pixel[3] == 255 and max(pixel[:3]) - min(pixel[:3]) < 25
