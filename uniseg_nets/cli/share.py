"""The verbs of ``uniseg`` that share a bundle: as a zip, on the hub, as one config, as a MONAI Label app."""

from __future__ import annotations

from shlex import quote

from uniseg_nets.cli.values import existing_file, listed, new_folder
from uniseg_nets.io.bundles import INFERENCE, model_file
from uniseg_nets.io.files import read_json
from uniseg_nets.weights.shipped import DEMO, SHIPPED

__all__ = ["hub_folder", "label_app", "merge_config", "pack", "zip_bundle"]

_UPSTREAM = "uniseg_upstream"


def pack(plan: str, weights: str, output: str, *, version: str = "1.0.0") -> None:
    """Pack a fine-tuned network as a new bundle, a versioned zip.

    Args:
        plan: file of `uniseg plan`.
        weights: model.pt of the training; of several folds as "A.pt,B.pt".
        output: folder for the zip.
        version: version of the packed bundle, three numbers.
    """
    plan = existing_file(plan, "PLAN, a file of `uniseg plan`; the order is PLAN WEIGHTS OUTPUT")
    files = [
        existing_file(file, "WEIGHTS, a training's model.pt; the order is PLAN WEIGHTS OUTPUT")
        for file in listed(weights)
    ]
    new_folder(output)
    from uniseg_nets.bundle.pack import pack_bundle

    print(f"wrote {pack_bundle(output, plan, files, version)}")


def zip_bundle(bundle: str, output: str = "dist") -> None:
    """Write a bundle as NAME_vVERSION.zip, with its weights.

    Args:
        bundle: folder of the bundle, or the name of one of this distribution.
        output: folder for the zip.
    """
    new_folder(output)
    from uniseg_nets.bundle.run import opened_bundle

    with opened_bundle(bundle) as root:
        from uniseg_nets.bundle.contents import zip_bundle as zip_folder

        print(f"wrote {zip_folder(root, output)}")


def hub_folder(bundle: str, repository: str, output: str, *, licence: str | None = None) -> None:
    """Write a bundle as a repository of the Hugging Face Hub, and print MONAI's call that uploads it.

    Args:
        bundle: its folder or zip, or the name of one of this distribution.
        repository: OWNER/NAME on the hub.
        output: folder for the repository.
        licence: of the weights, as the hub names it, such as cc-by-4.0; by default that of the files beside them.
    """
    new_folder(output)
    from uniseg_nets.bundle.run import opened_bundle

    with opened_bundle(bundle) as root:
        from uniseg_nets.bundle.hub import write_hub_folder

        folder = write_hub_folder(root, repository, output, licence)
    arguments = ", ".join(map(repr, (repository, folder.path.name, output)))
    call = f"from monai.bundle import push_to_hf_hub as push; push({arguments}, version={folder.version!r})"
    print(f"wrote {folder.path}, licence {folder.licence}\nupload, as a private repository:\npython -c {quote(call)}")


def merge_config(*files: str, output: str, bundle: str | None = None) -> None:
    """Merge a config and its overlays into one file, as `monai.bundle run` merges them, for tools that take one file.

    Args:
        files: configs in order, such as train.json plan.json: later ones replace values of earlier ones.
        output: file to write, .json or .yaml; it comes last.
        bundle: folder of a bundle, or the name of one of this distribution; files that do not exist at their path are
            looked up in its configs.
    """
    from uniseg_nets.bundle.run import merge_configs

    print(f"wrote {merge_configs(output, files, bundle)}")


def label_app(app: str, *, bundle: str = _UPSTREAM, weights: str | None = None, demo: bool = False) -> None:
    """Make a MONAI Label app that serves a bundle, and print the command that starts it.

    Args:
        app: folder to make.
        bundle: name of a bundle of this distribution, or a folder or zip, such as `uniseg pack` writes.
        weights: the weights to serve, a file or "open"; by default models/model.pt of the bundle.
        demo: serve the demo weights, for trying out.
    """
    if demo and weights is not None:
        raise ValueError(f"--demo serves the demo weights: leave out --weights {weights}")
    new_folder(app, "APP")
    from uniseg_nets.bundle.run import opened_bundle

    with opened_bundle(bundle) as root:
        from uniseg_nets.bundle.label_app import make_label_app
        from uniseg_nets.bundle.overrides import refuse_without_tasks

        refuse_without_tasks(read_json(root / INFERENCE), root.name)
        shipped = {one.name: one for one in SHIPPED}.get(DEMO.name if demo else str(weights))
        if shipped is not None and root.name != _UPSTREAM:
            raise ValueError(
                f"the {shipped.name} weights belong to {_UPSTREAM}, not to {root.name}: name a file with --weights"
            )
        if shipped is None:
            copy = make_label_app(app, root, weights=weights)
        else:
            overlays = [shipped.config] if shipped.config else []
            copy = make_label_app(app, root, overlays, model_file(root, shipped.file))
    print(
        f"wrote {copy}\nstart: MONAI_LABEL_DATASTORE_AUTO_RELOAD=false monailabel start_server --app {app} "
        f"--studies STUDIES --host 127.0.0.1 --conf models {copy.name} --conf zoo_source local --conf sam2 false"
    )
