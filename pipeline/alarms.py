"""Faults of the data that must stop a person, and their acknowledgement in the recipe."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


class StageError(ValueError):
    """A stage cannot go on with this data; the message is for the person who runs it."""


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """`name` is what a recipe's `acknowledge` lists, as `max_rejected:code`; `message` gives the figures."""

    name: str
    message: str


def raise_unless_acknowledged(alarms: Sequence[Alarm], acknowledged: Collection[str]) -> None:
    """`StageError` with all alarms that the recipe does not acknowledge.

    They are judged on the manifest's counts, also of a dataset that was made earlier: what one recipe acknowledged
    still stops another.
    """
    loud = [alarm for alarm in alarms if alarm.name not in acknowledged]
    if loud:
        names = ", ".join(alarm.name for alarm in loud)
        raise StageError(
            "; ".join(alarm.message for alarm in loud)
            + f". If this is what you want, say so in the recipe: acknowledge: [{names}]"
        )


def check_balance(dataset: str, unit: str, before: int, kept: int, gone: Mapping[str, int]) -> None:
    """`StageError` unless what came in is what was kept and, by reason, what was not, to the last one."""
    if before != kept + sum(gone.values()):
        raise StageError(
            f"{dataset} does not balance: {before} {unit} in, {kept} kept, {sum(gone.values())} not kept "
            f"({dict(gone)}); nothing was published, please report it"
        )
