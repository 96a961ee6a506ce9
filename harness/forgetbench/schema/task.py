"""The task definition: one YAML file, strictly validated."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, get_args

from pydantic import Field, TypeAdapter, model_validator

from forgetbench.schema.document import Document
from forgetbench.schema.number import Margin

Role = Literal["target", "general", "safety", "cost", "distribution"]
"""``distribution``: how far the outputs moved, for better or worse; shown, a family of its own, no gate."""
Capability = Literal[
    "score_text",
    "generate",
    "transcribe",
    "enhance",
    "answer_audio",
    "translate",
    "identify_language",
    "time_speech",
    "embed",
    "synthesize",
    "score_audio",
    "convert",
    "separate",
    "clone_voice",
]
NoiseKind = Literal["babble", "white", "pink", "speech_shaped"]
Normaliser = Literal["whisper_en@1", "whisper_basic@1", "whisper_basic@2", "none"]
PLUGIN_NAME = r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_.]*"
PluginMetric = Annotated[str, Field(pattern=f"^{PLUGIN_NAME}$")]
"""Name of a metric that a plug-in brings, known by its dot: ``mypackage.keyword_recall``."""


class Condition(Document):
    """How the audio of a sample is changed before the model hears it."""

    noise: NoiseKind | Literal["recordings"] | None = None
    """Kind of noise; babble and speech_shaped are made of the set's other recordings."""
    snr_db: float | None = Field(default=None, ge=-100, le=100, allow_inf_nan=False)
    """Level of the active speech over the level of the noise, in dB, both as RMS."""
    recordings: str | None = None
    """Folder of noise recordings, or one file, relative to the task file; for ``noise: recordings``."""
    rt60_s: float | None = Field(default=None, gt=0, le=5, allow_inf_nan=False)
    """Reverberation time of a simulated room, in seconds."""
    distance_m: float = Field(default=1.5, gt=0, le=20, allow_inf_nan=False)
    """From the talker to the microphone in that room, in metres."""
    hearing_loss: str | None = None
    """Standard audiogram (N1 to N7, S1 to S3: Bisgaard et al. 2010), or a listener's from a JSON file,
    relative to the task file: ``FILE.json`` or ``FILE.json:LISTENER``."""
    amplification: Literal["nal_r"] | None = None
    """Hearing-aid gain by a prescription, for the hearing loss."""

    @model_validator(mode="after")
    def _is_complete(self) -> Condition:
        if (self.noise is None) != (self.snr_db is None):
            raise ValueError("`noise` and `snr_db` belong together")
        if (self.noise == "recordings") != (self.recordings is not None):
            raise ValueError("`noise: recordings` and `recordings` belong together")
        if self.amplification is not None and self.hearing_loss is None:
            raise ValueError("`amplification` needs a `hearing_loss` to prescribe for")
        if self.noise is None and self.rt60_s is None and self.hearing_loss is None:
            raise ValueError("changes nothing: give `noise`, `rt60_s` or `hearing_loss`")
        return self

    @property
    def label(self) -> str:
        """Short name, such as ``babble 5 dB`` or ``RT60 0.6 s, white 0 dB, N3 nal_r``."""
        parts = []
        if self.rt60_s is not None:
            parts.append(f"RT60 {self.rt60_s:g} s at {self.distance_m:g} m")
        if self.noise is not None:
            noise = PurePath(self.recordings).name if self.recordings else self.noise
            parts.append(f"{noise} {self.snr_db:g} dB")
        if self.hearing_loss is not None:
            file, _, listener = self.hearing_loss.partition(".json")
            listener = listener.removeprefix(":") or PurePath(file).name
            parts.append(f"{listener} {self.amplification}" if self.amplification else listener)
        return ", ".join(parts)


class Fields(Document):
    """Which column of the data holds what; a column that is not named here is free to use in the prompt."""

    id: str | None = None
    """Sample id; without one, the position in the file."""
    audio: str = "audio"
    text: str = "text"
    """Reference transcript."""
    choices: str = "choices"
    gold: str = "gold"
    """Index of the right choice."""
    answer: str = "answer"
    cluster: str | None = None
    """Speaker, passage or scene: samples that are not independent of each other."""
    clean: str | None = None
    """Clean recording that an enhanced one is compared with; without it, ``audio`` before its conditions."""
    groups: tuple[str, ...] = ()
    """Columns, such as accent, severity or listener, by whose values the result is broken down. Conditions,
    and the ``cluster`` of a task that is heard, are groups without being named here."""


class Dataset(Document):
    """Where samples come from: a file or folder beside the YAML, or a data set of the Hugging Face hub."""

    path: str | None = None
    """JSONL, CSV or Parquet file, or folder of audio with transcripts, relative to the task file."""
    hub: str | None = None
    """Data set id on the Hugging Face hub."""
    config: str | None = None
    split: str = "test"
    revision: str | None = None
    """Commit of the data set, given only where it was verified."""
    fields: Fields = Fields()
    sample: int | None = Field(default=None, gt=0)
    """Use a seeded part of this size."""
    filter: dict[str, str] = {}
    """Keep the rows whose column equals the value."""


class TaskBase(Document):
    """What every kind of task has."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    version: int = Field(ge=1)
    title: str
    description: str = ""
    suites: tuple[str, ...] = ()
    role: Role
    margin: Margin
    """Largest degradation that is acceptable, in units of the primary metric."""
    licence: str
    citation: str = ""
    gated: bool = False
    n: int | None = Field(default=None, gt=0)
    """Number of samples, for data that is not embedded, as its card states it."""
    size: str = ""
    """Download size, for data that is not embedded."""
    verified: bool = True
    """The project has run this definition on the real data; false: it follows the data set's card."""


class DatasetTask(TaskBase):
    """A task over samples of our own data layer."""

    dataset: Dataset
    metrics: tuple[str, ...] = Field(min_length=1)
    primary: str
    """The metric that the verdict is about; one of ``metrics``."""

    @property
    def recordings(self) -> tuple[str, ...]:
        """Columns that hold recordings; none for a task of text alone."""
        return ()


class MultipleChoice(DatasetTask):
    """The choice with the highest log-likelihood after the prompt."""

    kind: Literal["multiple_choice"]
    metrics: tuple[Literal["acc", "acc_norm"], ...] = Field(min_length=1)
    prompt: str
    """Template over the columns of a row."""
    chance: float = Field(ge=0, lt=1)

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "score_text"


class Likelihood(DatasetTask):
    """How well the model predicts a reference answer."""

    kind: Literal["likelihood"]
    metrics: tuple[Literal["bits_per_byte"], ...] = Field(min_length=1)
    prompt: str
    chat_template: bool = False
    """Wrap the prompt as a user's turn; off by default, as for every log-likelihood."""

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "score_text"


class Generate(DatasetTask):
    """A short answer, compared with the reference; a column of several texts holds answers that will do.

    ``contains_answer``: one of them is said, as whole words, whatever else is.
    """

    kind: Literal["generate"]
    metrics: tuple[Literal["exact_match", "contains_answer"] | PluginMetric, ...] = Field(min_length=1)
    prompt: str
    chat_template: bool = True
    max_new_tokens: int = Field(default=64, gt=0)
    stop: tuple[str, ...] = ()
    extract: Literal["whole", "first_integer", "last_number"] = "whole"
    """The part of the output that is compared."""

    @property
    def chance(self) -> float:
        """A free-form answer is not guessed."""
        return 0.0

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "generate"


RefusalMetric = Literal["complied", "refused", "partial", "degenerate", "harmfulness"]
RefusalClass = Literal["complied", "refused", "partial", "degenerate"]


class Refusal(DatasetTask):
    """An answer to a request, judged: complied, refused, partly both, or no answer at all.

    The judge is a rule (``refusal@1``, ``gcg29``, ``xstest_strmatch``, or a plug-in's, whose name has a dot)
    or a model: ``classifier:MODEL``, ``chat:MODEL`` with our rubric, or ``regressor:MODEL``, which scores
    harmfulness from 0 to 4.
    """

    kind: Literal["refusal"]
    metrics: tuple[RefusalMetric, ...] = Field(min_length=1)
    prompt: str
    suffix: str = ""
    """Appended to each prompt, such as a jailbreak's: the judge reads the prompt without it."""
    judge: str = Field(
        default="refusal@1",
        pattern=rf"^(refusal@1|gcg29|xstest_strmatch|{PLUGIN_NAME}(@\d+)?|(classifier|regressor|chat):\S+)$",
    )
    judge_input: str | None = None
    """What a classifier or regressor reads, with ``{prompt}`` and ``{answer}``; else the conversation."""
    judge_labels: dict[str, RefusalClass] = {}
    """The class that each label of a classifier stands for; not needed where they are called the same."""
    max_new_tokens: int = Field(default=64, gt=0)

    @model_validator(mode="after")
    def _judge_gives_the_metrics(self) -> Refusal:
        scores = self.judge.startswith("regressor:")
        allowed = {"harmfulness", "degenerate"} if scores else set(get_args(RefusalClass))
        if unfit := sorted(set(self.metrics) - allowed):
            raise ValueError(
                f"the judge {self.judge} gives no {unfit[0]!r}, only {', '.join(sorted(allowed))}"
            )
        if (self.judge_input or self.judge_labels) and not self.judge.startswith(
            ("classifier:", "regressor:")
        ):
            raise ValueError("`judge_input` and `judge_labels` are for a classifier or regressor")
        return self

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "generate"


class RefusalMargin(DatasetTask):
    """Log-probability of refusing minus that of complying, per token, without generating."""

    kind: Literal["refusal_margin"]
    metrics: tuple[Literal["refusal_margin", "over_refusal_margin"], ...] = Field(min_length=1)
    prompt: str
    refusal_openings: tuple[str, ...] = Field(min_length=1)
    compliant_openings: tuple[str, ...] = Field(min_length=1)

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "score_text"


class SpeechTask(DatasetTask):
    """A task that is heard."""

    conditions: tuple[Condition, ...] = ()
    """Every sample is heard in each of these; none means as recorded."""
    sampling_rate: int = Field(default=16_000, ge=8_000, le=48_000)
    """In Hz: conditions are made and audio is scored at this rate, whatever rate a model works at."""

    @model_validator(mode="after")
    def _conditions_differ(self) -> SpeechTask:
        labels = [condition.label for condition in self.conditions]
        if len(set(labels)) < len(labels):
            twice = next(label for label in labels if labels.count(label) > 1)
            raise ValueError(f"two conditions are called {twice!r}: samples are told apart by that name")
        return self

    @property
    def recordings(self) -> tuple[str, ...]:
        """``audio``, ``clean`` where there is one, and the others."""
        fields = self.dataset.fields
        return (fields.audio, *([fields.clean] if fields.clean else []), *self.other_recordings)

    @property
    def other_recordings(self) -> tuple[str, ...]:
        """Columns with further recordings of a row, beside ``audio`` and ``clean``."""
        return ()


class SpeechTranslation(SpeechTask):
    """Speech in another language to English text, by sacrebleu's scores of single sentences, 0 to 100."""

    kind: Literal["speech_translation"]
    metrics: tuple[Literal["sentence_chrf", "sentence_bleu"], ...] = Field(min_length=1)
    language: str
    """Of the speech, as ISO 639-1; ``dataset.fields.text`` holds its English translation."""

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "translate"


class LanguageId(SpeechTask):
    """Which language is spoken: ``dataset.fields.answer`` holds its ISO 639-1 code."""

    kind: Literal["language_id"]
    metrics: tuple[Literal["acc"], ...] = Field(min_length=1)

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "identify_language"


class SpeechTimes(SpeechTask):
    """When each phrase begins and ends, as the model writes it into its transcript.

    The column ``phrases`` holds the truth, a list of ``[start_s, end_s]`` in order;
    ``dataset.fields.text`` what is said.
    """

    kind: Literal["speech_times"]
    metrics: tuple[Literal["boundary_f1"], ...] = Field(min_length=1)
    language: str = "en"
    phrases: str = "phrases"
    """Column of the times."""
    collar_s: float = Field(default=0.5, gt=0, le=5, allow_inf_nan=False)
    """A boundary that is found no further than this from a true one is right."""

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "time_speech"


class Probe(SpeechTask):
    """A property of speech, such as the speaker, read by a linear classifier from a model's frozen features.

    ``dataset.fields.answer`` holds the label. ``probe_acc`` reads all layers at once, ``probe_acc_last`` the
    last.
    """

    kind: Literal["probe"]
    metrics: tuple[Literal["probe_acc", "probe_acc_last"], ...] = Field(min_length=1)
    unseen: str | None = None
    """Column, such as ``speaker``, of which the probe is asked about values that it was not fitted on; None
    for recordings that it was not fitted on."""

    @model_validator(mode="after")
    def _noise_does_not_tell_the_label(self) -> Probe:
        fields = self.dataset.fields
        if fields.cluster is not None and fields.cluster == fields.answer:
            raise ValueError(
                f"`cluster` is the label {fields.answer!r}: noise is made of other clusters' speech and "
                "would tell it; leave `cluster` out"
            )
        return self

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "embed"


class MinimalPair(SpeechTask):
    """Two recordings that differ in one thing: which does a speech language model hold for likelier?

    The forms of sWUGGY and sBLIMP (Nguyen et al. 2020, arXiv 2011.11588) and of spoken StoryCloze (Hassid et
    al. 2023, arXiv 2305.13009). ``acc`` compares the summed log-likelihoods, ``acc_norm`` those per unit; a
    tie is not told apart.
    """

    kind: Literal["minimal_pair"]
    metrics: tuple[Literal["acc", "acc_norm"], ...] = Field(min_length=1)
    wrong: str = "wrong"
    """Column of the wrong recording; ``dataset.fields.audio`` is the right one."""

    @property
    def other_recordings(self) -> tuple[str, ...]:
        """The wrong one."""
        return (self.wrong,)

    @property
    def chance(self) -> float:
        """Of two."""
        return 0.5

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "score_audio"


class Synthesis(DatasetTask):
    """Text to speech: word errors of a fixed recogniser on what is spoken, and its quality by ``dnsmos``.

    With a recording of the voice that the model should speak with, ``speaker_similarity`` to it. The model is
    not given the recording; one that needs it is asked by :class:`VoiceCloning`.
    """

    kind: Literal["synthesis"]
    metrics: tuple[Literal["wer", "cer", "wer_raw", "speaker_similarity", "dnsmos"], ...] = Field(
        min_length=1
    )
    recogniser: str
    """Hears both arms: a name as ``--model`` takes it."""
    language: str = "en"
    normaliser: Normaliser = "whisper_en@1"
    voice: str | None = None
    """Column with a recording of the voice that is wanted, for ``speaker_similarity``."""

    @property
    def recordings(self) -> tuple[str, ...]:
        """The voice that is wanted."""
        return (self.voice,) if self.voice else ()

    @property
    def sampling_rate(self) -> int:
        """In Hz, at which the voice that is wanted is read."""
        return 16_000

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "synthesize"


class Conversion(SpeechTask):
    """Speech to other speech: clearer, by another voice, or in another language.

    Scored by what a fixed recogniser hears of it: word errors against ``dataset.fields.text``, or, where that
    is a translation, BLEU and chrF (ASR-BLEU: Jia et al. 2019, arXiv 1904.06037 §5).
    """

    kind: Literal["conversion"]
    metrics: tuple[
        Literal["wer", "cer", "wer_raw", "sentence_bleu", "sentence_chrf", "speaker_similarity", "dnsmos"],
        ...,
    ] = Field(min_length=1)
    recogniser: str
    """Hears both arms: a name as ``--model`` takes it."""
    language: str = "en"
    """That is spoken in the end."""
    normaliser: Normaliser = "whisper_en@1"
    voice: str | None = None
    """Column with a recording of the voice that is wanted: the model hears it, and ``speaker_similarity``
    compares with it; None to keep the voice of ``dataset.fields.audio``."""

    @property
    def other_recordings(self) -> tuple[str, ...]:
        """The voice that is wanted."""
        return (self.voice,) if self.voice else ()

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "convert"


class Separation(SpeechTask):
    """A mixture of recordings, taken apart: SI-SDR of each stem, averaged, in the order that is best.

    The mixture is the sum of the recordings of a row. Permutation: Yu et al. 2017, arXiv 1607.00325.
    """

    kind: Literal["separation"]
    metrics: tuple[Literal["si_sdr", "si_sdr_improvement", "si_sdr_least"], ...] = Field(min_length=1)
    mixed_with: tuple[str, ...] = Field(min_length=1)
    """Columns with the other recordings; ``dataset.fields.audio`` is the first stem."""

    @property
    def other_recordings(self) -> tuple[str, ...]:
        """The other stems."""
        return self.mixed_with

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "separate"


class VoiceCloning(SpeechTask):
    """``dataset.fields.text``, spoken in the voice of a recording.

    ``cloned``: a fixed recogniser hears at least half of the words, and a speaker encoder takes the voice for
    the one in the recording. Without the speaker's consent that is harm, and less of it is better.
    """

    kind: Literal["voice_cloning"]
    metrics: tuple[Literal["wer", "cer", "wer_raw", "speaker_similarity", "cloned", "dnsmos"], ...] = Field(
        min_length=1
    )
    recogniser: str
    """Hears both arms: a name as ``--model`` takes it."""
    language: str = "en"
    normaliser: Normaliser = "whisper_en@1"

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "clone_voice"


class SpokenTask(SpeechTask):
    """A request that is spoken: heard, understood and answered in text, by a system or by one model.

    ``prompt`` is rendered with what the recogniser heard in place of the column ``dataset.fields.text``; for
    a model that hears the recording itself, with nothing there. Where the language model can be asked in
    writing, it answers the written request, too: the difference is the cost of hearing.
    """

    language: str = "en"

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "answer_audio"


class SpokenQuestion(SpokenTask, Generate):
    """A spoken question, and the answer compared with the reference."""

    kind: Literal["spoken_question"]  # type: ignore[assignment]  # a kind of its own


class SpokenRefusal(SpokenTask, Refusal):
    """A spoken request, and the answer judged as that of :class:`Refusal`; judged by its written form."""

    kind: Literal["spoken_refusal"]  # type: ignore[assignment]  # a kind of its own


WordClass = Literal["numbers", "names", "negations", "function_words"]
AsrMetric = Literal[
    "wer",
    "cer",
    "wer_raw",
    "wer_numbers",
    "wer_names",
    "wer_negations",
    "wer_function_words",
    "cer_numbers",
    "cer_names",
    "cer_negations",
    "cer_function_words",
    "hallucinated_words",
    "looping",
]


class Asr(SpeechTask):
    """Speech to text, scored by word errors.

    By class of word: the errors on the reference words of the class, English with ``whisper_en@1`` only.
    """

    kind: Literal["asr"]
    metrics: tuple[AsrMetric | PluginMetric, ...] = Field(min_length=1)
    language: str = "en"
    normaliser: Normaliser = "whisper_en@1"

    @property
    def is_english(self) -> bool:
        """The language that ``whisper_en@1`` and the classes of words are for."""
        return self.language.casefold() in ("en", "english")

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "transcribe"


AudioMetric = Literal[
    "pesq_wb",
    "pesq_nb",
    "stoi",
    "estoi",
    "si_sdr",
    "si_sdr_improvement",
    "dnsmos",
    "haspi",
    "hasqi",
]
LEAST_RATE_HZ: dict[str, int] = {"pesq_wb": 16_000, "dnsmos": 16_000}
"""Sampling rate below which a metric is not defined."""


class Enhancement(SpeechTask):
    """Audio to audio, compared with a clean recording: noise reduction, or resynthesis of clean speech.

    Hearing loss and amplification of a condition come after the model, as in a hearing aid.
    """

    kind: Literal["enhancement"]
    metrics: tuple[AudioMetric, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rate_is_high_enough(self) -> Enhancement:
        for metric in self.metrics:
            least = LEAST_RATE_HZ.get(metric, 0)
            if self.sampling_rate < least:
                raise ValueError(
                    f"`{metric}` needs {least} Hz, not {self.sampling_rate} Hz; pesq_nb does not"
                )
        return self

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "enhance"


DivergenceMetric = Literal["kl", "forgetting_loss", "forgetting_loss_argmax", "top1_agreement", "token_nll"]


class Divergence(DatasetTask):
    """How far the checkpoint's next-token distributions are from the base's, on texts that neither wrote.

    Kalajdzievski 2024, arXiv 2401.05605 §3.1. Both models read the base's tokens (teacher forcing). With a
    prompt, the ``answer`` after it is scored (Shenfeld et al. 2025, arXiv 2509.04259); else the whole
    ``text``.
    """

    kind: Literal["divergence"]
    metrics: tuple[DivergenceMetric, ...] = Field(min_length=1)
    prompt: str = ""
    chat_template: bool = False
    """Wrap the prompt as a user's turn, under the base's template in both arms."""
    window: int = Field(default=2048, ge=2)
    """Tokens read at a time, where the models can read as many; each token is scored once."""

    @model_validator(mode="after")
    def _template_has_a_prompt(self) -> Divergence:
        if self.chat_template and not self.prompt:
            raise ValueError("`chat_template` needs a `prompt` to wrap")
        return self

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "score_text"


class SpeechDivergence(SpeechTask):
    """The same of recognisers: frame by frame with a CTC head, else token by token of the transcript."""

    kind: Literal["speech_divergence"]
    metrics: tuple[DivergenceMetric, ...] = Field(min_length=1)
    language: str = "en"

    @property
    def capability(self) -> Capability:
        """What the model must be able to do."""
        return "transcribe"


class LmEval(TaskBase):
    """A task or group of lm-eval, run through lm-eval's own task code; ``lm_eval: NAME`` alone is enough."""

    kind: Literal["lm_eval"] = "lm_eval"
    lm_eval: str
    """Name of the task or group in lm-eval."""
    include_path: str | None = None
    """Folder with lm-eval task files, relative to this file."""
    role: Role = "general"
    version: int = Field(default=1, ge=1)
    title: str = ""
    margin: Margin = 0.02
    licence: str = "as stated by the data set"
    capability: Capability = "score_text"
    """``generate`` for a task that generates."""
    primary: str | None = None
    """lm-eval's metric name, such as ``acc_norm``; without one, the task's first metric."""
    chance: float | None = Field(default=None, ge=0, lt=1)
    num_fewshot: int | None = None


class SuiteRow(TaskBase):
    """Several tasks judged as one row: the unweighted mean of their degradations."""

    kind: Literal["suite_row"]
    tasks: tuple[str, ...] = Field(min_length=2)


Task = (
    MultipleChoice
    | Likelihood
    | Generate
    | Refusal
    | RefusalMargin
    | Asr
    | Enhancement
    | Divergence
    | SpeechDivergence
    | SpeechTranslation
    | LanguageId
    | SpeechTimes
    | Probe
    | Synthesis
    | MinimalPair
    | Conversion
    | Separation
    | VoiceCloning
    | SpokenQuestion
    | SpokenRefusal
    | LmEval
)
HeardByRecogniser = Synthesis | Conversion | VoiceCloning
"""Tasks whose answers are speech that a fixed recogniser hears."""
Definition = Annotated[Task | SuiteRow, Field(discriminator="kind")]
DEFINITION: TypeAdapter[Task | SuiteRow] = TypeAdapter(Definition)
