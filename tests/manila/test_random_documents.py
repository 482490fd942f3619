"""Whatever stands in a document of the form of the recorded ones, replay answers."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .replay import replay
from .test_replay import FILES, load

DOCUMENTS = [case["document"] for name in FILES for case in load(name)]
VALUES = st.one_of(
    st.sampled_from(
        [
            *("unknown", "infinite", "", " ", "None", "nan", "inf", "-1", "1e400", "True", "no"),
            *(">= 10", "<in> 7", "<or> a <or> b", "<is> maybe", "s<", "== ", "<or>", "=", "!= x", "<= 1e999", "10 20"),
            *("share.size > (", "stats.free_capacity_gb / 0", "100 ^ 100 ^ 100", "share.size", "a.b.c", "'", "min()"),
            *('["and", 1]', '[">", "$free_capacity_gb", "x"]', '["=", "$capabilities.tier.x", 1]', "[", "{}"),
        ]
    ),
    st.sampled_from([None, True, False, 0, -1, 1, 0.5, -0.5, 10**30, 1e308, -1e308, 100, 101]),
    st.lists(st.sampled_from(["a", 1, None, True, [1], {}]), max_size=3),
    st.dictionaries(st.sampled_from(["a", "tier"]), st.sampled_from([1, "x", None]), max_size=2),
)
TEXTS = VALUES.filter(lambda value: isinstance(value, str))
FUNCTIONS = ("filter_function", "goodness_function")
SIZES = st.one_of(st.integers(0, 10**6), st.floats(0, 1e6, allow_nan=False))


def spoil(draw: st.DrawFn, document: dict[str, Any]) -> None:
    """Put values that the driver, the type or the request might have made up into a few places."""
    backends, requests = document["backends"], document["requests"]
    for _ in range(draw(st.integers(1, 6))):
        reports = [backend["capabilities"] for backend in backends]
        reports += [pool for backend in backends for pool in backend.get("pools") or ()]
        report, plain = draw(st.sampled_from(reports)), draw(st.sampled_from(requests))
        key = draw(st.sampled_from([*sorted(set(report) - {"pool_name", "share_backend_name"}), *FUNCTIONS, "tier"]))
        what = draw(st.integers(0, 4))
        if what <= 1:
            report[key] = draw(VALUES)
        elif what == 2:
            plain.setdefault("extra_specs", {})[draw(st.sampled_from([key, f"capabilities:{key}"]))] = draw(TEXTS)
        elif what == 3:
            plain["size"] = draw(SIZES)
        else:
            hint = draw(st.sampled_from(["same_host", "different_host", "only_host", "query"]))
            plain.setdefault("hints", {})[hint] = draw(TEXTS)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a recorded document with a few values changed."""
    document = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    spoil(draw, document)
    return document


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents())
def test_every_request_of_any_document_has_an_answer(document: dict[str, Any]) -> None:
    """One result for each request, of a known outcome, and all of it is JSON."""
    answer = replay({"document": document})
    assert [result["id"] for result in answer["results"]] == [plain["id"] for plain in document["requests"]]
    assert {result["outcome"] for result in answer["results"]} <= {"scheduled", "no_valid_host", "no_hosts", "error"}
    json.dumps(answer)
