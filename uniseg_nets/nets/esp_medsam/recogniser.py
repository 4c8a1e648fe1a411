"""Recognises the modality of an image from its colours and textures, so that users need not name it.

The papers take the modality as given. Shapes: B batch, S side, F features, M modalities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
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
    """One normal distribution of the features of :func:`describe` per modality, fitted to its images.

    A further modality adds a distribution and leaves the others unchanged. A modality that is not fitted is never
    recognised.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known = nn.ModuleDict()

    def add(self, modality: str) -> None:
        """Adds a modality, not fitted yet."""
        self.known[modality] = _Normal(3 * (2 + _LEVELS))

    @torch.no_grad()
    def fit(self, cases: Iterable[Mapping[str, Any]]) -> None:
        """Fits the modalities of the cases, each with ``image`` (3, S, S) and ``modality``. Others are unchanged."""
        features: dict[str, list[Tensor]] = {}
        for case in cases:
            features.setdefault(case["modality"], []).append(describe(torch.as_tensor(case["image"])[None].float())[0])
        for modality, members in features.items():
            cast(_Normal, self.known[modality]).fit(torch.stack(members))

    @torch.no_grad()
    def recognise(self, image: Tensor, min_confidence: float = 0.8) -> tuple[str, float]:
        """The modality of a preprocessed image (3, S, S), and its confidence (0 to 1).

        Raises:
            ValueError: if the image is too far from all modalities, or the confidence is below ``min_confidence``.
        """
        features = describe(image[None].float().cpu())[0]
        normals = {name: cast(_Normal, normal) for name, normal in self.known.items()}
        fitted = {name: normal.likelihood(features) for name, normal in normals.items() if normal.count.item()}
        if not fitted:
            raise ValueError("the network recognises no modality: name it, or fit the recogniser on images")
        distances, likelihoods = zip(*fitted.values())
        shares = torch.softmax(torch.stack(likelihoods) * _INDEPENDENT, 0)
        best = int(shares.argmax())
        name, confidence = list(fitted)[best], float(shares[best])
        if float(distances[best]) > _FARTHEST or confidence < min_confidence:
            raise ValueError(
                f"the image looks most like {name}, but not enough so (confidence {confidence:.2f}, distance "
                f"{float(distances[best]):.1f}, at most {_FARTHEST:g}): name its modality, one of {', '.join(normals)}"
            )
        return name, confidence


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
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0, correction=0).clamp(min=_MIN_STD))
        standard = (features - features.mean(0)) / self.deviation.to(features.device)
        correlation = (standard.T @ standard / len(standard) + torch.eye(len(self.mean))) / 2
        self.precision.copy_(torch.linalg.inv(correlation))
        self.count.fill_(len(features))

    def likelihood(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Root mean squared distance in standard deviations, and the mean logarithm of the density."""
        standard = (features - self.mean.cpu()) / self.deviation.cpu()
        precision = self.precision.cpu()
        squared = standard @ precision @ standard / len(standard)
        volume = self.deviation.cpu().log().mean() - torch.logdet(precision) / (2 * len(standard))
        return squared.sqrt(), -squared / 2 - volume
