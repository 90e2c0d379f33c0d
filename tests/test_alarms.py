import pytest

from pipeline.alarms import Alarm, StageError, check_balance, raise_unless_acknowledged

ALARMS = [
    Alarm(name="max_rejected:code", message="code lost 99 %"),
    Alarm(name="max_cluster:docs", message="a cluster of 7"),
]


def test_alarms_stop_unless_the_recipe_names_them() -> None:
    message = r"code lost 99 %; a cluster of 7\. If .*: acknowledge: \[max_rejected:code, max_cluster:docs\]$"
    with pytest.raises(StageError, match=message):
        raise_unless_acknowledged(ALARMS, ())
    with pytest.raises(StageError, match=r"^a cluster of 7\. If .*: acknowledge: \[max_cluster:docs\]$"):
        raise_unless_acknowledged(ALARMS, ("max_rejected:code",))
    raise_unless_acknowledged(ALARMS, ("max_cluster:docs", "max_rejected:code", "max_rejected:docs"))
    raise_unless_acknowledged([], ())


def test_counts_balance_to_the_last_one() -> None:
    check_balance("filtered code", "documents", 5, 2, {"a": 1, "b": 2})
    check_balance("filtered code", "documents", 0, 0, {})
    message = r"filtered code does not balance: 6 documents in, 2 kept, 3 not kept \(\{'a': 1, 'b': 2\}\); nothing was"
    with pytest.raises(StageError, match=message):
        check_balance("filtered code", "documents", 6, 2, {"a": 1, "b": 2})
