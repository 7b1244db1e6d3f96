"""The configuration files of the hops, as their programs read them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "t3.real.test"
OTHER_HOST = "other.real.test"
UNROUTED = "unrouted.real.test"
SSO_HOST = "sso.real.test"
ECHO_PATH = "/probe/ws"
HEALTH_PATH = "/probe/healthz"
SESSION_PATH = "/api/auth/session"
TRACE_PATH = "/cdn-cgi/trace"
DNS_PATH = "/dns-query"
CONSOLE_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

PUBLIC_PORT = 8443
DOH_PORT = 8453
TUNNEL_PORT = 8080
ADMIN_PORT = 9901
DISPATCH_PORT = 3780
SERVE_PORT = 3773
NODE_PORT = 9100
ORDERS_PORT = 8090
CONSOLE_PORT = 5199
TYPES = "type.googleapis.com/envoy."


@dataclass(frozen=True)
class Places:
    """The addresses of one stack: a loopback network of its own, 127.X.Y.0/24."""

    net: str
    """`127.X.Y`"""
    folder: Path

    def at(self, last: int) -> str:
        return f"{self.net}.{last}"

    @property
    def edge(self) -> str:
        return self.at(2)

    @property
    def balancer(self) -> str:
        return self.at(3)

    @property
    def providers(self) -> tuple[str, str]:
        return self.at(4), self.at(5)

    @property
    def tunnel(self) -> str:
        return self.at(6)

    @property
    def machine(self) -> str:
        return self.at(10)

    @property
    def second(self) -> str:
        """The machine of the second WebSocket server."""
        return self.at(11)

    @property
    def orders(self) -> str:
        return self.at(12)


# nginx: the CDN


def nginx(places: Places, *, extra: str = "", app: str = "", read_timeout: str = "60s") -> str:
    """`extra` stands in the server, `app` in its location of the application."""
    user = "user root;" if os.geteuid() == 0 else ""
    temp = "\n  ".join(
        f"{one}_temp_path {places.folder}/nginx-{one};"
        for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
daemon off;
{user}
worker_processes 1;
pid {places.folder}/nginx.pid;
error_log {places.folder}/nginx-error.log info;
events {{ worker_connections 512; }}
http {{
  {temp}
  log_format path '$time_iso8601 $remote_addr "$request" $status $bytes_sent '
    '$request_time $upstream_status $connection $request_id';
  access_log {places.folder}/nginx-access.log path;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  keepalive_timeout 60s;
  keepalive_requests 100000;
  server {{
    listen {places.edge}:{PUBLIC_PORT} ssl;
    server_name {HOST};
    ssl_certificate {places.folder}/edge.pem;
    ssl_certificate_key {places.folder}/edge.pem;
    ssl_session_tickets off;
    add_header cf-ray $request_id always;
    {extra}
    location = {TRACE_PATH} {{
      default_type text/plain;
      return 200 "fl=real\\nh=$host\\ncolo=LOC\\n";
    }}
    location / {{
      {app}
      proxy_pass http://{places.tunnel}:{TUNNEL_PORT};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_connect_timeout 2s;
      proxy_read_timeout {read_timeout};
    }}
  }}
}}
"""


# haproxy: the tunnel


def haproxy(places: Places) -> str:
    return f"""
global
  log stdout format raw local0
  stats socket {places.folder}/haproxy.sock mode 600 level admin
  maxconn 512
defaults
  log global
  mode http
  option httplog
  option logasap
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  timeout queue 400ms
  retries 0
frontend tunnel
  bind {places.tunnel}:{TUNNEL_PORT}
  default_backend cluster
backend cluster
  server balancer {places.balancer}:{PUBLIC_PORT} ssl verify required \
ca-file {places.folder}/ca.pem sni str({HOST}) verifyhost {HOST} alpn http/1.1
"""


# dnsdist: the public resolvers


def dnsdist(places: Places, number: int) -> str:
    address = places.providers[number - 1]
    leaf = places.folder / f"doh-{number}.pem"
    return f"""
setSecurityPollSuffix("")
setLocal("{address}:5300")
addDOHLocal("{address}:{DOH_PORT}", "{leaf}", "{leaf}", "{DNS_PATH}")
setACL("127.0.0.0/8")
setConsoleACL("127.0.0.0/8")
setKey("{CONSOLE_KEY}")
controlSocket("{address}:{CONSOLE_PORT}")
{dns_rules(places, number, f'SpoofAction("{places.edge}")')}
"""


def dns_rules(places: Places, number: int, answer: str) -> str:
    """What a provider answers to A queries of the public name, as rules put in place at once."""
    log = f"{places.folder}/dnsdist-{number}-access.log"
    name = f'QNameRule("{HOST}.")'
    rest = answer if "RCode" in answer else "RCodeAction(DNSRCode.NOERROR)"
    return "\n".join(
        (
            "clearRules()",
            f'addAction(AllRule(), LogAction("{log}", false, true, false, false, true))',
            f"addAction(AndRule({{{name}, QTypeRule(DNSQType.A)}}), {answer})",
            f"addAction({name}, {rest})",
            "addAction(AllRule(), RCodeAction(DNSRCode.NXDOMAIN))",
        )
    )


# Envoy: the balancer with the wall


def _typed(kind: str, /, **config: Any) -> dict[str, Any]:
    return {"@type": f"{TYPES}{kind}", **config}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _file(file: Path) -> dict[str, Any]:
    watched = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
    return {"path_config_source": watched, "resource_api_version": "V3"}


def _access_log(folder: Path) -> list[dict[str, Any]]:
    text = (
        '[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
        "%RESPONSE_FLAGS% %DURATION% %DOWNSTREAM_REMOTE_ADDRESS% %UPSTREAM_HOST% "
        "%REQ(:AUTHORITY)% %RESPONSE_CODE_DETAILS%\n"
    )
    return [
        {
            "name": "file",
            "typed_config": _typed(
                "extensions.access_loggers.file.v3.FileAccessLog",
                path=str(folder / "envoy-access.log"),
                log_format={"text_format_source": {"inline_string": text}},
            ),
        }
    ]


def envoy(places: Places) -> str:
    """Envoy's first configuration; routes, endpoints and certificate come from files."""
    xds = places.folder / "xds"
    manager = _typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="web",
        access_log=_access_log(places.folder),
        strip_any_host_port=True,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        upgrade_configs=[{"upgrade_type": "websocket"}],
        http_filters=[
            {
                "name": "envoy.filters.http.router",
                "typed_config": _typed("extensions.filters.http.router.v3.Router"),
            }
        ],
        rds={"route_config_name": "routes", "config_source": _file(xds / "routes.json")},
    )
    tls = _typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "alpn_protocols": ["http/1.1"],
            "tls_certificate_sds_secret_configs": [
                {"name": "leaf", "sds_config": _file(xds / "leaf.json")}
            ],
        },
        disable_stateless_session_resumption=True,
    )
    front = {
        "name": "web",
        "address": _address(places.balancer, PUBLIC_PORT),
        "filter_chains": [
            {
                "filters": [{"name": "web", "typed_config": manager}],
                "transport_socket": {"name": "tls", "typed_config": tls},
            }
        ],
    }
    eds = {
        "name": "dispatch",
        "type": "EDS",
        "connect_timeout": "0.5s",
        "eds_cluster_config": {"eds_config": _file(xds / "dispatch.json")},
    }
    clusters = [
        eds,
        _cluster("serve", places.machine, SERVE_PORT),
        _cluster("orders", places.orders, ORDERS_PORT),
    ]
    return json.dumps(
        {
            "node": {"id": "balancer", "cluster": "balancer"},
            "admin": {"address": _address(places.balancer, ADMIN_PORT)},
            "static_resources": {"listeners": [front], "clusters": clusters},
        }
    )


def _cluster(name: str, host: str, port: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "load_assignment": _assignment(name, (host, port)),
    }


def _assignment(name: str, *places: tuple[str, int]) -> dict[str, Any]:
    several = [{"endpoint": {"address": _address(*one)}} for one in places]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": several}]}


SSO = {"redirect": {"host_redirect": SSO_HOST, "port_redirect": 443, "path_redirect": "/login",
                    "response_code": "FOUND"}}  # fmt: skip
TO_SERVE = {"route": {"cluster": "serve", "timeout": "15s"}}
TO_DISPATCH = {"route": {"cluster": "dispatch", "timeout": "15s"}}


def answers(status: int) -> dict[str, Any]:
    """A route that answers itself."""
    return {"direct_response": {"status": status, "body": {"inline_string": "no\n"}}}


def routes(public: dict[str, Any] = TO_DISPATCH, walled: dict[str, Any] = SSO) -> dict[str, Any]:
    """The carve-out and the wall. A Host that no rule names is Envoy's own 404."""
    rules = [
        {"match": {"prefix": "/probe/"}, **public},
        {"match": {"path": "/orders"}, "route": {"cluster": "orders"}},
        {"match": {"prefix": "/"}, **walled},
    ]
    return {
        **_typed("config.route.v3.RouteConfiguration"),
        "name": "routes",
        "virtual_hosts": [{"name": "t3", "domains": [HOST], "routes": rules}],
    }


def endpoints(places: Places, both: bool) -> dict[str, Any]:
    """The machines of the cluster `dispatch`: one, or two."""
    several = [(places.machine, DISPATCH_PORT)]
    if both:
        several.append((places.second, DISPATCH_PORT))
    return {
        **_typed("config.endpoint.v3.ClusterLoadAssignment"),
        **_assignment("dispatch", *several),
    }


def secret(file: str) -> dict[str, Any]:
    """The certificate that new handshakes get."""
    return {
        **_typed("extensions.transport_sockets.tls.v3.Secret"),
        "name": "leaf",
        "tls_certificate": {
            "certificate_chain": {"filename": file},
            "private_key": {"filename": file},
        },
    }


def discovery(resource: dict[str, Any]) -> str:
    """A discovery answer."""
    return json.dumps({"resources": [resource]})


# The deployment file


TIMING = {
    "hold": "3500ms",
    "heartbeat": "300ms",
    "watchdog": "1500ms",
    "connect_timeout": "1200ms",
    "backoff": "150ms",
    "backoff_max": "500ms",
}
SEGMENTS = (
    *("wan", "doh", "cf-edge", "tunnel", "traefik", "carve-out", "wall"),
    *("devvm", "dispatch", "serve"),
)


def deployment(places: Places, spread: tuple[str, ...] = ()) -> str:
    """The legs of the t3 path at this stack's addresses."""
    doh = [f"https://{one}:{DOH_PORT}{DNS_PATH}" for one in places.providers]
    site, pin = f"https://{HOST}:{PUBLIC_PORT}", f"{places.balancer}:{PUBLIC_PORT}"
    inside = ["traefik", "carve-out", "devvm", "dispatch"]
    outside = ["wan", "cf-edge", "tunnel"]
    from_edge = {"tcp_ends_at": "cf-edge", "headers_present": ["cf-ray"]}
    at_balancer = {"pin": pin, "tcp_ends_at": "traefik", "headers_absent": ["cf-ray"]}
    at_machine = {"tcp_ends_at": "devvm"}
    legs: list[dict[str, object]] = [
        {"name": "egress", "kind": "tcp", "any_of": True, "refused_ok": True, "path": ["wan"],
         "addresses": [f"{one}:{DOH_PORT}" for one in places.providers], "tcp_ends_at": "wan"},
        {"name": "resolver", "kind": "doh", "doh": doh, "path": ["wan", "doh"],
         "tcp_ends_at": "doh"},
        {"name": "edge", "kind": "http", "url": f"{site}{TRACE_PATH}", "doh": doh,
         "fallback": [f"{places.edge}:{PUBLIC_PORT}"], "path": ["wan", "cf-edge"], **from_edge},
        {"name": "cloudflare", "kind": "ws_echo", "doh": doh, "path": [*outside, *inside],
         "url": f"wss://{HOST}:{PUBLIC_PORT}{ECHO_PATH}", **from_edge},
        {"name": "internal", "kind": "ws_echo", "path": inside, **at_balancer,
         "url": f"wss://{HOST}:{PUBLIC_PORT}{ECHO_PATH}"},
        {"name": "traefik", "kind": "http", "url": f"{site}/", "host_header": UNROUTED,
         "expect_status": [404], "path": ["traefik"], **at_balancer},
        {"name": "dispatch", "kind": "ws_echo", "path": ["devvm", "dispatch"], **at_machine,
         "url": f"ws://{places.machine}:{DISPATCH_PORT}{ECHO_PATH}",
         "headers_absent": ["cf-ray"]},
        {"name": "devvm", "kind": "http", "url": f"http://{places.machine}:{NODE_PORT}/metrics",
         "refused_ok": True, "path": ["devvm"], **at_machine},
        {"name": "t3serve", "kind": "http", "path": ["devvm", "serve"], **at_machine,
         "url": f"http://{places.machine}:{SERVE_PORT}{SESSION_PATH}"},
    ]  # fmt: skip
    public = {"name": "probe", "url": f"{site}{HEALTH_PATH}", "doh": doh, "prefix": "/probe",
              "path": [*outside, "traefik", "carve-out"], **from_edge}  # fmt: skip
    walled = {"name": "home", "url": f"{site}/", "path": ["traefik", "wall"], **at_balancer}
    source = {"name": "balancer", "kind": "envoy", "optional": True,
              "url": f"http://{places.balancer}:{ADMIN_PORT}"}  # fmt: skip
    paths = [
        [*outside, *inside],
        [*outside, "traefik", "wall", "devvm", "serve"],
        ["wan", "doh"],
    ]
    top: dict[str, object] = {
        "name": "realpath",
        "segments": list(SEGMENTS),
        "paths": paths,
        "tls_ca": str(places.folder / "ca.pem"),
    }
    if spread:
        top["spread"] = list(spread)
    tables: list[tuple[str, dict[str, Any]]] = [
        ("", top),
        ("[marks]", {"cf-ray": "cf-edge"}),
        ("[gloss]", {"tunnel": "or what the CDN does with this path"}),
        ("[timing]", TIMING),
        ("[sso]", {"hosts": [SSO_HOST]}),
        *(("[[leg]]", leg) for leg in legs),
        ("[[public]]", public),
        ("[[walled]]", walled),
        ("[[upstream_source]]", source),
    ]
    return "\n".join(_table(*one) for one in tables)


def _table(header: str, values: dict[str, Any]) -> str:
    lines = [header] if header else []
    return "\n".join(
        [*lines, *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""]
    )
