"""nnU-Net's training within a time of one core instead of a number of epochs; nnU-Net's commands find it::

export nnUNet_extTrainer=benchmarks/nnunet/trainers NNUNET_MINUTES=68 nnUNet_n_proc_DA=0 OMP_NUM_THREADS=1
nnUNetv2_train 1 3d_fullres all -tr TimedTrainer -device cpu
"""

from __future__ import annotations

import os
import time

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class TimedTrainer(nnUNetTrainer):
    """nnU-Net's network, batches, augmentation, loss and optimiser, for ``NNUNET_MINUTES`` minutes of the processor.

    The rate falls by nnU-Net's polynomial over the time, step by step. There is no validation: the last weights count.
    """

    def run_training(self) -> None:
        seconds = 60 * float(os.environ["NNUNET_MINUTES"])
        self.on_train_start()
        start = time.process_time()
        losses: list[float] = []
        while (share := (time.process_time() - start) / seconds) < 1:
            self.network.train()
            self.lr_scheduler.step(share * self.num_epochs)
            losses.append(float(self.train_step(next(self.dataloader_train))["loss"]))
            if len(losses) % 10 == 0:
                mean = sum(losses[-10:]) / 10
                self.print_to_log_file(f"step {len(losses)}, {time.process_time() - start:.0f} s: mean loss {mean:.4f}")
        self.print_to_log_file(f"{len(losses)} steps in {time.process_time() - start:.0f} s")
        self.on_train_end()

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """None: with fold ``all`` it would predict the training cases."""
