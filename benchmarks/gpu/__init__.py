"""What a GPU does with this project: agreement, speed, memory, training. See ``python -m benchmarks.gpu --help``."""
