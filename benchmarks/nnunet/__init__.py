"""nnU-Net v2 beside UniSeg: a case of its pipeline (:mod:`benchmarks.nnunet.case`), and trainings of equal cost.

``trainers`` holds the trainer that nnU-Net's own commands find through ``nnUNet_extTrainer``. It needs an environment
with ``nnunetv2``, which need not know this project. :mod:`benchmarks.nnunet.peer` writes the cases for it, and the
figures of what it predicted.
"""
