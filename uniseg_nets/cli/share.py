"""The verbs of the ``uniseg`` command that hand a bundle on to other tools."""

from __future__ import annotations

__all__ = ["merge_config", "zip_bundle"]


def zip_bundle(bundle: str, output: str = "dist") -> None:
    """Write a bundle as NAME_vVERSION.zip, with the weights that are in it.

    Args:
        bundle: its folder, or the name of one of this distribution.
        output: folder for the zip.
    """
    from uniseg_nets.bundle.run import opened_bundle

    with opened_bundle(str(bundle)) as root:
        from uniseg_nets.bundle.pack import zip_bundle as zip_folder

        print(f"wrote {zip_folder(root, str(output))}")


def merge_config(target: str, *files: str, bundle: str | None = None) -> None:
    """Merge a config and its overlays, as `monai.bundle run` lays one over the other, to the one file that others take.

    Args:
        target: file to write, .json or .yaml.
        files: in order, such as train.json plan.json: later ones replace values of earlier ones.
        bundle: its folder, or the name of one of this distribution; a file that does not lie at the path given is then
            looked for in its configs.
    """
    from uniseg_nets.bundle.run import merge_configs

    print(f"wrote {merge_configs(str(target), [str(file) for file in files], bundle)}")
