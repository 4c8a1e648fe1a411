"""Where shapes become voxels: intensities with soft edges, and the labels of one task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from uniseg_nets.phantom.shapes import Shape, Space, Waves, grown

__all__ = ["Canvas", "grain"]


class Canvas:
    """An image (channels, x, y, z) and its label (x, y, z), painted over from the outside in.

    Args:
        space: the voxel grid in the patient's frame.
        classes: names of the task's classes; what is painted under another name is background.
        channels: number of channels.
    """

    def __init__(self, space: Space, classes: Sequence[str], channels: int) -> None:
        self.space = space
        self.values = {name: index + 1 for index, name in enumerate(classes)}
        self.image: NDArray[np.float32] = np.zeros((channels, *space.shape), np.float32)
        self.label: NDArray[np.uint8] = np.zeros(space.shape, np.uint8)

    def paint(
        self,
        shape: Shape,
        intensity: float | Sequence[float],
        *names: str,
        texture: tuple[Waves, float] | None = None,
    ) -> None:
        """Covers what lay there, image and label alike.

        Args:
            shape: the solid.
            intensity: one for all channels, or one a channel.
            names: what the solid is, the narrowest word first: a vessel of the liver is a vessel to the task that
                has vessels, and liver to the one that has only the liver.
            texture: waves that mottle the intensity, and by how much of it.
        """
        soft = self.space.voxel_mm  # an edge is one voxel wide: the partial volume of a scanner
        box = grown(shape, soft)
        window = self.space.window(box.low, box.high)
        distance = shape.sample(self.space, window)
        cover = np.clip(0.5 - distance / np.float32(soft), 0, 1)
        mottle = 1.0 if texture is None else 1 + np.float32(texture[1]) * texture[0](self.space.points(window))
        for channel, level in zip(self.image, np.broadcast_to(np.float32(intensity), len(self.image))):
            channel[window] += cover * (level * mottle - channel[window])
        value = next((self.values[name] for name in names if name in self.values), 0)
        self.label[window][distance < 0] = value


def grain(rng: np.random.Generator, shape: Sequence[int], blur: float = 0.5) -> NDArray[np.float32]:
    """Gaussian noise of unit variance (x, y, z), blurred by ``blur`` voxels as a reconstruction kernel does."""
    noise = gaussian_filter(rng.standard_normal(tuple(shape), dtype=np.float32), blur, mode="wrap", truncate=3)
    return noise / noise.std()
