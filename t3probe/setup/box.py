"""What runs t3probe on one machine without Kubernetes: units of systemd, and a compose file.

Pure text. `cronjob/systemd` and `cronjob/compose.yaml` are what this writes for
`/etc/t3probe/my.toml`; `t3probe manifests systemd` and `compose` print it for any deployment file.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from t3probe import __version__
from t3probe.config import Deployment
from t3probe.text import showable

FILE = "/etc/t3probe/my.toml"
PROGRAMS = "/opt/t3probe/bin"
HOLD_SECONDS, DEADLINE_SECONDS, STOP_SECONDS, KILL_SECONDS = 35, 43, 50, 8
"""The budget of the minute, as in `cronjob/base/cronjob.yaml`."""

HARDENED = """\
DynamicUser=yes
EnvironmentFile=-/etc/t3probe/environment
UMask=0022
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# No limit on CPU: it would stop the event loop, and show as latency of the path.
MemoryMax=256M
"""


def units(
    deployment: Deployment | None = None, file: str = FILE, programs: str = PROGRAMS
) -> dict[str, str]:
    """A unit's name -> its text: the job with its timer, and the held mode. `file` and `programs`
    are absolute; the deployment says where else may be written."""
    checked("the deployment file", file)
    checked("--programs", programs)
    hardened = HARDENED.format(home="read-only" if _at_home(file, programs) else "yes")
    textfile = None if deployment is None else deployment.delivery.textfile
    if textfile is not None:
        folder = checked("delivery.textfile", str(PurePosixPath(textfile).parent))
        hardened += "# The folder has to be writable for this group.\n"
        hardened += f"SupplementaryGroups=t3probe-textfile\nReadWritePaths={folder}\n"
    state = (
        "StateDirectory=t3probe-{0}\n"
        "Environment=T3PROBE__DELIVERY__SPOOL=/var/lib/t3probe-{0}/spool\n"
    )
    return {
        "t3probe.service": f"""\
# One run. t3probe.timer starts it every minute; while one runs no other begins.
[Unit]
Description=t3probe: one run over every leg
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={programs}/t3probe-job
Environment=T3PROBE_DEPLOYMENT={file}
Environment=T3PROBE_RESULTS=/run/t3probe
Environment=T3PROBE__TIMING__HOLD={HOLD_SECONDS}s
Environment=T3PROBE__TIMING__DEADLINE={DEADLINE_SECONDS}s
{state.format("job")}RuntimeDirectory=t3probe
RuntimeDirectoryPreserve=yes
TimeoutStartSec={STOP_SECONDS}
TimeoutStopSec={KILL_SECONDS}
KillMode=mixed
{hardened}""",
        "t3probe.timer": """\
[Unit]
Description=t3probe: a run every minute

[Timer]
OnCalendar=minutely
AccuracySec=1s
Persistent=no

[Install]
WantedBy=timers.target
""",
        "t3probe-watch.service": f"""\
# The held mode. It is restarted when its loop stands still, or no leg beats any more.
[Unit]
Description=t3probe: holds every leg
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=60
ExecStart={programs}/t3probe watch --listen 127.0.0.1:9108 {file}
ExecReload=/bin/kill -HUP $MAINPID
{state.format("watch")}Restart=on-failure
RestartSec=5
TimeoutStopSec={KILL_SECONDS}
KillMode=mixed
LimitNOFILE=65536
{hardened}
[Install]
WantedBy=multi-user.target
""",
    }


def systemd(deployment: Deployment, file: str, programs: str = PROGRAMS) -> str:
    """All units, each below its name."""
    made = units(deployment, file, programs)
    return "\n".join(f"# -- {name}\n{text}" for name, text in made.items())


def compose(file: str = FILE) -> str:
    """A compose file of one box: the job by an interval, and the held mode, each in a profile."""
    place = PurePosixPath(checked("the deployment file", file))
    inside, volume = f"/etc/t3probe/{place.name}", f"{place.parent}:/etc/t3probe:ro"
    return f"""\
# One box: `docker compose --profile job up -d` runs every minute, `--profile watch` holds the legs.
# Secrets, such as T3PROBE_GATEWAY_TOKEN, are lines of `environment` beside this file.
name: t3probe
x-t3probe: &t3probe
  image: t3probe:{__version__}
  env_file:
    - path: environment
      required: false
  read_only: true
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  mem_limit: 256m
  stop_grace_period: {KILL_SECONDS}s
  restart: unless-stopped
  init: true

services:
  job:
    <<: *t3probe
    profiles: [job]
    # At each full minute, so that the run before is over. A shell waits between runs alone.
    entrypoint:
      - /bin/sh
      - -c
      - |
        trap 'kill -TERM $$pid; wait $$pid; exit 0' TERM
        while :; do
          sleep $$((60 - $$(date +%s) % 60)) & pid=$$!; wait $$pid
          timeout -k {KILL_SECONDS} {STOP_SECONDS} t3probe-job & pid=$$!; wait $$pid
        done
    environment:
      T3PROBE_DEPLOYMENT: {inside}
      T3PROBE__TIMING__HOLD: {HOLD_SECONDS}s
      T3PROBE__TIMING__DEADLINE: {DEADLINE_SECONDS}s
      T3PROBE__DELIVERY__SPOOL: /results/spool
    volumes:
      - {volume}
      - results:/results

  watch:
    <<: *t3probe
    profiles: [watch]
    entrypoint: ["t3probe", "watch", "--listen", ":9108", "{inside}"]
    environment:
      T3PROBE__DELIVERY__SPOOL: /results/spool
    ports:
      - 127.0.0.1:9108:9108
    volumes:
      - {volume}
      - held:/results

volumes:
  results:
  held:
"""


def _at_home(*paths: str) -> bool:
    return any(one.startswith(("/home/", "/root/", "/run/user/")) for one in paths)


def checked(what: str, path: str) -> str:
    """The path. Raises ValueError, one sentence: what is more than a plain word means something of
    its own in a unit, or in a compose file."""
    if not re.fullmatch("/[A-Za-z0-9._/@+-]*", path):
        raise ValueError(
            f"{what}: expected an absolute path of letters, digits and ._/@+-, found "
            f"{showable(path)!r}; name another"
        )
    return path
