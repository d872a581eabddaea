"""A local server that speaks the OpenAI protocol with a real, tiny Qwen3-VL behind it.

`transformers serve` neither gives log-probabilities nor reads images without torchvision; this one does both, with the
stock model and the stock image processor, for text and image parts in any order. Like vLLM it holds an answer to a
JSON schema: here one with a single property that lists its values.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from endpoints.hosts import Asked, Host, Sent, serving
from PIL import Image
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

__all__ = ["TinyModel", "serving_model"]

_IMAGE = "<|image_pad|>"
_LENGTH = 16


class TinyModel:
    """The model behind the server: reads chats, answers with tokens and their log-probabilities."""

    def __init__(self, folder: Path) -> None:
        """Load a folder that `save_tiny_qwen3_vl` wrote."""
        self.model: Any = Qwen3VLForConditionalGeneration.from_pretrained(folder).eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.images: Any = Qwen2VLImageProcessorPil.from_pretrained(folder)
        # The stock model keeps positions between calls.
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Sent:
        """The response to POST /v1/chat/completions."""
        if not asked.path.endswith("/chat/completions"):
            return Sent({"error": {"message": f"no such path: {asked.path}"}}, status=404)
        try:
            with self._lock, torch.inference_mode():
                return Sent(self._completion(asked.body))
        except (ValueError, LookupError, TypeError) as error:
            return Sent({"error": {"message": f"{type(error).__name__}: {error}", "code": "bad_request"}}, status=400)

    def logits(self, messages: Sequence[Mapping[str, Any]], said: Sequence[int] = ()) -> torch.Tensor:
        """Logits at every position of the chat and of what was said since: (length, vocabulary)."""
        text, pictures = self._rendered(messages)
        seen = self.images(pictures, return_tensors="pt") if pictures else {}
        for _, rows, columns in seen["image_grid_thw"].tolist() if pictures else ():
            text = text.replace(_IMAGE, "<|seen|>" * (rows * columns // 4), 1)
        ids = torch.tensor([self.tokenizer(text.replace("<|seen|>", _IMAGE))["input_ids"] + list(said)])
        kinds = (ids == self.model.config.image_token_id).int()
        found: torch.Tensor = self.model(input_ids=ids, mm_token_type_ids=kinds, **seen).logits[0]
        return found

    def _completion(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        messages = body["messages"]
        temperature = float(body.get("temperature", 1.0))
        chance = torch.Generator().manual_seed(_seed(body))
        schema = body.get("response_format") or {}
        if schema.get("type") == "json_schema":
            entries: list[Mapping[str, Any]] = []
            said = self._held_to(messages, schema["json_schema"]["schema"], temperature, chance)
        else:
            said, entries = self._free(messages, body, temperature, chance)
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": self.tokenizer.decode(said, skip_special_tokens=True)},
            "finish_reason": "stop" if said[-1:] == [self.tokenizer.eos_token_id] else "length",
            "logprobs": {"content": entries} if body.get("logprobs") else None,
        }
        read = len(self.logits(messages))
        usage = {"prompt_tokens": read, "completion_tokens": len(said), "total_tokens": read + len(said)}
        head = {"id": "c1", "object": "chat.completion", "created": 1, "model": body["model"]}
        return {**head, "choices": [choice], "usage": usage}

    def _free(
        self,
        messages: Sequence[Mapping[str, Any]],
        body: Mapping[str, Any],
        temperature: float,
        chance: torch.Generator,
    ) -> tuple[list[int], list[Mapping[str, Any]]]:
        said: list[int] = []
        entries: list[Mapping[str, Any]] = []
        for _ in range(int(body.get("max_tokens") or body.get("max_completion_tokens") or _LENGTH)):
            logits = self.logits(messages, said)[-1]
            token = _drawn(logits, temperature, chance)
            likely = logits.double().log_softmax(dim=-1)
            top = [self._entry(int(one), likely) for one in likely.topk(int(body.get("top_logprobs") or 0)).indices]
            entries.append({**self._entry(token, likely), "top_logprobs": top})
            said.append(token)
            if token == self.tokenizer.eos_token_id:
                break
        return said, entries

    def _held_to(
        self,
        messages: Sequence[Mapping[str, Any]],
        schema: Mapping[str, Any],
        temperature: float,
        chance: torch.Generator,
    ) -> list[int]:
        ((name, kind),) = schema["properties"].items()
        options = [self.tokenizer(json.dumps({name: value}))["input_ids"] for value in kind["enum"]]
        scores = []
        for option in options:
            likely = self.logits(messages, option)[-len(option) - 1 : -1].double().log_softmax(dim=-1)
            scores.append(likely[range(len(option)), option].sum())
        chosen: list[int] = options[_drawn(torch.stack(scores), temperature, chance)]
        return [*chosen, self.tokenizer.eos_token_id]

    def _entry(self, token: int, likely: torch.Tensor) -> dict[str, Any]:
        text = self.tokenizer.decode([token])
        return {"token": text, "logprob": float(likely[token]), "bytes": list(text.encode())}

    def _rendered(self, messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[Image.Image]]:
        parts = [part for turn in messages if not isinstance(turn["content"], str) for part in turn["content"]]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        pictures: list[Image.Image] = [
            Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))) for url in urls
        ]
        text: str = self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        return text, pictures


@contextmanager
def serving_model(folder: Path) -> Iterator[Host]:
    """The server while the block runs; its base URL for clients is `host.url + "/v1"`, and `host.asked` what came."""
    model = TinyModel(folder)
    with serving(model.answer) as host:
        yield host


def _seed(body: Mapping[str, Any]) -> int:
    """One request has one answer."""
    return int.from_bytes(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()[:7])


def _drawn(logits: torch.Tensor, temperature: float, chance: torch.Generator) -> int:
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial((logits.double() / temperature).softmax(dim=-1), 1, generator=chance))
