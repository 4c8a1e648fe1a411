"""Networks that follow a rule instead of weights, so that a test knows what they must find."""

import torch

from uniseg_nets import UniSeg, UniSegBackbone

ROI = (32, 64, 64)


def small_uniseg(seed: int = 0) -> UniSeg:
    """The smallest network of the official tasks, with random weights."""
    torch.manual_seed(seed)
    return UniSeg(base_features=4, max_features=8, patch_size=ROI).eval()


class BrightNetwork(torch.nn.Module):
    """Says class 1 of task t where the image is within 0.25 of t + 1, at every resolution; counts what it is asked for.

    Attributes:
        windows: encoder passes.
        fine: decodings to the end.
    """

    def __init__(self):
        super().__init__()
        self.windows, self.fine = 0, 0

    def encode(self, x):
        self.windows += 1
        return [x]

    def shared(self, features):
        return features

    def prompts(self, features):
        return features[-1][:, :0]

    def select(self, prompts, task):
        return task

    def decode(self, features, prompt):
        return self.decode_fine(features, self.decode_coarse(features, prompt)[0])

    def decode_coarse(self, features, prompt):
        near = 0.25 - (features[0] - prompt - 1).abs()
        never = torch.full_like(near, -10)
        logits = torch.cat([-near, near, never, never], dim=1) * 40
        return logits, logits[..., ::2, ::4, ::4]

    def decode_fine(self, features, state):
        self.fine += 1
        return state


def bright_backbone():
    """A UniSegBackbone of one channel and two classes whose weights say: bright, one deviation above the mean, is 1.

    Its first feature carries the image through the finest skip connection to the head; all other weights are 0.
    """
    network = UniSegBackbone(in_channels=[1], out_channels=2, base_features=4, max_features=8, deep_supervision=True)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not name.endswith("norm.weight"):
                parameter.zero_()
        stem, first = network.encoder.stem.convs["1"], network.encoder.stages[0].conv
        last, head = network.decoder.stages[-1], network.decoder.heads[-1]
        skip = 4  # the skip connection's features come after as many up-sampled ones
        for conv, source in ((stem, 0), (first, 0), (last[0].conv, skip), (last[1].conv, 0)):
            z, y, x = (size // 2 for size in conv.kernel_size)
            conv.weight[0, source, z, y, x] = 1
        last[1].norm.bias[0] = -1
        head.weight[:, 0] = torch.tensor([-10.0, 10.0]).reshape(2, 1, 1, 1)
    return network
