"""How good the open weights are: figures per task, what the resolution allows, other tasks told, pictures."""
