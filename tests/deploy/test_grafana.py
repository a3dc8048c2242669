"""The dashboard and the alert rules, against /metrics and in a real Prometheus."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from service.metrics import Metrics
from tests.limits import ENOUGH_S
from tests.service.api.conftest import Running, ready, running, until

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/grafana/alert-rules.yaml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
TOOLS = ROOT / "build/tools/usr/bin"  # where `make tools` unpacks Debian's package


def tool(name: str) -> str:
    """Returns the path of one of Prometheus' programs; skips the test without it."""
    unpacked = TOOLS / name
    found = str(unpacked) if unpacked.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: make tools, or Debian's package prometheus")
    return found


def expressions() -> list[str]:
    """Returns every expression of the rules and of the dashboard, with its variables filled in."""
    rules = [r["expr"] for g in yaml.safe_load(RULES.read_text())["groups"] for r in g["rules"]]
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*rules, *(e.replace("$job", "kanjo").replace("$instance", ".*") for e in panels)]


def samples() -> set[str]:
    """Returns the names of all samples that /metrics may have."""
    names = {"up"}
    for family in Metrics().registry.collect():
        ends = {
            "counter": ("_total",),
            "info": ("_info",),
            "histogram": ("_bucket", "_sum", "_count"),
        }
        names |= {family.name + end for end in ends.get(family.type, ("",))}
    return names


def test_every_metric_of_rules_and_dashboard_exists_and_every_metric_is_used() -> None:
    named = set(re.findall(r"\b(?:kanjo|process)_\w+|\bup\b", " ".join(expressions())))
    assert named <= samples()
    own = {name for name in samples() if name.startswith("kanjo_")}
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in own}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} >= base


def test_panels_do_not_overlap_and_have_titles() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert panel["title"]
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_rules_fire_and_stay_silent_as_meant(tmp_path: Path) -> None:
    for path in (RULES, Path(__file__).parent / "alert-rules-test.yaml"):
        shutil.copy(path, tmp_path)
    for arguments in (("check", "rules", RULES.name), ("test", "rules", "alert-rules-test.yaml")):
        ended = subprocess.run(
            [tool("promtool"), *arguments], cwd=tmp_path, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


@contextmanager
def prometheus(service: Running, folder: Path) -> Iterator[httpx.Client]:
    """Runs a Prometheus that scrapes the service and loads the rules; yields a client of it."""
    shutil.copy(RULES, folder)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [RULES.name],
        "scrape_configs": [
            {"job_name": "kanjo", "static_configs": [{"targets": [service.address]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    command = [
        tool("prometheus"),
        "--config.file=prometheus.yml",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, "--storage.tsdb.path=data"], cwd=folder, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{address}/api/v1/", trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.wait(ENOUGH_S)


@pytest.mark.slow
def test_a_prometheus_loads_the_rules_and_answers_every_panel(tmp_path: Path) -> None:
    with running() as service, prometheus(ready(service), tmp_path) as client:

        def answer(path: str, **query: str) -> Any:
            body = client.get(path, params=query).json()
            assert body["status"] == "success", body
            return body["data"]

        def scraped() -> bool:
            try:
                return bool(answer("query", query='up{job="kanjo"} == 1')["result"])
            except (httpx.TransportError, ValueError):  # not yet listening, or not yet ready
                return False

        until(scraped, within_s=ENOUGH_S)
        [rules] = [group["rules"] for group in answer("rules")["groups"]]
        until(lambda: all(rule["health"] == "ok" for rule in answer("rules")["groups"][0]["rules"]))
        for expression in expressions():
            answer("query", query=expression)
        [sample] = answer("query", query=expressions()[len(rules)])["result"]  # "Live calls"
        assert sample["value"][1] == "0"
