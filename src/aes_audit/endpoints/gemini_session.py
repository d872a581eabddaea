"""Calls to the Gemini API, through the google-genai library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google import genai
from google.genai import errors, types

from aes_audit.endpoints.address import Address
from aes_audit.endpoints.failures import CallFailed, status_failure
from aes_audit.endpoints.keys import ApiKey, redact_logs
from aes_audit.endpoints.payload import Payload, read_payload
from aes_audit.endpoints.transport import http_client, transport_failures

__all__ = ["GeminiSession"]


class GeminiSession:
    """An open connection to the Gemini API. Methods may be called from any thread and raise CallFailed.

    Answers are the host's JSON, with its own repetitions of the key taken out.
    """

    def __init__(self, address: Address, key: ApiKey, timeout: float) -> None:
        """Open a client; nothing is sent. `timeout` is in seconds and per call."""
        redact_logs(key)
        self._key = key
        self._timeout = timeout
        # The library retries only when it is told to; where to call is not left to its environment variables.
        self._client = genai.Client(
            vertexai=False,
            api_key=key.secret or "none",
            http_options=types.HttpOptions(
                base_url=address.url, timeout=int(timeout * 1000), httpx_client=http_client(timeout)
            ),
        )

    def generate(self, model: str, text: str, **config: Any) -> Payload:
        """One generate_content call with a text; `config` are fields of GenerateContentConfig."""
        # The library's own reading refuses a whole answer for one broken image in it.
        wanted = types.GenerateContentConfig(should_return_http_response=True, **config)
        with self._failures():
            response = self._client.models.generate_content(model=model, contents=text, config=wanted)
            body = response.sdk_http_response.body if response.sdk_http_response else None
        payload = read_payload(self._key.redacted(body or ""))
        if payload is None:
            raise CallFailed("the answer is not a JSON object", passing=True, billed=True)
        return payload

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            with transport_failures(self._key, self._timeout):
                yield
        except errors.APIError as error:
            headers = getattr(error.response, "headers", {})
            text = getattr(error.response, "text", "")
            raise status_failure(int(error.code or 500), headers, self._key.redacted(text)) from None
        except ValueError as error:
            raise CallFailed(f"the answer cannot be read ({type(error).__name__})", passing=True, billed=True) from None

    def __repr__(self) -> str:
        return "GeminiSession()"
