"""What an HTTP failure means: again or not, when, and in whose words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.endpoints.failures import status_failure

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.sampled_from(["error", "message", "code", "details"]), part),
)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert status_failure(status, {}, "").passing


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 405, 413, 422])
def test_what_will_not_pass_is_not(status: int) -> None:
    assert not status_failure(status, {}, "").passing


def test_an_empty_account_is_not_waited_for() -> None:
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    assert not status_failure(429, {"retry-after": "1"}, json.dumps(body)).passing


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"error": {"message": "no such model", "code": "model_not_found"}}, "HTTP 404 model_not_found: no such model"),
        ([{"error": {"message": "gone", "status": "NOT_FOUND"}}], "HTTP 404 NOT_FOUND: gone"),
        ({"error": "plain"}, "HTTP 404: plain"),
        ({"message": "flat"}, "HTTP 404: flat"),
        ({}, "HTTP 404: {}"),
    ],
)
def test_the_host_is_quoted_whatever_its_dialect(body: object, shown: str) -> None:
    assert str(status_failure(404, {}, json.dumps(body))) == shown


def test_a_page_of_html_becomes_one_short_line() -> None:
    reason = str(status_failure(502, {}, "<html>\n<h1>Bad\x1b[31m Gateway</h1>" + "x" * 10_000))
    assert reason.startswith("HTTP 502: <html> <h1>Bad [31m Gateway</h1>")
    assert len(reason) < 250
    assert reason.isprintable()


def test_retry_after_is_a_number_or_a_date() -> None:
    assert status_failure(429, {"retry-after": "7"}, "").wait == 7
    assert status_failure(429, {"retry-after": "0.5"}, "").wait == 0.5
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert status_failure(503, {"retry-after": later}, "").wait == pytest.approx(90, abs=3)
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    assert status_failure(503, {"retry-after": past}, "").wait == 0


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "1e999", "99999-13-45"])
def test_a_retry_after_that_says_nothing_is_none(text: str) -> None:
    assert status_failure(429, {"retry-after": text}, "").wait is None


def test_google_says_in_the_body_how_long_to_wait() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"other": 1}, info]}}
    failed = status_failure(429, {}, json.dumps(body))
    assert (failed.wait, failed.code) == (37, "RESOURCE_EXHAUSTED")


@given(status=st.integers(300, 599), body=st.one_of(st.text(), ANY_JSON.map(json.dumps)), wait=st.text())
def test_no_answer_breaks_the_reading_of_it(status: int, body: str, wait: str) -> None:
    failed = status_failure(status, {"retry-after": wait}, body)
    assert str(failed).startswith(f"HTTP {status}")
    assert str(failed).isprintable()
    assert failed.wait is None or failed.wait >= 0
