"""Makes the pictures of every view, `make screenshots`: light and dark, on a desktop and a phone.

The calls are made up; the page, its layout and its words are the real ones.
"""

from pathlib import Path
from typing import Any

from tests.e2e.chromium import chromium
from tests.paths import ROOT
from tests.service.dashboard.feed import ANGRY, HAPPY, NEUTRAL, Feed, Server, wait_until
from tests.service.dashboard.page import Page, opened

FOLDER = ROOT / "docs" / "images"
SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
VIEWS = {
    "needs": ("needs", "#needed li"),
    "calls": ("calls", ".call"),
    "call": ("call/CA03", ".chart canvas"),
    "history": ("history", "#queues"),
}
# caller, queue, agent, age in seconds, how the stretches of speech sound: Angry, Happy, neutral
CALLS = (
    ("+49 30 555 0134", "Billing", "Ann Lee", 421, "nnnnnnnHn"),
    ("+81 3 5550 0177", "Support", "Kenji Mori", 356, "nnnnAAAAA"),
    ("+44 20 7946 0821", "Billing", "Ben Okoro", 313, "nnAnAAAAA"),
    ("+1 212 555 0186", "Sales", "Carla Diaz", 248, "nnHHHHnHH"),
    ("+33 1 70 55 01 19", "Support", "Dina Roth", 187, "nnnnAAnAA"),
    ("+49 89 555 0162", "Sales", "Emil Sand", 126, "nnnnnnHnn"),
    ("+81 6 5550 0148", "Support", "Fumi Abe", 104, "nnAnnnnnn"),
)
SOUNDS = {"A": ANGRY, "H": HAPPY, "n": NEUTRAL}


def busy(feed: Feed) -> None:
    """Fills the feed with calls of which two need somebody."""
    for number, (caller, queue, agent, age_s, speech) in enumerate(CALLS, 1):
        call_id = f"CA{number:02}"
        facts = {
            "caller_number": caller,
            "queue": queue,
            "agent": agent,
            "called_number": "+49 30 555 0100",
            "call_url": f"https://pbx.example/monitor/{number}",
        }
        feed.start(call_id, ago_s=age_s, facts=facts, session=call_id)
        for before in range(1, 4):  # minutes that the ribbon does not show
            if age_s > 90 + 30 * before:
                feed.read(call_id, age_s - 60.0 - 30 * before, NEUTRAL, heard_s=8)
        for at, sound in enumerate(speech):
            p = 1 - 0.04 * ((at * 7 + number) % 4)
            neutral = SOUNDS[sound]["neutral"] + (1 - p) * 0.8
            probabilities = {**{k: v * p for k, v in SOUNDS[sound].items()}, "neutral": neutral}
            feed.read(call_id, age_s - 84 + 10.0 * at, probabilities, heard_s=5 + (at + number) % 4)
    for call_id, ago_s in (("CA03", 46), ("CA05", 34), ("CA02", 40)):
        age_s = CALLS[int(call_id[2:]) - 1][3]
        alert = feed.alert(call_id, "firing", since_s=age_s - ago_s, probability=0.86)
        if call_id == "CA02":
            feed.did(alert["alert_id"], taken={"by": "Ada", "at": feed.now() - 21})
    feed.alert("CA04", "firing", since_s=180, emotion="happiness", probability=0.9)
    over = feed.alert("CA07", "resolved", since_s=30, resolved_at_s=55)
    feed.did(over["alert_id"], dismissed={"why": "not_the_caller", "by": "Ben", "at": feed.now()})
    for alert in feed.alerts.values():
        alert |= {"session": alert["call_id"], "queue": CALLS[int(alert["call_id"][2:]) - 1][1]}
    feed.counts = [
        {
            "day": f"2026-11-{day}",
            "queue": queue,
            "emotion": "anger",
            "fired": (day * size) % 9 + size,
            "taken": size,
            "muted": 0,
            "dismissed": {"not_angry": (day + size) % 3},
        }
        for day in range(22, 29)
        for queue, size in (("Billing", 5), ("Sales", 2), ("Support", 4))
    ]
    feed.events.clear()


def shoot(page: Page, name: str, view: str, shown: str) -> None:
    """Leaves one picture of a view."""
    page.go(view)
    wait_until(lambda: page.count(shown) > 0)
    if "phone" in name:  # as tall as the view, because what is out of sight is not drawn
        height = page.tab.evaluate("document.documentElement.scrollHeight")
        page.tab.set_viewport_size({"width": 390, "height": max(844, height)})
    page.tab.wait_for_timeout(700)  # for ribbons and charts
    page.tab.screenshot(path=FOLDER / f"{name}.png")


def main() -> None:
    """Makes the pictures of every view in light and dark, for a desktop and a telephone."""
    Path(FOLDER).mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for size, options in SIZES.items():
            for scheme in ("light", "dark"):
                feed = Feed()
                feed.role = "operator"
                busy(feed)
                with Server(feed) as server:
                    with opened(browser, color_scheme=scheme, **options) as page:
                        page.open(server)
                        for name, (view, shown) in VIEWS.items():
                            shoot(page, f"{name}-{size}-{scheme}", view, shown)


if __name__ == "__main__":
    main()
