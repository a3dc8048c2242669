"""Sends one notice to one receiver, once, and returns the outcome."""

import asyncio
import math
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum

import httpx

from service.webhooks.addresses import addresses_of
from service.webhooks.errors import AddressRefused
from service.webhooks.notice import Notice
from service.webhooks.presets import message_for
from service.webhooks.receivers import Receiver

WITHIN_S = 10.0  # for one attempt, from the name's resolution to the answer's status
CONNECT_S = 4.0  # for one address of several
MAX_RETRY_AFTER_S = 3600.0
# The receiver will not take this body, however often it comes.
REFUSALS = (400, 413, 415, 422)


class Result(StrEnum):
    """What came of an attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"  # it may succeed later
    REFUSED = "refused"  # it will not
    GONE = "gone"  # the receiver wants no more notices at all


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt; `problem` is a sentence without address, secret and content."""

    result: Result
    problem: str = ""
    retry_after_s: float | None = None  # what the receiver asked for


class Sender:
    """Sends notices to one receiver; nothing that it waits for is shared with others.

    Args:
        receiver: where they go.
        tls: the certificates that are trusted.
        page_url: address of the dashboard, for links.
        within_s: longest time for one attempt.
        wall_clock: epoch seconds.
    """

    def __init__(
        self,
        receiver: Receiver,
        tls: ssl.SSLContext,
        page_url: str | None = None,
        *,
        within_s: float = WITHIN_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._receiver = receiver
        self._page_url = page_url
        self._within_s = within_s
        self._wall_clock = wall_clock
        self._url = httpx.URL(receiver.url.get_secret_value())
        self._resolver = ThreadPoolExecutor(1, "webhook-resolver")  # it can't be interrupted
        # No proxy of the environment: it would resolve the name again, unchecked.
        self._client = httpx.AsyncClient(
            verify=tls,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(within_s, connect=min(within_s, CONNECT_S)),
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()
        self._resolver.shutdown(wait=False, cancel_futures=True)

    async def send(self, notice: Notice) -> Outcome:
        """Sends a notice once. The body of the answer is not read, and a redirect not followed."""
        try:
            async with asyncio.timeout(self._within_s):
                return await self._try(notice)
        except AddressRefused as refused:
            return Outcome(Result.REFUSED, str(refused))
        except (TimeoutError, httpx.TimeoutException):
            return Outcome(Result.FAILED, f"got no answer within {self._within_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as failure:
            return Outcome(Result.FAILED, f"got no answer: {type(failure).__name__}")

    async def _try(self, notice: Notice) -> Outcome:
        url, host = self._url, self._url.host
        port = url.port or (443 if url.scheme == "https" else 80)
        allowed = self._receiver.allow_private
        addresses = await addresses_of(host, port, self._resolver, allowed)
        for address in addresses[:-1]:
            try:
                return await self._post(notice, address)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # the next one may be reachable: of IPv6 and IPv4, often one is
        return await self._post(notice, addresses[-1])

    async def _post(self, notice: Notice, address: str) -> Outcome:
        message = message_for(self._receiver, notice, self._page_url, self._wall_clock())
        request = self._client.build_request(
            "POST",
            self._url.copy_with(host=address),
            content=message.body,
            headers={
                **message.headers,
                "Host": self._url.netloc.decode("ascii"),
                "User-Agent": "Kanjo-Webhooks",
            },
            # The certificate must be the host's, not the address's.
            extensions={"sni_hostname": self._url.raw_host.decode("ascii")},
        )
        response = await self._client.send(request, stream=True)
        try:
            return self._outcome(response)
        finally:
            await response.aclose()

    def _outcome(self, response: httpx.Response) -> Outcome:
        status = response.status_code
        if response.is_success:
            return Outcome(Result.DELIVERED)
        if status == httpx.codes.GONE:
            return Outcome(Result.GONE, "got HTTP 410: the receiver wants no more notices")
        if response.has_redirect_location or 300 <= status < 400:
            return Outcome(
                Result.REFUSED, f"got HTTP {status}, expected no redirect: none is followed"
            )
        problem = f"got HTTP {status}, expected 2xx"
        if status in REFUSALS:
            return Outcome(Result.REFUSED, problem)
        return Outcome(Result.FAILED, problem, self._retry_after_s(response))

    def _retry_after_s(self, response: httpx.Response) -> float | None:
        """Returns the seconds of Retry-After (RFC 9110, 10.2.3), at most an hour; None without."""
        text = response.headers.get("Retry-After", "").strip()
        try:
            seconds = float(text)
        except ValueError:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - self._wall_clock()
            except (ValueError, TypeError, OverflowError):
                return None
        return min(max(0.0, seconds), MAX_RETRY_AFTER_S) if math.isfinite(seconds) else None
