"""Random intensity transforms per channel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

__all__ = ["RandPerChanneld"]


class RandPerChanneld(RandomizableTransform, MapTransform):
    """Applies a random array transform of MONAI to each channel, with separate random numbers.

    Not MONAI's dictionary transforms: they draw once for all channels, the official augmentation once per channel.

    Args:
        keys: the image's key.
        transform: the array transform, with probability 1.
        prob: probability to change a sample.
        channel_prob: probability to change a channel of such a sample.
    """

    def __init__(
        self, keys: KeysCollection, transform: RandomizableTransform, prob: float = 0.1, channel_prob: float = 1.0
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.transform = transform
        self.channel_prob = channel_prob

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandPerChanneld:
        super().set_random_state(seed, state)
        self.transform.set_random_state(int(self.R.randint(2**32, dtype=np.uint32)))
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return d
        for key in self.key_iterator(d):
            channels = [
                self.transform(channel[None]) if self.R.random() < self.channel_prob else channel[None]
                for channel in d[key]
            ]
            d[key] = torch.cat(channels)
        return d
