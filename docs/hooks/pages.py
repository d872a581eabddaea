"""What mkdocs calls while it builds: pages that are not in docs/ are added, and links are led to them."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from places import ROOT, brought_along, rewritten, site_path
from reference import REFERENCE

_IN_NAV = ("README.md", "CONTRIBUTING.md", "fixtures/controls/README.md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README, CONTRIBUTING, what pages link to outside docs/, and the reference, made from the code."""
    for path in brought_along():
        inclusion = InclusionLevel.INCLUDED if path in _IN_NAV else InclusionLevel.NOT_IN_NAV
        content = (ROOT / path).read_bytes()
        if path.endswith(".md"):
            content = rewritten(content.decode(), path).encode()
        files.append(File.generated(config, site_path(path), content=content, inclusion=inclusion))
    for name, page in REFERENCE.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links of a page in docs/ that leave docs/ to where those files are in the site."""
    if page.file.generated_by:
        return markdown
    return rewritten(markdown, f"docs/{page.file.src_uri}")
