"""How good the open weights are: metrics per task, what the resolution allows, other tasks asked for, pictures.

``late.json``, ``onehot.json`` and ``single.json`` are laid over the open weights' training. They train what UniSeg is
compared with, for as many steps per task; ``single`` is run once per task, with ``--task``::

    cd bundles/uniseg_upstream
    export PYTHONPATH=../.. PEER=../../benchmarks/open_weights/late.json
    python -m monai.bundle run --config_file "['configs/train.json','configs/open.json','$PEER']" --dataset_dir DATA
"""
