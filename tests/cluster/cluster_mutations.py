"""Ways to break a manifest, each with the policy that has to notice."""

from __future__ import annotations

from typing import Any, NamedTuple

from cluster_build import Object, of_kind


class _Gone:
    def __repr__(self) -> str:
        return "GONE"


GONE: Any = _Gone()
"""The value is taken away."""

JOB: tuple[str | int, ...] = ("spec", "jobTemplate", "spec")
POD = (*JOB, "template", "spec")
BOX = (*POD, "containers", 0)
HELD = ("spec", "template", "spec")
HELD_BOX = (*HELD, "containers", 0)
ENDPOINT = ("spec", "podMetricsEndpoints", 0)


class Mutation(NamedTuple):
    """One value in the first object of a kind, changed."""

    policy: str
    overlay: str
    kind: str
    path: tuple[str | int, ...]
    value: Any

    @property
    def id(self) -> str:
        where = ".".join(str(one) for one in self.path[-2:])
        return f"{self.policy}-{self.overlay}-{where}={str(self.value)[:24]}"


def mutated(objects: list[Object], change: Mutation) -> list[Object]:
    """The objects, one of them changed in place."""
    place: Any = of_kind(objects, change.kind)[0]
    for key in change.path[:-1]:
        place = place[key]
    last = change.path[-1]
    if change.value is GONE:
        del place[last]
    elif last == "+":
        place.append(change.value)
    else:
        before = place.get(last) if isinstance(place, dict) else place[last]
        assert before != change.value or type(before) is not type(change.value), "no change"
        place[last] = change.value
    return objects


def _cron(policy: str, *changes: tuple[tuple[str | int, ...], Any]) -> list[Mutation]:
    return [Mutation(policy, "t3", "CronJob", path, value) for path, value in changes]


def _held(policy: str, *changes: tuple[tuple[str | int, ...], Any]) -> list[Mutation]:
    return [Mutation(policy, "watch", "Deployment", path, value) for path, value in changes]


def _agent(policy: str, *changes: tuple[tuple[str | int, ...], Any]) -> list[Mutation]:
    """The first Deployment of the overlay is vmagent's: they stand in the order of their names."""
    return [Mutation(policy, "vmagent", "Deployment", path, value) for path, value in changes]


def _by_key(name: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}


def _env(name: str, value: str) -> Any:
    return {"name": name, "value": value}


MUTATIONS: list[Mutation] = [
    *_cron(
        "every_minute",
        (("spec", "schedule"), "*/5 * * * *"),
        (("spec", "schedule"), GONE),
        (("spec", "suspend"), True),
    ),
    *_cron(
        "no_pile_up",
        (("spec", "concurrencyPolicy"), "Allow"),
        (("spec", "concurrencyPolicy"), "Replace"),
        (("spec", "concurrencyPolicy"), "forbid"),
        (("spec", "concurrencyPolicy"), GONE),
    ),
    *_cron(
        "late_starts_are_given_up",
        (("spec", "startingDeadlineSeconds"), 200),
        (("spec", "startingDeadlineSeconds"), GONE),
    ),
    *_cron(
        "over_before_the_next",
        ((*JOB, "activeDeadlineSeconds"), 51),
        ((*JOB, "activeDeadlineSeconds"), GONE),
        ((*POD, "terminationGracePeriodSeconds"), 30),
        ((*POD, "terminationGracePeriodSeconds"), 3),
        ((*POD, "terminationGracePeriodSeconds"), GONE),
    ),
    *_cron(
        "the_run_fits",
        ((*JOB, "activeDeadlineSeconds"), 49),
        ((*BOX, "env", "+"), _env("T3PROBE__TIMING__DEADLINE", "44s")),
        ((*BOX, "env", "+"), _env("T3PROBE__TIMING__DEADLINE", "50s")),
        ((*BOX, "env", "+"), _env("T3PROBE__TIMING__DEADLINE", "")),
        ((*BOX, "env", "+"), _env("T3PROBE__TIMING__HOLD", "40s")),
    ),
    *_cron(
        "no_retry",
        ((*JOB, "backoffLimit"), 1),
        ((*JOB, "backoffLimit"), GONE),
        ((*JOB, "backoffLimit"), False),
        ((*POD, "restartPolicy"), "OnFailure"),
    ),
    Mutation("no_retry", "sharded", "CronJob", (*JOB, "backoffLimit"), 0),
    Mutation("no_retry", "sharded", "CronJob", (*JOB, "backoffLimitPerIndex"), 2),
    *_cron(
        "little_history",
        (("spec", "successfulJobsHistoryLimit"), 100),
        (("spec", "failedJobsHistoryLimit"), 0),
        (("spec", "failedJobsHistoryLimit"), GONE),
        ((*JOB, "ttlSecondsAfterFinished"), 0),
        ((*JOB, "ttlSecondsAfterFinished"), GONE),
    ),
    *_cron(
        "the_deployment_file_is_there",
        ((*POD, "volumes", 0, "configMap", "name"), "t3probe-deployment"),
        ((*BOX, "volumeMounts", 0, "readOnly"), False),
        ((*BOX, "volumeMounts", 0, "mountPath"), "/etc/other"),
        ((*BOX, "env", 0, "value"), "t3.toml"),
    ),
    Mutation(
        "the_deployment_file_is_there", "t3", "ConfigMap", ("data", "t3.toml"), 'name = "x"\n'
    ),
    *_cron(
        "references_lead_somewhere",
        ((*POD, "serviceAccountName"), "default"),
        ((*POD, "serviceAccountName"), GONE),
        ((*BOX, "envFrom", 0, "configMapRef", "name"), "t3probe-settings"),
    ),
    *_cron(
        "results_are_delivered",
        ((*BOX, "command"), ["sh", "-c", "t3probe-job"]),
        ((*BOX, "command"), GONE),
        ((*BOX, "args"), ["--hold", "0"]),
        ((*BOX, "envFrom"), []),
        ((*BOX, "env", "+"), _env("T3PROBE__DELIVERY__GATEWAY", "pushgateway:9091")),
    ),
    *_cron(
        "secrets_are_mounted",
        ((*POD, "volumes", 2, "secret", "optional"), False),
        ((*POD, "volumes", 2, "secret", "optional"), GONE),
        ((*POD, "volumes", 2, "secret", "defaultMode"), 0o444),
        ((*BOX, "volumeMounts", 2, "readOnly"), False),
        ((*BOX, "volumeMounts", 2, "mountPath"), "/etc/other"),
        ((*BOX, "env", 5), GONE),
        ((*BOX, "env", 5), _env("T3PROBE_GATEWAY_PASSWORD", "x")),
        ((*BOX, "env", "+"), _by_key("T3PROBE_GATEWAY_PASSWORD")),
        ((*BOX, "envFrom", "+"), {"secretRef": {"name": "t3probe-gateway"}}),
    ),
    *_held("secrets_are_mounted", ((*HELD_BOX, "env", "+"), _env("T3PROBE_GATEWAY_TOKEN", "x"))),
    *_cron(
        "memory_has_a_limit",
        ((*BOX, "resources", "limits", "memory"), GONE),
        ((*BOX, "resources", "limits", "memory"), "1Gi"),
        ((*BOX, "resources", "limits", "memory"), "128M"),
        ((*BOX, "resources", "requests", "memory"), "64Mi"),
        ((*BOX, "resources"), GONE),
    ),
    *_cron(
        "cpu_has_a_request_and_no_limit",
        ((*BOX, "resources", "requests", "cpu"), GONE),
        ((*BOX, "resources", "requests", "cpu"), "0m"),
        ((*BOX, "resources", "limits", "cpu"), "100m"),
    ),
    *_held("cpu_has_a_request_and_no_limit", ((*HELD_BOX, "resources", "limits", "cpu"), "1")),
    *_cron(
        "no_token",
        ((*POD, "automountServiceAccountToken"), True),
        ((*POD, "automountServiceAccountToken"), GONE),
    ),
    Mutation("no_token", "t3", "ServiceAccount", ("automountServiceAccountToken",), True),
    Mutation("no_token", "t3", "ServiceAccount", ("kind",), "ClusterRole"),
    *_cron(
        "restricted_pods",
        ((*POD, "securityContext", "runAsNonRoot"), False),
        ((*POD, "securityContext", "runAsNonRoot"), "true"),
        ((*POD, "securityContext", "runAsUser"), 0),
        ((*POD, "securityContext", "runAsGroup"), GONE),
        ((*POD, "securityContext", "fsGroup"), 0),
        ((*POD, "securityContext", "seccompProfile", "type"), "Unconfined"),
        ((*POD, "securityContext"), GONE),
        ((*POD, "hostNetwork"), True),
        ((*POD, "hostPID"), True),
        ((*POD, "volumes", 1), {"name": "results", "hostPath": {"path": "/tmp"}}),
        ((*POD, "initContainers"), [{"name": "x", "image": "x:1"}]),
        ((*BOX, "securityContext", "allowPrivilegeEscalation"), True),
        ((*BOX, "securityContext", "allowPrivilegeEscalation"), GONE),
        ((*BOX, "securityContext", "privileged"), True),
        ((*BOX, "securityContext", "capabilities", "drop"), ["NET_RAW"]),
        ((*BOX, "securityContext", "capabilities", "drop"), []),
        ((*BOX, "securityContext", "capabilities", "add"), ["NET_ADMIN"]),
        ((*BOX, "securityContext", "runAsUser"), 0),
    ),
    *_held("restricted_pods", ((*HELD_BOX, "ports", 0, "hostPort"), 9108)),
    *[
        Mutation("restricted_namespace", "t3", "Namespace", ("metadata", "labels", key), value)
        for key, value in (
            ("pod-security.kubernetes.io/enforce", "baseline"),
            ("pod-security.kubernetes.io/enforce", GONE),
            ("pod-security.kubernetes.io/warn", "Restricted"),
        )
    ],
    *_cron("one_namespace", (("metadata", "namespace"), "default")),
    Mutation("one_namespace", "watch", "PodMonitor", ("metadata", "namespace"), GONE),
    Mutation("one_namespace", "t3", "Namespace", ("metadata", "name"), "other"),
    *_cron(
        "nothing_is_written_to_disk",
        ((*BOX, "securityContext", "readOnlyRootFilesystem"), False),
        ((*BOX, "securityContext", "readOnlyRootFilesystem"), GONE),
        ((*POD, "volumes", 1, "emptyDir", "medium"), GONE),
        ((*POD, "volumes", 1, "emptyDir", "medium"), "memory"),
        ((*POD, "volumes", 1, "emptyDir", "sizeLimit"), GONE),
        ((*POD, "volumes", 1, "emptyDir", "sizeLimit"), "128Mi"),
        (
            (*POD, "volumes", "+"),
            {"name": "more", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        ),
        ((*POD, "volumes", "+"), {"name": "more", "emptyDir": {}}),
        ((*BOX, "volumeMounts", 1), GONE),
    ),
    *_cron(
        "no_service_links",
        ((*POD, "enableServiceLinks"), True),
        ((*POD, "enableServiceLinks"), GONE),
    ),
    *_cron(
        "few_look_ups",
        ((*POD, "dnsConfig"), GONE),
        ((*POD, "dnsConfig", "options", 0, "value"), "5"),
        ((*POD, "dnsConfig", "options", 0, "value"), 2),
        ((*POD, "dnsPolicy"), "Default"),
    ),
    *_cron(
        "recommended_labels",
        *(
            ((*where, "metadata", "labels", f"app.kubernetes.io/{key}"), value)
            for where in ((), (*JOB, "template"))
            for key, value in (
                ("name", "other"),
                ("instance", GONE),
                ("component", GONE),
                ("part-of", "t3"),
                ("version", "latest"),
                ("managed-by", GONE),
            )
        ),
        ((*JOB, "template", "metadata", "annotations"), GONE),
        (("metadata", "annotations"), GONE),
    ),
    *_cron(
        "images_have_a_tag_or_a_digest",
        ((*BOX, "image"), "registry.example.org/t3probe@sha256:0123abcd"),
        ((*BOX, "image"), "registry.example.org/t3probe@sha256:" + "0" * 64),
        ((*BOX, "image"), "registry.example.org/t3probe@md5:" + "0123456789abcdef" * 4),
        ((*BOX, "image"), "registry.example.org/t3probe@sha256:<digest>"),
        ((*BOX, "image"), "registry.example.org/t3probe"),
        ((*BOX, "image"), "registry.example.org/t3probe:latest"),
        ((*BOX, "image"), "registry.example.org:5000/t3probe"),
        ((*BOX, "imagePullPolicy"), "Always"),
        ((*BOX, "imagePullPolicy"), GONE),
    ),
    *[
        Mutation("every_pod_has_a_network_policy", overlay, "NetworkPolicy", path, value)
        for overlay, path, value in (
            ("t3", ("kind",), "Other"),
            ("t3", ("spec", "podSelector", "matchLabels", "app.kubernetes.io/component"), "x"),
            ("t3", ("spec", "policyTypes"), ["Egress"]),
            ("t3", ("spec", "policyTypes"), GONE),
            ("t3", ("spec", "egress", 1, "to"), []),
            ("t3", ("spec", "egress", 1, "ports"), GONE),
            ("t3", ("spec", "ingress", "+"), {"ports": [{"port": 22}]}),
            ("watch", ("spec", "ingress", 0, "from"), GONE),
            ("watch", ("spec", "ingress"), []),
        )
    ],
    Mutation(
        "alerts_are_the_tested_ones",
        "t3",
        "PrometheusRule",
        ("spec", "groups", 1, "rules", 0, "for"),
        "5m",
    ),
    Mutation("alerts_are_the_tested_ones", "t3", "PrometheusRule", ("spec", "groups", 4), GONE),
    *[
        Mutation("vantages_differ", "vantages", "CronJob", path, value)
        for path, value in (
            ((*POD, "nodeSelector"), GONE),
            ((*POD, "nodeSelector"), {"kubernetes.io/hostname": ""}),
            ((*BOX, "env", 0, "value"), "zone-a"),
            ((*BOX, "env", 0), GONE),
        )
    ],
    *[
        Mutation("shards_agree", "sharded", "CronJob", path, value)
        for path, value in (
            ((*JOB, "completionMode"), "NonIndexed"),
            ((*JOB, "completionMode"), GONE),
            ((*JOB, "completions"), 5),
            ((*JOB, "parallelism"), 2),
            ((*BOX, "env", "+"), _env("T3PROBE_SHARDS", "3")),
        )
    ],
    *_held(
        "one_held_mode",
        (("spec", "replicas"), 2),
        (("spec", "strategy", "type"), "RollingUpdate"),
        ((*HELD_BOX, "command"), ["t3probe", "echo"]),
        ((*HELD_BOX, "livenessProbe"), GONE),
        ((*HELD_BOX, "readinessProbe", "httpGet", "path"), "/metrics"),
        ((*HELD, "terminationGracePeriodSeconds"), 1),
        ((*HELD_BOX, "ports", 0, "containerPort"), 9109),
    ),
    *[
        Mutation("the_held_mode_is_scraped", "watch", kind, path, value)
        for kind, path, value in (
            ("PodMonitor", (*ENDPOINT, "honorLabels"), False),
            ("PodMonitor", (*ENDPOINT, "relabelings", 0, "replacement"), "t3probe-watch"),
            ("PodMonitor", (*ENDPOINT, "relabelings"), GONE),
            ("PodMonitor", (*ENDPOINT, "metricRelabelings", 0, "replacement"), "$1"),
            ("PodMonitor", (*ENDPOINT, "port"), "http"),
            ("PodMonitor", (*ENDPOINT, "path"), "/"),
            ("PodMonitor", ("spec", "selector", "matchLabels", "app.kubernetes.io/name"), "x"),
            ("Service", ("spec", "selector", "app.kubernetes.io/component"), "job"),
            ("Service", ("spec", "ports", 0, "port"), 80),
        )
    ],
    *_agent(
        "one_agent_with_bounds",
        (("spec", "replicas"), 2),
        ((*HELD_BOX, "resources", "limits", "memory"), "512Mi"),
        ((*HELD_BOX, "image"), "victoriametrics/vmagent:latest"),
    ),
    *_agent(
        "the_agent_keeps_order_and_little",
        ((*HELD_BOX, "args", 3), "-remoteWrite.queues=4"),
        ((*HELD_BOX, "args", 5), "-remoteWrite.maxDiskUsagePerURL=1GB"),
        ((*HELD, "volumes", 2, "emptyDir"), {}),
        ((*HELD_BOX, "securityContext", "readOnlyRootFilesystem"), False),
    ),
    *_agent(
        "the_agents_token_is_a_file",
        ((*HELD_BOX, "args", 1), "-remoteWrite.url=http://ingest.example.org/api/v1/write"),
        ((*HELD_BOX, "args", 2), "-remoteWrite.bearerToken=hunter2"),
        ((*HELD_BOX, "volumeMounts", 1, "readOnly"), False),
    ),
    Mutation("the_agent_finds_pods_and_nothing_else", "vmagent", "Role", ("rules", "+"), {}),
    Mutation(
        "the_agent_finds_pods_and_nothing_else",
        "vmagent",
        "RoleBinding",
        ("roleRef", "kind"),
        "ClusterRole",
    ),
    *(
        Mutation("the_agent_reaches_four_places", "vmagent", "NetworkPolicy", path, value)
        for path, value in (
            (("spec", "egress", "+"), {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}],
                                       "ports": [{"protocol": "TCP", "port": 443}]}),
            (("spec", "egress", 3, "to", 0, "ipBlock", "cidr"), "203.0.113.0/24"),
            (("spec", "egress", 2), GONE),
            (("spec", "ingress", "+"), {"from": [], "ports": []}),
        )
    ),
    Mutation(
        "the_agent_scrapes_the_held_mode",
        "vmagent",
        "Deployment",
        (*HELD, "volumes", 0, "configMap", "name"),
        "t3probe-vmagent",
    ),
    Mutation("no_token", "vmagent", "Deployment", (*HELD, "automountServiceAccountToken"), False),
    Mutation("restricted_pods", "vmagent", "Deployment", (*HELD, "hostNetwork"), True),
]  # fmt: skip
