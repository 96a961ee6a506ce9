"""Tasks of lm-eval through lm-eval's own code: prompts, filters and metrics are its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from forgetbench.data.hub import is_unfetched, record_fetch
from forgetbench.data.samples import Sample, choose
from forgetbench.engine.journal import Answer
from forgetbench.engine.lm_eval_direction import WAY_OUT, is_higher_better, unstated
from forgetbench.engine.lm_eval_files import LOG, choices_among, logged
from forgetbench.engine.plan import PlannedTask, plan_batches
from forgetbench.engine.reach import check_reach, fetch_command, knock
from forgetbench.errors import DataError, TaskError, UsageError
from forgetbench.metrics.text import check_finite
from forgetbench.models.interface import (
    Draw,
    GenerateRequest,
    ScoreRequest,
    ScoresDocuments,
    TextModel,
)
from forgetbench.offline import hub_answers, is_offline
from forgetbench.schema.metric import MetricSpec
from forgetbench.schema.run import Settings
from forgetbench.schema.sample import RawPrediction
from forgetbench.schema.task import LmEval
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import is_installed

FEWSHOT_SEED = 1234
"""With which lm-eval draws shots where no seed is given: so a run with seed 0 shows the same ones."""


@dataclass(frozen=True)
class LmEvalTask:
    """One leaf task of lm-eval.

    Attributes:
        task: lm-eval's task object.
        instances: lm-eval's requests by sample id.
    """

    task: Any
    instances: dict[str, tuple[Any, ...]]

    @property
    def generates(self) -> bool:
        """Whether it asks for generated text."""
        return bool(self.task.OUTPUT_TYPE == "generate_until")

    def to_ask(self, ids: Iterable[str]) -> LmEvalTask:
        """Return what asking these samples needs, and nothing else: it can go to another machine."""
        instances = {
            key: tuple(SimpleNamespace(args=instance.args) for instance in self.instances[key]) for key in ids
        }
        return LmEvalTask(task=SimpleNamespace(OUTPUT_TYPE=self.task.OUTPUT_TYPE), instances=instances)

    def predict(
        self,
        samples: Sequence[Sample],
        prompts: Sequence[tuple[str, bool]],
        model: TextModel,
        draws: Sequence[Draw | None],
    ) -> list[Answer]:
        """Ask the model all requests of the samples.

        Args:
            samples: The batch.
            prompts: For a task that generates: each prompt, and whether a chat template rendered it.
            model: The model.
            draws: How each answer is drawn, for a task that generates; None for greedily.
        """
        groups = [self.instances[sample.id] for sample in samples]
        if self.generates:
            return self._generate(groups, prompts, model, draws)
        if self.is_rolling:
            return self._score_documents(groups, model)
        requests = [
            ScoreRequest(context=instance.args[0], continuation=instance.args[1])
            for group in groups
            for instance in group
        ]
        scored = iter(model.score_text(requests))
        return [
            _scores(
                list(islice(scored, len(group))),
                n_choices=choices_among([instance.args[0] for instance in group]),
            )
            for group in groups
        ]

    def unfollowed(self, settings: Settings) -> tuple[str, ...]:
        """Return a warning about what the task's file says of generation and is not done here."""
        from lm_eval.models.utils import normalize_gen_kwargs

        from forgetbench.models.lm_eval_model import beyond_greedy

        if not self.generates or not self.instances:
            return ()
        asked = next(iter(self.instances.values()))[0].args[1]
        names = [
            n for n in beyond_greedy(normalize_gen_kwargs(asked)) if n != "do_sample" or not settings.sampling
        ]
        if not names:
            return ()
        how = "as --gen-kwargs says" if settings.sampling else "greedily; --gen-kwargs draws them"
        what = f"{self.task.config.task}: {', '.join(names)} of its file"
        return (f"{what} is not followed: answers are made {how}",)

    @property
    def is_rolling(self) -> bool:
        """Whether it scores whole documents."""
        return bool(self.task.OUTPUT_TYPE == "loglikelihood_rolling")

    def _score_documents(self, groups: Sequence[tuple[Any, ...]], model: TextModel) -> list[Answer]:
        if not isinstance(model, ScoresDocuments):
            raise UsageError(
                type(model).__name__, "cannot score whole documents", "It has no score_documents."
            )
        return [
            _scores([score]) for score in model.score_documents([instance.args[0] for (instance,) in groups])
        ]

    def _generate(
        self,
        groups: Sequence[tuple[Any, ...]],
        prompts: Sequence[tuple[str, bool]],
        model: TextModel,
        draws: Sequence[Draw | None],
    ) -> list[Answer]:
        from lm_eval.models.utils import normalize_gen_kwargs

        requests = []
        for (instance,), (prompt, rendered), draw in zip(groups, prompts, draws, strict=True):
            arguments = instance.args[1]
            until = arguments.get("until") or []
            requests.append(
                GenerateRequest(
                    prompt=prompt,
                    max_new_tokens=normalize_gen_kwargs(arguments)["max_gen_toks"],
                    stop=(until,) if isinstance(until, str) else tuple(until),
                    rendered=rendered,
                    draw=draw,
                )
            )
        outputs = model.generate(requests)
        return [
            Answer(prediction=RawPrediction(text=o.text, n_tokens=(o.n_tokens,), truncated=o.truncated))
            for o in outputs
        ]

    def score(self, sample: Sample, prediction: RawPrediction) -> dict[str, float | tuple[float, float]]:
        """Return lm-eval's metrics of one sample; a filter other than ``none`` is appended to the name.

        Raises:
            SampleError: ``nonfinite_score``: a log-likelihood is NaN or +∞, or none is finite.
        """
        instances = self.instances[sample.id]
        if prediction.loglikelihoods:
            check_finite(prediction.loglikelihoods, "the log-likelihoods of the choices")
        responses = prediction.loglikelihoods if self.is_rolling else _responses(prediction)
        for instance, response in zip(instances, responses or (), strict=True):
            instance.resps, instance.filtered_resps = [response], {}
        for ensemble in self.task._filters:
            ensemble.apply(list(instances))
        stats: dict[str, float | tuple[float, float]] = {}
        for name in instances[0].filtered_resps:
            results = [instance.filtered_resps[name] for instance in instances]
            for metric, value in self.task.process_results(instances[0].doc, results).items():
                if self.is_rolling:
                    stats |= _pooled(metric, *value)
                elif isinstance(value, int | float) and math.isfinite(value):
                    kept, number = logged(metric, float(value), is_logprob=metric in self._logprobs)
                    stats[kept if name == "none" else f"{kept},{name}"] = number
        return stats

    @property
    def _logprobs(self) -> frozenset[str]:
        """Metrics that lm-eval makes of log-likelihoods, as LAMBADA's perplexity."""
        pooled = self.task.aggregation()
        return frozenset(name for name, by in pooled.items() if getattr(by, "__name__", "") == "perplexity")

    @property
    def reported(self) -> tuple[str, ...]:
        """The metrics that its definition lists, in that order."""
        return tuple(self.task.higher_is_better())

    def metric(self, name: str) -> MetricSpec | None:
        """Return a metric's type and direction; None where the direction is not known."""
        metric = name.partition(",")[0]
        if self.is_rolling or metric.removeprefix(LOG) in self._logprobs:
            higher: bool | None = False
        else:
            higher = is_higher_better(metric, self.task.higher_is_better())
        if higher is None:
            return None
        return MetricSpec(name=name, type="ratio" if self.is_rolling else "mean", higher_is_better=higher)


def check_trusted(definition: Definition, *, trust_remote_code: bool) -> None:
    """Make sure that the author of a folder of lm-eval's files is trusted before any of them is read.

    lm-eval calls the Python functions that such a file names and renders its templates without a sandbox: to
    read one is to run it. What an installed plug-in brings is installed code.

    Raises:
        DataError: They are neither of an installed plug-in nor trusted.
    """
    task = definition.task
    assert isinstance(task, LmEval)
    if task.include_path is None or trust_remote_code:
        return
    if not is_installed(definition.folder / task.include_path):
        cause = f"lm-eval's files in {task.include_path}/ can run any code of their author's"
        raise DataError(f"task {task.name}", cause, "Read them, then give --trust-remote-code.")


def check_known(definition: Definition) -> Any:
    """Return lm-eval's list of tasks, in which this one is.

    Raises:
        TaskError: lm-eval has no such task.
    """
    assert isinstance(definition.task, LmEval)
    name = definition.task.lm_eval
    manager = _manager(definition)
    if name not in manager.all_tasks:
        thing = f"{definition.source}, lm_eval: {name}"
        raise TaskError(thing, "is not a task of lm-eval", "List them with `lm-eval ls tasks`.")
    return manager


def expand_group(
    definition: Definition, *, offline: bool, trust_remote_code: bool = False
) -> list[Definition]:
    """Return the definitions of a group's tasks, or the definition itself for a single task.

    Args:
        definition: The task or group.
        offline: Open no socket.
        trust_remote_code: As for ``load_lm_eval_task``, which refuses what is not trusted.

    Raises:
        TaskError: As for ``check_known``, where its data can be had.
    """
    task = definition.task
    assert isinstance(task, LmEval)
    if is_offline(offline) and is_unfetched(task):
        return [definition]
    try:
        check_trusted(definition, trust_remote_code=trust_remote_code)
    except DataError:
        return [definition]
    manager = check_known(definition)
    if task.lm_eval not in manager.all_groups:
        return [definition]
    if is_unfetched(task) and not hub_answers():
        return [definition]
    try:
        names = sorted(manager.load(task.lm_eval)["tasks"])
    except Exception:  # the data is not to be had: loading the task says so, and skips it
        return [definition]
    return [
        Definition(
            task=task.model_copy(update={"name": f"{task.name}.{n}", "lm_eval": n, "title": n}),
            source=definition.source,
        )
        for n in names
    ]


def load_lm_eval_task(
    definition: Definition,
    settings: Settings,
    *,
    offline: bool,
    unsafe_code: bool = False,
    trust_remote_code: bool = False,
) -> PlannedTask:
    """Build lm-eval's requests for a seeded choice of documents.

    Args:
        definition: The task.
        settings: Of the run.
        offline: Open no socket.
        unsafe_code: The user has consented to run code that models write.
        trust_remote_code: The user trusts the author of lm-eval's files that the task brings.

    Raises:
        DataError: The task's data cannot be had, it runs code without consent, or nobody states whether a
            higher score is better.
    """
    task = definition.task
    assert isinstance(task, LmEval)
    check_trusted(definition, trust_remote_code=trust_remote_code)
    check_reach(definition, offline=offline)
    built = _build(definition, settings)
    if getattr(built, "UNSAFE_CODE", False) and not unsafe_code:
        raise DataError(
            f"task {task.name}", "runs code that the model wrote", "Consent with --confirm-run-unsafe-code."
        )
    asked = LmEvalTask(task=built, instances={})
    primary = task.primary or next(iter(asked.reported), None)
    if primary is not None and asked.metric(primary) is None:
        raise DataError(f"task {task.name}", unstated(primary), f"{WAY_OUT}.")
    with _quiet():
        every = [str(i) for i, _ in enumerate(built.eval_docs)]
        ids = choose(every, settings.limit_of(task.name), settings.seed)
        built.build_all_requests(samples=sorted(int(i) for i in ids))
    instances: dict[str, tuple[Any, ...]] = {}
    for instance in built.instances:
        instances[str(instance.doc_id)] = (*instances.get(str(instance.doc_id), ()), instance)
    samples = tuple(_sample(built, key, group) for key, group in instances.items())
    digest = hashlib.sha256("".join(sample.content for sample in samples).encode()).hexdigest()
    return PlannedTask(
        task=task,
        samples=samples,
        n_available=len(every),
        batches=plan_batches(samples, settings.batch_size),
        dataset=str(built.config.dataset_path or task.lm_eval),
        revision=f"sha256:{digest}",
        lm_eval=replace(asked, instances=instances),
    )


def fetch_lm_eval_data(definition: Definition, *, trust_remote_code: bool = False) -> int:
    """Download the data of a task or group of lm-eval, and record it.

    Args:
        definition: The task or group.
        trust_remote_code: As for ``load_lm_eval_task``.

    Returns:
        The number of tasks.

    Raises:
        TaskError: lm-eval has no such task.
        DataError: The data cannot be had, or the task brings code that is not trusted.
    """
    from huggingface_hub import HfApi

    assert isinstance(definition.task, LmEval)
    check_trusted(definition, trust_remote_code=trust_remote_code)
    if definition.task.include_path is None:
        knock(definition)
    members = expand_group(definition, offline=False, trust_remote_code=trust_remote_code)
    for member in members:
        built = _build(member, Settings())
        path = str(built.config.dataset_path)
        try:
            revision = str(HfApi().dataset_info(path, timeout=20).sha)
        except Exception:  # local data, or a hub that does not answer: the data itself is here
            revision = "unpinned"
        for name in {member.task.name, definition.task.name}:
            record_fetch(name, {"hub": path, "revision": revision})
    return len(members)


def _manager(definition: Definition) -> Any:
    assert isinstance(definition.task, LmEval)
    include = definition.task.include_path
    if include is None:
        return _index(None, ())
    folder = (definition.folder / include).resolve()
    files = tuple(sorted((str(f), f.stat().st_mtime_ns) for f in folder.rglob("*.yaml")))
    alone = _index(str(folder), files, with_defaults=False)
    # A group may name tasks of lm-eval's own.
    return alone if definition.task.lm_eval in alone.all_subtasks else _index(str(folder), files)


@lru_cache(maxsize=4)
def _index(folder: str | None, files: tuple[tuple[str, int], ...], *, with_defaults: bool = True) -> Any:
    """Return lm-eval's list of tasks.

    Args:
        folder: With more task files.
        files: What these are: with other ones the list is made anew.
        with_defaults: lm-eval's own tasks, too: fourteen thousand files are read, which takes seconds.
    """
    with _quiet():
        from lm_eval.tasks import TaskManager

        return TaskManager(include_path=folder, include_defaults=with_defaults, verbosity="ERROR")


def _build(definition: Definition, settings: Settings) -> Any:
    task = definition.task
    assert isinstance(task, LmEval)
    manager = _manager(definition)
    folder = (definition.folder / (task.include_path or ".")).resolve()
    shots = settings.num_fewshot if settings.num_fewshot is not None else task.num_fewshot
    try:
        with _quiet(), _working_directory(folder):
            built = manager.load(task.lm_eval)["tasks"][task.lm_eval]
    except Exception as error:
        raise DataError(
            f"task {task.name}",
            f"lm-eval could not load its data ({type(error).__name__}: {str(error).splitlines()[0][:200]})"
            if str(error)
            else f"lm-eval could not load its data ({type(error).__name__})",
            f"Check the files that {definition.source.name} names."
            if task.include_path
            else f"Check the connection, then `{fetch_command([definition])}`.",
        ) from error
    if shots is not None:
        built.set_config(key="num_fewshot", value=shots)
    built.set_fewshot_seed(seed=FEWSHOT_SEED + settings.seed)
    return built


def _sample(task: Any, key: str, instances: tuple[Any, ...]) -> Sample:
    asked = json.dumps([instance.args for instance in instances], sort_keys=True, default=str)
    target = str(task.doc_to_target(instances[0].doc))
    return Sample(
        id=key,
        content=hashlib.sha256(f"{asked}\x1f{target}".encode()).hexdigest(),
        row={},
        input=str(instances[0].args[0]),
        reference=target,
        size=float(len(str(instances[0].args[0]))),
    )


def _scores(scores: Sequence[Any], *, n_choices: int | None = None) -> Answer:
    prediction = RawPrediction(
        n_choices=n_choices,
        loglikelihoods=tuple(score.logprob for score in scores),
        n_tokens=tuple(score.n_tokens for score in scores),
        is_greedy=tuple(score.is_greedy for score in scores),
        truncated=any(score.truncated for score in scores),
    )
    return Answer(prediction=prediction)


def _pooled(metric: str, logprob: float, n_units: int) -> dict[str, tuple[float, float]]:
    """Return what pools to lm-eval's number: bits per byte, or the logarithm of a perplexity."""
    if metric == "bits_per_byte":
        return {metric: (-logprob / math.log(2), float(n_units))}
    return {f"{LOG}{metric}": (-logprob, float(n_units))}


def _responses(prediction: RawPrediction) -> list[Any]:
    if prediction.loglikelihoods is None:
        return [prediction.text]
    return list(zip(prediction.loglikelihoods, prediction.is_greedy or (), strict=True))


@contextlib.contextmanager
def _working_directory(folder: Path) -> Iterator[None]:
    """lm-eval resolves ``data_files`` of local tasks against the working directory."""
    with contextlib.chdir(folder):
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep lm-eval's log and its own progress bars off the terminal."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with Path(os.devnull).open("w") as sink, contextlib.redirect_stderr(sink):
            yield
    finally:
        logging.disable(previous)
