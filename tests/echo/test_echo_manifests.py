"""The responder's manifests build, are valid, and let nobody do more than they must."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from cluster.cluster_build import ROOT, Object, built, missing, of_kind

from t3probe.config import load
from t3probe.echo import Limits, Proxies
from t3probe.echo import __main__ as command
from t3probe.echo.head import ECHO_PATH, HEALTH_PATH

FOLDER = ROOT / "cronjob" / "echo"
ROUTES = {"base": set(), "traefik": {"IngressRoute"}, "gateway": {"HTTPRoute"}}
LABELS = {"app.kubernetes.io/name": "t3probe", "app.kubernetes.io/component": "echo"}
PREFIX = "/probe"


@pytest.fixture(params=sorted(ROUTES))
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def objects(flavour: str) -> list[Object]:
    return built(FOLDER / flavour)


def only(objects: list[Object], kind: str) -> Object:
    (found,) = of_kind(objects, kind)
    return found


def pod(objects: list[Object]) -> Object:
    spec: Object = only(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


def container(objects: list[Object]) -> Object:
    (found,) = pod(objects)["containers"]
    return dict(found)


def test_what_there_is(flavour: str, objects: list[Object]) -> None:
    kinds = [one["kind"] for one in objects]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) - ROUTES[flavour] == {
        "Namespace", "ServiceAccount", "Service", "Deployment", "PodDisruptionBudget",
        "NetworkPolicy",
    }  # fmt: skip
    assert ROUTES[flavour] <= set(kinds)
    for one in objects:
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "t3probe"
        assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "t3probe"


def test_core_kinds_pass_the_clusters_own_schemas(objects: list[Object]) -> None:
    try:
        import kubernetes_validate
    except ImportError:
        missing("kubernetes-validate is not installed; pip install kubernetes-validate")
    newest = kubernetes_validate.latest_version()
    for one in objects:
        if one["kind"] not in ("IngressRoute", "HTTPRoute"):
            kubernetes_validate.validate(one, newest, strict=True)


def test_two_replicas_of_which_one_always_stays(objects: list[Object]) -> None:
    deployment = only(objects, "Deployment")["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    budget = only(objects, "PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] == 1
    (spread,) = pod(objects)["topologySpreadConstraints"]
    for selector in (
        deployment["selector"],
        budget["selector"],
        spread["labelSelector"],
        only(objects, "NetworkPolicy")["spec"]["podSelector"],
        {"matchLabels": only(objects, "Service")["spec"]["selector"]},
    ):
        assert selector == {"matchLabels": LABELS}
    assert LABELS.items() <= deployment["template"]["metadata"]["labels"].items()


def test_the_pod_security_standard_restricted(objects: list[Object]) -> None:
    spec, inner = pod(objects), container(objects)["securityContext"]
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert {security[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {65532}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"} & set(spec)
    assert spec["automountServiceAccountToken"] is False
    assert only(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    labels = only(objects, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_resources_and_image(objects: list[Object]) -> None:
    one = container(objects)
    assert one["resources"]["requests"]["cpu"] == "20m"
    assert one["resources"]["limits"] == {"memory": "128Mi"}
    assert one["resources"]["requests"]["memory"] == "128Mi"
    assert one["image"] == "t3probe:0.2.0"
    text = (FOLDER / "base" / "kustomization.yaml").read_text()
    assert yaml.safe_load(text)["images"] == [
        {"name": "t3probe", "newName": "t3probe", "newTag": "0.2.0"}
    ]
    for file in FOLDER.rglob("*.yaml"):
        assert "latest" not in file.read_text(), file


def test_probes_and_the_end(objects: list[Object]) -> None:
    one = container(objects)
    for probe in ("readinessProbe", "livenessProbe"):
        assert one[probe]["httpGet"] == {"path": HEALTH_PATH, "port": "http"}
    wait = one["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(objects)["terminationGracePeriodSeconds"] >= wait + 5 > wait + Limits().drain
    (port,) = one["ports"]
    assert (port["name"], port["containerPort"]) == ("http", 8080)
    (outer,) = only(objects, "Service")["spec"]["ports"]
    assert (outer["name"], outer["port"], outer["targetPort"]) == ("http", 80, "http")


def test_the_arguments_are_understood(objects: list[Object]) -> None:
    one = container(objects)
    assert one["command"] == ["t3probe", "echo"]
    arguments = command.parser().parse_args(one["args"])
    assert command._place(arguments.listen) == ("", 8080)
    proxies = Proxies(arguments.trusted_proxy)
    assert proxies.trusts("10.42.0.7")
    assert not proxies.trusts("203.0.113.1")
    assert not proxies.trusts("10.0.10.10"), "the machines' own network is no pod network"


def test_only_the_load_balancer_comes_in_and_nothing_goes_out(objects: list[Object]) -> None:
    policy = only(objects, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
    (source,) = rule["from"]
    assert source["namespaceSelector"]["matchLabels"]
    assert source["podSelector"]["matchLabels"]


def public_host() -> str:
    """The host whose carve-out the reference deployment checks."""
    deployment = load(ROOT / "deployments" / "t3.toml", {}, now=0.0)
    (leg,) = [one for one in deployment.legs if (one.kind, one.prefix) == ("walloff", PREFIX)]
    found = re.match("https://([^/]+)/", leg.url or "")
    assert found
    return found[1]


def test_traefik_lets_the_path_past_the_sign_on() -> None:
    route = only(built(FOLDER / "traefik"), "IngressRoute")
    assert route["apiVersion"] == "traefik.io/v1alpha1"
    assert set(route["spec"]) == {"entryPoints", "routes", "tls"}
    assert route["spec"]["entryPoints"] == ["websecure"]
    (rule,) = route["spec"]["routes"]
    assert set(rule) == {"kind", "match", "priority", "services"}, "no middleware, no forward-auth"
    assert rule["kind"] == "Rule"
    assert rule["match"] == f"Host(`{public_host()}`) && PathPrefix(`{PREFIX}`)"
    # Traefik's default priority is the rule's length; a host name has at most 253 characters.
    assert rule["priority"] > 2 * 253
    assert rule["services"] == [{"kind": "Service", "name": "t3probe-echo", "port": "http"}]
    assert ECHO_PATH.startswith(PREFIX + "/")
    assert HEALTH_PATH.startswith(PREFIX + "/")


def test_the_gateway_lets_the_path_past_the_sign_on() -> None:
    route = only(built(FOLDER / "gateway"), "HTTPRoute")
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert set(route["spec"]) == {"parentRefs", "hostnames", "rules"}
    assert route["spec"]["hostnames"] == [public_host()]
    (parent,) = route["spec"]["parentRefs"]
    assert (parent["group"], parent["kind"]) == ("gateway.networking.k8s.io", "Gateway")
    (rule,) = route["spec"]["rules"]
    assert set(rule) == {"matches", "backendRefs"}, "no filter"
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": PREFIX}}]
    (backend,) = rule["backendRefs"]
    assert (backend["kind"], backend["name"], backend["port"]) == ("Service", "t3probe-echo", 80)


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.yaml")), ids=lambda one: one.parent.name)
def test_every_file_is_used(file: Path) -> None:
    kustomization = yaml.safe_load((file.parent / "kustomization.yaml").read_text())
    assert file.name == "kustomization.yaml" or file.name in kustomization["resources"]
