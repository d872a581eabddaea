"""Pages as one HTML file each: templates that escape everything, and a policy that names the very script and style."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import ChainableUndefined, DictLoader, Environment

__all__ = ["environment", "policy", "resource"]


def environment(*names: str) -> Environment:
    """Templates of this folder, and its macros, escaping whatever is put into them."""
    loader = DictLoader({name: resource(name) for name in ("macros.html", *names)})
    # A results file of another release may lack a key: it is shown as nothing, and fails no report.
    return Environment(
        loader=loader, autoescape=True, undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True
    )


def policy(images: str, style: str, script: str | None = None) -> str:
    """A content security policy that allows this style and script, pictures from `images`, and nothing else."""
    allowed = f"'{_hash(script)}'" if script is not None else "'none'"
    return (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; img-src {images}; "
        f"style-src '{_hash(style)}'; script-src {allowed}"
    )


def resource(name: str) -> str:
    """A file of this folder."""
    return files("aes_audit.report.html").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
