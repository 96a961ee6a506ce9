"""``--gen-kwargs`` and ``--repeats``."""

from __future__ import annotations

import pytest

from forgetbench.engine.sampling_options import read_sampling
from forgetbench.errors import UsageError
from forgetbench.schema.run import Sampling


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"temperature": "0.7", "top_p": "0.9"}, Sampling(temperature=0.7, top_p=0.9)),
        ({"do_sample": "true"}, Sampling()),
        ({"do_sample": "True", "top_k": "5"}, Sampling(top_k=5)),
        ({"do_sample": "false"}, None),
        ({"temperature": "0"}, None),
        ({"temperature": "0.0", "do_sample": "false"}, None),
    ],
    ids=str,
)
def test_a_temperature_above_zero_means_sampling_as_in_lm_eval(
    given: dict[str, str], expected: Sampling | None
) -> None:
    assert read_sampling(given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temprature": "1"}, "temprature: is not known. Known: do_sample, temperature"),
        ({"temperature": "warm"}, "temperature=warm"),
        ({"temperature": "-1"}, "temperature=-1"),
        ({"top_p": "1.5"}, "top_p=1.5"),
        ({"do_sample": "maybe"}, "neither true nor false"),
        ({"do_sample": "false", "top_p": "0.9"}, "leaves top_p without effect"),
        ({"temperature": "0", "do_sample": "true"}, "is greedy"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_by_name(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_sampling(given)


def test_greedy_answers_are_not_repeated(cli, engine):
    done = cli("run", "--model", "m", "--repeats", "3", "--dry-run")
    assert isinstance(done.exception, UsageError)
    assert "greedy decoding gives the same answer each time" in str(done.exception)
    assert engine.requests == []


def test_the_options_reach_the_engine(cli, engine):
    cli("run", "--model", "m", "--repeats", "3", "--gen-kwargs", "temperature=0.7,top_p=0.9", "--dry-run")
    (asked,) = engine.requests
    assert asked.settings.repeats == 3
    assert asked.settings.sampling == Sampling(temperature=0.7, top_p=0.9)
