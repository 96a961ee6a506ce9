"""``evaluate``: a checkpoint and its base, through every task, into documents."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from forgetbench.data.hub import is_unfetched
from forgetbench.engine.answers import MODEL_ERROR
from forgetbench.engine.arm import INTERRUPTED, questions_of, run_arm
from forgetbench.engine.arm_run import ArmOutcome, ArmRun
from forgetbench.engine.attribution import attribute, check_attributable
from forgetbench.engine.audio_store import LOST_AUDIO
from forgetbench.engine.chat_templates import prompting_of
from forgetbench.engine.conditions import in_conditions
from forgetbench.engine.cost import measure_cost
from forgetbench.engine.interrupted import partial_documents
from forgetbench.engine.jailbreak import with_suffix
from forgetbench.engine.noise_floor import (
    in_other_batches,
    measured_floors,
    store_floors,
    with_floors,
    with_stored_floors,
)
from forgetbench.engine.plan import Plan, make_plan
from forgetbench.engine.progress import Progress, Silent
from forgetbench.engine.question import Question, Workers
from forgetbench.engine.reach import missing_offline
from forgetbench.engine.results import (
    ATTRIBUTION_FILE,
    COMPARISON_FILE,
    RUN_FILE,
    Result,
    check_writable,
    read_result,
    read_whole,
    result_directory,
    write_document,
    write_result,
)
from forgetbench.engine.run_document import run_document
from forgetbench.engine.score import SCORING_ERROR
from forgetbench.engine.target import target_definitions
from forgetbench.errors import ForgetbenchError, TaskError, UsageError, did_you_mean
from forgetbench.models.alpha import at_alpha
from forgetbench.models.component import Checkpoint
from forgetbench.models.model_pair import why_incomparable
from forgetbench.models.pairing import Pair, resolve_pair
from forgetbench.models.resident_base import ResidentBase
from forgetbench.offline import is_offline
from forgetbench.paths import cache_root
from forgetbench.schema.run import Arm, RunDocument, Settings
from forgetbench.schema.task import Capability, Condition, Divergence, SpeechDivergence
from forgetbench.tasks.registry import Selection, load_registry

PlanKey = tuple[frozenset[tuple[Arm, frozenset[Capability]]], frozenset[tuple[str, str]]]
Plans = dict[PlanKey, Plan]
"""Plans by what each arm can do, and by what cannot be compared between them."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asked to be measured.

    Attributes:
        model: Checkpoint, by any name that :mod:`forgetbench.models.checkpoint` reads.
        base: Its base; None to infer it.
        tasks: Suites, task names or globs.
        target: The user's own test set.
        roles: Role by suite, name or glob.
        include_paths: Folders or files with more task definitions.
        conditions: In place of those of every speech task.
        jailbreak_suffix: Appended to each harmful request, in place of the tasks' own.
        offline: Open no socket.
        strict: A skipped task is an error.
        trust_remote_code: Load files that can run code: torch.export, TorchScript, lm-eval's files of a task.
        cost: Measure times and memory of what hears, after the scores.
        attribute: Swap the components of a system one by one, and say which of them a loss comes from.
        confirm_run_unsafe_code: Run tasks that execute code which a model wrote.
    """

    model: str
    base: str | None = None
    tasks: Sequence[str] = ()
    target: Path | None = None
    roles: Mapping[str, str] | None = None
    include_paths: Sequence[Path] = ()
    conditions: Sequence[Condition] = ()
    jailbreak_suffix: str = ""
    settings: Settings = field(default_factory=Settings)
    output: Path = Path("results")
    offline: bool = False
    strict: bool = False
    trust_remote_code: bool = False
    cost: bool = False
    attribute: bool = False
    confirm_run_unsafe_code: bool = False


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request, resolved and planned; nothing has been computed yet.

    Attributes:
        identical: What the same component does in both arms, which is not run.
        alpha: The part of the checkpoint's change that is measured; None where none was asked for.
    """

    request: Request
    pair: Pair
    plan: Plan
    directory: Path
    identical: frozenset[Capability]
    alpha: float | None = None


def prepare(request: Request) -> Prepared:
    """Resolve the checkpoints, select the tasks and plan the run.

    Raises:
        UsageError: Something that was named does not exist, the pair is equal, or nothing can be run.
        DataError: Local data is broken.
    """
    (prepared,) = prepare_each(request, [request.model])
    return prepared


def prepare_each(request: Request, models: Sequence[str], *, alphas: Sequence[float] = ()) -> list[Prepared]:
    """Prepare several checkpoints for the same tasks; those that can do the same share one plan and its data.

    Args:
        request: What is asked of each of them.
        models: Take the place of ``request.model``, one after another.
        alphas: Parts of each checkpoint's change to measure, one after another; none for the whole.

    Raises:
        UsageError: As :func:`prepare`; none of them is run then.
        DataError: Local data is broken.
    """
    selection = select_tasks(request)
    plans: Plans = {}
    prepared = []
    for model in models:
        pair = resolve_pair(
            model, request.base, offline=request.offline, trust_remote_code=request.trust_remote_code
        )
        own = replace(request, model=model)
        parts: Sequence[float | None] = alphas or [None]
        for alpha in parts:
            part = pair if alpha is None else at_alpha(pair, alpha)
            planned = _plan(own, selection, part, identical=part.identical, plans=plans)
            if request.attribute:
                check_attributable(part, planned.plan)
            prepared.append(replace(planned, alpha=alpha))
    return prepared


def prepare_selftest(request: Request) -> Prepared:
    """Plan a run of the same checkpoint in both arms.

    Raises:
        UsageError: Something that was named does not exist, or nothing can be run.
    """
    from forgetbench.models.checkpoint import resolve

    selection = select_tasks(request)
    checkpoint = resolve(request.model, offline=request.offline, trust_remote_code=request.trust_remote_code)
    pair = Pair(base=checkpoint, checkpoint=checkpoint)
    return _plan(request, selection, pair, identical=frozenset(), plans={})


def select_tasks(request: Request) -> Selection:
    """Return the tasks of a request, ``--target`` first.

    Raises:
        TaskError: A name matches nothing.
        UsageError: There is neither ``--tasks`` nor ``--target``, the run is offline and no task's data was
            fetched, there are conditions and no speech task, or a suffix and no harmful request; or a limit
            is that of no task.
    """
    if not request.tasks and request.target is None:
        raise UsageError(
            "--tasks", "nothing to measure", "Give --tasks hearing,retention,safety or --target FILE."
        )
    registry = load_registry(request.include_paths)
    selection = registry.select(request.tasks, roles=request.roles)
    taken = {definition.task.name for definition in selection.tasks}
    missing = [d for d in selection.tasks if is_unfetched(d.task)]
    if missing and len(missing) == len(selection.tasks) and is_offline(request.offline):
        error = missing_offline(missing)
        raise UsageError(error.thing, error.cause, error.way_out)
    own = target_definitions(request.target) if request.target is not None else ()
    if clash := taken.intersection(definition.task.name for definition in own):
        raise TaskError(f"task {min(clash)}", "has the name of the --target task", "Rename it.")
    tasks = (*own, *selection.tasks)
    whole = Selection(tasks=tasks, suite_rows=selection.suite_rows, suites=selection.suites)
    selection = with_suffix(in_conditions(whole, request.conditions), request.jailbreak_suffix)
    known = {definition.task.name for definition in selection.tasks}
    if unknown := sorted(request.settings.limits.keys() - known):
        way_out = did_you_mean(unknown[0], known, f"There is {', '.join(sorted(known))}.")
        raise UsageError(
            f"--limit {unknown[0]}={request.settings.limits[unknown[0]]}",
            "limits no task of this run",
            way_out,
        )
    return selection


def evaluate(
    prepared: Prepared,
    *,
    progress: Progress | None = None,
    resident: ResidentBase | None = None,
    workers: Workers | None = None,
) -> Result:
    """Run both arms and compare them; what is cached or finished is not computed again, but cost always is.

    Args:
        prepared: From :func:`prepare`.
        progress: Told of every stretch of work.
        resident: Keeps a base loaded for the next checkpoint; without one, for this pair alone.
        workers: Answer in place of models in this process.

    Raises:
        UsageError: The output path cannot be written.
    """
    check_writable(prepared.request.output, "--output-path")
    check_writable(cache_root(), "FORGETBENCH_CACHE")
    progress = progress or Silent()
    result = _finished(prepared)
    if result is None:
        result = _run_or_leave_partial(prepared, progress, resident or ResidentBase(), workers)
    else:
        progress.say("This run was finished before: no score is computed anew")
        result = _with_stored_floors(result)
    if prepared.request.attribute:
        result = _with_attribution(prepared, result, progress, workers)
    return _with_cost(prepared, result, progress) if prepared.request.cost else result


def is_finished(prepared: Prepared) -> bool:
    """Say whether an earlier run of the same request left a whole result."""
    return _finished(prepared) is not None


def open_questions(everything: Sequence[Prepared]) -> list[Question]:
    """Return what is to be asked for several checkpoints, each question once; of finished results none."""
    found: dict[str, Question] = {}
    for prepared in everything:
        if _finished(prepared) is None:
            runs = arm_runs(prepared, Silent())
            found |= {question.key: question for run in runs for question in questions_of(run)}
    return list(found.values())


def selftest(prepared: Prepared, *, progress: Progress | None = None) -> Result:
    """Run the same checkpoint twice without a cache, the second time in other batches, and compare.

    How far each task is from itself is its noise floor, which is stored for later runs of the checkpoint.

    Raises:
        UsageError: The output path or the cache cannot be written.
    """
    check_writable(prepared.request.output, "--output-path")
    check_writable(cache_root(), "FORGETBENCH_CACHE")
    plans: dict[Arm, Plan] = {"base": in_other_batches(prepared.plan)}
    with TemporaryDirectory(prefix="forgetbench-selftest-") as folder:
        caches: dict[Arm, Path] = {arm: Path(folder) / arm for arm in RUN_FILE}
        result = _run(prepared, caches, progress or Silent(), ResidentBase(), plans=plans)
    if result.base is None or result.comparison is None:
        return result
    floors = measured_floors(result.comparison)
    store_floors(result.checkpoint, floors)
    return write_result(
        result.directory, [with_floors(arm, floors) for arm in (result.checkpoint, result.base)]
    )


def _plan(
    request: Request, selection: Selection, pair: Pair, *, identical: frozenset[Capability], plans: Plans
) -> Prepared:
    arms: dict[Arm, Checkpoint | None] = {"base": pair.base, "checkpoint": pair.checkpoint}
    capabilities = {
        arm: checkpoint.capabilities for arm, checkpoint in arms.items() if checkpoint is not None
    }
    incomparable = _incomparable(selection, pair)
    key = (frozenset(capabilities.items()), frozenset(incomparable.items()))
    if key not in plans:
        plans[key] = make_plan(
            selection,
            settings=request.settings,
            capabilities=capabilities,
            incomparable=incomparable,
            offline=request.offline,
            unsafe_code=request.confirm_run_unsafe_code,
            trust_remote_code=request.trust_remote_code,
        )
    plan = plans[key]
    skipped = [task for task in plan.tasks if task.skipped is not None]
    if len(skipped) == len(plan.tasks) or (skipped and request.strict):
        by_reason: dict[str, list[str]] = {}
        for task in skipped:
            by_reason.setdefault(str(task.skipped), []).append(task.task.name)
        reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in list(by_reason.items())[:3])
        cause = (
            "every task was skipped" if len(skipped) == len(plan.tasks) else "a task was skipped (--strict)"
        )
        asked = (f"--target {request.target or ''}", f"--tasks {','.join(request.tasks)}")
        raise UsageError(
            " and ".join(words for words in asked if not words.endswith(" ")),
            f"{cause} ({reasons})",
            "`forgetbench tasks ls` shows what each task needs.",
        )
    directory = result_directory(
        request.output,
        pair.checkpoint.name,
        pair.checkpoint.fingerprint,
        pair.base.fingerprint if pair.base else None,
        plan.run_key,
    )
    return Prepared(request=request, pair=pair, plan=plan, directory=directory, identical=identical)


def _incomparable(selection: Selection, pair: Pair) -> dict[str, str]:
    """Return why the arms' distributions cannot be compared, by the capability of the tasks that would."""
    wanted = {d.task.capability for d in selection.tasks if isinstance(d.task, Divergence | SpeechDivergence)}
    reasons: dict[str, str] = {}
    for capability in wanted if pair.base else ():
        assert pair.base is not None
        arms = (pair.base.component_for(capability), pair.checkpoint.component_for(capability))
        if arms[0] and arms[1] and (reason := why_incomparable(arms[0], arms[1], capability)):
            reasons[capability] = reason
    return reasons


def _finished(prepared: Prepared) -> Result | None:
    """Return the result of an earlier run of the same request, if it is whole and without failed tasks."""
    directory = prepared.directory
    wanted = [RUN_FILE["checkpoint"], *([RUN_FILE["base"], COMPARISON_FILE] if prepared.pair.base else [])]
    if not all((directory / name).is_file() for name in wanted):
        return None
    try:
        result = read_whole(directory)
    except ForgetbenchError:
        return None
    documents = [document for document in (result.base, result.checkpoint) if document is not None]
    complete = not any(
        code in task.errors
        for code in (MODEL_ERROR, LOST_AUDIO, SCORING_ERROR, INTERRUPTED)
        for document in documents
        for task in document.tasks
    )
    return result if complete and result.checkpoint.run_key == prepared.plan.run_key else None


def _run_or_leave_partial(
    prepared: Prepared, progress: Progress, resident: ResidentBase, workers: Workers | None
) -> Result:
    """Run with the cache; on Ctrl-C, write down which tasks were finished."""
    caches: dict[Arm, Path] = {arm: cache_root() for arm in RUN_FILE}
    outcomes: dict[Arm, ArmOutcome] = {}
    try:
        if workers is not None:
            workers.ask(open_questions([prepared]), progress)
        return _run(prepared, caches, progress, resident, outcomes=outcomes, workers=workers)
    except KeyboardInterrupt:
        leave_partial(prepared, outcomes)
        raise


def leave_partial(prepared: Prepared, outcomes: Mapping[Arm, ArmOutcome] | None = None) -> None:
    """Write down which tasks of an interrupted run were finished, unless more lies there already."""
    if documents := partial_documents(prepared, arm_runs(prepared, Silent()), outcomes or {}):
        write_result(prepared.directory, documents)


def _run(
    prepared: Prepared,
    caches: Mapping[Arm, Path],
    progress: Progress,
    resident: ResidentBase,
    *,
    plans: Mapping[Arm, Plan] | None = None,
    outcomes: dict[Arm, ArmOutcome] | None = None,
    workers: Workers | None = None,
) -> Result:
    """Run the arms one after the other, by their own plans or the one that both share.

    ``outcomes`` is filled as they go.
    """
    documents = []
    for run in arm_runs(prepared, progress):
        plan = (plans or {}).get(run.arm, prepared.plan)
        own = replace(run, cache=caches[run.arm], plan=plan, resident=resident, workers=workers)
        outcome = ArmOutcome()
        if outcomes is not None:
            outcomes[run.arm] = outcome
        documents.append(with_stored_floors(_run_arm(prepared, own, outcome)))
    return write_result(prepared.directory, documents)


def arm_runs(prepared: Prepared, progress: Progress) -> list[ArmRun]:
    """Return the arms to run, the checkpoint's first: if it can't be loaded, no time was spent on the base.

    Raises:
        UsageError: The chat template of an arm is wanted and it has none.
    """
    arms: dict[Arm, Checkpoint | None] = {"checkpoint": prepared.pair.checkpoint, "base": prepared.pair.base}
    prompting = prompting_of(prepared.plan.settings, prepared.pair)
    return [
        ArmRun(
            arm=arm,
            checkpoint=checkpoint,
            plan=prepared.plan,
            identical=prepared.identical,
            prompting=prompting,
            cache=cache_root(),
            directory=prepared.directory,
            progress=progress,
            reference=prepared.pair.base if arm == "checkpoint" else None,
        )
        for arm, checkpoint in arms.items()
        if checkpoint is not None
    ]


def _with_stored_floors(result: Result) -> Result:
    """Take up noise floors that a self-test has found since the run."""
    documents = [document for document in (result.checkpoint, result.base) if document is not None]
    updated = [with_stored_floors(document) for document in documents]
    return result if updated == documents else write_result(result.directory, updated)


def _run_arm(prepared: Prepared, run: ArmRun, outcome: ArmOutcome) -> RunDocument:
    started = time.perf_counter()
    try:
        tasks = run_arm(run, outcome)
    finally:
        outcome.seconds = time.perf_counter() - started
    return run_document(prepared, run, outcome, tasks, seconds=outcome.seconds)


def _with_attribution(
    prepared: Prepared, result: Result, progress: Progress, workers: Workers | None
) -> Result:
    """Run the mixed systems of a pair and write what follows from them."""
    run = replace(arm_runs(prepared, progress)[0], workers=workers)
    found = attribute(prepared.pair, result, run, lambda own: _run_arm(prepared, own, ArmOutcome()))
    write_document(result.directory / ATTRIBUTION_FILE, found)
    return read_result(result.directory)


def _with_cost(prepared: Prepared, result: Result, progress: Progress) -> Result:
    """Measure the cost and put it into the ``measured`` blocks of a result, in place of an earlier one."""
    pair = prepared.pair
    arms: dict[Arm, Checkpoint] = {} if pair.base is None else {"base": pair.base}
    costs = measure_cost(
        {**arms, "checkpoint": pair.checkpoint},
        prepared.plan,
        prompting=prompting_of(prepared.plan.settings, pair),
        progress=progress,
    )
    for document in (result.base, result.checkpoint):
        if document is not None:
            measured = {**document.measured, "cost": costs[document.arm].model_dump(mode="json")}
            updated = document.model_copy(update={"measured": measured})
            write_document(result.directory / RUN_FILE[document.arm], updated)
    return read_result(result.directory)
