"""A MONAI Label app around a bundle: the server's own app for bundles, with a guard before it and the bundle inside.

The one rule: what a client sends is data. The server writes it into the bundle's config, whose parser would evaluate
``$`` strings as Python and build what ``_target_`` names; the guard refuses both before they get there, and answers a
request that cannot be served with a reason.
"""

from __future__ import annotations

import functools
import logging
import shutil
import sys
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from uniseg_nets.bundle.pack import refuse_links
from uniseg_nets.bundle.run import merged_config
from uniseg_nets.data.datalist import read_json
from uniseg_nets.io.bundles import model_file
from uniseg_nets.io.errors import root_cause, root_error
from uniseg_nets.io.files import write_json
from uniseg_nets.io.messages import in_lines
from uniseg_nets.io.plain import plain_data
from uniseg_nets.quality.fingerprint import carry_fingerprint
from uniseg_nets.tasks import chosen
from uniseg_nets.weights.checkpoints import read_state, save_weights

__all__ = ["RequestGuard", "make_label_app"]

logger = logging.getLogger(__name__)

_SAMPLE_APP = Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle"
# Weights and what lies beside them: the copy gets its own.
_WEIGHTS = ("*.pt", "*.sha256", "*.license")
# What the server adds to each request of a batch inference.
_IN_BATCH = ("_id", "_image_id")
# "global": the values that the server shows and clients submit; val_interval 1: clients train for few epochs. Every
# training starts from the weights of the one before and takes its place: nothing to resume, no folder to be refused.
_SERVED = {
    "label_values": "global",
    "val_interval": 1,
    "checkpoint_interval": 0,
    "resume": True,
    "fingerprint_cases": 0,
}
_MAIN = '''"""The app that the server starts; its parts are MONAI Label's (bundle_app.py) and uniseg_nets'."""

import bundle_app
from monailabel.interfaces.app import MONAILabelApp

from uniseg_nets.bundle.label_app import RequestGuard
from uniseg_nets.bundle.label_scoring import ActiveLearning


class GuardedApp(RequestGuard, ActiveLearning, bundle_app.MyApp, MONAILabelApp):
    pass
'''


def _answered(method: Callable[..., Any]) -> Callable[..., Any]:
    """Answers what a client can mend with status 400 and the reason; the server's own answer is a bare 500."""

    @functools.wraps(method)
    def answer(*args: Any, **kwargs: Any) -> Any:
        from fastapi import HTTPException

        try:
            return method(*args, **kwargs)
        except Exception as error:
            if not isinstance(root_error(error), (ValueError, OSError)):
                raise
            logger.error("%s", root_cause(error))
            raise HTTPException(400, root_cause(error)) from error

    return answer


class RequestGuard:
    """Stands before an app's methods and lets no request through that the config parser could take for code.

    In a batch inference an image that cannot be segmented does not stop the others; the batch then ends with an error
    that names them. Without a GPU a batch runs on the CPU, whatever the request says.

    Raises:
        HTTPException: status 400 and the reason: a string that begins with ``$``, ``@`` or ``%``, or a key that begins
            with ``_``, anywhere in the request; an unknown task, a scan that cannot be read and the like.
    """

    @_answered
    def infer(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        plain = plain_data({key: value for key, value in request.items() if key not in _IN_BATCH})
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
        answers = super().batch_infer(plain_data(request), *args, **kwargs)  # type: ignore[misc]
        failed = [f"{image}: {answer['error']}" for image, answer in answers.items() if "error" in answer]
        if failed:
            raise ValueError(f"{len(failed)} of {len(answers)} images failed, the others are done:\n{in_lines(failed)}")
        return answers

    @_answered
    def scoring(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return super().scoring(plain_data(request), *args, **kwargs)  # type: ignore[misc]

    @_answered
    def train(self, request: Any) -> Any:
        return super().train(plain_data(request))  # type: ignore[misc]

    @_answered
    def next_sample(self, request: Any) -> Any:
        return super().next_sample(plain_data(request))  # type: ignore[misc]

    def _with_own_labels(self, request: dict[str, Any], answer: Any) -> Any:
        """An answer whose ``label_names`` are those of the request's task; the server gives those of all tasks."""
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
    """Makes an app that ``monailabel start_server --app APP --conf models NAME --conf zoo_source local`` serves.

    Args:
        app: folder to make.
        bundle: the bundle to serve.
        overlays: config files of the bundle to merge, such as ``demo.json``; the server reads no overlays.
        weights: become ``models/model.pt``, whatever their layout; the bundle's own by default.
        sample_app: MONAI Label's sample app for bundles.

    Returns:
        the bundle's copy.

    Raises:
        FileNotFoundError: no MONAI Label in this environment, no bundle or no weights.
        ValueError: weights that cannot be read; a link out of the bundle.
        FileExistsError: the app is there already.
    """
    app, bundle = Path(app), Path(bundle)
    if not Path(sample_app).is_dir():
        raise FileNotFoundError(f"no MONAI Label app at {sample_app}: install MONAI Label (docs/monai-label.md)")
    weights = Path(weights) if weights else model_file(bundle)
    if not weights.is_file():
        raise FileNotFoundError(
            f"no weights at {weights}: get the authors' with `uniseg fetch-weights`, or name a file"
        )
    if app.exists():
        raise FileExistsError(f"{app} exists already: choose another folder, or delete it")
    refuse_links(bundle, _WEIGHTS)
    # The server reads flat PyTorch files alone, and of any other would load nothing, without a word.
    state = read_state(weights)[0]
    shutil.copytree(sample_app, app, ignore=shutil.ignore_patterns("__pycache__"))
    (app / "main.py").rename(app / "bundle_app.py")
    (app / "main.py").write_text(_MAIN, encoding="utf-8")
    copy = app / "model" / bundle.name
    shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("runs", "eval", *_WEIGHTS))
    save_weights(state, model_file(copy))
    carry_fingerprint(weights, model_file(copy))
    laid = [read_json(bundle / "configs" / overlay) for overlay in overlays]
    for overlay in laid:
        overlay.pop("weights", None)  # the copy has its own
    for name in ("inference.json", "train.json"):
        config = merged_config(copy / "configs" / name, *laid)
        write_json(copy / "configs" / name, config | {key: value for key, value in _SERVED.items() if key in config})
    return copy
