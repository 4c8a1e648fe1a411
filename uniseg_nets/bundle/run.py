"""Opens, merges and runs bundles from Python, as ``python -m monai.bundle run`` does, with errors that users can read.

The one rule: nothing heavy is imported before it is needed, so that a wrong path is reported at once.
"""

from __future__ import annotations

import logging
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.bundle.overrides import refuse_open_task, refuse_unknown, refuse_wrong_types
from uniseg_nets.io.bundles import INFERENCE, bundle_root, config_file
from uniseg_nets.io.errors import root_error
from uniseg_nets.io.files import atomic_path, read_json
from uniseg_nets.io.plain import plain_data

__all__ = ["merge_configs", "merged_config", "opened_bundle", "run_bundle"]


@contextmanager
def opened_bundle(bundle: str | PathLike[str]) -> Iterator[Path]:
    """Yields the folder of a bundle, which is given as a folder, a zip, or a name of this distribution.

    A zip is unpacked to a temporary folder, which is deleted after the block. A bundle is a program, since its configs
    name code to run: open only bundles from a source that you trust.

    Raises:
        FileNotFoundError: the bundle does not exist.
        ValueError: the zip has no bundle, or a file that would be written outside of its folder.
    """
    if not isinstance(bundle, (str, PathLike)):
        raise ValueError(f"bundle is {bundle!r}, expected a bundle's name, folder or zip")
    if Path(bundle).is_file():
        with tempfile.TemporaryDirectory() as folder:
            yield _unpacked(Path(bundle), Path(folder).resolve())
        return
    root = bundle_root(bundle)
    if not (root / INFERENCE).is_file():
        raise FileNotFoundError(f"no bundle at {root}: expected {INFERENCE} in it")
    yield root


def _unpacked(file: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(file) as archive:
            outside = [name for name in archive.namelist() if not (folder / name).resolve().is_relative_to(folder)]
            if outside:
                raise ValueError(f"{file} holds {outside[0]!r}, which would leave its folder: nothing was unpacked")
            archive.extractall(folder)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{file} is no bundle: expected a folder, or a zip such as `uniseg pack` writes") from error
    roots = [folder, *sorted(folder.iterdir())]
    bundles = [root for root in roots if (root / INFERENCE).is_file()]
    if not bundles:
        raise ValueError(f"{file} holds no bundle: expected {INFERENCE} in it, or in its one folder")
    return bundles[0]


def merged_config(config: Path, *overlays: Mapping[str, Any]) -> dict[str, Any]:
    """A config file merged with overlays, later ones over earlier ones, as ``monai.bundle run`` does."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(config))
    for overlay in overlays:
        parser.update(dict(overlay))
    return {key: value for key, value in parser.get().items() if key != "_meta_"}


def merge_configs(
    target: str | PathLike[str], files: Sequence[str | PathLike[str]], bundle: str | PathLike[str] | None = None
) -> Path:
    """Merges config files with MONAI's parser and writes the result as one file; returns its path.

    Args:
        target: file to write, ``.json``, ``.yaml`` or ``.yml``.
        files: in order; later ones replace values of earlier ones, ``a#b`` replaces the value ``b`` inside of ``a``.
        bundle: folder or name of a bundle; a file that does not exist at its path is looked up in the bundle's
            ``configs``.

    Raises:
        FileNotFoundError: a file or the bundle does not exist.
        ValueError: there are no files; a file is no config, or replaces a value inside of one that does not exist; the
            target has another ending, or exists already.
    """
    from monai.bundle import ConfigParser

    target = Path(target)
    if target.suffix not in (".json", ".yaml", ".yml"):
        raise ValueError(f"a config is written as .json, .yaml or .yml, not as {target.name}")
    if target.exists():
        raise ValueError(f"{target} exists already: choose another name, or delete it")
    if not files:
        raise ValueError("no configs to merge: name them in order, such as train.json plan.json, and OUTPUT last")
    root = None if bundle is None else bundle_root(bundle)
    merged: dict[str, Any] = {}
    paths: list[Path] = []
    for file in files:
        try:
            paths.append(config_file(file, root))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}: name the configs in order, and OUTPUT after them") from None
        if paths[-1].suffix == ".json":
            read_json(paths[-1])
        try:
            merged = ConfigParser.load_config_files(paths)
        except Exception as error:  # JSON, YAML and missing values fail in many ways
            raise ValueError(f"{paths[-1]} cannot be merged as a config: {type(error).__name__}: {error}") from error
    with atomic_path(target) as temporary:
        ConfigParser.export_config_file(merged, temporary, target.suffix[1:], indent=4)
    return target


def run_bundle(
    bundle: str | PathLike[str],
    configs: Sequence[str] = ("inference.json",),
    *,
    cases: Sequence[Mapping[str, Any]] | None = None,
    **overrides: Any,
) -> None:
    """Runs the merged configs of a bundle, later ones over earlier ones, with some of their values replaced.

    Args:
        bundle: name of a bundle of this distribution, or a folder.
        configs: names in its ``configs`` folder, or absolute paths.
        cases: cases to run on, each with ``name`` and ``image``; by default those in ``dataset_dir``.
        overrides: values of the configs, plain data.

    Raises:
        FileNotFoundError: the bundle or a config does not exist.
        ValueError: the configs lack a value, or their parser would evaluate it; or the bundle has several tasks and
            none is chosen.
        Exception: any error of a part of the config, without MONAI's wrapping.
    """
    from monai.bundle import ConfigParser, ConfigWorkflow

    folder = bundle_root(bundle)
    files = [str(config_file(folder / "configs" / config)) for config in configs]
    config = ConfigParser.load_config_files(files)
    refuse_unknown(overrides, config, folder.name)
    refuse_wrong_types(overrides, config)
    plain_data(overrides)
    refuse_open_task(config | overrides, "`task`")
    if cases is not None:
        # A tuple: the parser would look into a list, and run a file's name that begins with "$".
        overrides["cases"] = tuple(cases)
    # MONAI would warn that there is no logging file: logging stays as the caller has set it up.
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    try:
        workflow = ConfigWorkflow(
            files, logging_file=False, workflow_type="inference", bundle_root=str(folder), **overrides
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    except RuntimeError as error:
        raise root_error(error) from None
