"""A browser logs in at a provider on another site, and the page knows it at once."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.chromium import MISSING, chromium
from tests.e2e.service import Service
from tests.limits import ENOUGH_S
from tests.service.api.oidc_provider import CLIENT, SECRET, providing


@pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's chromium: {MISSING}")
def test_a_browser_logs_in_at_the_provider(tmp_path: Path) -> None:
    with providing({"ada": {"groups": ["ops"]}}) as provider:
        # Another host than the service's, so that the way back crosses sites.
        provider.issuer = provider.issuer.replace("127.0.0.1", "localhost")
        settings = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT}
        with (
            Service(
                tmp_path, **settings, oidc_client_secret=SECRET, oidc_roles="ops:operator"
            ) as kanjo,
            chromium() as browser,
        ):
            page = browser.new_page()
            page.set_default_timeout(1000 * ENOUGH_S)
            page.goto(kanjo.url)
            page.click("text=Log in with single sign-on")
            page.wait_for_url(f"{provider.issuer}/**")
            page.click("button[value=ada]")
            page.wait_for_url(f"{kanjo.url}/**")
            expect(page.locator("#connection")).to_have_text("Live", timeout=1000 * ENOUGH_S)
            page.click(".choices summary")
            expect(page.locator("#log-out")).to_be_visible()
            (cookie,) = [it for it in page.context.cookies() if it["domain"] == "127.0.0.1"]
            assert cookie["sameSite"] == "Strict"
