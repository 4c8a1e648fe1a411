"""The prompts inside MONAI's DynUNet, as the documentation shows it."""

import re
from pathlib import Path

import torch

from uniseg_nets.weights.freezing import train_only


def example():
    """What the documentation's code defines."""
    text = (Path(__file__).parents[1] / "docs" / "extend.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import torch\nfrom monai.+?)```", text, re.DOTALL)
    names = {}
    exec(code, names)
    return names


def test_the_documentation_s_dynunet_answers_each_task_by_its_prompt():
    names = example()
    network = names["network"].eval()
    assert names["logits"].shape == (1, 2, 32, 64, 64)
    image = torch.randn(1, 1, 32, 64, 64)
    with torch.no_grad():
        answers = [network(image, task) for task in range(3)]
    assert all(not torch.equal(answers[0], other) for other in answers[1:])
    assert torch.equal(answers[0], network(image, 0))


def test_prompts_alone_are_trained_in_the_documentation_s_dynunet():
    network = train_only(example()["network"], ["bottleneck.task_prompts"])
    network(torch.randn(1, 1, 32, 64, 64), task=1).square().mean().backward()
    moved = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert "bottleneck.task_prompts.universal" in moved
    assert all(name.startswith("bottleneck.task_prompts.") for name in moved)
