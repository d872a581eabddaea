"""Calls to OpenAI and to everything that speaks its protocol, through the openai library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
import openai

from aes_audit.endpoints.address import OPENAI, Address
from aes_audit.endpoints.failures import CallFailed, status_failure
from aes_audit.endpoints.keys import ApiKey, redact_logs
from aes_audit.endpoints.payload import Payload, dig, read_payload
from aes_audit.endpoints.transport import http_client, transport_failures

__all__ = ["OpenAISession"]


class OpenAISession:
    """An open connection to one address. Methods may be called from any thread and raise CallFailed.

    Answers are the host's JSON, with its own repetitions of the key taken out.
    """

    def __init__(self, address: Address, key: ApiKey, timeout: float) -> None:
        """Open a client; nothing is sent. `timeout` is in seconds and per call."""
        redact_logs(key)
        self._key = key
        self._timeout = timeout
        # The library would tell any host which organization and project the environment names.
        nameless = {} if address == OPENAI else {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
        self._client = openai.OpenAI(
            api_key=key.secret or "none",
            base_url=address.url,
            max_retries=0,
            default_headers=nameless,  # type: ignore[arg-type]
            http_client=http_client(timeout),
        )

    def chat(self, model: str, messages: Sequence[Mapping[str, Any]], **options: Any) -> Payload:
        """One chat completion; `options` are fields of the request body, known to the library or not."""
        create = self._client.chat.completions.with_raw_response.create
        return self._sent(lambda: create(model=model, messages=list(messages), extra_body=options).http_response)  # type: ignore[arg-type]

    def images(self, model: str, prompt: str, **options: Any) -> Payload:
        """One call of the images API; `options` are fields of the request body."""
        generate = self._client.images.with_raw_response.generate
        return self._sent(lambda: generate(model=model, prompt=prompt, extra_body=options).http_response)

    def _sent(self, send: Callable[[], httpx2.Response]) -> Payload:
        with self._failures():
            text = send().text
        payload = read_payload(self._key.redacted(text))
        if payload is None:
            raise CallFailed("the answer is not a JSON object", passing=True, billed=True)
        if (status := _hidden_status(payload)) is not None:
            raise status_failure(status, {}, self._key.redacted(text))
        return payload

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            with transport_failures(self._key, self._timeout):
                yield
        except openai.APIStatusError as error:
            response = error.response
            failed = status_failure(response.status_code, response.headers, self._key.redacted(response.text))
            raise failed from None
        except (openai.OpenAIError, ValueError) as error:
            raise CallFailed(f"the answer cannot be read ({type(error).__name__})", passing=True, billed=True) from None

    def __repr__(self) -> str:
        return f"OpenAISession({str(self._client.base_url)!r})"


def _hidden_status(payload: Payload) -> int | None:
    """The status of a failure that came as a success: routers answer 200 before they know."""
    if dig(payload, "error") is None or dig(payload, "choices", 0) is not None or dig(payload, "data", 0) is not None:
        return None
    code = dig(payload, "error", "code")
    return code if isinstance(code, int) and 400 <= code < 600 else 500
