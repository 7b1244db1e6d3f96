"""Arbitrary records: every field drawn, texts with what HTML and terminals would trip over."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from report_runs import PAYLOADS

TEXT = st.one_of(
    st.text(st.characters(), max_size=8),
    st.text(st.sampled_from("\x00\x1b\ufffd\uffff\ud800\r\n\t\"'<>&`=/\u2028\u202e"), max_size=8),
    st.sampled_from(PAYLOADS),
    st.sampled_from(("wan", "tunnel", "traefik", "walled", "walloff", "tcp")),
)
NUMBER = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 60))
KEYS = ("backend", "route", "listen_port", "path", "expected", "connect", "tls", "x")


def of(info: Any) -> st.SearchStrategy[Any]:
    """Arbitrary values of one of the record's types."""
    inspect = msgspec.inspect
    simple: dict[type[Any], st.SearchStrategy[Any]] = {
        inspect.StrType: TEXT,
        inspect.FloatType: NUMBER,
        inspect.IntType: st.integers(0, 2**53),
        inspect.BoolType: st.booleans(),
        inspect.NoneType: st.none(),
    }
    if type(info) in simple:
        return simple[type(info)]
    if isinstance(info, inspect.LiteralType):
        return st.sampled_from(info.values)
    if isinstance(info, inspect.UnionType):
        return st.one_of([of(one) for one in info.types])
    if isinstance(info, inspect.VarTupleType):
        return st.lists(of(info.item_type), max_size=3).map(tuple)
    if isinstance(info, inspect.DictType):
        return st.dictionaries(st.sampled_from(KEYS), of(info.value_type), max_size=3)
    if isinstance(info, inspect.StructType):
        return st.builds(info.cls, **{one.name: of(one.type) for one in info.fields})
    raise TypeError(info)
