"""Makes a MONAI Label app of a bundle: the server's app for bundles, with a guard in front of it and the bundle inside.

The one rule: requests are data and are never evaluated. The server writes a request into the config of the bundle. The
config's parser evaluates ``$`` strings as Python and builds the class of a ``_target_``. The guard refuses both, and
answers a request that cannot be served with the reason.
"""

from __future__ import annotations

import functools
import logging
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from uniseg_nets.bundle.contents import bundle_files, copy_files
from uniseg_nets.bundle.run import merged_config
from uniseg_nets.bundle.train_request import checked_train_request, refuse_other_weights
from uniseg_nets.io.bundles import model_file
from uniseg_nets.io.errors import NotInstalledError, root_cause, root_error
from uniseg_nets.io.files import read_json, write_json
from uniseg_nets.io.messages import in_lines
from uniseg_nets.io.plain import plain_data
from uniseg_nets.quality.fingerprint import carry_fingerprint
from uniseg_nets.tasks import TaskTable, chosen
from uniseg_nets.weights.checkpoints import read_state, save_weights
from uniseg_nets.weights.licence import terms_of
from uniseg_nets.weights.trained_task import refuse_other_task, task_of

__all__ = ["RequestGuard", "make_label_app"]

logger = logging.getLogger(__name__)

_SAMPLE_APP = Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle"
# Weights in models/ with what belongs to them: the copy gets its own. The files of centres are below, in a folder.
_WEIGHTS = ("models/*",)
# Keys that the server adds to each request of a batch inference.
_IN_BATCH = ("_id", "_image_id")
# Config values of a served bundle. "global": the label values that the server shows and clients submit. val_interval 1:
# clients train for few epochs. checkpoint_interval 0 and resume: a training starts from the weights of the one before
# and replaces them; it writes no checkpoints, and accepts the folder of the one before.
_SERVED = {
    "label_values": "global",
    "val_interval": 1,
    "checkpoint_interval": 0,
    "resume": True,
    "fingerprint_cases": 0,
}
# Sections of a training whose data sets get their cases from the server: it has no datalist.
_WITHOUT_DATALIST = {"train", "validate"}
_MAIN = '''"""The app that the server starts; its parts are MONAI Label's (bundle_app.py) and uniseg_nets'."""

import bundle_app
from monailabel.interfaces.app import MONAILabelApp

from uniseg_nets.bundle.label_app import RequestGuard
from uniseg_nets.bundle.label_scoring import ActiveLearning


class GuardedApp(RequestGuard, ActiveLearning, bundle_app.MyApp, MONAILabelApp):
    pass
'''


def _answered(method: Callable[..., Any]) -> Callable[..., Any]:
    """Answers errors that a client can mend with status 400 and the reason; the server would answer a bare 500."""

    @functools.wraps(method)
    def answer(*args: Any, **kwargs: Any) -> Any:
        from fastapi import HTTPException

        try:
            return method(*args, **kwargs)
        except Exception as error:
            if not isinstance(root_error(error), (ValueError, OSError, NotInstalledError)):
                raise
            logger.error("%s", root_cause(error))
            raise HTTPException(400, root_cause(error)) from error

    return answer


class RequestGuard:
    """Refuses requests to the methods of an app that the config parser could evaluate as code.

    In a batch inference, an image that cannot be segmented does not stop the others; the batch then ends with an error
    that names the failed images. Without a GPU a batch always runs on the CPU.

    Raises:
        HTTPException: status 400 with the reason, such as a string that begins with ``$``, ``@`` or ``%``, a key that
            begins with ``_``, weights that the server does not list, an unknown task, or a scan that cannot be read.
    """

    def init_infers(self) -> dict[str, Any]:
        infers: dict[str, Any] = super().init_infers()  # type: ignore[misc]
        for task in infers.values():
            task.load_strict = True  # else weights that do not fit would leave the network random
        return infers

    @_answered
    def infer(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        plain = self._checked({key: value for key, value in request.items() if key not in _IN_BATCH})
        if "_image_id" not in request:
            return self._with_own_labels(plain, super().infer(plain, *args, **kwargs))  # type: ignore[misc]
        try:
            return super().infer(plain, *args, **kwargs)  # type: ignore[misc]
        except Exception as error:
            logger.exception("no label of %s", plain.get("image"))
            return {"error": root_cause(error)}

    @_answered
    def batch_infer(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if not torch.cuda.is_available():  # the server would divide the images among no GPU
            request = {**request, "device": "cpu", "multi_gpu": False}
        answers = super().batch_infer(self._checked(request), *args, **kwargs)  # type: ignore[misc]
        failed = [f"{image}: {answer['error']}" for image, answer in answers.items() if "error" in answer]
        if failed:
            raise ValueError(f"{len(failed)} of {len(answers)} images failed, the others are done:\n{in_lines(failed)}")
        return answers

    @_answered
    def scoring(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return super().scoring(self._checked(request), *args, **kwargs)  # type: ignore[misc]

    @_answered
    def train(self, request: Any) -> Any:
        return super().train(checked_train_request(self._checked(request)))  # type: ignore[misc]

    @_answered
    def next_sample(self, request: Any) -> Any:
        return super().next_sample(plain_data(request))  # type: ignore[misc]

    def _checked(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request, if it is plain data and names no weights but those that the server lists for its model.

        Trainings list the weights that lie there now, inferences those of the server's start.
        """
        plain: dict[str, Any] = plain_data(dict(request))
        tasks = [each.get(plain.get("model")) for each in (self._infers, self._trainers)]  # type: ignore[attr-defined]
        offered = {name for task in tasks if task for name in task.config().get("model_filename", [])}
        refuse_other_weights(plain, offered)
        return plain

    def _with_own_labels(self, request: dict[str, Any], answer: Any) -> Any:
        """The answer with the ``label_names`` of the request's task; the server would give those of all tasks."""
        model = self._infers[request["model"]]  # type: ignore[attr-defined]
        menu = getattr(model, "displayable_configs", {}).get("task")
        if menu:
            tasks = model.bundle_config.get_parsed_content("tasks")
            names = tasks.label_names(chosen(request.get("task") or menu))
            answer["params"]["label_names"] = {name: value for value, name in names.items() if value}
        return answer


def make_label_app(
    app: str | PathLike[str],
    bundle: str | PathLike[str],
    overlays: Sequence[str] = (),
    weights: str | PathLike[str] | None = None,
    sample_app: str | PathLike[str] = _SAMPLE_APP,
) -> Path:
    """Makes an app for ``monailabel start_server --app APP --conf models NAME --conf zoo_source local``.

    Args:
        app: folder to make.
        bundle: folder of the bundle to serve.
        overlays: config files of the bundle to merge, such as ``demo.json``, since the server reads no overlays.
        weights: file that becomes ``models/model.pt``, in any known layout; by default the bundle's own.
        sample_app: MONAI Label's sample app for bundles.

    Returns:
        The folder of the bundle's copy in the app.

    Raises:
        FileNotFoundError: MONAI Label is not installed in this environment, or the bundle or the weights do not exist.
        ValueError: the weights cannot be read or were trained for another task, or the bundle has a link to files
            outside of it.
        FileExistsError: the folder exists already.
    """
    app, bundle = Path(app), Path(bundle)
    if not Path(sample_app).is_dir():
        raise FileNotFoundError(f"no MONAI Label app at {sample_app}: install MONAI Label (docs/monai-label.md)")
    weights = Path(weights) if weights else model_file(bundle)
    if not weights.is_file():
        raise FileNotFoundError(
            f"no weights at {weights}: get the authors' with `uniseg fetch-weights`, or name some with "
            "`--weights FILE` or `--weights open`"
        )
    if app.exists():
        raise FileExistsError(f"{app} exists already: choose another folder, or delete it")
    files = bundle_files(bundle, _WEIGHTS)
    laid = [read_json(bundle / "configs" / overlay) for overlay in overlays]
    inference = merged_config(bundle / "configs" / "inference.json", *laid)
    metadata, served_tasks = read_json(bundle / "configs" / "metadata.json"), _resolved(bundle, inference, "tasks")
    if served_tasks is not None:
        metadata = _metadata_of(metadata, served_tasks)
    entry, slot = inference.get("task_entry"), _resolved(bundle, inference, "network_def#slot")
    refuse_other_task(weights, entry, slot)
    # The server reads only flat PyTorch files; of any other file it would load nothing, without an error.
    state, official = read_state(weights)
    shutil.copytree(sample_app, app, ignore=shutil.ignore_patterns("__pycache__"))
    (app / "main.py").rename(app / "bundle_app.py")
    (app / "main.py").write_text(_MAIN, encoding="utf-8")
    copy = app / "model" / bundle.name
    copy_files(files, bundle, copy)
    terms = terms_of(weights, official)
    planned = {"task_entry": entry} | ({} if slot is None else {"slot": slot})
    task = None if entry is None else task_of(weights) or planned
    save_weights(state, model_file(copy), terms=terms, task=task)
    carry_fingerprint(weights, model_file(copy))
    write_json(copy / "configs" / "metadata.json", metadata)
    for overlay in laid:
        overlay.pop("weights", None)  # the copy has its own
    for name in ("inference.json", "train.json"):
        config = merged_config(copy / "configs" / name, *laid)
        served = _SERVED if terms is None else {**_SERVED, "pretrained_license": terms}
        for section in _WITHOUT_DATALIST & config.keys():
            config[section]["cases"] = []
        if "@ckpt_dir" in str(config.get("best_weights")):  # unlike those of a centre, which have a folder of their own
            config["ckpt_dir"] = "$@bundle_root + '/models'"  # where the server reads them
        write_json(copy / "configs" / name, config | {key: value for key, value in served.items() if key in config})
    return copy


def _resolved(bundle: Path, config: Mapping[str, Any], key: str) -> Any:
    """What a bundle's inference config has under a key; ``None`` if it has no such key."""
    from monai.bundle import ConfigParser

    parser = ConfigParser({**config, "bundle_root": str(bundle)})
    return parser.get_parsed_content(key) if key in parser else None


def _metadata_of(metadata: dict[str, Any], tasks: TaskTable) -> dict[str, Any]:
    """A bundle's metadata for the tasks that are served; unchanged if it has their classes.

    The server lists its ``channel_def`` as the labels of the model, and clients draw and submit labels by that list.
    """
    pred = metadata["network_data_format"]["outputs"]["pred"]
    served = {str(value): name for value, name in tasks.labels.items()}
    if pred["channel_def"] == served:
        return metadata
    pred |= {"num_channels": tasks.out_channels, "channel_def": served}
    words = f"Segmentation, with one network, of {', '.join(task.name for task in tasks)}"
    images = "; ".join(dict.fromkeys(" and ".join(task.channels) for task in tasks))
    return metadata | {"task": words, "description": f"{words}.", "image_classes": images}
