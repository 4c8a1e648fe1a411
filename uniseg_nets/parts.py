"""The parts of a run: the K-th of N, as the jobs of a scheduler's array do them."""

from __future__ import annotations

import os
import re

__all__ = ["part_of"]

_ARRAY = "SLURM_ARRAY_TASK_ID"


def part_of(word: str | int) -> tuple[int, int]:
    """``"3/8"`` as (3, 8), the third part of eight; of ``"8"`` alone, K is the job's number in its Slurm array.

    Raises:
        ValueError: if the word is of another form, K is not from 1 to N, or there is no array.
    """
    match = re.fullmatch(r"(?:(\d+)/)?(\d+)", str(word))
    if match is None:
        raise ValueError(f'part is {word!r}, expected K/N such as "3/8", or N in a job of a Slurm array')
    number = match[1] or os.environ.get(_ARRAY)
    if number is None:
        raise ValueError(f"part is {word!r} and {_ARRAY} is not set: write K/N, such as 1/{word}")
    part, parts = int(number), int(match[2])
    if not 1 <= part <= parts:
        raise ValueError(f"part is {part}/{parts}, expected one from 1 to {parts}: number the array's jobs from 1")
    return part, parts
