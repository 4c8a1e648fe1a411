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

from benchmarks.pictures import draw_sections
from uniseg_nets.image2d import load_pictures
from uniseg_nets.io.files import write_json

SETS = {"ultrasound": "fetal_head_ultrasound", "microscopy": "nuclei_microscopy"}
_HELD, _SEED = 0.2, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    write_json(options.data / "datalist.json", sections_of(options.images.absolute()))


def sections_of(images: Path) -> dict[str, list[dict[str, str]]]:
    """The sections ``training`` and ``validation`` of the datalist."""
    return draw_sections(images, SETS, _HELD, _SEED)


def held_images(data: Path) -> list[dict[str, Any]]:
    """The held images of the datalist in a folder."""
    return load_pictures(data / "datalist.json", "validation", list(SETS))


if __name__ == "__main__":
    main()
