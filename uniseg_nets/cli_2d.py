"""The verbs of the ``uniseg`` command for 2D images."""

from __future__ import annotations

__all__ = ["demo_2d", "phantom_2d", "segment_2d"]

_BUNDLE = "esp_medsam_2d"


def segment_2d(
    input: str,
    output: str,
    modality: str = "auto",
    weights: str | None = None,
    small: bool = False,
    runtime: str = "auto",
    device: str | None = None,
) -> None:
    """Segment a 2D image, or every one of a folder: mask, overlay and JSON each.

    Args:
        input: a PNG, JPEG, TIFF, BMP or DICOM image, a folder of such, or a MONAI datalist.
        output: a folder.
        modality: of the images, such as "fundus"; "auto" recognises it and refuses what it is not sure of.
        weights: ours; the bundle's models/model.pt by default.
        small: the weights are of the small configuration (256 x 256).
        runtime: "openvino", "torch", "compile", or "auto": OpenVINO on a CPU where it is installed.
        device: such as "cpu" or "cuda:1"; a GPU where there is one by default.
    """
    import torch

    from uniseg_nets.bundle import bundle_folder, run_bundle

    options = {} if device is None else {"device": torch.device(device)}
    run_bundle(
        _BUNDLE,
        ["inference.json", *(["small.json"] if small else [])],
        dataset_dir=str(input),
        output_dir=str(output),
        modality=str(modality),
        weights=str(weights or bundle_folder(_BUNDLE) / "models" / "model.pt"),
        runtime=runtime,
        **options,
    )


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
    from uniseg_nets.pictures.demo import run_demo

    print(run_demo(str(output)))
