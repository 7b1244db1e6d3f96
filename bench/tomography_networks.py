"""Networks as path matrices, for `bench/tomography.py`: read from CSV files, or made by a seed.

A path matrix has a row for each path and a column for each link; 1 says that the path crosses the
link. By itself this file measures nothing.
"""

from __future__ import annotations

import csv
import random
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from t3probe.verdict.exact.identifiability import same_legs

__all__ = ["FORM", "Classes", "Network", "NetworkError", "folded", "made", "mesh", "read", "tree"]

FORM = (
    "a file *.csv holds one path matrix: rows are paths, columns are links, values 0 or 1, a comma "
    "between them, UTF-8. All rows are of one length, and each crosses a link. A first line is a "
    "header, and passed over, when none of its cells is 0 or 1. Empty lines are passed over, and "
    "columns without a 1 are links that nobody can see"
)
"""What `read` accepts, for people."""

TREES = (20, 50, 100, 300)
MESHES = ((25, 3, 8), (50, 4, 16), (100, 6, 30), (200, 8, 60))
"""Nodes, monitors, and nodes that each monitor has a path to."""
CHAIN = 0.2
"""So many links of a made tree are two in a row, which no path tells apart."""
DEGREE = 3.5
"""Links per node of a mesh, on average, counted at both ends."""


class Network(NamedTuple):
    """Links by number, and the links of each path."""

    title: str
    kind: str
    """Networks of one kind are summed up: trees, meshes, or the folder they came from."""
    links: int
    paths: tuple[tuple[int, ...], ...]
    """In the order in which they are crossed, where that is known."""
    ends: tuple[tuple[int, int], ...] = ()
    """The two nodes of each link, for networks that were made."""
    roots: tuple[int, ...] = ()
    """Where the paths of a network that was made begin."""


class Classes(NamedTuple):
    """A network whose links on exactly the same paths are one."""

    members: tuple[tuple[int, ...], ...]
    """The links of each class. Links on no path are in none."""
    paths: tuple[tuple[int, ...], ...]
    """The classes of each path."""


class NetworkError(ValueError):
    """A path matrix that cannot be used: where, and what to do about it."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, problem)
        self.where = where
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


def folded(network: Network) -> Classes:
    """Put the links together that are in exactly the same columns."""
    groups = same_legs(network.links, network.paths)
    seen = {link for path in network.paths for link in path}
    members = tuple(tuple(group) for group in groups if group[0] in seen)
    number = {link: at for at, group in enumerate(members) for link in group}
    return Classes(
        members, tuple(tuple(dict.fromkeys(map(number.get, path))) for path in network.paths)
    )


# -- from files -------------------------------------------------------------------------------


def read(folder: str) -> list[Network]:
    """All path matrices of a folder, by name. Raises NetworkError."""
    try:
        files = sorted(one for one in Path(folder).iterdir() if one.suffix == ".csv")
        texts = [(one, one.read_bytes()) for one in files]
    except OSError as error:
        where = str(error.filename or folder)
        raise NetworkError(
            where, f"cannot be read: {error.strerror}; name a folder of CSV files"
        ) from None
    if not files:
        raise NetworkError(
            folder, "expected *.csv files with a path matrix each, found none; name another folder"
        )
    return [matrix(data, str(one), one.stem, folder) for one, data in texts]


def matrix(data: bytes, where: str, title: str, kind: str) -> Network:
    """One path matrix; see `FORM`. Raises NetworkError."""
    try:
        rows = list(_rows(data.decode("utf-8-sig")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise NetworkError(
            where,
            f"expected UTF-8 text with commas, found something else ({error}); export it anew",
        ) from None
    if rows and not {"0", "1"} & set(rows[0][1]):
        del rows[0]
    if not rows:
        raise NetworkError(
            where, "expected rows of 0 and 1 with commas, found none; fill it or remove it"
        )
    first, width = rows[0][0], len(rows[0][1])
    paths = []
    for line, cells in rows:
        place = f"{where}: line {line}"
        for at, cell in enumerate(cells, 1):
            if cell not in ("0", "1"):
                raise NetworkError(
                    f"{place}, value {at}",
                    f"expected 0 or 1, found {cell[:40]!r}; only a first line without any 0 or 1 "
                    "may hold something else",
                )
        if len(cells) != width:
            raise NetworkError(
                place,
                f"expected {width} values as in line {first}, found {len(cells)}; "
                "all rows need a value for every link",
            )
        path = tuple(at for at, cell in enumerate(cells) if cell == "1")
        if not path:
            raise NetworkError(
                place, "expected a path over at least one link, found zeros alone; remove the row"
            )
        paths.append(path)
    return Network(title, kind, width, tuple(paths))


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each line's number and cells, without empty lines."""
    reader = csv.reader(text.splitlines(), strict=True)
    for cells in reader:
        stripped = [one.strip() for one in cells]
        if any(stripped):
            yield reader.line_num, stripped


# -- made by a seed ---------------------------------------------------------------------------


def made(seed: int) -> list[Network]:
    """Trees and meshes of several sizes; one seed makes the same ones each time."""
    trees = [tree(random.Random(f"{seed} tree {leaves}"), leaves) for leaves in TREES]
    meshes = [mesh(random.Random(f"{seed} mesh {size}"), *size) for size in MESHES]
    return trees + meshes


def tree(rng: random.Random, leaves: int) -> Network:
    """A random routing tree with a path from its root, node 0, to each of two leaves or more.

    Each inner node shares its leaves out among two to four children, by chance. A link here and
    there is two in a row.
    """
    ends: list[tuple[int, int]] = []
    paths: list[tuple[int, ...]] = []
    nodes = 1
    left: list[tuple[int, int, tuple[int, ...]]] = [(0, leaves, ())]
    while left:
        node, below, path = left.pop()
        if below == 1:
            paths.append(path)
            continue
        for share in _shares(rng, below, rng.randint(2, min(below, 4))):
            before, links = node, path
            for _ in range(2 if rng.random() < CHAIN else 1):
                links = (*links, len(ends))
                ends.append((before, nodes))
                before = nodes
                nodes += 1
            left.append((before, share, links))
    return Network(f"tree {leaves}", "trees", len(ends), tuple(paths), tuple(ends), (0,))


def _shares(rng: random.Random, total: int, parts: int) -> list[int]:
    """`total` in so many parts of at least one."""
    cuts = sorted(rng.sample(range(1, total), parts - 1))
    return [after - before for before, after in zip([0, *cuts], [*cuts, total], strict=True)]


def mesh(rng: random.Random, nodes: int, monitors: int, targets: int) -> Network:
    """A random connected mesh, with a shortest path from each monitor to each target.

    A spanning tree of random attachments, and random links up to the average degree. Of several
    shortest paths a monitor takes one by chance, and all its paths form a tree.
    """
    found = {(rng.randrange(node), node) for node in range(1, nodes)}
    while len(found) < nodes * DEGREE / 2:
        one, other = sorted(rng.sample(range(nodes), 2))
        found.add((one, other))
    ends = sorted(found)
    beside: list[list[tuple[int, int]]] = [[] for _ in range(nodes)]
    for link, (one, other) in enumerate(ends):
        beside[one].append((other, link))
        beside[other].append((one, link))
    for some in beside:
        rng.shuffle(some)
    chosen = rng.sample(range(nodes), monitors + targets)
    paths = []
    for monitor in chosen[:monitors]:
        ways = _shortest(beside, monitor)
        paths += [ways[target] for target in chosen[monitors:]]
    title = f"mesh {nodes}, {monitors} x {targets}"
    return Network(title, "meshes", len(ends), tuple(paths), tuple(ends), tuple(chosen[:monitors]))


def _shortest(
    beside: Sequence[Sequence[tuple[int, int]]], start: int
) -> dict[int, tuple[int, ...]]:
    """The links of a shortest way to every node, by breadth first search."""
    ways: dict[int, tuple[int, ...]] = {start: ()}
    left = deque([start])
    while left:
        node = left.popleft()
        for other, link in beside[node]:
            if other not in ways:
                ways[other] = (*ways[node], link)
                left.append(other)
    return ways
