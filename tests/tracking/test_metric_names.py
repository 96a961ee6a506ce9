from __future__ import annotations

import math
import re
from posixpath import normpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetbench.tracking.metric_names import LONGEST_NAME, measured, valid_name, valid_names


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("delta/clean/wer", "delta/clean/wer"),
        ("arc/acc,none", "arc/acc_none"),
        ("a//b/./c", "a/b/c"),
        ("../../etc", "etc"),
        ("...", "_"),
        ("", "_"),
        ("Größe", "Gr__e"),
        ("full α 0.5", "full alpha 0.5"),
    ],
)
def test_names_within_mlflows_rules(ours, theirs):
    assert valid_name(ours) == theirs


@given(st.sets(st.text(max_size=300), max_size=30))
def test_any_names_become_as_many_names_that_mlflow_takes(names):
    found = valid_names(names)
    assert len(set(found.values())) == len(names)
    for name in found.values():
        assert re.fullmatch(r"[\w\-. :/]+", name, flags=re.ASCII)
        assert normpath(name) == name
        assert len(name) <= LONGEST_NAME


def test_colliding_names_do_not_depend_on_their_order():
    names = ["acc,none", "acc;none", "acc_none"]
    assert valid_names(names) == valid_names(reversed(names))
    assert valid_names(names)["acc_none"] == "acc_none"


def test_what_was_not_measured_is_left_out_and_never_zero():
    assert measured({"a": None, "b": math.nan, "c": math.inf, "d": 0.0}) == {"d": 0.0}
