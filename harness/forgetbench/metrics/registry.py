"""Every metric by name: its type, direction, bounds and unit."""

from __future__ import annotations

from forgetbench.errors import TaskError, did_you_mean
from forgetbench.metrics.plugin import plugin_metric
from forgetbench.metrics.word_classes import WORD_CLASSES
from forgetbench.plugins import plugins
from forgetbench.schema.metric import MetricSpec

_SPECS = (
    MetricSpec(name="wer", type="ratio", higher_is_better=False, best=0.0, unit="words", percent=True),
    MetricSpec(name="wer_raw", type="ratio", higher_is_better=False, best=0.0, unit="words", percent=True),
    MetricSpec(name="cer", type="ratio", higher_is_better=False, best=0.0, unit="characters", percent=True),
    *(
        MetricSpec(
            name=f"{metric}_{word_class}",
            type="ratio",
            higher_is_better=False,
            worst=1.0 if metric == "wer" else None,
            best=0.0,
            unit=unit,
            percent=True,
        )
        for metric, unit in (("wer", "words"), ("cer", "characters"))
        for word_class in WORD_CLASSES
    ),
    MetricSpec(name="hallucinated_words", type="mean", higher_is_better=False, best=0.0, unit="words/sample"),
    MetricSpec(name="looping", type="binary", higher_is_better=False, worst=1.0, best=0.0, percent=True),
    MetricSpec(name="acc", type="binary", higher_is_better=True, worst=0.0, best=1.0, percent=True),
    MetricSpec(name="acc_norm", type="binary", higher_is_better=True, worst=0.0, best=1.0, percent=True),
    MetricSpec(name="exact_match", type="binary", higher_is_better=True, worst=0.0, best=1.0, percent=True),
    MetricSpec(
        name="contains_answer", type="binary", higher_is_better=True, worst=0.0, best=1.0, percent=True
    ),
    *(
        MetricSpec(
            name=f"{metric}_as_text",
            type="binary",
            higher_is_better=higher,
            worst=1.0 - best,
            best=best,
            percent=True,
        )
        for metric, higher, best in (
            ("exact_match", True, 1.0),
            ("contains_answer", True, 1.0),
            ("complied", False, 0.0),
            ("refused", False, 0.0),
        )
    ),
    MetricSpec(
        name="sentence_chrf", type="mean", higher_is_better=True, worst=0.0, best=100.0, unit="of 100"
    ),
    MetricSpec(
        name="sentence_bleu", type="mean", higher_is_better=True, worst=0.0, best=100.0, unit="of 100"
    ),
    MetricSpec(name="boundary_f1", type="mean", higher_is_better=True, worst=0.0, best=1.0, percent=True),
    MetricSpec(name="probe_acc", type="binary", higher_is_better=True, worst=0.0, best=1.0, percent=True),
    MetricSpec(
        name="probe_acc_last", type="binary", higher_is_better=True, worst=0.0, best=1.0, percent=True
    ),
    MetricSpec(name="bits_per_byte", type="ratio", higher_is_better=False, best=0.0, unit="bits/byte"),
    MetricSpec(name="complied", type="binary", higher_is_better=False, worst=1.0, best=0.0, percent=True),
    MetricSpec(name="refused", type="binary", higher_is_better=False, worst=1.0, best=0.0, percent=True),
    MetricSpec(name="partial", type="binary", higher_is_better=False, worst=1.0, best=0.0, percent=True),
    MetricSpec(name="degenerate", type="binary", higher_is_better=False, worst=1.0, best=0.0, percent=True),
    MetricSpec(name="misheard", type="binary", higher_is_better=False, worst=1.0, best=0.0, percent=True),
    MetricSpec(name="harmfulness", type="mean", higher_is_better=False, worst=4.0, best=0.0),
    MetricSpec(name="pesq_wb", type="mean", higher_is_better=True, worst=1.04, best=4.64, unit="MOS-LQO"),
    MetricSpec(name="pesq_nb", type="mean", higher_is_better=True, worst=1.04, best=4.55, unit="MOS-LQO"),
    MetricSpec(name="stoi", type="mean", higher_is_better=True, worst=0.0, best=1.0),
    MetricSpec(name="estoi", type="mean", higher_is_better=True, worst=0.0, best=1.0),
    MetricSpec(name="si_sdr", type="mean", higher_is_better=True, worst=-30.0, unit="dB"),
    MetricSpec(name="si_sdr_improvement", type="mean", higher_is_better=True, unit="dB"),
    MetricSpec(name="si_sdr_least", type="mean", higher_is_better=True, worst=-30.0, unit="dB"),
    MetricSpec(name="speaker_similarity", type="mean", higher_is_better=True, worst=0.0, best=1.0),
    MetricSpec(name="cloned", type="binary", higher_is_better=False, worst=1.0, best=0.0, percent=True),
    MetricSpec(name="delay_ms", type="mean", higher_is_better=False, unit="ms"),
    MetricSpec(name="dnsmos", type="mean", higher_is_better=True, worst=1.0, best=5.0, unit="MOS"),
    MetricSpec(name="haspi", type="mean", higher_is_better=True, worst=0.0, best=1.0),
    MetricSpec(name="hasqi", type="mean", higher_is_better=True, worst=0.0, best=1.0),
    MetricSpec(name="refusal_margin", type="mean", higher_is_better=True, unit="nats/token"),
    MetricSpec(name="over_refusal_margin", type="mean", higher_is_better=False, unit="nats/token"),
    MetricSpec(name="kl", type="ratio", higher_is_better=False, best=0.0, unit="nats/token"),
    MetricSpec(name="forgetting_loss", type="ratio", higher_is_better=False, best=0.0, unit="nats/token"),
    MetricSpec(
        name="forgetting_loss_argmax", type="ratio", higher_is_better=False, best=0.0, unit="nats/token"
    ),
    MetricSpec(name="top1_agreement", type="ratio", higher_is_better=True, worst=0.0, best=1.0, percent=True),
    MetricSpec(name="token_nll", type="ratio", higher_is_better=False, best=0.0, unit="nats/token"),
)

REGISTRY: dict[str, MetricSpec] = {spec.name: spec for spec in _SPECS}
"""``complied`` is harmful compliance and ``refused`` over-refusal: of both, less is better; of answers that
are ``partial`` or ``degenerate``, always. ``misheard`` are the degenerate ones to requests that were not
heard. ``harmfulness`` is a reward model's, 0 to 4 (arXiv 2309.07875).
``cloned``: a voice was imitated, well enough to be taken for it."""


def find(name: str) -> MetricSpec | None:
    """Return the metric of this name, ours or a plug-in's; None where it is neither."""
    if name in REGISTRY or "." not in name:
        return REGISTRY.get(name)
    brought = plugin_metric(name)
    return brought.spec if brought else None


def lookup(name: str) -> MetricSpec:
    """Return the metric of this name, ours or a plug-in's.

    Raises:
        TaskError: There is none; the message names the nearest one.

    Example:
        >>> lookup("wer").higher_is_better
        False
    """
    if (spec := find(name)) is not None:
        return spec
    known = [*REGISTRY, *plugins("metrics")]
    hint = did_you_mean(name, known, f"Known: {', '.join(known)}.")
    raise TaskError(f"metric {name!r}", "is not known", hint)
