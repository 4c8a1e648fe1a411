"""Sets of 2D images: a folder with ``images`` (JPEG) and ``masks`` (PNG of the same name, 0 and 255) each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from uniseg_nets.prepare.split import draw_split

__all__ = ["draw_sections", "entries_of"]

Entries = list[dict[str, str]]


def entries_of(folder: Path, modality: str) -> Entries:
    """The images of a set as entries of a datalist, sorted by name.

    Raises:
        FileNotFoundError: if there is no image.
    """
    images = sorted((folder / "images").glob("*.jpg"))
    if not images:
        raise FileNotFoundError(f"no JPEG image in {folder / 'images'}")
    return [
        {"image": str(path), "label": str(folder / "masks" / f"{path.stem}.png"), "modality": modality}
        for path in images
    ]


def draw_sections(images: Path, sets: Mapping[str, str], held: float, seed: int) -> dict[str, Entries]:
    """The sections ``training`` and ``validation`` of several sets; images are drawn one by one.

    Args:
        images: folder of the sets.
        sets: modality -> folder of its set.
        held: fraction of each set for validation.
        seed: seed of the draw.
    """
    sections: dict[str, Entries] = {"training": [], "validation": []}
    for modality, folder in sets.items():
        entries = {Path(entry["image"]).stem: entry for entry in entries_of(images / folder, modality)}
        for section, names in draw_split({name: name for name in entries}, held, seed).items():
            sections[section] += [entries[name] for name in names]
    return sections
