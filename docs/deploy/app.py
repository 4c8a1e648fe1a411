"""A MONAI Deploy application: a DICOM series of a study in, a DICOM Segmentation out, by a bundle of UniSeg.

    python app.py --input STUDY --model BUNDLE --output OUT

BUNDLE is the folder of a bundle with its weights as models/model.pt. Its configs/app.json names what to segment:
{"task": "liver", "label_values": "task"}. A Segmentation numbers its classes 1, 2, ..., and so do a task's own values.
"""

from __future__ import annotations

import json
from pathlib import Path

from monai.bundle import ConfigParser
from monai.deploy.conditions import CountCondition
from monai.deploy.core import AppContext, Application
from monai.deploy.core.domain import Image
from monai.deploy.core.io_type import IOType
from monai.deploy.operators.dicom_data_loader_operator import DICOMDataLoaderOperator
from monai.deploy.operators.dicom_seg_writer_operator import DICOMSegmentationWriterOperator, SegmentDescription
from monai.deploy.operators.dicom_series_selector_operator import DICOMSeriesSelectorOperator
from monai.deploy.operators.dicom_series_to_volume_operator import DICOMSeriesToVolumeOperator
from monai.deploy.operators.monai_bundle_inference_operator import (
    BundleConfigNames,
    IOMapping,
    MonaiBundleInferenceOperator,
)

from uniseg_nets import __version__
from uniseg_nets.dicom.codes import category_and_type
from uniseg_nets.tasks import Task

# Later configs replace values of earlier ones; see docs/model-zoo.md.
CONFIGS = ("inference", "deploy", "app")


class UniSegApp(Application):
    """One series of the task's modality, segmented."""

    def compose(self) -> None:
        context: AppContext = Application.init_app_context(self.argv)
        bundle = Path(context.model_path)
        context.models = None  # else the operator calls the SDK's wrapper of the folder in place of the network
        task = _task(bundle)
        loader = DICOMDataLoaderOperator(
            self, CountCondition(self, 1), input_folder=Path(context.input_path), name="loader"
        )
        modality = "CT" if task.channels[0] == "CT" else "MR"
        rules = {"selections": [{"name": task.name, "conditions": {"Modality": modality}}]}
        selector = DICOMSeriesSelectorOperator(self, rules=json.dumps(rules), name="selector")
        volume = DICOMSeriesToVolumeOperator(self, name="volume")
        segment = MonaiBundleInferenceOperator(
            self,
            app_context=context,
            input_mapping=[IOMapping("image", Image, IOType.IN_MEMORY)],
            output_mapping=[IOMapping("pred", Image, IOType.IN_MEMORY)],
            bundle_path=bundle,
            bundle_config_names=BundleConfigNames(config_names=list(CONFIGS)),
            name="segment",
        )
        writer = DICOMSegmentationWriterOperator(
            self,
            segment_descriptions=[
                SegmentDescription(name, *category_and_type(name), "UniSeg for MONAI", __version__)
                for name in task.classes
            ],
            output_folder=Path(context.output_path),
            name="writer",
        )
        self.add_flow(loader, selector, {("dicom_study_list", "dicom_study_list")})
        self.add_flow(selector, volume, {("study_selected_series_list", "study_selected_series_list")})
        self.add_flow(volume, segment, {("image", "image")})
        self.add_flow(selector, writer, {("study_selected_series_list", "study_selected_series_list")})
        self.add_flow(segment, writer, {("pred", "seg_image")})


def _task(bundle: Path) -> Task:
    """The one task that the bundle's configs choose."""
    config = ConfigParser()
    config.read_config([bundle / "configs" / f"{name}.json" for name in CONFIGS])
    task: Task = config.get_parsed_content("tasks").one(config.get_parsed_content("task"))
    return task


if __name__ == "__main__":
    UniSegApp().run()
