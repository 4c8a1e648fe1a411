"""The settings that a client of a MONAI Label server may give a training, and the weights that it may name.

The server puts some of them on a command line, takes others for paths of files that it reads as configs, and gives the
rest to the bundle's config. So each setting that could be more than a value is checked here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Set
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from uniseg_nets.io.messages import listing
from uniseg_nets.io.plain import plain_data

__all__ = ["checked_train_request", "refuse_other_weights"]

logger = logging.getLogger(__name__)

_TRACKING = ("", "none", "mlflow")
_GPUS = re.compile(r"all|\d+(,\d+)*")


def checked_train_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request for a training, without what the server alone decides.

    Args:
        request: setting -> value, as the client sent it. Clients send back all settings that the server offers, also
            those that nobody changed.

    Returns:
        The request without ``tracking_uri``, which the server's own settings give, and without ``run_id``, of which
        only the server's default is allowed.

    Raises:
        ValueError: a value could be evaluated (:func:`~uniseg_nets.io.plain.plain_data`), or ``run_id``, ``tracking``
            or ``gpus`` is not one of the values that the server offers.
    """
    settings: dict[str, Any] = plain_data(dict(request))
    if settings.pop("tracking_uri", None):
        logger.info("tracking_uri of the request is not used: the server's MONAI_LABEL_TRACKING_URI is")
    _refuse_unless(settings.pop("run_id", None) in (None, "", "run"), "run_id", "'run'")
    tracking = settings.get("tracking")
    for name in tracking if isinstance(tracking, list) else [tracking or ""]:
        _refuse_unless(isinstance(name, str) and name.lower() in _TRACKING, "tracking", "'mlflow' or 'None'")
    gpus = settings.get("gpus", "all")
    _refuse_unless(isinstance(gpus, str) and _GPUS.fullmatch(gpus) is not None, "gpus", "'all' or numbers, as '0,1'")
    return settings


def refuse_other_weights(request: Mapping[str, Any], offered: Set[str]) -> None:
    """Refuses a request whose ``model_filename`` is not one of the weights that the server offers.

    The server joins it to the folder of the bundle's models, and reads the file that lies there.

    Args:
        request: a request for an inference, a scoring or a training.
        offered: names of the weights in the bundle's ``models``; empty if the server lists none.

    Raises:
        ValueError: it is no name, none of the offered ones, or an empty list.
    """
    named = request.get("model_filename")
    if named is None:
        return
    names = named if isinstance(named, list) else [named]
    expected = f"one of {listing(sorted(offered))}" if offered else "a file of the bundle's models"
    fine = bool(names) and all(isinstance(name, str) and _is_name(name) for name in names)
    _refuse_unless(fine and (not offered or set(names) <= offered), "model_filename", expected)


def _refuse_unless(fine: bool, setting: str, expected: str) -> None:
    if not fine:
        raise ValueError(f"refused: {setting} of the request is not {expected}")


def _is_name(name: str) -> bool:
    """Whether a file's name has no folder, on any system."""
    return name not in ("", "..") and PurePosixPath(name).name == name and PureWindowsPath(name).name == name
