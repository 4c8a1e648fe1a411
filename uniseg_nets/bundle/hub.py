"""A bundle as a repository of the Hugging Face Hub, for MONAI's ``push_to_hf_hub``.

MONAI makes a model card of ``docs/README.md``, with the licence of the code alone, in place of any other card. The
folder that is written here has its card in ``README.md`` and no ``docs/README.md``, so that this card is uploaded.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from uniseg_nets.bundle.contents import bundle_files, copy_files
from uniseg_nets.io.errors import not_installed
from uniseg_nets.io.files import read_json, sha256_of, write_json
from uniseg_nets.weights.licence import CODE_LICENCE, TERMS, strictest, terms_of

__all__ = ["HubFolder", "write_hub_folder"]

_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)#\s]*)(#[^)]*)?\)")
_CARD, _HUB_CARD, _METADATA = "docs/README.md", "README.md", "configs/metadata.json"
_TAGS = ("monai", "medical", "segmentation")


class HubFolder(NamedTuple):
    """A folder for the hub, the licence on its card, and the bundle's version."""

    path: Path
    licence: str
    version: str


def write_hub_folder(
    bundle: Path, repository: str, output: str | PathLike[str], licence: str | None = None
) -> HubFolder:
    """Writes ``OUTPUT/NAME``, a bundle that ``push_to_hf_hub`` uploads, NAME being the name of the repository.

    It has a model card with front matter, the repository's address in the metadata, and the address and SHA-256 of the
    weights in ``large_files.yml``, by which ``download_large_files`` checks them.

    Args:
        bundle: folder of the bundle.
        repository: ``OWNER/NAME`` on the hub.
        output: folder.
        licence: licence of the weights, as the hub names it; by default that of the files beside the weights.

    Raises:
        FileExistsError: the folder exists.
        ValueError: no such repository's name; no known licence; a link out of the bundle.
        NotInstalledError: ``huggingface_hub`` is not installed.
    """
    try:
        import yaml
        from huggingface_hub import ModelCardData, hf_hub_url
    except ImportError as error:
        raise not_installed("the hub", "huggingface_hub") from error
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"REPOSITORY is {repository!r}, expected OWNER/NAME")
    target = Path(output) / repository.partition("/")[2]
    if target.exists():
        raise FileExistsError(f"{target} exists: delete it, or choose another OUTPUT")
    files, metadata = bundle_files(bundle), read_json(bundle / _METADATA)
    weights = [path for path in files if path.suffix in (".pt", ".safetensors")]
    terms: dict[str, Any] = {"license": licence} if licence else _licence(bundle, weights, metadata)
    card = ModelCardData(**terms, library_name="monai", pipeline_tag="image-segmentation", tags=_tags(metadata))
    text = _LINK.sub(lambda link: _moved(link, bundle), (bundle / _CARD).read_text(encoding="utf-8"))
    address = hf_hub_url(repository, _HUB_CARD).partition("/resolve/")[0]
    large = [_entry(path, bundle, f"{address}/resolve/{metadata['version']}") for path in weights]
    listed = yaml.safe_dump({"large_files": large}, sort_keys=False)
    copy_files(files, bundle, target)
    (target / _CARD).unlink()
    (target / _HUB_CARD).write_text(f"---\n{card.to_yaml()}\n---\n\n{text}", encoding="utf-8")
    (target / "large_files.yml").write_text(listed, encoding="utf-8")
    write_json(target / _METADATA, metadata | {"huggingface_model_id": repository, "huggingface_url": address})
    return HubFolder(target, terms["license"], metadata["version"])


def _licence(bundle: Path, weights: list[Path], metadata: dict[str, Any]) -> dict[str, Any]:
    """The licence of the strictest terms of all weights, else that of the code."""
    terms = strictest(terms_of(path) for path in weights)
    if terms is None and metadata.get("weights_license") == "unnamed":
        raise ValueError(
            f"the licence of the weights of {bundle.name} is unknown: name it, such as --licence apache-2.0"
        )
    return dict(TERMS[terms].card) if terms else {"license": CODE_LICENCE.lower()}


def _tags(metadata: dict[str, Any]) -> list[str]:
    words = re.findall(r"\b(?:CT|MR|PET)\b", f"{metadata['task']} {metadata['image_classes']}")
    return [*_TAGS, *(word.lower() for word in dict.fromkeys(words))]


def _moved(link: re.Match[str], bundle: Path) -> str:
    """A link of ``docs/README.md`` as it is from ``README.md``; its text alone if it leaves the bundle."""
    text, address, anchor = link[1], link[2], link[3] or ""
    if not address or "://" in address:
        return link[0]
    target, root = (bundle / "docs" / address).resolve(), bundle.resolve()
    if not (target.is_relative_to(root) and target.exists()):
        return text
    return link[0].replace(f"({address}{anchor})", f"({target.relative_to(root).as_posix()}{anchor})")


def _entry(path: Path, bundle: Path, address: str) -> dict[str, str]:
    """A file as ``download_large_files`` reads it."""
    name = path.relative_to(bundle).as_posix()
    return {"path": name, "url": f"{address}/{name}", "hash_type": "sha256", "hash_val": sha256_of(path)}
