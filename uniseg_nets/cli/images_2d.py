"""The verbs of the ``uniseg`` command for 2D images."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

from uniseg_nets.cli.values import absent_file, existing, existing_file, new_folder
from uniseg_nets.io.bundles import bundle_folder, model_file
from uniseg_nets.io.devices import device_of
from uniseg_nets.io.messages import no_weights_2d
from uniseg_nets.weights.shipped import DEMO_2D, OPEN_2D, SHIPPED_2D

__all__ = ["convert_2d", "segment_2d"]

logger = logging.getLogger(__name__)

_BUNDLE = "esp_medsam_2d"
_RELEASE = "release.pt"
_ENDINGS = (".pt", ".pth", ".safetensors")


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
    """Segment a 2D image, or every image of a folder, and write a mask, an overlay and a JSON per image.

    Args:
        input: a PNG, JPEG, TIFF, BMP or DICOM image, a folder of such, or a MONAI datalist.
        output: a folder.
        modality: modality of the images, such as "fundus"; "auto" recognises it and refuses uncertain images.
        weights: a file of this package, or the name "open" or "demo"; by default models/model.pt of the bundle, or the
            open weights if there is none; with --release models/release.pt.
        small: the weights are of the small configuration (256 x 256).
        release: the weights are the authors', as `uniseg convert-2d` writes them.
        runtime: "auto" is OpenVINO on a CPU if it is installed, else PyTorch.
        device: such as "cpu" or "cuda:1"; by default a GPU if there is one.
    """
    source = Path(existing(input)).absolute()
    file, overlays = _weights(weights, small, release)
    options: dict[str, Any] = {} if device is None else {"device": device_of(device)}
    from uniseg_nets.bundle.run import run_bundle
    from uniseg_nets.weights.esp_medsam import modalities_in

    if modality != "auto" and modality not in (known := modalities_in(file)):
        raise ValueError(f"--modality is {modality}, expected auto, or one that {file} knows: {', '.join(known)}")
    run_bundle(
        _BUNDLE,
        ["inference.json", *overlays],
        dataset_dir=str(source),
        output_dir=str(Path(new_folder(output)).absolute()),
        modality=modality,
        weights=str(file),
        runtime=runtime,
        **options,
    )


def _weights(weights: str | None, small: bool, release: bool) -> tuple[Path, list[str]]:
    """The file of the chosen weights, and the configs of their network."""
    root = bundle_folder(_BUNDLE)
    if weights is None and not (small or release or model_file(root).is_file()):
        logger.info("the open weights: %s (%s)", OPEN_2D.origin, OPEN_2D.licence)
        weights = OPEN_2D.name
    for shipped in SHIPPED_2D:
        if weights == shipped.name:
            for flag, given in (("release", release), ("small", small)):
                if given:
                    raise ValueError(f"--{flag} is for other weights, not for {weights}: leave it out")
            if shipped is DEMO_2D:
                logger.warning("demo weights, trained on synthetic images: on a real image the result means nothing")
            return model_file(root, shipped.file), list(shipped.configs)
    overlays = [*(["small.json"] if small else []), *(["release.json"] if release else [])]
    if weights is not None:
        return Path(existing_file(weights, "--weights, a checkpoint")).absolute(), overlays
    file = model_file(root, _RELEASE) if release else model_file(root)
    if not file.is_file():
        raise FileNotFoundError(no_weights_2d(file, release))
    return file, overlays


def convert_2d(*files: str, output: str) -> None:
    """Convert the authors' released ESP-MedSAM weights to the layout of this package.

    Args:
        files: the released files as MODALITY=FILE, such as fundus=FILE; several modalities are merged into one file.
        output: file to write, such as models/release.pt of the bundle, with its SHA-256 beside it; it comes last.
    """
    _check_target(output)
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


def _check_target(output: str) -> None:
    """Refuses an OUTPUT that is one of the files to convert, in a command without OUTPUT, or that exists.

    Raises:
        FileExistsError: the file exists, or its folder is a file.
        ValueError: the name is none of a weights file.
    """
    if "=" in Path(output).name or Path(output).suffix.lower() not in _ENDINGS:
        raise ValueError(
            f"OUTPUT is {output!r}: expected MODALITY=FILE, one for each modality, and after them the file to write, "
            f"which ends in {', '.join(_ENDINGS)}"
        )
    absent_file(output, "OUTPUT")
