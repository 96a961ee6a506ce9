"""Python factories: ``package.module:function`` returns an object with the methods of ``models.interface``.

The object implements ``score_text``, ``generate``, ``transcribe``, ``translate``, ``identify_language``,
``time_speech``, ``embed``, ``enhance``, ``synthesize``, ``answer_audio``, ``score_audio``, ``convert``,
``separate`` or ``clone_voice`` as the protocols there have them; it can do what it has methods for.
``sampling_rate`` (default 16 000 Hz), ``render_chat``, ``first_token_ids`` and ``chat_template`` are
optional. The function (or the object) may carry ``fingerprint``, a string or a function that returns one;
without it, the fingerprint is that of the source file, so that weights which the code loads are not part of
it. For the cost of a model, the object may have whole numbers ``parameters`` and ``bytes``, and
``transcribe_stream`` or ``enhance_stream``, whose first output is timed.

Factories are the user's own trusted code: naming one runs it.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray

from forgetbench.errors import CheckpointError, first_line
from forgetbench.models.component import Component, Role
from forgetbench.models.fingerprint import combine, fingerprint_file, text_digest
from forgetbench.models.interface import (
    Audio,
    GenerateRequest,
    Loglikelihood,
    Model,
    Output,
    Phrase,
    ScoreRequest,
    SpokenRequest,
)
from forgetbench.plugins import plugins
from forgetbench.schema.task import Capability

R = TypeVar("R")

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_CAPABILITIES: tuple[Capability, ...] = get_args(Capability)

OURS = {
    "rnnoise": "forgetbench.models.rnnoise:rnnoise",
    "deepfilternet3": "forgetbench.models.deepfilternet:deepfilternet3",
}
"""Factories of ours by short name; plug-ins bring more (``forgetbench.models``)."""

MOST_PHRASES = 10_000
"""Of one recording, that a factory tells the times of: those of an endless answer are cut off."""

_made: dict[str, Any] = {}
"""What a factory returned when its capabilities were asked for, until it is loaded."""


def is_factory(name: str) -> bool:
    """Say whether a name has the shape ``package.module:function``, or is short for one of ours."""
    return name in OURS or name in plugins("models") or _NAME.fullmatch(name) is not None


def read_factory(name: str) -> Component:
    """Return the component that a factory makes; the factory is called, once.

    Args:
        name: ``package.module:function``, or a short name in :data:`OURS` or of a plug-in.

    Raises:
        CheckpointError: The module or the function is missing, it fails, or its object can do nothing.
    """
    factory = _import(name)
    made = _made[name] = _call(name, factory)
    capabilities = tuple(c for c in _CAPABILITIES if callable(getattr(made, c, None)))
    if not capabilities:
        raise CheckpointError(
            name,
            f"returned {type(made).__name__}, which has none of the methods {', '.join(_CAPABILITIES)}",
            "Return an object that has one of them.",
        )
    return Component(
        role=_role(capabilities),
        source=name,
        format="factory",
        path=None,
        architecture=type(made).__name__,
        fingerprint=_fingerprint(name, factory, made),
        capabilities=capabilities,
        parameters=_count(made, "parameters"),
        bytes=_count(made, "bytes"),
    )


def load_factory(component: Component) -> Model:
    """Return the object of a factory, with what the protocols have beyond its own methods filled in."""
    made = _made.pop(component.source, None)
    if made is None:
        made = _call(component.source, _import(component.source))
    reads = {"score_text", "generate"}.intersection(component.capabilities)
    faces: dict[Role, Callable[[Any], Model]] = {
        "lm": FactoryText if reads else FactoryAssistant,
        "asr": FactorySpeech,
        "enhancer": FactoryEnhancer,
        "tts": FactoryVoice,
    }
    face = faces[component.role](made)
    for name in component.capabilities:
        if not hasattr(face, name):
            setattr(face, name, _counted(getattr(made, name)))
    for streamed in ("transcribe_stream", "enhance_stream"):
        if callable(own := getattr(made, streamed, None)):
            setattr(face, streamed, own)
    return face


class FactoryText:
    """A text model (or one that does everything) made by a user's factory."""

    def __init__(self, made: Any) -> None:
        self._made = made

    @property
    def chat_template(self) -> str | None:
        """The object's own, if it has one."""
        return cast("str | None", getattr(self._made, "chat_template", None))

    def render_chat(self, user: str, *, template: str | None = None) -> str | None:
        """Return the object's own rendering, or None."""
        render = getattr(self._made, "render_chat", None)
        return cast("str | None", render(user, template=template)) if render else None

    def first_token_ids(self, text: str, *, rendered: bool) -> tuple[int, ...]:
        """Return the object's own token ids, or none."""
        ids = getattr(self._made, "first_token_ids", None)
        return tuple(ids(text, rendered=rendered)) if ids else ()

    def score_text(self, requests: Sequence[ScoreRequest]) -> list[Loglikelihood]:
        """Score one batch, in order."""
        return _one_each(self._made.score_text(requests), requests)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Output]:
        """Generate for one batch, in order."""
        return _one_each(self._made.generate(requests), requests)

    @property
    def sampling_rate(self) -> int:
        """In Hz."""
        return int(getattr(self._made, "sampling_rate", 16_000))

    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Transcribe one batch, in order."""
        return _one_each(self._made.transcribe(audio, language=language), audio)

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        """Enhance one batch, in order."""
        return _one_each(self._made.enhance(audio), audio)

    def answer_audio(self, requests: Sequence[SpokenRequest]) -> list[Output]:
        """Answer one batch, in order; audio is at ``sampling_rate``."""
        return _one_each(self._made.answer_audio(requests), requests)

    def score_audio(self, audio: Sequence[Audio]) -> list[Loglikelihood]:
        """Score one batch, in order; audio is at ``sampling_rate``."""
        return _one_each(self._made.score_audio(audio), audio)


class FactoryAssistant:
    """A model that answers or predicts speech and reads nothing, made by a user's factory."""

    def __init__(self, made: Any) -> None:
        self._made = made
        self.sampling_rate = int(getattr(made, "sampling_rate", 16_000))

    def answer_audio(self, requests: Sequence[SpokenRequest]) -> list[Output]:
        """Answer one batch, in order; audio is at ``sampling_rate``."""
        return _one_each(self._made.answer_audio(requests), requests)

    def score_audio(self, audio: Sequence[Audio]) -> list[Loglikelihood]:
        """Score one batch, in order; audio is at ``sampling_rate``."""
        return _one_each(self._made.score_audio(audio), audio)


class FactorySpeech:
    """A speech recogniser (or one that also enhances) made by a user's factory."""

    def __init__(self, made: Any) -> None:
        self._made = made
        self.sampling_rate = int(getattr(made, "sampling_rate", 16_000))

    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Transcribe one batch, in order; audio is at ``sampling_rate``."""
        return _one_each(self._made.transcribe(audio, language=language), audio)

    def translate(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Translate one batch into English, in order; audio is at ``sampling_rate``."""
        return _one_each(self._made.translate(audio, language=language), audio)

    def identify_language(self, audio: Sequence[Audio]) -> list[str | None]:
        """Return the code of what is spoken in each clip, or None; audio is at ``sampling_rate``."""
        return _one_each(self._made.identify_language(audio), audio)

    def time_speech(self, audio: Sequence[Audio], *, language: str) -> list[list[Phrase]]:
        """Return what is said when, in order; audio is at ``sampling_rate``."""
        told = _one_each(self._made.time_speech(audio, language=language), audio)
        return _parts(told, MOST_PHRASES)

    def embed(self, audio: Sequence[Audio]) -> list[NDArray[np.float32]]:
        """Return the features of each clip, in order; audio is at ``sampling_rate``."""
        return [np.asarray(layers, np.float32) for layers in _one_each(self._made.embed(audio), audio)]

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        """Enhance one batch, in order."""
        return _one_each(self._made.enhance(audio), audio)


class FactoryEnhancer:
    """What makes audio of audio, made by a user's factory."""

    def __init__(self, made: Any) -> None:
        self._made = made
        self.sampling_rate = int(getattr(made, "sampling_rate", 16_000))

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        """Enhance one batch, in order; audio is at ``sampling_rate``."""
        return _one_each(self._made.enhance(audio), audio)

    def convert(
        self, audio: Sequence[Audio], *, language: str, voices: Sequence[Audio] | None
    ) -> list[Audio]:
        """Convert one batch, in order; audio and voices are at ``sampling_rate``."""
        return _one_each(self._made.convert(audio, language=language, voices=voices), audio)

    def separate(self, audio: Sequence[Audio], *, n_stems: int) -> list[list[Audio]]:
        """Take the clips of one batch apart, in order; audio is at ``sampling_rate``."""
        taken_apart = _one_each(self._made.separate(audio, n_stems=n_stems), audio)
        return _parts(taken_apart, n_stems + 1)


class FactoryVoice:
    """A voice made by a user's factory."""

    def __init__(self, made: Any) -> None:
        self._made = made
        self.sampling_rate = int(getattr(made, "sampling_rate", 16_000))

    def synthesize(self, texts: Sequence[str], *, language: str) -> list[Audio]:
        """Speak one batch, in order."""
        return _one_each(self._made.synthesize(texts, language=language), texts)

    def clone_voice(self, texts: Sequence[str], *, voices: Sequence[Audio], language: str) -> list[Audio]:
        """Speak one batch, in order; voices are at ``sampling_rate``."""
        return _one_each(self._made.clone_voice(texts, voices=voices, language=language), texts)


def _one_each(answers: Iterable[R], asked: Sequence[object]) -> list[R]:
    """Return the answers to a batch, in order; of endless ones no more than one too many is taken.

    Raises:
        ValueError: There is not one for each.
    """
    found = list(islice(answers, len(asked) + 1))
    if len(found) != len(asked):
        count = "more" if len(found) > len(asked) else str(len(found))
        raise ValueError(f"{count} answers to {len(asked)} requests")
    return found


def _parts(outputs: Iterable[Iterable[R] | None], most: int) -> list[list[R]]:
    """Return the first parts of each output; None is an output without any."""
    return [[] if parts is None else list(islice(parts, most)) for parts in outputs]


def _counted(method: Callable[..., Iterable[R]]) -> Callable[..., list[R]]:
    """Return a method of a batch that answers one for each."""

    def ask(batch: Sequence[object], *args: Any, **settings: Any) -> list[R]:
        return _one_each(method(batch, *args, **settings), batch)

    return ask


def _role(capabilities: Sequence[Capability]) -> Role:
    """Return what an object is in a system: what it does of text, speech and sound, the first of these."""
    if {"score_text", "generate", "answer_audio", "score_audio"}.intersection(capabilities):
        return "lm"
    hears = {"transcribe", "translate", "identify_language", "time_speech", "embed"}.intersection(
        capabilities
    )
    if hears:
        return "asr"
    changes = {"enhance", "convert", "separate"}.intersection(capabilities)
    return "enhancer" if changes else "tts"


def _place(name: str) -> str:
    """Return the ``package.module:function`` that a name is, or is short for."""
    brought = plugins("models")
    return OURS.get(name) or (brought[name].value if name in brought else name)


def _import(name: str) -> Callable[[], Any]:
    module_name, _, attribute = _place(name).partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            cause = f"no module {error.name!r} here or among the installed packages"
            raise CheckpointError(name, cause, "Run where the module can be imported.") from error
        raise _missing(name, error) from error
    except Exception as error:  # a user's module may raise anything
        raise CheckpointError(
            name, f"cannot be imported ({_line(error)})", "Mend the module; --debug shows where."
        ) from error
    finally:
        sys.path.remove(here)
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise CheckpointError(
                name, f"{module_name} has no attribute {attribute!r}", "Check the name after the colon."
            )
        value = getattr(value, part)
    if not callable(value):
        raise CheckpointError(name, f"{attribute} is not a function", "Name a function without arguments.")
    return cast("Callable[[], Any]", value)


def _call(name: str, factory: Callable[[], Any]) -> Any:
    try:
        return factory()
    except CheckpointError:
        raise
    except ModuleNotFoundError as error:
        raise _missing(name, error) from error
    except Exception as error:  # a user's code may raise anything
        raise CheckpointError(
            name, f"failed ({_line(error)})", "Mend the function; --debug shows where."
        ) from error


def _missing(name: str, error: ModuleNotFoundError) -> CheckpointError:
    return CheckpointError(
        name, f"needs the module {error.name!r}, which is missing", "Install what brings it."
    )


def _fingerprint(name: str, factory: Callable[[], Any], made: Any) -> str:
    own = getattr(factory, "fingerprint", None) or getattr(made, "fingerprint", None)
    value = own() if callable(own) else own
    if value is not None:
        return combine({"factory": text_digest(str(value))})
    try:
        source = inspect.getsourcefile(inspect.unwrap(factory))
    except TypeError:
        source = None
    if source is None or not Path(source).is_file():
        raise CheckpointError(
            name, "has no source file to hash", "Give the function a fingerprint attribute."
        )
    return combine(
        {"source": fingerprint_file(Path(source)), "function": text_digest(_place(name).partition(":")[2])}
    )


def _count(made: Any, name: str) -> int | None:
    """Return a size that the object tells; ``parameters`` of a torch module is a method, and tells none."""
    value = getattr(made, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _line(error: Exception) -> str:
    name = type(error).__name__
    return f"{name}: {first_line(error)}" if str(error).strip() else name
