"""A browser logs in at a provider on another site, and the page knows it at once."""

from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.e2e.chromium import MISSING, chromium
from tests.e2e.service import Service
from tests.limits import ENOUGH_S
from tests.service.api.oidc_provider import CLIENT, SECRET, providing


@pytest.mark.skipif(bool(MISSING), reason=f"needs chromium and chromium-driver: {MISSING}")
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
            browser.get(kanjo.url)
            link = (By.LINK_TEXT, "Log in with single sign-on")
            wait(browser).until(lambda page: page.find_element(*link).is_displayed())
            browser.find_element(*link).click()
            wait(browser).until(lambda page: page.current_url.startswith(provider.issuer))
            wait(browser).until(lambda page: page.find_elements(By.NAME, "sub"))
            browser.find_element(By.CSS_SELECTOR, "button[value=ada]").click()
            wait(browser).until(lambda page: page.current_url == f"{kanjo.url}/")
            wait(browser).until(lambda page: page.find_element(By.ID, "connection").text == "Live")
            assert browser.find_element(By.ID, "log-out").is_displayed()
            (cookie,) = browser.get_cookies()
            assert cookie["sameSite"] == "Strict"


def wait(browser: Chrome) -> WebDriverWait[Chrome]:
    return WebDriverWait(browser, ENOUGH_S, poll_frequency=0.1)
