"""The verbs of the ``uniseg`` command, in groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from uniseg_nets.cli.arguments import NotUnderstoodError
from uniseg_nets.cli.calibrate import calibrate
from uniseg_nets.cli.fingerprint import fingerprint
from uniseg_nets.cli.images_2d import convert_2d, segment_2d
from uniseg_nets.cli.installation import tell_installation
from uniseg_nets.cli.scale import merge, workflow
from uniseg_nets.cli.segment import segment, tasks
from uniseg_nets.cli.share import hub_folder, label_app, merge_config, pack, zip_bundle
from uniseg_nets.cli.study import compare, cv
from uniseg_nets.cli.train import plan, prepare
from uniseg_nets.cli.try_out import demo, demo_2d, phantom, phantom_2d, phantom_studies
from uniseg_nets.cli.weights import convert, fetch_weights
from uniseg_nets.io.messages import did_you_mean

__all__ = ["GROUPS", "RESUMED", "VERBS", "verb_named"]

Verb = Callable[..., None]


def info(*, json: bool = False) -> None:
    """Tell the version, the weights that are here, and which optional packages are installed.

    Args:
        json: print all of it as JSON, with every verb and its arguments and the tasks of each weights.
    """
    tell_installation(GROUPS, json)


GROUPS: Mapping[str, Mapping[str, Verb]] = {
    "use": {
        "info": info,
        "tasks": tasks,
        "segment": segment,
        "segment-2d": segment_2d,
        "calibrate": calibrate,
        "fetch-weights": fetch_weights,
        "convert": convert,
        "convert-2d": convert_2d,
    },
    "many scans": {"workflow": workflow, "merge": merge},
    "train": {"prepare": prepare, "plan": plan, "cv": cv, "compare": compare, "fingerprint": fingerprint},
    "share": {
        "pack": pack,
        "zip-bundle": zip_bundle,
        "hub-folder": hub_folder,
        "merge-config": merge_config,
        "label-app": label_app,
    },
    "try out": {
        "demo": demo,
        "demo-2d": demo_2d,
        "phantom": phantom,
        "phantom-2d": phantom_2d,
        "phantom-studies": phantom_studies,
    },
}
VERBS: dict[str, Verb] = {name: verb for group in GROUPS.values() for name, verb in group.items()}
# Verbs that, after a stop, go on where they were.
RESUMED = ("segment", "segment-2d", "cv")


def verb_named(word: str) -> tuple[str, Verb]:
    """The name and the function of a verb; ``fetch_weights`` means ``fetch-weights``.

    Raises:
        NotUnderstoodError: the verb is unknown.
    """
    name = word.replace("_", "-")
    if name not in VERBS:
        near = did_you_mean(name, VERBS) or f"the verbs are {', '.join(VERBS)}; "
        raise NotUnderstoodError(f"no verb {word!r}: {near}see `uniseg --help`")
    return name, VERBS[name]
