"""The verbs of the ``uniseg`` command for 2D images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from uniseg_nets.cli.values import existing, new_file, new_folder
from uniseg_nets.io.bundles import MODEL, bundle_folder, model_file
from uniseg_nets.io.devices import device_of

__all__ = ["convert_2d", "segment_2d"]

_BUNDLE = "esp_medsam_2d"
_RELEASE = "release.pt"


def segment_2d(
    input: str,
    output: str,
    *,
    modality: str = "auto",
    weights: str | None = None,
    small: bool = False,
    release: bool = False,
    runtime: Literal["auto", "torch", "compile", "openvino"] = "auto",
    device: str | None = None,
) -> None:
    """Segment a 2D image, or every one of a folder: mask, overlay and JSON each.

    Args:
        input: a PNG, JPEG, TIFF, BMP or DICOM image, a folder of such, or a MONAI datalist.
        output: a folder.
        modality: of the images, such as "fundus"; "auto" recognises it and refuses what it is not sure of.
        weights: ours; the bundle's models/model.pt by default, or its models/release.pt with ``release``.
        small: the weights are of the small configuration (256 x 256).
        release: the weights are the authors', as ``convert-2d`` writes them.
        runtime: "auto" is OpenVINO on a CPU where it is installed, else PyTorch.
        device: such as "cpu" or "cuda:1"; a GPU where there is one by default.
    """
    source = Path(existing(input)).absolute()
    file = existing(weights) if weights else model_file(bundle_folder(_BUNDLE), _RELEASE if release else MODEL)
    options: dict[str, Any] = {} if device is None else {"device": device_of(device)}
    from uniseg_nets.bundle.run import run_bundle

    overlays = [*(["small.json"] if small else []), *(["release.json"] if release else [])]
    run_bundle(
        _BUNDLE,
        ["inference.json", *overlays],
        dataset_dir=str(source),
        output_dir=str(Path(new_folder(output)).absolute()),
        modality=modality,
        weights=str(Path(file).absolute()),
        runtime=runtime,
        **options,
    )


def convert_2d(*files: str, output: str) -> None:
    """Convert the authors' released ESP-MedSAM weights to ours.

    Args:
        files: the released files as MODALITY=FILE, such as fundus=FILE; those of several modalities become one.
        output: file to write, its SHA-256 beside it, such as the bundle's models/release.pt; it comes last.
    """
    new_file(output, "OUTPUT")
    parts = [file.partition("=") for file in files]
    named = {modality: path for modality, _, path in parts if modality and path}
    if not parts or len(named) < len(parts):
        raise ValueError(
            f"files are {' '.join(files) or 'missing'}: expected MODALITY=FILE, one for each modality, and the file to "
            "write after them"
        )
    from uniseg_nets.weights.esp_medsam_release import convert_release

    digest = convert_release(named, output)
    print(f"modalities: {', '.join(named)}\nwrote:      {output}\nSHA-256     {digest}")
