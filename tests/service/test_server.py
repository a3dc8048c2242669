import json
import re
import signal
import socket as sockets
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service import app, server
from service.settings import Settings
from tests.limits import ENOUGH_S
from tests.service.api.conftest import STOP, Running, ready, receive_until, running, start, until


def stopped_within_s(service: Running) -> float:
    began = time.monotonic()
    service.should_exit = True
    service.thread.join(30)
    assert not service.thread.is_alive()
    return time.monotonic() - began


def test_a_stop_lets_live_calls_end_and_admits_no_new_ones() -> None:
    with running(drain_s=20) as service:
        ready(service)
        with service.socket() as live, service.socket() as unstarted:
            live.send(start("live"))
            receive_until(live, "started")
            service.should_exit = True
            until(lambda: service.services.stopping.is_set())
            assert service.get("/readyz").json()["not_stopping"] is False
            with pytest.raises(InvalidStatus) as refused, service.socket():
                pass
            assert refused.value.response.status_code == 503
            unstarted.send(start("late"))  # on a connection that is open already
            error = json.loads(unstarted.recv(timeout=ENOUGH_S))
            assert (error["code"], error["fatal"]) == ("stopping", True)
            live.send(STOP)
            assert receive_until(live)[-1]["reason"] == "stop"
        assert stopped_within_s(service) < 5
    assert service.services.connections == set()


def test_pages_follow_the_live_calls_until_the_last_one_has_ended() -> None:
    for _ in range(2):  # two servers in a process: the stop of one is not that of the next
        with running(drain_s=20) as service, ready(service).socket() as last:
            last.send(start("last"))
            receive_until(last, "started")
            with (
                service.socket() as first,
                service.client() as client,
                client.stream("GET", "/v1/events") as page,
            ):
                lines = page.iter_lines()
                first.send(start("first"))
                receive_until(first, "started")
                service.handle_exit(signal.SIGTERM, None)
                until(lambda: service.services.stopping.is_set())
                time.sleep(1)  # twice as long as the library takes to notice a signal
                first.send(STOP)
                receive_until(first)
                assert any(line == "event: call_ended" for line in lines)
                last.send(STOP)
                receive_until(last)
                for _ in lines:  # to the end of the response, which is complete
                    pass
            assert stopped_within_s(service) < 5


def test_calls_that_are_live_after_drain_s_are_ended_by_their_protocol() -> None:
    with running(drain_s=0.5) as service:
        with ready(service).socket() as live, service.socket() as idle:
            live.send(start("live"))
            receive_until(live, "started")
            stopping = threading.Thread(target=stopped_within_s, args=(service,))
            stopping.start()
            assert receive_until(live)[-1]["reason"] == "service stopping"
            assert receive_until(idle, "error")[-1]["code"] == "stopping"
            for client, code in ((live, 1000), (idle, 1013)):
                with pytest.raises(ConnectionClosed) as closed:
                    client.recv(timeout=ENOUGH_S)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == code
            stopping.join()


def test_a_service_without_calls_stops_at_once() -> None:
    with running(drain_s=20) as service:
        with ready(service).socket():
            assert stopped_within_s(service) < 6


def test_a_second_interrupt_ends_live_calls_at_once() -> None:
    with running(drain_s=20) as service:
        with ready(service).socket() as live:
            live.send(start("live"))
            receive_until(live, "started")
            service.hurry.set()  # as a second Ctrl-C
            assert stopped_within_s(service) < 5


def test_dead_clients_are_found_without_websocket_pings() -> None:
    with running() as service, ready(service).socket():
        assert service.config.ws_ping_interval is None
        connections: list[Any] = [*service.server_state.connections]
        assert connections
        for connection in connections:
            raw = connection.transport.get_extra_info("socket")
            assert raw.getsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE) == 1
            assert raw.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_KEEPIDLE) == server.KEEPALIVE_S


def test_it_listens_at_the_address_that_the_settings_allow() -> None:
    service = Running(Settings(host="0.0.0.0", port=8001, batch_max=1))
    assert service.config.host == "127.0.0.1"
    service = Running(Settings(host="0.0.0.0", batch_max=1, native_token="t" * 16))
    assert service.config.host == "0.0.0.0"


def test_the_stop_grace_period_of_containers_is_long_enough() -> None:
    stop_s = Settings().drain_s + server.CLOSING_S + server.PAGES_S + app.FLUSH_S
    compose = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())
    for name in ("kanjo", "kanjo-gpu"):
        grace = re.fullmatch(r"(\d+)s", compose["services"][name]["stop_grace_period"])
        assert grace
        assert int(grace[1]) > stop_s
