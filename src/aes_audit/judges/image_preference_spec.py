"""What `--judge` may say about a judge that looks at images, taken apart. Imports no client library.

SPEC = ( "openai:" MODEL [ "@" URL ] | NAME [ "@" URL ] ) [ "[" OPTION "=" VALUE { "," OPTION "=" VALUE } "]" ]
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from aes_audit.endpoints.address import OPENAI, Address, read_address
from aes_audit.endpoints.options import LIMITS, read_choice, read_limits, read_number, read_whole
from aes_audit.errors import UnknownName, UsageError
from aes_audit.generators.spec import parse_spec
from aes_audit.judges.image_preference import HostedPreference
from aes_audit.judges.image_preference_price import Price

__all__ = ["NAMED", "URL_VARIABLE", "NamedJudge", "is_hosted_judge", "resolve_image_preference"]

SERVICE = "openai:"
PREFIX = "preference/"
URL_VARIABLE = "AES_AUDIT_JUDGE_URL"
"""Environment variable with the endpoint of judges whose SPEC names none."""

ORDERS = ("both", "one")
_OPTIONS = ("name", "temperature", "orders", "schema", "max_tokens", "price", "price_in", "price_out", *LIMITS)
_MODEL = re.compile(r"[A-Za-z0-9][\w./:-]*")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class NamedJudge:
    """A judge of the paper."""

    model: str
    """Its id at its maker's; a router may have another, which `openai:MODEL@URL[name=...]` takes."""
    address: Address | None = None
    """Its maker's API; None for open weights, which many hosts serve."""


NAMED: Mapping[str, NamedJudge] = {
    "qwen3-vl-235b": NamedJudge("Qwen/Qwen3-VL-235B-A22B-Instruct"),
    "gpt-5-chat": NamedJudge("gpt-5-chat-latest", OPENAI),
    "glm-4.5v": NamedJudge("zai-org/GLM-4.5V"),
}
"""The judges that the paper asked: its ground truth, its external baseline, and one that it does not report."""


def is_hosted_judge(text: str) -> bool:
    """Whether a SPEC names a judge that looks at images through an endpoint."""
    return text.startswith(SERVICE) or _short_name(text) in NAMED


def resolve_image_preference(text: str) -> HostedPreference:
    """The judge that a SPEC names; docs/preference.md lists the options.

    Raises UsageError or UnknownName; keys and client libraries are looked for when the first question is asked.
    """
    spec = parse_spec(text)
    if unknown := sorted(set(spec.options) - set(_OPTIONS)):
        raise UnknownName("option of a preference judge", unknown[0], _OPTIONS)
    if spec.loras or spec.transformer or spec.negative:
        raise UsageError(f"judge {text!r}: a judge behind an endpoint takes nothing after a '+'.")
    default, model, address = _asked(spec.base)
    options = spec.options
    name = options.get("name", default).removeprefix(PREFIX)
    if not _NAME.fullmatch(name):
        raise UsageError(f"judge {text!r}: name {name!r} must consist of letters, digits, '.', '_' and '-'.")
    return HostedPreference(
        name=f"{PREFIX}{name}",
        model=model,
        address=address,
        temperature=_temperature(options.get("temperature", "0.3")),
        orders=read_choice("orders", options.get("orders", "both"), ORDERS),
        schema=read_choice("schema", options.get("schema", "on"), ("on", "off")) == "on",
        max_tokens=read_whole("max_tokens", options["max_tokens"], most=100_000) if "max_tokens" in options else None,
        price=_price(options),
        limits=read_limits(options),
    )


def _asked(base: str) -> tuple[str, str, Address]:
    """Default name, model and address of the base of a SPEC."""
    named, at, url = base.removeprefix(SERVICE).partition("@")
    if base.startswith(SERVICE):
        if not _MODEL.fullmatch(named):
            raise UsageError(f"judge {base!r} names no model: write openai:MODEL or openai:MODEL@URL.")
        return named.rpartition("/")[2].replace(":", "-"), named, read_address(url) if at else OPENAI
    name = named.removeprefix(PREFIX)
    known = NAMED[name]
    if at or known.address is None:
        return name, known.model, read_address(url if at else _url_of_environment(name))
    return name, known.model, known.address


def _url_of_environment(name: str) -> str:
    url = os.environ.get(URL_VARIABLE, "").strip()
    if not url:
        raise UsageError(
            f"judge {name!r} has open weights and no host of its own: write {name}@URL, or set the environment "
            f"variable {URL_VARIABLE} to the URL of an OpenAI-compatible endpoint."
        )
    return url


def _short_name(text: str) -> str:
    return re.split(r"[@\[]", text.removeprefix(PREFIX), maxsplit=1)[0]


def _temperature(text: str) -> float | None:
    """None for `default`: some models take no temperature at all."""
    if text == "default":
        return None
    value = read_number("temperature", text, "a number of 0 or more, or default for the host's own", least=0.0)
    # Negative zero would be another text in keys.
    return abs(value)


def _price(options: Mapping[str, str]) -> Price | None:
    said = {
        name: read_number(name, options[name], f"US dollars per {unit}", least=0.0) if name in options else None
        for name, unit in (("price", "question"), ("price_in", "million tokens"), ("price_out", "million tokens"))
    }
    if (said["price_in"] is None) != (said["price_out"] is None):
        raise UsageError("options price_in and price_out go together: give both, per million tokens.")
    return Price.read(said["price"], said["price_in"], said["price_out"])
