"""Which tests there are: one for each leg of a marker's kinds, in the order that judging needs."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from t3probe.config.shard import Shard
from t3probe.plugin.items import kind_of, leg_of, own_body
from t3probe.plugin.own_checks import own_name, segments_of
from t3probe.run.session import Session
from t3probe.upstreams.sources_run import RunSources


class Collecting:
    """The hooks of collection."""

    def __init__(self, probing: Session, sources: RunSources, shard: Shard | None) -> None:
        self._probing = probing
        self._sources = sources
        self._first = shard is None or shard.index == 0

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        marker = metafunc.definition.get_closest_marker("legs")
        if marker is None or "leg" not in metafunc.fixturenames:
            return
        names = [leg.name for leg in self._probing.available if kind_of(leg) in marker.args]
        if "source" in marker.args:
            names += self._sources.observations
        metafunc.parametrize("leg", names, ids=names, indirect=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """A kind without legs is no check: it is neither counted nor run."""
        report = yield
        report.result = [one for one in report.result or [] if self._is_check(one)]
        return report

    def _is_check(self, node: pytest.Item | pytest.Collector) -> bool:
        if not isinstance(node, pytest.Item) or leg_of(node) is not None:
            return True
        return self._first and not node.get_closest_marker("legs")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Checks of their own come after the legs'."""
        items.sort(key=own_body)
        own = self._probing.own_checks
        words = self._sources.keywords() if config.option.keyword else {}
        for item in items:
            if words:
                item.extra_keyword_matches |= words.get(leg_of(item) or "", set())
            if own_body(item):
                taken = (*(leg.name for leg in self._probing.deployment.legs), *own)
                own[own_name(item)] = segments_of(item, taken)
