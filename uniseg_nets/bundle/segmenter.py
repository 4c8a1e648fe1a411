"""A bundle's inference from Python: the same config, the same pipeline, no files in between."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from numpy.typing import ArrayLike

from uniseg_nets.bundle.overrides import refuse_open_task, refuse_unknown, refuse_wrong_types
from uniseg_nets.bundle.run import opened_bundle
from uniseg_nets.io.bundles import INFERENCE, mode_configs
from uniseg_nets.io.errors import root_error
from uniseg_nets.io.plain import plain_data
from uniseg_nets.nets import PromptTunedUniSeg, UniSeg
from uniseg_nets.results.label_map import LabelMap
from uniseg_nets.transforms.export import LabelMapd
from uniseg_nets.weights.checkpoints import read_weights
from uniseg_nets.weights.shipped import needed_by

__all__ = ["Segmenter"]


# What a run over files writes and counts; a label map in memory has no use for it.
_OF_RUNS = ("report", "dicom_seg", "dicom_sr", "rtstruct", "slicer_seg", "strict", "dataset_dir", "num_workers")


def _refuse_run_options(overrides: Mapping[str, Any]) -> None:
    given = [name for name in _OF_RUNS if name in overrides]
    if given:
        raise ValueError(f"a Segmenter does not take {', '.join(given)}: use `uniseg segment`, which runs over files")


class Segmenter:
    """Segments scans with a bundle, its network loaded once.

        segmenter = Segmenter("uniseg_upstream", task="liver")
        label_map = segmenter("scan.nii.gz")             # or a DICOM folder, a list of channel files, a nibabel image
        label_map = segmenter(array, affine=affine)      # (x, y, z) or (channel, x, y, z), affine to RAS+ mm
        label_map.save("labels.nii.gz")

    Args:
        bundle: a name, uniseg_upstream or unetr_prompt_tuning; or a bundle's folder or zip, as `uniseg pack` writes it.
        overrides: values of its ``configs/inference.json``, such as ``task``, ``weights``, ``mirror`` or ``device``;
            ``mode="fast"`` and ``"accurate"`` as in the command. A task of the open weights takes these by itself.
            ``task`` is needed where the bundle knows several.

    Attributes:
        labels: value in the label map -> name.
        network: the network in its runtime; for an ensemble, a ``ModuleList`` of such.

    Raises:
        FileNotFoundError: no such bundle, or no weights.
        ValueError: no such task, mode or override; no task where the bundle leaves a choice; a value of another type,
            or one that the config's parser would evaluate; an option of runs over files, such as ``report``; or a zip
            that holds no bundle.
    """

    def __init__(self, bundle: str | PathLike[str], **overrides: Any) -> None:
        with opened_bundle(bundle) as root:
            self._parser = ConfigParser()
            overlays = mode_configs(root, overrides.pop("mode", "balanced"))
            self._parser.read_config([str(file) for file in (root / INFERENCE, *overlays)])
            config = self._parser.get()
            refuse_unknown(overrides, config, root.name)
            refuse_wrong_types(overrides, config)
            _refuse_run_options(overrides)
            plain_data(overrides)
            needed = needed_by(overrides.get("task"), config, overrides, root)
            refuse_open_task({**config, **needed, **overrides}, "task=...")
            self._parser.update({"bundle_root": str(root), **needed, **overrides})
            self._build()

    def _build(self) -> None:
        """Makes all parts and loads the weights: the bundle's folder may go then."""
        tasks, task, values = (self._part(name) for name in ("tasks", "task", "label_values"))
        self.labels = tasks.label_names(task, values)
        self._channels = tasks.select(task)[0].channels
        network = self._part("network_def")
        if isinstance(network, UniSeg) and not isinstance(network, PromptTunedUniSeg):  # a plan has that one's sizes
            # Other weights than the official ones may have been trained on another patch.
            weights = read_weights(self._part("weights"))
            self._parser.update({"weights": weights, **weights.overrides()})
        self.network = self._part("network").eval()
        self._preprocess, self._inferer = self._part("preprocessing"), self._part("inferer")
        self._to_label_map = self._label_map_transform()
        self._judged = self._part("judged") if "judged" in self._parser else None
        self._device = self._part("device")
        self._parser = ConfigParser()  # the read weights are not kept twice

    def _label_map_transform(self) -> LabelMapd:
        """What makes a label map of scores; bundles that version 0.8 packed have no name for it."""
        if "to_label_map" in self._parser.get():
            return self._part("to_label_map")
        return next(one for one in self._part("postprocessing").transforms if isinstance(one, LabelMapd))

    @torch.no_grad()
    def __call__(self, scan: Any, affine: ArrayLike | None = None) -> LabelMap:
        """The label map on the scan's own grid, (x, y, z): an array that can be saved; its ``verdict`` says to look.

        Args:
            scan: a file, a DICOM folder, a list of channel files, a nibabel image, or an array.
            affine: (4, 4) of an array, voxels (x, y, z) to RAS+ mm.

        Raises:
            FileNotFoundError, ValueError: a scan that cannot be read, an array without affine, a wrong channel count;
                or a scan that is refused, which the override ``force=True`` computes all the same.
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
        """Segments a scan and shows both in a notebook: NiiVue's widget, three planes and 3D.

        Args:
            scan, affine: as for a call.
            height: pixels.

        Returns:
            The widget of ipyniivue; ``volumes[0]`` is the scan, ``volumes[1]`` the label map.

        Raises:
            FileNotFoundError, ValueError: as a call; or if ipyniivue is not installed.
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


def _with_affine(scan: Any, affine: ArrayLike | None) -> Any:
    """The scan; an array as a tensor with its affine."""
    if not isinstance(scan, (np.ndarray, torch.Tensor)) or isinstance(scan, MetaTensor):
        if affine is not None:
            raise ValueError("an affine belongs to an array: a file or an image has its own")
        return scan
    if affine is None:
        raise ValueError("an array needs its affine (4 x 4, voxels to RAS+ mm): spacing follows from it")
    return MetaTensor(torch.as_tensor(scan), affine=torch.as_tensor(np.asarray(affine, dtype=np.float64)))
