"""What a model reserves, how many workers fit, and what a plan costs: on clusters that need not exist."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forgetbench.engine.placement import (
    GIB,
    Node,
    Share,
    load_on,
    node_of,
    place,
    share_of,
    widened,
    workers_on,
)
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.prompting import Prompting
from forgetbench.engine.question import Question
from forgetbench.models.component import Component
from forgetbench.schema.run import LoadSettings
from forgetbench.schema.task import Generate

CPU = Node("a", 8, 0, 32 * GIB)
A100 = Node("g", 32, 4, 256 * GIB, 40 * GIB)


def question(parameters: float, *, device: str = "cpu", dtype: str = "float32") -> Question:
    task = Generate.model_construct(kind="generate", name="t")
    component = Component(
        role="lm", source="m", format="transformers", path=None, architecture="L", fingerprint="f",
        capabilities=("generate",), parameters=int(parameters),
    )  # fmt: skip
    return Question(
        planned=PlannedTask(task=task), component=component, reference=None, prompting=Prompting(),
        load=LoadSettings(device=device, dtype=dtype), path=Path("p"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (1e5, Share(1, 0, 2 * GIB)),
        (135e6, Share(1, 0, 2 * GIB)),  # 1 + 1.5 × 0.50 GiB
        (1.5e9, Share(3, 0, 16 * GIB)),  # 1 + 1.5 × 5.6 GiB
        (7e9, Share(8, 0, 64 * GIB)),  # 1 + 1.5 × 26 GiB
    ],
)
def test_a_larger_model_reserves_more_of_a_machine(parameters: float, expected: Share) -> None:
    assert share_of(question(parameters), [CPU]) == expected


@pytest.mark.parametrize(
    ("parameters", "nodes", "gpus"),
    [
        (135e6, [A100], 0.25),
        (7e9, [A100], 1.0),  # 1 + 1.5 × 13 GiB of 40
        (3e9, [A100], 0.25),  # 1 + 1.5 × 5.6 GiB
        (70e9, [A100], 5.0),
        (7e9, [CPU], 2.0),  # of a card of unknown size
    ],
)
def test_a_small_model_reserves_a_part_of_a_gpu_and_a_large_one_several(
    parameters: float, nodes: list[Node], gpus: float
) -> None:
    assert share_of(question(parameters, device="cuda", dtype="bfloat16"), nodes).gpus == gpus


def test_distributions_of_two_models_need_room_for_both() -> None:
    one = question(1.5e9)
    both = replace(one, reference=one.component)
    assert share_of(both, [CPU]).memory == 2 * share_of(one, [CPU]).memory


def test_a_worker_loads_onto_the_card_that_ray_shows_it() -> None:
    settings = LoadSettings(device="cuda:1")
    assert load_on(Share(1, 0.5, 0), settings).device == "cuda"
    assert load_on(Share(1, 2, 0), settings).device == "auto"
    assert load_on(Share(1, 0, 0), LoadSettings()).device == "cpu"


def test_as_many_workers_fit_as_the_scarcest_resource_allows() -> None:
    assert workers_on(CPU, Share(1, 0, 2 * GIB)) == 8
    assert workers_on(CPU, Share(1, 0, 16 * GIB)) == 2
    assert workers_on(CPU, Share(1, 0.25, 2 * GIB)) == 0
    assert workers_on(A100, Share(1, 0.25, 2 * GIB)) == 16
    assert workers_on(A100, Share(1, 5, 2 * GIB)) == 0


def test_parts_of_a_cpu_add_up_as_ray_counts_them() -> None:
    assert workers_on(Node("a", 0.3, 0, 0), Share(0.1, 0, 0)) == 3
    assert workers_on(Node("a", 2, 0, 0), Share(0.6667, 0, 0)) == 2


def test_a_smaller_worker_is_as_large_as_another_where_as_many_fit() -> None:
    small, large, larger = (Share(1, 0, gib * GIB) for gib in (2, 4, 8))
    of_gpu = Share(1, 0.25, 4 * GIB)
    assert widened([small, large, larger, of_gpu], [CPU]) == {
        small: large, large: large, larger: larger, of_gpu: of_gpu,
    }  # fmt: skip
    assert widened([small, larger], []) == {small: small, larger: larger}
    card, cards = Share(1, 0.25, 2 * GIB), Share(1, 2, 2 * GIB)
    assert widened([card, cards], [Node("g", 2, 4, 64 * GIB)])[card] == card


def test_two_nodes_at_one_address_hold_the_workers_of_both() -> None:
    assert place({Share(1, 0, 2 * GIB): [1.0] * 20}, [CPU, CPU]).rows[0].workers == {"a": 16}


def test_a_node_is_read_as_ray_describes_it() -> None:
    found = node_of(
        {
            "NodeManagerAddress": "10.0.0.7",
            "Resources": {"CPU": 16.0, "GPU": 2.0, "memory": 64.0 * GIB, "accelerator_type:L4": 1.0},
        }
    )
    assert found == Node("10.0.0.7", 16, 2, 64 * GIB, 24 * GIB)


def test_the_cost_counts_what_is_reserved_and_a_model_that_fits_nowhere_has_none() -> None:
    placed = place({Share(1, 0, 2 * GIB): [360.0] * 16}, [CPU])
    assert placed.rows[0].workers == {"a": 8}
    assert placed.seconds == pytest.approx(15 + 720)
    assert placed.cpu_hours == pytest.approx(8 * 735 / 3600)
    assert place({Share(1, 1, 2 * GIB): [1.0]}, [CPU]).seconds is None
