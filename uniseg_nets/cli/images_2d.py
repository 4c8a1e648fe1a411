"""The verbs of the ``uniseg`` command for 2D images."""

from __future__ import annotations

__all__ = ["convert_2d", "demo_2d", "phantom_2d", "segment_2d"]

_BUNDLE = "esp_medsam_2d"


def segment_2d(
    input: str,
    output: str,
    modality: str = "auto",
    weights: str | None = None,
    small: bool = False,
    release: bool = False,
    runtime: str = "auto",
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
        runtime: "openvino", "torch", "compile", or "auto": OpenVINO on a CPU where it is installed.
        device: such as "cpu" or "cuda:1"; a GPU where there is one by default.
    """
    import torch

    from uniseg_nets.bundle.run import run_bundle
    from uniseg_nets.io.bundles import bundle_folder

    options = {} if device is None else {"device": torch.device(device)}
    overlays = [*(["small.json"] if small else []), *(["release.json"] if release else [])]
    usual = "release.pt" if release else "model.pt"
    run_bundle(
        _BUNDLE,
        ["inference.json", *overlays],
        dataset_dir=str(input),
        output_dir=str(output),
        modality=str(modality),
        weights=str(weights or bundle_folder(_BUNDLE) / "models" / usual),
        runtime=runtime,
        **options,
    )


def convert_2d(target: str, *files: str) -> None:
    """Convert the authors' released ESP-MedSAM weights to ours.

    Args:
        target: file to write, its SHA-256 beside it, such as the bundle's models/release.pt.
        files: the released files as MODALITY=FILE, such as fundus=FILE; those of several modalities become one.
    """
    from uniseg_nets.weights.esp_medsam_release import convert_release

    parts = [str(file).partition("=") for file in files]
    named = {modality: path for modality, _, path in parts if modality and path}
    if not parts or len(named) < len(parts):
        given = " ".join(map(str, files)) or "missing"
        raise ValueError(f"files are {given}: expected MODALITY=FILE, one for each modality")
    digest = convert_release(named, str(target))
    print(f"modalities: {', '.join(named)}\nwrote:      {target}\nSHA-256     {digest}")


def phantom_2d(output: str, count: int = 1, validation: int = 0, seed: int = 0) -> None:
    """Write synthetic 2D images of six modalities with masks, and a datalist.json over them.

    Args:
        output: folder.
        count: images a modality, for training.
        validation: further images a modality, for validation.
        seed: of the first image; the same seed gives the same image.
    """
    from uniseg_nets.phantom import write_phantom_pictures

    print(f"wrote {write_phantom_pictures(str(output), int(count), int(validation), int(seed))}")


def demo_2d(output: str = "demo-2d") -> None:
    """Try out ESP-MedSAM: recognise and segment synthetic 2D images of six modalities with the demo weights.

    Args:
        output: folder for images, masks, overlays and table.
    """
    from uniseg_nets.demo.images_2d import run_demo

    print(run_demo(str(output)))
