"""Everything that `--model` may name, pinned: pipelines, hosted models, and what a function of one's own returns."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from aes_audit.errors import AesAuditError, ModelNotFound, UsageError
from aes_audit.evidence.keys import canonical
from aes_audit.generators.protocol import ResolvedGenerator
from aes_audit.generators.resolve import recipe_of, resolve_generator, zoo_name
from aes_audit.generators.spec import GeneratorSpec, parse_spec
from aes_audit.generators.zoo import ZOO
from aes_audit.weights.source import folder_at

__all__ = ["is_hosted", "resolve_model"]

_HOSTED = ("gemini:", "openai:")
_FACTORY = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)")
_WANTED = ("name", "revision", "identity", "batch_size", "load")


def resolve_model(
    text: str,
    *,
    root: Path,
    device: str,
    batch_size: int | None = None,
    cache: Path | None = None,
    recipe: str | None = None,
) -> ResolvedGenerator:
    """Pin what a SPEC names; arguments and errors are those of `resolve_generator`.

    `module:factory` is called with the keyword arguments `name` (the SPEC) and `device`, and returns an object that
    follows ResolvedGenerator. Raises ModelNotFound or UsageError where it does not.
    """
    spec = parse_spec(text, root)
    host = _host(spec, recipe)
    if host is not None:
        _refuse_parts(spec, "hosted", "a hosted model")
        return _hosted(spec, host)
    factory = _FACTORY.fullmatch(spec.base)
    if factory is not None and folder_at(spec.base, root) is None:
        _refuse_parts(spec, "made by a function", "it")
        if spec.options:
            raise UsageError(f"model {text!r} is made by a function, which takes no options in brackets.")
        return _made(text, factory["module"], factory["function"], device)
    try:
        return resolve_generator(text, root=root, device=device, batch_size=batch_size, cache=cache, recipe=recipe)
    except ModelNotFound as error:
        if close := difflib.get_close_matches(spec.base, ZOO, n=1, cutoff=0.8):
            raise ModelNotFound(f"{error} Did you mean {close[0]!r}?") from error
        raise


def is_hosted(text: str, root: Path | None = None) -> bool:
    """Whether a SPEC names a model on the network, whose weights nobody can pin."""
    return _host(parse_spec(text, root), None) is not None


def _host(spec: GeneratorSpec, recipe: str | None) -> str | None:
    name, revision = zoo_name(spec.base)
    if name is None:
        return spec.base if spec.base.startswith(_HOSTED) else None
    found = ZOO[name].host(recipe_of(spec, recipe))
    if found and revision:
        raise UsageError(f"model {spec.text!r}: {name} has no revisions: write {name}.")
    return found


def _hosted(spec: GeneratorSpec, host: str) -> ResolvedGenerator:
    from aes_audit.generators.hosted import resolve_hosted

    # Which recipe it was decided which model is asked; the rest is for the host.
    options = {name: value for name, value in spec.options.items() if name != "recipe"}
    if "recipe" in spec.options and spec.base.startswith(_HOSTED):
        raise UsageError(f"model {spec.text!r}: only names of the zoo have recipes.")
    return resolve_hosted(host, name=spec.text, options=options)


def _refuse_parts(spec: GeneratorSpec, kind: str, noun: str) -> None:
    appended = {"lora": spec.loras, "transformer": spec.transformer, "negative": spec.negative}
    for part, value in appended.items():
        if value:
            raise UsageError(f"model {spec.text!r} is {kind}: {noun} takes no '+{part}='.")


def _made(text: str, module: str, function: str, device: str) -> ResolvedGenerator:
    factory = _factory(text, module, function)
    try:
        made = factory(name=text, device=device)
    except AesAuditError:
        raise
    except Exception as error:
        # Whatever somebody's own code raises must end in one line that says whose code it was.
        raise UsageError(f"model {text!r}: {module}.{function} raised {_said(error)}") from error
    if absent := [name for name in _WANTED if not hasattr(made, name)]:
        raise UsageError(
            f"model {text!r}: {module}.{function} returned {type(made).__name__}, which has no {absent[0]!r}: "
            "return an object that follows aes_audit.generators.protocol.ResolvedGenerator."
        )
    if made.name != text:
        raise UsageError(f"model {text!r}: its `name` is {made.name!r} and must be the argument `name`.")
    try:
        canonical(dict(made.identity))
    except (TypeError, ValueError) as error:
        raise UsageError(f"model {text!r}: its `identity` is no JSON object: {error}.") from error
    return cast(ResolvedGenerator, made)


def _factory(text: str, module: str, function: str) -> Callable[..., Any]:
    try:
        found = getattr(import_module(module), function, None)
    except Exception as error:
        raise ModelNotFound(
            f"model {text!r}: module {module!r} cannot be imported: {_said(error)} Install it, or name its folder "
            "as `pythonpath` in pytest's configuration."
        ) from error
    if not callable(found):
        raise ModelNotFound(f"model {text!r}: module {module!r} has no function {function!r}.")
    return cast(Callable[..., Any], found)


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}." if lines else f"{type(error).__name__}."
