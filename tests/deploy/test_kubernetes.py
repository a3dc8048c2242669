"""The manifests of deploy/kubernetes, against Kubernetes' schemas and against the service."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.api.access import ROLES
from service.app import FLUSH_S
from service.metrics import Metrics
from service.server import CLOSING_S, PAGES_S
from service.settings import Settings
from tests.paths import ROOT

FOLDER = ROOT / "deploy/kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
FILES = [*KUSTOMIZATION["resources"], "autoscaling/autoscaler.yaml"]
OBJECTS: dict[str, dict[str, Any]] = {
    f"{one['kind']} {one['metadata']['name']}": one
    for name in FILES
    for one in yaml.safe_load_all((FOLDER / name).read_text())
}
WORKLOADS = ("StatefulSet kanjo", "StatefulSet redis")
KANJO = OBJECTS["StatefulSet kanjo"]["spec"]["template"]["spec"]
[CONTAINER] = KANJO["containers"]
ENVIRON = {one["name"]: one["value"] for one in CONTAINER["env"]}


@pytest.mark.parametrize("version", ["1.33", "1.37"])
@pytest.mark.parametrize("name", OBJECTS)
def test_each_object_is_what_kubernetes_expects(name: str, version: str) -> None:
    kubernetes_validate.validate(OBJECTS[name], version, strict=True)


def test_every_file_is_named() -> None:
    own = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert own == set(KUSTOMIZATION["resources"])


def test_the_service_starts_with_these_settings(tmp_path: Path) -> None:
    environ = dict(ENVIRON)
    [secrets] = [m["mountPath"] for m in CONTAINER["volumeMounts"] if m["name"] == "secrets"]
    readme = (FOLDER / "README.md").read_text()
    for name, value in environ.items():
        if name.endswith("_FILE"):
            key = value.removeprefix(f"{secrets}/")
            assert f"--from-literal={key}=" in readme
            is_url = name == "KANJO_REDIS_URL_FILE"
            text = "redis://:0123456789abcdef@redis:6379/0" if is_url else "0123456789abcdef"
            (tmp_path / key).write_text(text)
            environ[name] = str(tmp_path / key)
    settings = Settings.from_env(environ)
    assert settings.listens_at == "0.0.0.0", "without credentials it would listen on loopback"
    assert not settings.trust_network
    mounts = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert str(settings.state_dir) in mounts
    [port] = CONTAINER["ports"]
    assert port["containerPort"] == settings.port
    for name in ("kanjo", "kanjo-page", "kanjo-pods"):
        [service_port] = OBJECTS[f"Service {name}"]["spec"]["ports"]
        assert service_port["targetPort"] == port["name"]


def test_no_service_of_the_namespace_becomes_a_setting() -> None:
    assert KANJO["enableServiceLinks"] is False


def test_a_pod_is_restarted_by_healthz_and_taken_out_by_readyz() -> None:
    paths = {
        probe: CONTAINER[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert all(ROLES[path] is None for path in paths.values()), "a probe has no credentials"


def test_a_stop_has_time_for_all_that_it_does() -> None:
    [_, before_s] = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    needed_s = int(before_s) + float(ENVIRON["KANJO_DRAIN_S"]) + CLOSING_S + PAGES_S + FLUSH_S
    assert KANJO["terminationGracePeriodSeconds"] >= needed_s + 10


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_has_no_more_than_it_needs(name: str) -> None:
    pod = OBJECTS[name]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]


def test_selectors_select_the_pods() -> None:
    labels = {
        name: OBJECTS[name]["spec"]["template"]["metadata"]["labels"].items() for name in WORKLOADS
    }
    for name, one in OBJECTS.items():
        spec = one.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector") or {}
        selector = dict(selector.get("matchLabels", selector))
        selector.pop("statefulset.kubernetes.io/pod-name", None)  # Kubernetes sets it
        assert not selector or any(selector.items() <= own for own in labels.values()), name
    for name in WORKLOADS:
        assert f"Service {OBJECTS[name]['spec']['serviceName']}" in OBJECTS


def test_the_autoscaler_asks_for_metrics_that_exist() -> None:
    values = yaml.safe_load((FOLDER / "autoscaling/adapter-values.yaml").read_text())
    [rule] = values["rules"]["custom"]
    [metric] = OBJECTS["HorizontalPodAutoscaler kanjo"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    named = set(re.findall(r"\bkanjo_\w+", rule["seriesQuery"] + rule["metricsQuery"]))
    assert named <= {family.name for family in Metrics().registry.collect()}
