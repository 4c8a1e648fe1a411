"""The datalist of the open 2D weights.

    python -m benchmarks.open_weights_2d.data IMAGES DATA

IMAGES has the folders ``fetal_head_ultrasound`` and ``nuclei_microscopy``, each with ``images`` (JPEG) and ``masks``
(PNG of the same name, 0 and 255). A fifth of each set, drawn by seed 0, is held out. Neither set says which images are
of one patient or one slide, so the images are drawn one by one. Writes ``DATA/datalist.json``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.esp_medsam.run import entries_of
from uniseg_nets.image2d import load_pictures
from uniseg_nets.io.files import write_json
from uniseg_nets.prepare.split import draw_split

SETS = {"ultrasound": "fetal_head_ultrasound", "microscopy": "nuclei_microscopy"}
_HELD, _SEED = 0.2, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    write_datalist(options.images.absolute(), options.data)


def write_datalist(images: Path, data: Path) -> None:
    """Writes ``datalist.json`` with the sections ``training`` and ``validation``."""
    content: dict[str, list[dict[str, str]]] = {"training": [], "validation": []}
    for modality, folder in SETS.items():
        entries = {Path(entry["image"]).stem: entry for entry in entries_of(images / folder, modality)}
        if not entries:
            raise FileNotFoundError(f"no JPEG image in {images / folder / 'images'}")
        for section, names in draw_split({name: name for name in entries}, _HELD, _SEED).items():
            content[section] += [entries[name] for name in names]
    write_json(data / "datalist.json", content)


def held_images(data: Path) -> list[dict[str, Any]]:
    """The held images of the datalist in a folder."""
    return load_pictures(data / "datalist.json", "validation", list(SETS))


if __name__ == "__main__":
    main()
