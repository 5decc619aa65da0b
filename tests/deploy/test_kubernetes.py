"""The files for Kubernetes are what its schemas allow, and say what the service needs."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from predictor import __version__
from predictor.config import Settings
from tests.deploy.programs import program, run

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
COMPONENTS = sorted(path.name for path in (FOLDER / "components").iterdir())
# KServe's own kind has no schema there; what is in it is a pod.
FOREIGN = {"InferenceService"}
VERSION = kubernetes_validate.latest_version()


def resources(text: str) -> dict[str, dict[str, Any]]:
    """The resources of a text by their kinds."""
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


@functools.cache
def rendered(overlay: str) -> dict[str, dict[str, Any]]:
    """The resources of an overlay, as Kustomize makes them."""
    return resources(run(program("kubectl"), "kustomize", FOLDER / "overlays" / overlay))


def validate(resource: Mapping[str, Any]) -> None:
    """Fail for a field that Kubernetes does not know, or a value that it does not take."""
    kubernetes_validate.validate(dict(resource), VERSION, strict=True)


def pod_of(overlay: str, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The specification of the pods."""
    if overlay != "kserve":
        return dict(found["Deployment"]["spec"]["template"]["spec"])
    predictor = dict(found["InferenceService"]["spec"]["predictor"])
    return {name: value for name, value in predictor.items() if name not in {"minReplicas", "maxReplicas"}}


@pytest.mark.parametrize("file", sorted((FOLDER / "base").glob("*.yaml")), ids=lambda path: path.name)
def test_base(file: Path) -> None:
    """Each file of the base is valid by itself."""
    for kind, resource in resources(file.read_text()).items():
        if kind != "Kustomization":
            validate(resource)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays(overlay: str) -> None:
    """Each overlay can be made, and gives resources that are valid."""
    found = rendered(overlay)

    assert "ConfigMap" in found
    for kind, resource in found.items():
        if kind not in FOREIGN:
            validate(resource)
    metadata = {"name": "pod"}
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_of(overlay, found)})


def test_mistakes_are_found() -> None:
    """The schemas find a misspelt field and a value of the wrong kind."""
    text = (FOLDER / "base" / "deployment.yaml").read_text()
    for wrong in (
        text.replace("readinessProbe", "readynessProbe"),
        text.replace("maxSurge: 1", "maxSurge: []"),
    ):
        with pytest.raises(kubernetes_validate.ValidationError):
            validate(resources(wrong)["Deployment"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods(overlay: str) -> None:
    """A pod has no rights, a root that cannot be written, and time to end what it has begun."""
    found = rendered(overlay)
    pod = pod_of(overlay, found)
    (container,) = pod["containers"]
    own = container["securityContext"]
    settings = Settings()

    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert (own["readOnlyRootFilesystem"], own["capabilities"]) == (True, {"drop": ["ALL"]})
    assert not own["allowPrivilegeEscalation"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/dev/shm"}
    assert pod["terminationGracePeriodSeconds"] > 5 + settings.fetch_seconds + settings.run_seconds
    assert container["lifecycle"]["preStop"] == {"exec": {"command": ["sleep", "5"]}}
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 3600
    assert container["livenessProbe"]["httpGet"]["path"] in {"/healthz", "/v2/health/live"}
    assert container["readinessProbe"]["httpGet"]["path"] in {"/readyz", "/v2/health/ready"}
    tag = container["image"].rpartition(":")[2]
    assert tag.removesuffix("-cuda") == __version__
    assert tag.endswith("-cuda") == (overlay == "gpu")
    # Kustomize has put the name of the ConfigMap in, which changes with each setting.
    assert container["envFrom"][0]["configMapRef"]["name"] == found["ConfigMap"]["metadata"]["name"]


@pytest.mark.parametrize(("overlay", "metric"), [("cpu", "cpu"), ("gpu", "predictor_queue_images")])
def test_autoscaler(overlay: str, metric: str) -> None:
    """The processor says how many pods without a GPU there are; what waits says it of those with one."""
    found = rendered(overlay)
    (measured,) = found["HorizontalPodAutoscaler"]["spec"]["metrics"]

    assert metric in {
        measured.get("resource", {}).get("name"),
        measured.get("pods", {}).get("metric", {}).get("name"),
    }
    assert "replicas" not in found["Deployment"]["spec"]
    assert found["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings(overlay: str) -> None:
    """The settings of an overlay are settings of the service."""
    assert Settings.from_environment(rendered(overlay)["ConfigMap"]["data"]).device in {"cpu", "cuda"}


def blocks_of(policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The addresses that a policy opens."""
    return [one["ipBlock"] for rule in policy["spec"]["egress"] for one in rule["to"] if "ipBlock" in one]


def test_network() -> None:
    """Pods reach no private address but a name server: the network closes what the service refuses, too."""
    dns, *blocks = blocks_of(yaml.safe_load((FOLDER / "base" / "network-policy.yaml").read_text()))

    assert dns == {"cidr": "169.254.20.10/32"}
    assert set(blocks[0]["except"]) >= {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"}
    assert set(blocks[1]["except"]) >= {"fc00::/7", "fe80::/10"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_credentials(component: str, tmp_path: Path) -> None:
    """With a component, pods reach the address that gives out credentials, and no other one besides."""
    folders = [FOLDER / "overlays" / "cpu", FOLDER / "components" / component]
    overlay, added = (os.path.relpath(folder, tmp_path.resolve()) for folder in folders)
    (tmp_path / "kustomization.yaml").write_text(f"resources: [{overlay}]\ncomponents: [{added}]\n")

    made = list(yaml.safe_load_all(run(program("kubectl"), "kustomize", tmp_path)))

    policies = {one["metadata"]["name"]: one for one in made if one["kind"] == "NetworkPolicy"}
    policy = policies["image-prediction-api-credentials"]
    validate(policy)
    assert policy["spec"]["podSelector"] == policies["image-prediction-api"]["spec"]["podSelector"]
    assert all(block["cidr"].endswith(("/32", "/128")) for block in blocks_of(policy))
