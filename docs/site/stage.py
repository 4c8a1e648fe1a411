"""The pages of the documentation site: the repository's own documents, where they lie, so that their links hold.

MkDocs takes pages from one folder and no more; this hook lays them out in a temporary one before it looks.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).parents[2]
# What pages are, and what they show or link to.
SHOWN = (
    "*.md",
    "LICENSE",
    "CITATION.cff",
    "docs/*.md",
    "docs/*.png",
    "docs/api/*.md",
    "docs/deploy/*.py",
    "docs/notebooks/*.ipynb",
    "benchmarks/RESULTS.md",
    "bundles/*/LICENSE*",
    "bundles/*/docs/*",
)

_staged: list[tempfile.TemporaryDirectory[str]] = []


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lays the pages out and has MkDocs read them there."""
    staged = tempfile.TemporaryDirectory(prefix="pages-")
    _staged.append(staged)
    for pattern in SHOWN:
        for file in ROOT.glob(pattern):
            target = Path(staged.name) / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    config.docs_dir = staged.name
    return config


def on_shutdown() -> None:
    """Removes what was laid out."""
    for staged in _staged:
        staged.cleanup()
