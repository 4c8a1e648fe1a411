"""A scan with its classes in a notebook: NiiVue's widget, from the package ``ipyniivue``."""

from __future__ import annotations

from typing import Any

from uniseg_nets.io.errors import not_installed
from uniseg_nets.reports.reduced import reduced
from uniseg_nets.reports.views import Views
from uniseg_nets.reports.windows import window_presets
from uniseg_nets.results.colours import rgb

__all__ = ["widget"]

_VOXELS = 8_000_000  # maximum of a scan, which is sent from the kernel to the browser


def widget(views: Views, modality: str | None = None, height: int = 500) -> Any:
    """A widget with three planes and 3D. Attributes such as ``widget.volumes[1].opacity`` change the display.

    Args:
        views: scan and label map; large ones are reduced.
        modality: modality of the scan, as in a task's channels.
        height: height in pixels.

    Raises:
        NotInstalledError: if ipyniivue is not installed.
    """
    try:
        from ipyniivue import NiiVue, ShowRender, Volume
    except ImportError as error:
        raise not_installed("a view in a notebook", "ipyniivue") from error
    small = reduced(views, _VOXELS)
    window = window_presets(views.image, modality)[0]
    scan = Volume(
        name="scan.nii", data=small.scan.to_bytes(), colormap="gray", cal_min=window["low"], cal_max=window["high"]
    )
    labels = Volume(name="labels.nii", data=small.labels.to_bytes(), opacity=0.6)
    red, green, blue = zip(*(rgb(index) for index in range(len(views.names))))
    labels.set_colormap_label(
        {
            "I": [0, *views.names],
            "R": [0, *red],
            "G": [0, *green],
            "B": [0, *blue],
            "A": [0] + [255] * len(views.names),
            "labels": ["background", *views.names.values()],
        }
    )
    shown = NiiVue(height=height, is_radiological_convention=True, multiplanar_show_render=ShowRender.ALWAYS)
    shown.load_volumes([scan, labels])
    shown.scene.crosshair_pos = list(small.centre)
    return shown
