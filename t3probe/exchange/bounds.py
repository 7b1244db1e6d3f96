"""How much of what others send, keep or leave behind is read, held or waited for.

Every bound on foreign bytes, seconds and connections stands here, and nowhere else. The sentence
under each says what it bounds; the next one says what happens beyond it. `docs/operations.md` has
them as a table, which `python docs/make/bounds.py` writes.
"""

from __future__ import annotations

KIB = 1 << 10
MIB = 1 << 20

# -- Answers of the path

HTTP_HEADERS_BYTES = 256 * KIB
"""All header lines of one answer together, interim answers too; as in a browser. The leg is
inconclusive and names the limit."""
HTTP_BODY_BYTES = 1 * MIB
"""The body of one answer, read and thrown away. The connection is closed."""
HTTP_LOOKED_AT_BYTES = 64 * KIB
"""What of a body is looked at, after it is unpacked. The rest is counted and not looked at."""
HTTP_CHUNK_LINE_BYTES = 64 * KIB
"""A chunk's size with its extensions, and all trailers together. The leg is inconclusive and names
the limit."""
BODY_ENCODINGS = 5
"""The codings of a body, one around the other. The body counts as one that cannot be read."""
HTTP_HEADER_LINES = 4096
"""The header lines of one answer, interim answers too. The leg is inconclusive and names the
limit."""
HTTP_PIECE_BYTES = 16 * KIB
"""What of an answer is parsed in one go. The rest waits for the event loop's next turn."""
WS_PIECE_BYTES = 2 * KIB
"""What of a WebSocket is parsed in one go. The rest waits for the event loop's next turn."""
WS_MESSAGE_BYTES = 64 * KIB
"""A message of a WebSocket. The connection is closed with 1009, and the leg has dropped."""
WS_FRAGMENTS = 64
"""The pieces of one message. The leg has dropped, as after a breach of the protocol."""
WS_SKIPPED = 1000
"""The messages between two echoes that answer no beat. The leg has dropped, as after a breach of
the protocol."""
WS_UNSENT_BYTES = 1 * MIB
"""What waits to be sent to a peer that does not read. The leg has dropped."""
GZIP_MEMBERS = 64
"""The members of a body in gzip. The body counts as one that cannot be read."""
LOGIN_WORDS_BYTES = 4 * KIB
"""The `WWW-Authenticate` lines of one answer, read for the words of a sentence. The rest is not
named."""
URL_BYTES = 64 * KIB
"""A URL to which an answer leads. It leads nowhere."""
HOST_CHARACTERS = 1024
"""A host in such a URL. It is no host."""
REFRESHES = 16
"""The `Refresh` lines and tags of one answer. The later ones are not followed."""
REDIRECTS = 20
"""The redirects that one request follows; as in a browser. The last answer counts."""
COOKIES = 50
"""Cookies that one answer sets, and that a chain of redirects keeps. The later ones are left."""
COOKIE_BYTES = 4 * KIB
"""One `Set-Cookie` line. It is left, as browsers do."""
DNS_MESSAGE_BYTES = 4 * KIB
"""A DoH answer, as the question says. The leg that needs it is inconclusive."""
ADDRESSES = 32
"""The addresses of one name. The others are not dialled: no answer makes us a scanner."""
TCP_CONNECT_SECONDS = 3.0
"""A connect of a leg of the kind tcp, whatever the file says. The leg has failed."""
TLS_ALERT_SECONDS = 0.5
"""Waiting for the words of a server that wanted a certificate. They are not named."""
NAMES = 256
"""The names of upstreams and legs that are looked up before a run. The others count as machines of
their own."""
NAMES_SECONDS = 1.0
"""All of these look-ups together. The same."""

# -- JSON of others: an Envoy, an API of nodes, a Pushgateway, a Prometheus

JSON_PIECE_BYTES = 64 * KIB
"""What of an answer is parsed in one go. The rest waits, and its deadline goes on."""
JSON_ITEM_BYTES = 4 * MIB
"""One entry of an answer: a listener, a cluster, a host, a series. The whole answer counts as one
that cannot be read; a sentence says so."""
JSON_ITEM_VALUES = 128 * KIB
"""The values of one entry. The same."""
JSON_LEVELS = 512
"""How deep an answer is nested. The same."""
SOURCE_SECONDS = 2.0
"""Each request to a source of upstreams, from its start to the end of the parse. The source could
not be read: its check is inconclusive, and none of its upstreams is probed."""
SOURCE_BYTES = 64 * MIB
"""One answer of a source. The same."""
SOURCES_RECEIVED_BYTES = 256 * MIB
"""What all sources of a run send together. Those that are not at their end could not be read."""
SOURCES_KEPT_BYTES = 32 * MIB
"""What is kept of the answers of all sources together, until the legs are made. The same."""
AGGREGATE_LEVELS = 8
"""How deep Envoy's aggregate clusters lie in each other. What is deeper is not followed."""
UPSTREAMS = 10_000
"""The upstreams of one source. It could not be read."""
OPINION_BYTES = 2 * MIB
"""One answer of a cloudflared or a Traefik that is asked what it thinks. Its opinion is unknown."""
OPINION_SAMPLES = 4096
"""The lines of cloudflared's metrics that are used. They count as none, and nothing is compared."""
OPINION_SERVERS = 4096
"""The servers of one of Traefik's services. Its opinion is unknown."""
SERVICE_ANSWER_BYTES = 64 * KIB
"""The headers of such an answer, the body of one that is none, and any answer to what we send
elsewhere. Of a body only its beginning is read; else a sentence says so."""
GATEWAY_METRICS_BYTES = 24 * MIB
"""What a Pushgateway has, some 150,000 series. It is not read, and the delivery failed."""
GATEWAY_KEPT_BYTES = 32 * MIB
"""What is kept of it: the groups that were asked for. The same."""
GATEWAY_ANSWER_BYTES = 1 * MIB
"""A Pushgateway's answer to a push. The delivery failed."""
GATEWAY_EXCHANGE_SECONDS = 2.0
"""One request to a Pushgateway, from its start to the end of the parse. It is tried again, three
times at most and as long as the delivery's own time lasts."""
REMOTE_EXCHANGE_SECONDS = 2.0
"""One request of remote write. It is tried once more in the same run, and then it waits for the
next one."""
RECORDED_MEMORY_BYTES = 4 * MIB
"""The requests of `push FILE --remote-write`, while the file is read. The rest waits in a temporary
file without a name."""
PROMETHEUS_BYTES = 32 * MIB
"""An answer of Prometheus to `explain`. It is not read, and a sentence says so."""
PROMETHEUS_KEPT_BYTES = 32 * MIB
"""The series and samples that are kept of it. The same."""
PROMETHEUS_LEGS = 200_000
"""The legs of all runs of which such an answer tells. The same."""
AVAILABILITY_SECONDS = 120.0
"""All questions of `availability` to a Prometheus together, the parse too. The same."""
PROMETHEUS_SECONDS = 20.0
"""All questions to a Prometheus together, the parse too. The same."""

# -- Remote rigs: relay, jump and book

RIGS = 500
"""The rigs of a deployment. Those beyond it, by name, are left out; a sentence says so."""
RIG_STREAMS = 50
"""The streams of one rig. The same."""
RIG_REPORT_BYTES = 8 * MIB
"""One report of a relay or a jump server, about 20,000 connections. It is no report, and the
connection is closed with 1009."""
RIG_REPORT_CONNECTIONS = 50_000
"""The connections that one report names. It is no report; a sentence says so."""
RIG_BOOK_BYTES = 16 * MIB
"""The list of all resources of a booking system. It could not be read."""
RIG_ENTRY_BYTES = 64 * KIB
"""What it says of one resource. The resource is left out; a sentence says so."""
RIG_STATE_BYTES = MIB
"""The file of what was told last of each rig. It is as if there were none; a sentence says so."""
RIG_EXCHANGE_SECONDS = 3.0
"""One request to a booking system, or for a listener's address, from its start to the end of the
parse. The service did not answer."""

# -- Served pages

SERVED_CONNECTIONS = 32
"""Connections to the held mode's pages at once. The oldest that has not asked goes, not the newest;
when all have asked, the oldest of them."""
SERVED_HEAD_BYTES = 8 * KIB
"""A request to these pages. The connection is closed."""
SERVED_REQUEST_SECONDS = 5.0
"""From its accept to the end of the answer. The connection is closed."""
SERVED_BACKLOG = 128
"""Connections that the kernel keeps for a served page, and that are accepted in one turn. A client
beyond it tries again by itself."""
MCP_CONNECTIONS = 64
"""Connections to MCP over HTTP at once. The oldest without a request goes, not the newest; when all
have one, the oldest of them."""
MCP_IDLE_SECONDS = 10.0
"""How long a connection may be without a request. It is closed after one to two times as long."""
MCP_REQUEST_BYTES = 256 * KIB
"""A request's body. The client is told that it is too large."""
MCP_GATEWAY_SECONDS = 5.0
"""A question to a Pushgateway for an MCP client. The client is told."""
ECHO_HEADER_LINES = 100
"""The header lines of a request to the responder. It is refused with 431."""
ECHO_DISCARDED_BYTES = 1 * MIB
"""What a client of the responder sends after the last word. The connection is cut."""
ECHO_RECORD_BYTES = 32 * KIB
"""A record that a person's browser sends to the responder. It is refused with 413."""
ECHO_RECORD_LEVELS = 8
"""How deep such a record is nested. It is refused with 400."""
ECHO_RECORD_SECONDS = 3600.0
"""How long it is kept, in memory. It is gone."""
ECHO_RECORDS = 64
"""Such records at once. The oldest of the network that has the most goes; when no network has more
than the newcomer's would, the newcomer is refused with 503."""
ECHO_RECORDS_BYTES = 2 * MIB
"""All of them together. The same."""
ECHO_RECORDS_NETWORK = 8
"""Those of one network, a /24 or a /48. Further ones are refused with 429."""
ECHO_RATED_ADDRESSES = 4096
"""The addresses whose loads, records and wrong codes are counted. The oldest is forgotten."""

# -- The lab's control socket

CONTROL_LINE_BYTES = 64 * KIB
"""An order to the lab. The connection is closed."""
CONTROL_ORDER_SECONDS = 10.0
"""How long a connection may be without an order. It is closed."""

# -- Files

RECORD_BYTES = 64 * MIB
"""A JUnit file of ours, and a record line in a log; ten thousand upstreams make 20 MB. The file, or
the line, cannot be read; a sentence says so, and the other ones are read."""
RECORD_VALUES = 2 * MIB
"""The values of one record. The same."""
XML_LEVELS = 100
"""The elements of a JUnit file that lie in each other. The file cannot be read; a sentence says
so."""
XML_NAMES = 2_000
"""The names of its elements and attributes. The same."""
XML_TAG_BYTES = 32 * MIB
"""One of its tags, which holds a leg, or the run. The same."""
XML_ATTRIBUTES = 64 * KIB
"""The equals signs of a tag that is longer than 256 KiB. The same."""
SUITE_TESTS = 200_000
"""The tests of another suite. The file is refused in a sentence."""
UNPACKED_TIMES = 500
"""How many times its size a packed log may have, once more than 256 MiB came out of it. It counts
as damaged from there on."""
DOCKER_LINE_BYTES = 1 * MIB
"""A line of Docker's log files. It is read as a line of another kind."""
RUN_FILES = 20_000
"""The files of runs that MCP looks at. The oldest by name are left out."""
LOG_LINE_BYTES = 32 * KIB
"""A line of a log for `forensics`. The rest is skipped, and the report counts such lines."""
LOG_ENTRY_BYTES = 64 * KIB
"""An entry of several lines in such a log. Its lines are lines like others."""
XZ_MEMORY_BYTES = 80 * MIB
"""What unpacking an xz file may need; `xz -9` needs 65 MiB. The file counts as damaged."""
SPOOL_FILES = 2_000
"""Runs that wait in the spool folder, over a day of one a minute. Of later ones, with remote write
of the oldest, only the number of lost drops is kept."""
SPOOL_FILE_BYTES = 8 * MIB
"""One file of the spool folder. It is put aside, and its counts are lost; a sentence says so."""
SPOOL_LOCK_SECONDS = 0.5
"""Waiting for another run that uses the spool folder. The run's counts are not kept."""
REMOTE_ASIDE_FILES = 100
"""Requests that a receiver of remote write refused for good, which stay in the spool folder. The
oldest are deleted."""
NOTICES_KEPT_BYTES = 8 * MIB
"""The messages that wait for one receiver of mail or a webhook. The oldest go, and the next message
says how many."""
NOTICE_MESSAGE_BYTES = 256 * KIB
"""What one such message holds of those that waited, the newest first. The rest goes with the next
one, a `settle` later."""
NOTICE_SECONDS = 20.0
"""Sending one message, look-up, TLS and login too; after a run 3 s at most. It waits and is tried
again."""
TEXTFILE_BYTES = 64 * MIB
"""The textfile when it is read back; ten thousand upstreams make 2 MB. It is not ours: its
counters begin again at 0, and a sentence says so."""
TEXTFILE_SECONDS = 1.0
"""Writing the textfile. Whether it took the counts is not known, and the delivery failed."""
DEPLOYMENT_BYTES = 4 * MIB
"""The deployment file. It is refused in a sentence."""
TLS_CA_BYTES = 4 * MIB
"""The file of certificate authorities. It is refused in a sentence."""
SECRET_BYTES = 64 * KIB
"""A secret's file. It is refused in a sentence."""
CASE_BYTES = 16 * MIB
"""A made-up case for the verdict. It is refused in a sentence."""
RULES_BYTES = 4 * MIB
"""A file of alert rules for the manifests. It is refused in a sentence."""
OTHER_SUITE_BYTES = 64 * MIB
"""The JUnit file of another suite. It is refused in a sentence."""

# -- Questions

MOMENT_CHARACTERS = 200
"""A time that somebody asks about. It is refused in a sentence."""
CLIENT_RECORD_BYTES = 64 * KIB
"""What a person's browser recorded, as `explain --client` reads it. It is refused in a sentence."""
CLIENT_RECORD_ENTRIES = 2_000
"""The beats, drops, gaps or connections in it. The same."""
CLIENT_RECORD_SECONDS = 10.0
"""Fetching one from the responder. The same."""
