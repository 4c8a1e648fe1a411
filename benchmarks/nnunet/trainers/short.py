"""nnU-Net's training of 340 steps instead of 250,000.

nnU-Net's commands find it, in its environment; ``--c`` resumes it::

    export nnUNet_extTrainer=benchmarks/nnunet/trainers nnUNet_n_proc_DA=0 OMP_NUM_THREADS=1
    nnUNetv2_train 1 3d_fullres all -tr ShortTrainer -device cpu
"""

from __future__ import annotations

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

_DEVICE = torch.device("cpu")


class ShortTrainer(nnUNetTrainer):
    """nnU-Net's network, batches, augmentation, loss, optimiser and schedule, in 34 epochs of 10 steps.

    Their number is that of the steps which one core makes in the time of the network that it is compared with.
    """

    def __init__(
        self, plans: dict, configuration: str, fold: int, dataset_json: dict, device: torch.device = _DEVICE
    ) -> None:  # nnU-Net reads the names of these arguments
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 34, 10, 1
        self.save_every = 1

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """None: with fold ``all`` it would predict the training cases."""
