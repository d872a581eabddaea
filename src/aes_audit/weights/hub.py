"""The model hub: revisions resolved to commits, downloads, and errors said in one sentence. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from aes_audit.errors import ModelNotFound

__all__ = ["download", "list_files", "resolve_commit"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 10.0
_SAFE = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*/tokenizer*")


def resolve_commit(repo: str, revision: str | None, *, kind: str = "model") -> str:
    """The commit that `revision` (default branch when None) names now; `kind` is model or dataset.

    A full commit is returned as it is. Without a network the local cache answers, if it has the revision.
    Raises ModelNotFound for a repository or revision that does not exist or cannot be reached.
    """
    if revision and _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    cached = None
    try:
        with _plain_errors(repo, revision):
            cached = _cached_commit(repo, revision, kind)
            return str(HfApi().repo_info(repo, revision=revision, timeout=_TIMEOUT_S, repo_type=kind).sha)
    except _Unreachable as error:
        if cached:
            return cached
        raise ModelNotFound(str(error)) from error


def download(
    repo: str, commit: str, revision: str | None = None, files: Sequence[str] = _SAFE, *, kind: str = "model"
) -> Path:
    """The repository's files at `commit` in the hub cache, weights as safetensors only.

    `revision` is the name that led to the commit; the cache remembers it, for runs without a network. `files` are the
    names or patterns of what is wanted; what fits none of them is not fetched.
    Raises ModelNotFound when the hub cannot be asked and the cache does not have the commit.
    """
    from huggingface_hub import snapshot_download

    try:
        with _plain_errors(repo, commit):
            folder = Path(snapshot_download(repo, revision=commit, allow_patterns=list(files), repo_type=kind))
    except _Unreachable as error:
        raise ModelNotFound(str(error)) from error
    # The hub client writes this file only when it is asked for the name, and it was asked for the commit.
    with suppress(OSError):
        ref = _ref(repo, revision, kind)
        if revision != commit and _read(ref) != commit:
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(commit)
    return folder


def list_files(repo: str, commit: str, *, kind: str = "model") -> list[str]:
    """Names of all files of the repository at `commit`; the cache answers once anything of the commit was fetched.

    Raises ModelNotFound when the hub cannot be asked and the cache does not know the commit.
    """
    from huggingface_hub import HfApi, get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        with _plain_errors(repo, commit):
            try:
                return [file.path for file in get_cached_repo_tree(repo, revision=commit, repo_type=kind)]
            except CachedRepoTreeNotFoundError:
                return list(HfApi().list_repo_files(repo, revision=commit, repo_type=kind))
    except _Unreachable as error:
        raise ModelNotFound(str(error)) from error


def _transport_error() -> type[Exception]:
    # The hub client has changed its HTTP library more than once; this is the error base of the one in use.
    from huggingface_hub import errors

    base: type[Exception] = vars(errors)["HTTPError"]
    return base


class _Unreachable(Exception):
    """The hub did not answer; a cached copy may serve instead."""


def _cached_commit(repo: str, revision: str | None, kind: str) -> str | None:
    found = _read(_ref(repo, revision, kind))
    return found if found and _COMMIT.fullmatch(found) else None


def _ref(repo: str, revision: str | None, kind: str) -> Path:
    """The file of the hub cache that holds the commit of a branch or tag."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    return Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type=kind) / "refs" / (revision or "main")


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return None


@contextmanager
def _plain_errors(repo: str, revision: str | None) -> Iterator[None]:
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise ModelNotFound(
            f"{repo} is gated: accept its licence on the hub, then log in with `hf auth login` or set HF_TOKEN."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFound(f"{repo} has no revision {revision!r}: check the branch, tag or commit.") from error
    except RepositoryNotFoundError as error:
        raise ModelNotFound(
            f"{repo} is not on the hub (or private): check the id, or log in with `hf auth login`."
        ) from error
    except HFValidationError as error:
        raise ModelNotFound(f"{repo!r} is not a hub id: write owner/name.") from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise _Unreachable(
            f"{repo} is not complete in the local hub cache and the hub cannot be asked (offline mode or no network)."
        ) from error
    except _transport_error() as error:
        raise _Unreachable(
            f"{repo} cannot be fetched: the hub does not answer ({type(error).__name__}). "
            "Check the network, or give a folder."
        ) from error
    except OSError as error:
        # A file of another size than announced, a full disk, a cache that cannot be written.
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise _Unreachable(f"{repo} cannot be fetched: {said}. Try again, or give a folder.") from error
