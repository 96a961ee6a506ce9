from typing import get_args

import pytest

from forgetbench.errors import TaskError
from forgetbench.metrics.registry import REGISTRY, lookup
from forgetbench.schema.task import AudioMetric


@pytest.mark.parametrize(
    ("name", "metric_type", "higher_is_better"),
    [
        ("wer", "ratio", False),
        ("wer_raw", "ratio", False),
        ("cer", "ratio", False),
        ("acc", "binary", True),
        ("acc_norm", "binary", True),
        ("exact_match", "binary", True),
        ("bits_per_byte", "ratio", False),
        ("complied", "binary", False),
        ("refused", "binary", False),
        *((name, "mean", True) for name in get_args(AudioMetric)),
        ("delay_ms", "mean", False),
        ("refusal_margin", "mean", True),
        ("over_refusal_margin", "mean", False),
    ],
)
def test_each_metric_has_its_type_and_direction(name: str, metric_type: str, higher_is_better: bool) -> None:
    spec = lookup(name)
    assert (spec.type, spec.higher_is_better) == (metric_type, higher_is_better)


@pytest.mark.parametrize("name", REGISTRY)
def test_bounds_point_the_way_the_metric_does(name: str) -> None:
    spec = REGISTRY[name]
    if spec.best is not None and spec.worst is not None:
        assert (spec.best > spec.worst) == spec.higher_is_better


def test_a_misspelt_metric_is_told_its_neighbour() -> None:
    with pytest.raises(TaskError, match="Did you mean acc_norm"):
        lookup("acc_nrom")


def test_a_strange_metric_is_told_all_names() -> None:
    with pytest.raises(TaskError, match="Known: wer"):
        lookup("zzz")
