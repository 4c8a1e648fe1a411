"""Does one prompted network learn many partly labelled tasks as well as networks of their own? On real scans.

    UNISEG_TEST_DATA=DIR python -m benchmarks.multitask.data OUT            # datalist, fixed split
    python -m benchmarks.multitask.run OUT uniseg --seed 0                  # train and evaluate one variant
    python -m benchmarks.multitask.table OUT                                # results.md and curves.png of all that ran

Variants: ``uniseg``, initialised as the official release; ``uniseg_spread``, with prompts of different levels;
``single``, a network a task; ``late``, the task as a one-hot code to a dynamic head at the decoder's end; ``onehot``,
UniSeg with a one-hot map in place of the universal prompt. All share U-Net, data, patches, optimiser and number of
iterations a task.
"""
