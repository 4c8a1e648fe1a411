"""nnU-Net's training of a number of steps instead of 1,000 epochs; nnU-Net's commands find it::

export nnUNet_extTrainer=benchmarks/nnunet/trainers NNUNET_STEPS=340 nnUNet_n_proc_DA=0 OMP_NUM_THREADS=1
nnUNetv2_train 1 3d_fullres all -tr ShortTrainer -device cpu
"""

from __future__ import annotations

import os
import time

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class ShortTrainer(nnUNetTrainer):
    """nnU-Net's network, batches, augmentation, loss and optimiser, for ``NNUNET_STEPS`` steps.

    The rate falls by nnU-Net's polynomial over these steps. There is no validation: the last weights count.
    """

    def run_training(self) -> None:
        steps = int(os.environ["NNUNET_STEPS"])
        self.on_train_start()
        self.network.train()
        start, losses = time.monotonic(), []
        for step in range(steps):
            self.lr_scheduler.step(self.num_epochs * step / steps)
            losses.append(float(self.train_step(next(self.dataloader_train))["loss"]))
            if (step + 1) % 10 == 0:
                mean = sum(losses[-10:]) / 10
                self.print_to_log_file(f"step {step + 1}, {time.monotonic() - start:.0f} s: mean loss {mean:.4f}")
        self.on_train_end()

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """None: with fold ``all`` it would predict the training cases."""
