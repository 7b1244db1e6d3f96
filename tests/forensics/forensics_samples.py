"""Lines as haproxy 2.6, nginx 1.22, Envoy 1.40 and dnsdist 1.7 wrote them, their times set to one
moment: each ended, was found or was said at 14:03:07 on 20 November 2026, UTC."""

from __future__ import annotations

from forensics_help import AT

ENDED = "20/Nov/2026:14:03:07"
CLIENT = "127.0.0.1:52764"


def _http(began: str, timers: str, status: int, state: str, server: str = "b/app") -> str:
    return (
        f"{CLIENT} [20/Nov/2026:14:{began}] f {server} {timers} {status} 209 - - {state} "
        '9/1/7/7/0 0/0 "GET /page HTTP/1.1"'
    )


def _tcp(began: str, timers: str, state: str) -> str:
    return f"{CLIENT} [20/Nov/2026:14:{began}] t t/s {timers} 59 {state} 7/1/0/0/0 0/0"


def _clf(began: str, status: int, total: str, state: str) -> str:
    return (
        f'127.0.0.1 - - [20/Nov/2026:14:{began} +0000] "GET /page HTTP/1.1" {status} 217 "" "" '
        f'44796 548 "fclf" "dead" "x" 0 0 -1 -1 {total} {state} 8 1 0 0 0 0 0 "" "" '
    )


HAPROXY = [
    (_http("03:07.416", "0/0/0/-1/0", 502, "SH--"), "haproxy_bad_gateway"),
    (_http("03:07.415", "0/0/0/0/0", 200, "----"), "haproxy_served"),
    (_http("03:06.900", "0/0/0/0/200", 200, "SD--"), "haproxy_bad_gateway"),
    (_http("03:05.619", "0/0/0/-1/2000", 504, "sH--"), "haproxy_gateway_timeout"),
    (_http("03:07.618", "0/-1/-1/-1/0", 503, "SC--", "none/<NOSRV>"), "haproxy_unavailable"),
    (_http("03:07.618", "0/0/-1/-1/0", 503, "SC--", "dead/x"), "haproxy_unavailable"),
    (_http("03:06.618", "0/0/-1/-1/1000", 503, "sC--", "dead/x"), "haproxy_unavailable"),
    (_http("03:06.618", "0/1000/-1/-1/1000", 503, "sQ--"), "haproxy_full"),
    (_http("03:06.618", "0/0/0/-1/1000", -1, "CH--"), "haproxy_client_gave_up"),
    (_http("03:06.618", "0/0/-1/-1/1000", -1, "CC--"), "haproxy_client_gave_up"),
    (_http("03:06.618", "0/0/0/4/1000", 101, "CD--"), "haproxy_client_gone"),
    (_http("03:06.618", "0/0/0/4/1000", 101, "cD--"), "haproxy_idle"),
    (_http("03:06.618", "0/0/0/4/1000", 101, "sD--"), "haproxy_idle"),
    (_http("03:06.618", "0/0/0/4/1000", 200, "sD--"), "haproxy_gateway_timeout"),
    (_http("03:06.618", "0/0/0/4/1000", 200, "cD--"), "haproxy_client_gone"),
    (_http("03:06.618", "0/0/0/4/1000", 101, "----"), "haproxy_websocket_ended"),
    (_http("03:06.618", "0/0/0/4/1000", 101, "KD--"), "haproxy_stopped"),
    (_http("03:06.618", "0/0/0/4/1000", 101, "DD--"), "haproxy_backend_down"),
    (_http("03:06.618", "0/0/0/4/1000", 101, "UD--"), "haproxy_stopped"),
    (_http("03:07.618", "0/0/0/-1/0", 502, "PH--"), "haproxy_bad_gateway"),
    (_http("03:07.618", "0/-1/-1/-1/0", 403, "PR--", "f/<NOSRV>"), "haproxy_refused"),
    (_http("03:07.618", "0/-1/-1/-1/0", 503, "PC--"), "haproxy_full"),
    (_http("03:07.618", "0/-1/-1/-1/0", 503, "RC--"), "haproxy_full"),
    (_http("03:07.618", "0/-1/-1/-1/0", 500, "IH--"), "haproxy_own_error"),
    (_http("03:07.618", "0/-1/-1/-1/0", 200, "PD--"), "haproxy_bad_gateway"),
    (_http("03:07.618", "0/0/0/-1/0", 400, "PH--"), "haproxy_refused"),
    (_http("03:07.618", "0/0/0/-1/0", 500, "PH--"), "haproxy_own_error"),
    (_http("03:06.618", "0/0/0/-1/1000", 408, "cH--"), "haproxy_client_gave_up"),
    (_http("03:02.618", "0/5000/-1/-1/5000", 500, "CT--", "f/<NOSRV>"), "haproxy_refused"),
    (_http("03:07.618", "0/0/0/0/0", 301, "LR--", "f/<NOSRV>"), "haproxy_served"),
    (_http("03:06.220", "-1/-1/-1/-1/1400", 400, "CR--", "f/<NOSRV>"), "haproxy_refused"),
    (_http("03:06.220", "-1/-1/-1/-1/1400", 408, "cR--", "f/<NOSRV>"), "haproxy_refused"),
    (_http("03:07.618", "0/0/0/0/0", 503, "----"), "haproxy_unavailable"),
    (_http("03:07.322", "0/0/0/10/+10", 101, "----"), "haproxy_served"),
    (_http("03:07.322", "0/0/0/-1/+10", 502, "SH--"), "haproxy_bad_gateway"),
    (_http("03:07.416", "0/0/0/-1/8", 502, "SH--") + " 0/0000000000000000/0/0/0 -/TLSv1.3/X",
     "haproxy_bad_gateway"),
    (_tcp("03:04.705", "1/0/3000", "cD"), "haproxy_idle"),
    (_tcp("03:04.116", "1/0/3006", "sD"), "haproxy_idle"),
    (_tcp("03:06.616", "1/0/402", "CD"), "haproxy_client_gone"),
    (_tcp("03:07.402", "1/0/0", "SD"), "haproxy_bad_gateway"),
    (_tcp("03:07.402", "-1/-1/0", "SC"), "haproxy_unavailable"),
    (_tcp("03:07.402", "1/0/2", "--"), "haproxy_served"),
    (_clf("03:07", 503, "0", "SC--"), "haproxy_unavailable"),
    (_clf("03:05", 504, "2000", "sH--"), "haproxy_gateway_timeout"),
    (_clf("03:07", 200, "+13", "----"), "haproxy_served"),
    (f"{CLIENT} [{ENDED}.056] fssl/1: SSL handshake failure", "haproxy_refused"),
    (f"<134>1 2026-11-20T14:03:07.0156+00:00 - haproxy 1857 - - {_tcp('03:07.0', '1/0/0', 'SD')}",
     "haproxy_bad_gateway"),
    (f"<134>Nov 20 14:03:07 haproxy[1857]: {_tcp('03:07.402', '1/0/0', 'SD')}",
     "haproxy_bad_gateway"),
    (f"<134>Nov 20 14:03:07 lb haproxy[1857]: {_tcp('03:07.402', '1/0/0', 'SD')}",
     "haproxy_bad_gateway"),
    (f"<6>2026-11-20T14:03:07.015640+00:00 {_tcp('03:07.402', '1/0/0', 'SD')}",
     "haproxy_bad_gateway"),
    (f"<6>{_tcp('03:07.402', '1/0/0', 'SD')}", "haproxy_bad_gateway"),
    # Where haproxy's own clock has no zone, the collector's has one.
    (f"<6>2026-11-20T14:03:07+00:00 {_tcp('09:09.402', '1/0/0', 'SD')}", "haproxy_bad_gateway"),
    ("2026-11-20T14:03:07.706650+00:00 Server tdead/s is DOWN, reason: Layer4 connection "
     'problem, info: "Connection refused", check duration: 0ms. 0 active and 0 backup servers '
     "left. 0 sessions active, 0 requeued, 0 remaining in queue.", "haproxy_backend_down"),
    ("2026-11-20T14:03:07+00:00 Server b/app is going DOWN for maintenance. 0 active",
     "haproxy_stopped"),
    ("2026-11-20T14:03:07+00:00 backend none has no server available!", "haproxy_backend_down"),
    ("2026-11-20T14:03:07+00:00 Server b/app is UP, reason: Layer4 check passed",
     "haproxy_info"),
    # A reload, through which what was open lives on.
    ("2026-11-20T14:03:07+00:00 Proxy f stopped (cumulated conns: FE: 3, BE: 0).",
     "haproxy_draining"),
    ("2026-11-20T14:03:07+00:00 [WARNING]  (8291) : Former worker (8303) exited with code 0 (Exit)",
     "haproxy_info"),
    ("2026-11-20T14:03:07+00:00 [NOTICE]   (8291) : haproxy version is 2.6.12-1+deb12u4",
     "haproxy_info"),
    ("2026-11-20T14:03:07+00:00 [WARNING]  (8291) : Former worker (8303) exited with code 143 "
     "(Terminated)", "haproxy_stopped"),
    ("2026-11-20T14:03:07+00:00 Proxy f hard-stopped (3 remaining conns will be closed).",
     "haproxy_stopped"),
    ("2026-11-20T14:03:07+00:00 soft-stop running for too long, performing a hard-stop.",
     "haproxy_stopped"),
    ("2026-11-20T14:03:07+00:00 [ALERT]    (1857) : Current worker (1858) exited with code 137 "
     "(Killed)", "haproxy_exited"),
    ('2026-11-20T14:03:07+00:00 {"status":503,"term":"SC","server":"x"}', "haproxy_unavailable"),
]  # fmt: skip

REQUEST = '"GET /page HTTP/1.1"'
CLF = f"127.0.0.1 - - [{ENDED} +0000] {REQUEST}"


def _error(level: str, said: str, upstream: str = "") -> str:
    more = f', upstream: "http://127.0.0.1:18080/x", host: "t3.test"{upstream}'
    return (
        f"2026/11/20 14:03:07 [{level}] 32616#32616: *3 {said}, client: 127.0.0.1, server: , "
        f"request: {REQUEST}{more}"
    )


def _master(level: str, said: str) -> str:
    return f"2026/11/20 14:03:07 [{level}] 32614#32614: {said}"


RESET = "recv() failed (104: Connection reset by peer)"
NGINX = [
    (f'{CLF} 200 2 "-" "drive/1"', "nginx_served"),
    (f'{CLF} 502 157 "-" "drive/1"', "nginx_bad_gateway"),
    (f'{CLF} 503 157 "-" "drive/1" "-"', "nginx_unavailable"),
    (f"{CLF} 504 157", "nginx_gateway_timeout"),
    (f'{CLF} 499 0 "-" "drive/1"', "nginx_client_gave_up"),
    (f'{CLF} 101 0 "-" "drive/1"', "nginx_websocket_ended"),
    (f'{CLF} 200 2 "-" "drive/1" rt=12.000 uct="0.000" urt="0.001"', "nginx_slow"),
    (f"<190>Nov 20 14:03:07 vm nginx: {CLF} 502 157", "nginx_bad_gateway"),
    (f"2026-11-20T14:03:07+00:00 127.0.0.1 {REQUEST} 502 309 0.000 502 3 8e6f",
     "nginx_bad_gateway"),
    (f"1795183387.059 127.0.0.1 {REQUEST} 502 0.000", "nginx_bad_gateway"),
    ('{"time_local":"20/Nov/2026:14:03:07 +0000","request":"GET /rst HTTP/1.1",'
     '"status":"502","request_time":"0.000","upstream_status":"502"}', "nginx_bad_gateway"),
    ('{"@timestamp":"2026-11-20T15:03:07+01:00","request_method":"GET","status":502,'
     '"request_time":0.000}', "nginx_bad_gateway"),
    ('{"msec":1795183387.061,"request":"GET /eof HTTP/1.1","status":502}', "nginx_bad_gateway"),
    (_error("error", f"{RESET} while reading response header from upstream"),
     "nginx_backend_error"),
    (_error("error", "upstream prematurely closed connection while reading upstream"),
     "nginx_backend_error"),
    (_error("error", "connect() failed (111: Connection refused) while connecting to upstream"),
     "nginx_backend_error"),
    (_error("error", "no live upstreams while connecting to upstream"), "nginx_backend_error"),
    (_error("error", "upstream timed out (110: Connection timed out) while SSL handshaking to "
            "upstream"), "nginx_backend_error"),
    (_error("error", f"{RESET} while proxying upgraded connection"), "nginx_backend_error"),
    (_error("info", f"{RESET} while proxying upgraded connection"), "nginx_client_error"),
    (_error("error", "upstream timed out (110: Connection timed out) while proxying upgraded "
            "connection"), "nginx_idle"),
    (_error("info", "epoll_wait() reported that client prematurely closed connection, so upstream "
            "connection is closed too while sending request to upstream"), "nginx_client_error"),
    (_error("warn", "upstream server temporarily disabled while connecting to upstream"),
     "nginx_info"),
    (_error("info", "client sent invalid method while reading client request line"),
     "nginx_refused"),
    (_error("error", 'open() "/srv/upstream timed out" failed (2: No such file or directory)'),
     "nginx_info"),
    (_master("alert", "512 worker_connections are not enough"), "nginx_full"),
    (_master("emerg", "bind() to 127.0.0.1:80 failed (98: Address already in use)"),
     "nginx_own_error"),
    (_master("alert", "worker process 32616 exited on signal 9"), "nginx_exited"),
    (_master("notice", "worker process 882 exited with code 0"), "nginx_info"),
    (_master("notice", "signal 3 (SIGQUIT) received from 1, shutting down"), "nginx_stopped"),
    (_master("notice", "signal 1 (SIGHUP) received from 1, reconfiguring"), "nginx_info"),
    (_master("notice", "nginx/1.22.1"), "nginx_info"),
]  # fmt: skip


def _envoy(began: str, code: int, flags: str, took: int, request: str = REQUEST) -> str:
    return (
        f'[2026-11-20T14:{began}Z] {request} {code} {flags} 0 118 {took} - "-" "drive/1" '
        '"3f7477bc" "t3.test" "127.0.0.1:18080"'
    )


def _own(level: str, said: str, component: str = "main") -> str:
    where = "[source/server/server.cc:1028]"
    return f"[2026-11-20 14:03:07.740][973][{level}][{component}] {where} {said}"


ENVOY = [
    (_envoy("03:07.176", 200, "-", 1), "envoy_served"),
    (_envoy("03:07.178", 503, "URX,UC", 4), "envoy_bad_gateway"),
    (_envoy("03:07.183", 503, "UC", 1), "envoy_bad_gateway"),
    (_envoy("03:06.987", 200, "UPE", 201), "envoy_bad_gateway"),
    (_envoy("03:07.388", 503, "-", 0), "envoy_unavailable"),
    (_envoy("03:07.388", 503, "UF", 0), "envoy_bad_gateway"),
    (_envoy("03:07.389", 503, "UH", 0), "envoy_unavailable"),
    (_envoy("03:06.391", 504, "UT", 1000), "envoy_gateway_timeout"),
    (_envoy("03:06.792", 101, "DC", 402), "envoy_client_gone"),
    (_envoy("03:06.795", 101, "UC", 500), "envoy_bad_gateway"),
    (_envoy("03:06.795", 101, "-", 500), "envoy_websocket_ended"),
    (_envoy("03:06.795", 101, "SI", 500), "envoy_idle"),
    (_envoy("03:06.803", 0, "DC", 300), "envoy_client_gave_up"),
    (_envoy("03:06.803", 0, "DC", 300, '"- - -"'), "envoy_client_gone"),
    (_envoy("03:07.505", 503, "NC", 0), "envoy_own_error"),
    (_envoy("03:07.507", 400, "DPE", 0, '"- - HTTP/1.1"'), "envoy_refused"),
    (_envoy("03:07.726", 404, "NR", 0), "envoy_refused"),
    (_envoy("03:07.726", 503, "UO", 0), "envoy_full"),
    (_envoy("03:07.720", 0, "UF,URX", 0, '"- - -"'), "envoy_bad_gateway"),
    (_envoy("03:07.791", 0, "UR", 0, '"- - -"'), "envoy_bad_gateway"),
    (_envoy("02:57.600", 0, "-", 10_000, '"- - -"'), "envoy_websocket_ended"),
    (f"[2026-11-20T14:03:07.178Z] {REQUEST} 503 URX,UC upstream_reset_before_response_started"
     '{connection_termination} - "-" 0 118 4 - "-" "drive/1" "3f" "t3.test" "127.0.0.1:18080" b '
     "127.0.0.1:52536 127.0.0.1:18300 127.0.0.1:59312 - -", "envoy_bad_gateway"),
    (f"[2026-11-20T14:03:06.795Z] {REQUEST} 101 UC 500 127.0.0.1:59398 127.0.0.1:18080 t3.test "
     "upstream_reset_after_response_started{connection_termination}", "envoy_bad_gateway"),
    ('{"duration":500,"method":"GET","response_code":101,"response_flags":"UC",'
     '"start_time":"2026-11-20T14:03:06.795Z"}', "envoy_bad_gateway"),
    ('{"code":503,"duration_ms":4,"flags":"UpstreamRetryLimitExceeded,'
     'UpstreamConnectionTermination","time":"1795183387.178"}', "envoy_bad_gateway"),
    ('{"code":0,"duration_ms":300,"flags":"DC","start_time":"2026-11-20T14:03:06.795Z"}',
     "envoy_client_gave_up"),
    (_own("warning", "caught ENVOY_SIGTERM"), "envoy_stopped"),
    (_own("warning", "caught SIGINT"), "envoy_stopped"),
    (_own("info", "caught SIGUSR1. Reopening access logs."), "envoy_info"),
    (_own("warning", "caught and eating SIGHUP. See documentation for how to hot restart."),
     "envoy_info"),
    (_own("info", "exiting"), "envoy_info"),
    (_own("info", "starting main dispatch loop"), "envoy_info"),
    (_own("critical", "Caught Segmentation fault, suspect faulting address 0x0", "backtrace"),
     "envoy_exited"),
]  # fmt: skip

DNS = "[1795183387.306316436] "
DNSDIST = [
    (DNS + "Packet from 127.0.0.1:48366 for a.test. A with id 2615", "dnsdist_info"),
    (DNS + "Answer to 127.0.0.1:42550 for bad.test. A (Server Failure) with id 49776",
     "dnsdist_failed"),
    (DNS + "Answer to 127.0.0.1:42550 for a.test. A (No Error) with id 4", "dnsdist_info"),
    (DNS + "Answer to 127.0.0.1:42550 for a.test. A (Non-Existent domain) with id 4",
     "dnsdist_info"),
    ("Nov 20 14:03:07 ns dnsdist[7]: Marking downstream up (127.0.0.1:15301) as 'down'",
     "dnsdist_backend_down"),
    ("Nov 20 14:03:07 ns dnsdist[7]: Marking downstream up (127.0.0.1:15301) as 'up'",
     "dnsdist_info"),
    ("Nov 20 14:03:07 ns dnsdist[7]: Dropped query for a.test|A from 127.0.0.1:43130, no policy "
     "applied", "dnsdist_failed"),
    ("Nov 20 14:03:07 ns dnsdist[7]: Error receiving health check response from 127.0.0.1:15302: "
     "Connection refused", "dnsdist_info"),
    ("Nov 20 14:03:07 ns dnsdist[7]: dnsdist 1.7.3 comes with ABSOLUTELY NO WARRANTY.",
     "dnsdist_info"),
]  # fmt: skip

UNIT = "Nov 20 14:03:07 vm systemd[1]: {}.service: Main process exited, code=killed, status=9/KILL"
EXITS = [(UNIT.format(one), f"{one}_exited") for one in ("haproxy", "nginx", "envoy")]

SAMPLES: list[tuple[str, str, int]] = [
    (line, kind, AT) for line, kind in (*HAPROXY, *NGINX, *ENVOY, *DNSDIST, *EXITS)
]
"""The line, what it says, and when."""
