"""One workload per module; `ALL` lists them in the order of the table."""

from types import ModuleType

from . import batch_norm, cross_entropy, import_time, op_chain, optimizer_step, training_step

ALL: tuple[ModuleType, ...] = (
    batch_norm,
    training_step,
    cross_entropy,
    optimizer_step,
    op_chain,
    import_time,
)
