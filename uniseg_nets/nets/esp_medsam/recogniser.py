"""Recognises the modality of an image from its colours and textures, so that users need not name it.

The papers take the modality as given. Shapes: B batch, S side, F features, M modalities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ModalityRecogniser", "describe"]

_LEVELS = 5
# The mean distance of a modality's images is 1. An image at a larger distance than this is of an unknown modality, or
# too different from the images that the distribution was fitted to.
_FARTHEST = 1.5
_MIN_STD = 0.02
# Number of independent features that is assumed: features of neighbouring scales are correlated.
_INDEPENDENT = 6.0
# A kind of images needs this many to be told apart from the others.
_IMAGES_PER_KIND = 25


def describe(image: Tensor) -> Tensor:
    """(B, 3, S, S) -> (B, F): mean and standard deviation per colour, and the logarithm of its contrast at five scales.

    Columns and rows of zeros at the end, which pad images to a square, are left out.
    """
    there = (image != 0).any(0).any(0)  # (S, S)
    if there.any():
        rows, columns = (max(int(there.any(axis).nonzero().max()) + 1, 2**_LEVELS) for axis in (1, 0))
        image = image[:, :, :rows, :columns]
    features = [image.mean((2, 3)), image.std((2, 3))]
    for _ in range(_LEVELS):
        coarse = F.avg_pool2d(image, 2)
        detail = image - F.interpolate(coarse, size=image.shape[2:], mode="nearest")
        features.append(torch.log(detail.abs().mean((2, 3)) + 1e-3))
        image = coarse
    return torch.cat(features, dim=1)


class ModalityRecogniser(nn.Module):
    """Normal distributions of the features of :func:`describe`, one per kind of images of a modality.

    Images of one modality can be of different kinds: fluorescent nuclei are bright on black, stained ones dark on
    white. A further modality leaves the distributions of the others unchanged. A modality that is not fitted is never
    recognised.

    Args:
        kinds: largest number of kinds per modality. They are found in its images, at most one per 25 images.
    """

    def __init__(self, kinds: int = 1) -> None:
        super().__init__()
        self.kinds = kinds
        self.known = nn.ModuleDict()

    def add(self, modality: str) -> None:
        """Adds a modality, not fitted yet."""
        normals = [_Normal(3 * (2 + _LEVELS)) for _ in range(self.kinds)]
        self.known[modality] = normals[0] if self.kinds == 1 else nn.ModuleList(normals)

    @torch.no_grad()
    def fit(self, cases: Iterable[Mapping[str, Any]]) -> None:
        """Fits the modalities of the cases, each with ``image`` (3, S, S) and ``modality``. Others are unchanged."""
        features: dict[str, list[Tensor]] = {}
        for case in cases:
            features.setdefault(case["modality"], []).append(describe(torch.as_tensor(case["image"])[None].float())[0])
        for modality, members in features.items():
            described = torch.stack(members)
            kind = _kinds_of(described, self.kinds)
            for number, normal in enumerate(self._normals(modality)):
                normal.fit(described[kind == number])

    @torch.no_grad()
    def recognise(self, image: Tensor, min_confidence: float = 0.8) -> tuple[str, float]:
        """The modality of a preprocessed image (3, S, S), and its confidence (0 to 1).

        Raises:
            ValueError: if the image is too far from all modalities, or the confidence is below ``min_confidence``.
        """
        features = describe(image[None].float().cpu())[0]
        fitted = [(name, normal) for name in self.known for normal in self._normals(name) if normal.count.item()]
        if not fitted:
            raise ValueError("the network recognises no modality: name it, or fit the recogniser on images")
        names = [name for name, _ in fitted]
        distances, likelihoods = zip(*(normal.likelihood(features) for _, normal in fitted))
        shares = torch.softmax(torch.stack(likelihoods) * _INDEPENDENT, 0)
        best = int(shares.argmax())
        name, distance = names[best], float(distances[best])
        confidence = sum(float(share) for other, share in zip(names, shares) if other == name)
        reasons = []
        if distance > _FARTHEST:
            reasons.append(
                f"it is at a distance of {distance:.1f} from these images, at most {_FARTHEST:g} is accepted"
            )
        if confidence < min_confidence:
            reasons.append(f"the confidence is {confidence:.2f}, at least {min_confidence:g} is needed")
        if reasons:
            raise ValueError(
                f"the image looks most like {name}, but not enough so: {' and '.join(reasons)}; name its modality if "
                f"it is one of {', '.join(self.known)}; these weights cannot segment others"
            )
        return name, confidence

    def _normals(self, modality: str) -> list[_Normal]:
        known = self.known[modality]
        return [cast(_Normal, normal) for normal in (known if isinstance(known, nn.ModuleList) else [known])]


def _kinds_of(features: Tensor, kinds: int) -> Tensor:
    """The kind of each image (N, F) -> (N,), by k-means of its standardised features, the same at every call."""
    kinds = min(kinds, len(features) // _IMAGES_PER_KIND)
    if kinds < 2:
        return torch.zeros(len(features), dtype=torch.long)
    deviation = features.std(0, correction=0).clamp(min=_MIN_STD)
    standard = ((features - features.mean(0)) / deviation).double().cpu().numpy()
    _, kind = kmeans2(standard, kinds, iter=50, minit="++", rng=np.random.default_rng(0))
    return torch.from_numpy(kind).long()


class _Normal(nn.Module):
    """A normal distribution. Its correlations are halved, since it is fitted to few images.

    The buffer ``deviation`` holds standard deviations; its name is that in weight files.
    """

    mean: Tensor
    deviation: Tensor
    precision: Tensor
    count: Tensor

    def __init__(self, features: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("precision", torch.eye(features))
        self.register_buffer("count", torch.zeros(()))

    def fit(self, features: Tensor) -> None:
        self.count.fill_(len(features))
        if not len(features):
            return
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0, correction=0).clamp(min=_MIN_STD))
        standard = (features - features.mean(0)) / self.deviation.to(features.device)
        correlation = (standard.T @ standard / len(standard) + torch.eye(len(self.mean))) / 2
        self.precision.copy_(torch.linalg.inv(correlation))

    def likelihood(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Root mean squared distance in standard deviations, and the mean logarithm of the density."""
        standard = (features - self.mean.cpu()) / self.deviation.cpu()
        precision = self.precision.cpu()
        squared = standard @ precision @ standard / len(standard)
        volume = self.deviation.cpu().log().mean() - torch.logdet(precision) / (2 * len(standard))
        return squared.sqrt(), -squared / 2 - volume
