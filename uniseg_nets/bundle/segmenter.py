"""The inference of a bundle from Python: the same config and pipeline as in a run, without files in between."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from nibabel.spatialimages import SpatialImage
from numpy.typing import ArrayLike

from uniseg_nets.bundle.choose import ChosenInference
from uniseg_nets.bundle.run import opened_bundle
from uniseg_nets.io.bundles import mode_configs
from uniseg_nets.io.errors import root_error
from uniseg_nets.io.plain import plain_data
from uniseg_nets.results.label_map import LabelMap
from uniseg_nets.transforms.export import LabelMapd

__all__ = ["Segmenter"]

# Options of runs over files, which have no effect on a label map in memory.
_OF_RUNS = (
    "report",
    "dicom_seg",
    "dicom_sr",
    "rtstruct",
    "slicer_seg",
    "strict",
    "dataset_dir",
    "output_dir",
    "cases",
    "num_workers",
)


def _refuse_run_options(overrides: Mapping[str, Any]) -> None:
    given = [name for name in _OF_RUNS if name in overrides]
    if given:
        raise ValueError(f"a Segmenter does not take {', '.join(given)}: use `uniseg segment`, which runs over files")


class Segmenter:
    """Segments scans with a bundle. The network is loaded once.

    Example:
        A scan is a file, a DICOM folder, a list of channel files, a nibabel image, or an array with its affine.

        >>> import numpy as np
        >>> segmenter = Segmenter("uniseg_upstream", task="hippocampus")
        >>> segmenter.labels
        {0: 'background', 1: 'anterior_hippocampus', 2: 'posterior_hippocampus'}
        >>> label_map = segmenter(np.ones((36, 50, 36)), affine=np.diag([1.0, 1.0, 1.0, 1.0]))
        >>> label_map.shape
        (36, 50, 36)
        >>> label_map.verdict.word  # not a brain
        'check'

    Args:
        bundle: the name ``uniseg_upstream`` or ``unetr_prompt_tuning``; or the folder or zip of a bundle, such as
            `uniseg pack` writes.
        overrides: values of its ``configs/inference.json``, such as ``task``, ``weights``, ``mirror`` or ``device``;
            and ``mode``, which is ``"balanced"`` (the default), ``"fast"`` or ``"accurate"``. ``task`` is needed if the
            bundle has several tasks. ``weights`` is a file or the name of shipped weights, such as ``"demo"``; tasks of
            the open weights use these by default.

    Attributes:
        labels: value in the label map -> name.
        network: the network in its runtime; for an ensemble, a ``ModuleList`` of such.

    Raises:
        FileNotFoundError: the bundle or the weights do not exist.
        ValueError: the task, the mode or an override is unknown; the bundle has several tasks and none is chosen; a
            value has another type, or would be evaluated by the config's parser; an override is an option of runs over
            files, such as ``report``; the device does not exist; or a zip holds no bundle.
    """

    def __init__(self, bundle: str | PathLike[str], **overrides: Any) -> None:
        with opened_bundle(bundle) as root:
            overlays = [file.name for file in mode_configs(root, overrides.pop("mode", "balanced"))]
            _refuse_run_options(overrides)
            plain_data(overrides)
            chosen = ChosenInference(root, overlays, "task=...", **overrides)
            self._parser = ConfigParser()
            self._parser.read_config([str(root / "configs" / name) for name in chosen.configs])
            self._parser.update({"bundle_root": str(root), **chosen.overrides()})
            self._build()

    def _build(self) -> None:
        """Makes all parts and loads the weights; the folder of the bundle is not needed afterwards."""
        tasks, task, values = (self._part(name) for name in ("tasks", "task", "label_values"))
        self.labels = tasks.label_names(task, values)
        self._channels = tasks.select(task)[0].channels
        self._preprocess, self._inferer = self._part("preprocessing"), self._part("inferer")
        self.network = self._part("network").eval()
        self._to_label_map = self._label_map_transform()
        self._judged = self._part("judged") if "judged" in self._parser else None
        self._device = self._part("device")
        self._parser = ConfigParser()  # the read weights are not kept twice

    def _label_map_transform(self) -> LabelMapd:
        """The transform from scores to a label map. Bundles that versions up to 0.8 packed have no name for it."""
        config = self._parser.get()
        if "to_label_map" in config:
            return self._part("to_label_map")
        # The others of these transforms write files of a run.
        for index, one in enumerate(config["postprocessing"]["transforms"]):
            if isinstance(one, dict) and one["_target_"].endswith(f".{LabelMapd.__name__}"):
                return self._part(f"postprocessing#transforms#{index}")
        raise ValueError("the bundle's postprocessing has no LabelMapd: expected a bundle of UniSeg")

    @torch.no_grad()
    def __call__(self, scan: Any, affine: ArrayLike | None = None) -> LabelMap:
        """Segments a scan.

        Args:
            scan: a file, a DICOM folder, a list of channel files, a nibabel image, or an array (x, y, z) or
                (channel, x, y, z).
            affine: (4, 4), voxel (x, y, z) -> RAS+ mm; for arrays only, which need it.

        Returns:
            The label map (x, y, z), uint8, on the grid of the scan: an array that can be saved. Its ``verdict`` says
            whether to check it.

        Raises:
            FileNotFoundError: the scan does not exist.
            ValueError: the scan cannot be read, an array has no affine, or the number of channels is wrong; or the scan
                is refused, unless the override ``force=True`` was given.
        """
        try:
            case = self._preprocess({"image": _with_affine(scan, affine)})
            scores = self._inferer(case["image"][None].to(self._device), self.network)[0]
            label: MetaTensor = self._to_label_map({**case, "pred": scores})["pred"]
            verdict = None if self._judged is None else self._judged(case)["verdict"]
        except RuntimeError as error:
            raise root_error(error) from None
        source = str(label.meta["filename_or_obj"])
        result = LabelMap(label.as_tensor()[0].numpy(), np.asarray(label.affine), self.labels, source)
        result.verdict = verdict
        return result

    def show(self, scan: Any, affine: ArrayLike | None = None, height: int = 500) -> Any:
        """Segments a scan and shows both in a notebook, in three planes and 3D.

        Args:
            scan, affine: as for a call.
            height: height of the widget in pixels.

        Returns:
            NiiVue's widget, from ipyniivue; ``volumes[0]`` is the scan, ``volumes[1]`` the label map.

        Raises:
            FileNotFoundError, ValueError: as for a call.
            NotInstalledError: ipyniivue is not installed.
        """
        from uniseg_nets.reports.views import Views
        from uniseg_nets.reports.widget import widget
        from uniseg_nets.transforms.grid import on_grid_of
        from uniseg_nets.transforms.load import LoadCase

        result = self(scan, affine)
        image = LoadCase(self._channels)(_with_affine(scan, affine))
        grid = np.asarray(result.affine)
        shown = on_grid_of(image.as_tensor()[-1], image.affine, result.shape, grid).numpy()
        names = {value: name for value, name in self.labels.items() if value}
        return widget(Views.of(shown, np.asarray(result), grid, names), self._channels[-1], height)

    def _part(self, name: str) -> Any:
        try:
            return self._parser.get_parsed_content(name)
        except RuntimeError as error:
            raise root_error(error) from None


def _are_files(scan: Any) -> bool:
    files = list(scan) if isinstance(scan, (list, tuple)) else [scan]
    return bool(files) and all(isinstance(file, (str, PathLike)) for file in files)


def _with_affine(scan: Any, affine: ArrayLike | None) -> Any:
    """The scan; an array as a tensor with its affine.

    Raises:
        ValueError: the scan is of no known kind, an array has no numbers or no affine, or something else has one.
    """
    if not isinstance(scan, (np.ndarray, torch.Tensor)) or isinstance(scan, MetaTensor):
        if not (_are_files(scan) or isinstance(scan, (SpatialImage, MetaTensor))):
            raise ValueError(
                f"scan is {str(scan)[:80]!r}, expected a file, a DICOM folder, a list of channel files, a nibabel "
                "image, or an array with its affine"
            )
        if affine is not None:
            raise ValueError("an affine belongs to an array: a file or an image has its own")
        return scan
    if affine is None:
        raise ValueError("an array needs its affine (4 x 4, voxels to RAS+ mm): spacing follows from it")
    if isinstance(scan, np.ndarray) and scan.dtype.kind not in "biufc":
        raise ValueError(f"the array holds {scan.dtype}, expected numbers")
    matrix = np.asarray(affine)
    if matrix.shape != (4, 4) or matrix.dtype.kind not in "iuf":
        raise ValueError(f"the affine has shape {matrix.shape}, expected 4 x 4 numbers: voxels (x, y, z) to RAS+ mm")
    return MetaTensor(torch.as_tensor(scan), affine=torch.as_tensor(matrix.astype(np.float64)))
