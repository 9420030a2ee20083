"""One workload per module; `ALL` lists them in the order of the table."""

from types import ModuleType

from . import import_time, op_chain, training_step

ALL: tuple[ModuleType, ...] = (op_chain, training_step, import_time)
