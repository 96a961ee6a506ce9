"""What a loaded model can be asked for: the only face of it that the engine sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """Score ``continuation`` after ``context``.

    ``rendered`` says that the context went through a chat template, which has placed the special
    tokens already: the tokenizer adds none.
    """

    context: str
    continuation: str
    rendered: bool = False


@dataclass(frozen=True, kw_only=True)
class Loglikelihood:
    """Summed natural-log probability of a continuation, and whether greedy decoding would produce it."""

    logprob: float
    is_greedy: bool
    n_tokens: int
    truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class Draw:
    """How the next token is drawn, and the seed of this one answer.

    Attributes:
        seed: The same request with the same seed gets the same answer, whatever else is in its batch.
        temperature: Logits are divided by it, > 0.
        top_p: Smallest probability mass that is drawn from.
        top_k: Number of likeliest tokens that are drawn from; 0 for all.
        min_p: Tokens less likely than this share of the likeliest are not drawn.
    """

    seed: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """Continue ``prompt`` until a stop string, the end token or ``max_new_tokens``.

    Without ``draw``, greedily.
    """

    prompt: str
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    rendered: bool = False
    draw: Draw | None = None


@dataclass(frozen=True, kw_only=True)
class Output:
    """Generated or transcribed text. ``truncated``: it ran into its length limit."""

    text: str
    n_tokens: int
    truncated: bool


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """A part of a transcript, and when it begins and ends, in seconds from the start of the clip."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Audio:
    """Mono audio.

    Attributes:
        samples: float32, shape (n,), full scale ±1.
        sampling_rate: In Hz.
    """

    samples: NDArray[np.float32]
    sampling_rate: int


@runtime_checkable
class TextModel(Protocol):
    """``score_text`` and ``generate``."""

    @property
    def chat_template(self) -> str | None:
        """Jinja source of the tokenizer's own chat template."""

    def render_chat(self, user: str, *, template: str | None = None) -> str | None:
        """Return ``user`` as one user turn under the chat template, ready for the assistant's answer.

        Args:
            user: The user's message.
            template: Jinja source to use in place of the tokenizer's own.

        Returns:
            The rendered text, or None where the tokenizer has no template and none is given.
        """

    def first_token_ids(self, text: str, *, rendered: bool) -> tuple[int, ...]:
        """Return the first 16 token ids of a prompt as the model would see it."""

    def score_text(self, requests: Sequence[ScoreRequest]) -> list[Loglikelihood]:
        """Score one batch, in order."""

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Output]:
        """Generate for one batch, in order."""


@runtime_checkable
class ScoresDocuments(Protocol):
    """A text model that can score whole texts of any length."""

    def score_documents(self, texts: Sequence[str]) -> list[Loglikelihood]:
        """Score texts, in order; each token is predicted once."""


@runtime_checkable
class SpeechRecogniser(Protocol):
    """``transcribe``."""

    sampling_rate: int

    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Transcribe one batch, in order; audio is at ``sampling_rate``."""


@runtime_checkable
class Enhancer(Protocol):
    """``enhance``: audio to audio."""

    sampling_rate: int

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        """Enhance one batch, in order.

        Args:
            audio: At ``sampling_rate``.

        Returns:
            As the model made it: of any length, delay and rate; the engine converts and aligns.
        """


@runtime_checkable
class StreamsText(Protocol):
    """A recogniser that can say its text piece by piece, while it is at work."""

    def transcribe_stream(self, audio: Audio, *, language: str) -> Iterator[str]:
        """Yield the transcript of one clip in pieces, each as soon as it is known."""


@runtime_checkable
class StreamsAudio(Protocol):
    """An enhancer that can return its audio piece by piece, while it is at work."""

    def enhance_stream(self, audio: Audio) -> Iterator[Audio]:
        """Yield the enhanced clip in pieces, each as soon as it is made."""


@runtime_checkable
class SpeechTranslator(Protocol):
    """``translate``: speech in another language to English text."""

    sampling_rate: int

    def translate(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Translate one batch, in order; audio is at ``sampling_rate``, ``language`` is what is spoken."""


@runtime_checkable
class LanguageIdentifier(Protocol):
    """``identify_language``."""

    sampling_rate: int

    def identify_language(self, audio: Sequence[Audio]) -> Sequence[str | None]:
        """Return the ISO 639-1 code of what is spoken in each clip, in order; None names no language."""


@runtime_checkable
class SpeechTimer(Protocol):
    """``time_speech``: transcripts with times."""

    sampling_rate: int

    def time_speech(self, audio: Sequence[Audio], *, language: str) -> Sequence[Sequence[Phrase] | None]:
        """Return what is said in each clip, phrase by phrase, in order; audio is at ``sampling_rate``.

        None, as no phrase, is an empty transcript.
        """


@runtime_checkable
class EmbedsSpeech(Protocol):
    """``embed``: a speech encoder's frozen features."""

    sampling_rate: int

    def embed(self, audio: Sequence[Audio]) -> list[NDArray[np.float32]]:
        """Return what each layer makes of each clip, averaged over time, shape (layers, width), in order."""


@runtime_checkable
class Synthesiser(Protocol):
    """``synthesize``: text to speech."""

    sampling_rate: int

    def synthesize(self, texts: Sequence[str], *, language: str) -> list[Audio]:
        """Speak one batch, in order; audio as an :class:`Enhancer` returns it."""


@runtime_checkable
class Converter(Protocol):
    """``convert``: speech to other speech."""

    sampling_rate: int

    def convert(
        self, audio: Sequence[Audio], *, language: str, voices: Sequence[Audio] | None
    ) -> list[Audio]:
        """Convert one batch, in order.

        Args:
            audio: At ``sampling_rate``.
            language: To be spoken in the end.
            voices: One for each clip, whose voice is wanted; None to keep the clips' own.

        Returns:
            Audio as an :class:`Enhancer` returns it.
        """


@runtime_checkable
class Separator(Protocol):
    """``separate``: a mixture to its stems."""

    sampling_rate: int

    def separate(self, audio: Sequence[Audio], *, n_stems: int) -> Sequence[Sequence[Audio] | None]:
        """Return the stems of each clip, in any order; audio as an :class:`Enhancer` returns it.

        A stem that is missing is empty; None has no stem at all.
        """


@runtime_checkable
class VoiceCloner(Protocol):
    """``clone_voice``: text to speech, in the voice of a recording."""

    sampling_rate: int

    def clone_voice(self, texts: Sequence[str], *, voices: Sequence[Audio], language: str) -> list[Audio]:
        """Speak each text in the voice of its recording, or refuse: say something else, or in another voice.

        Args:
            texts: To be spoken.
            voices: One for each text, at ``sampling_rate``.
            language: Of the texts.

        Returns:
            Audio as an :class:`Enhancer` returns it.
        """


@runtime_checkable
class ScoresAudio(Protocol):
    """``score_audio``: how likely a speech language model holds a recording."""

    sampling_rate: int

    def score_audio(self, audio: Sequence[Audio]) -> list[Loglikelihood]:
        """Score one batch, in order; audio is at ``sampling_rate``.

        Returns:
            Of each clip, the natural-log probability summed over the units (or frames) that the model makes
            of it, and their number as ``n_tokens``.
        """


@dataclass(frozen=True, kw_only=True)
class SpokenRequest:
    """Answer what is said in ``audio``, greedily, in at most ``max_new_tokens``.

    Attributes:
        audio: At the model's ``sampling_rate``.
        instruction: What is written beside it; may be empty.
        use_chat_template: Whether the request is wrapped as a user's turn.
        template: Jinja source in place of the tokenizer's own.
    """

    audio: Audio
    instruction: str
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    use_chat_template: bool = True
    template: str | None = None


@runtime_checkable
class AnswersAudio(Protocol):
    """``answer_audio``: a request that is spoken, answered in text by one model."""

    sampling_rate: int

    def answer_audio(self, requests: Sequence[SpokenRequest]) -> list[Output]:
        """Answer one batch, in order."""


@dataclass(frozen=True, kw_only=True)
class TokenWindow:
    """A stretch of a text as a model reads it.

    Attributes:
        inputs: Token ids that are read.
        targets: The tokens that the last positions predict, one each.
    """

    inputs: tuple[int, ...]
    targets: tuple[int, ...]


class Distributions(Protocol):
    """What a model predicts at each position of one input, given everything before it (teacher forcing).

    Attributes:
        n_positions: How many there are.
        n_tokens: Size of the vocabulary.
        targets: The input's own token at each position; None for frames, which have none.
    """

    @property
    def n_positions(self) -> int: ...  # noqa: D102
    @property
    def n_tokens(self) -> int: ...  # noqa: D102
    @property
    def targets(self) -> tuple[int, ...] | None: ...  # noqa: D102

    def logprobs(self, start: int, stop: int, *, n_tokens: int) -> NDArray[np.float32]:
        """Return natural-log probabilities over the first tokens of the vocabulary.

        Returns:
            Shape (stop − start, n_tokens), each row normalised over these tokens.
        """


@runtime_checkable
class PredictsText(Protocol):
    """A language model that shows its distribution of each next token."""

    window: int

    def tokenise(self, request: ScoreRequest, *, window: int) -> list[TokenWindow]:
        """Cut a continuation into windows of at most ``window`` tokens; each token is a target once."""

    def predict_tokens(self, window: TokenWindow) -> Distributions:
        """Read one window."""


@runtime_checkable
class PredictsSpeech(Protocol):
    """A recogniser that shows its distribution at each frame, or of each next token."""

    sampling_rate: int

    def transcript_tokens(self, text: str, *, language: str) -> tuple[int, ...]:
        """Return the ids of a reference transcript; none for a model that labels frames.

        Raises:
            SampleError: ``too_long``: the decoder has no room for it.
        """

    def predict_speech(self, audio: Audio, tokens: tuple[int, ...], *, language: str) -> Distributions:
        """Hear one clip, with the transcript's tokens forced.

        Raises:
            SampleError: ``too_long``: the clip does not fit into one window.
        """


Model = (
    TextModel
    | SpeechRecogniser
    | Enhancer
    | SpeechTranslator
    | LanguageIdentifier
    | SpeechTimer
    | EmbedsSpeech
    | Synthesiser
    | AnswersAudio
    | ScoresAudio
    | Converter
    | Separator
    | VoiceCloner
)
