"""What can be told of a request for vectors before any work, in the words of every engine. Pure."""

from __future__ import annotations

from aiplat.domain.answers import Submission
from aiplat.domain.chat import Embed
from aiplat.domain.errors import ContextLengthExceeded, InvalidRequest, UnsupportedParameter


def embedding_of(submission: Submission) -> Embed:
    """The work of `submission`, when it is one for vectors.

    Raises:
        UnsupportedParameter: it is another.
    """
    work = submission.work
    if not isinstance(work, Embed):
        raise UnsupportedParameter(
            "This model makes vectors and writes no text: ask it for embeddings, or ask another "
            "model.",
            param="model",
        )
    return work


def check_size(work: Embed, most: int) -> None:
    """Refuse what would take too long to read.

    Arguments:
        most: characters that one request may have (`EngineSettings.embed_chars`).

    Raises:
        InvalidRequest: it has more.
    """
    chars = sum(map(len, work.inputs))
    if chars > most:
        raise InvalidRequest(
            f"input has {chars} characters in all its texts, but one request may have {most} "
            "(engine.embed_chars): send the texts in several requests.",
            param="input",
        )


def check_window(submission: Submission, vector: int) -> None:
    """Refuse a window in which no vector could move, as it is granted anew by halves.

    Arguments:
        vector: bytes of one.

    Raises:
        InvalidRequest: it holds fewer than two.
    """
    if submission.credit < 2 * vector:
        raise InvalidRequest(
            f"credit must be at least {2 * vector}, two vectors of {vector} bytes, but is "
            f"{submission.credit}: none could move.",
            param="credit",
        )


def numbers_of(work: Embed, model: str, size: int, *, cuts: bool) -> int:
    """How many numbers a vector of that work has.

    Arguments:
        size: how many the model makes.
        cuts: whether the beginning of its vectors is one, too.

    Raises:
        UnsupportedParameter: fewer are asked for of a model that was not made for that.
        InvalidRequest: more are asked for.
    """
    asked = work.dimensions
    if asked is None or asked == size:
        return size
    if asked > size:
        raise InvalidRequest(
            f"dimensions is {asked}, but the vectors of {model} have {size} numbers.",
            param="dimensions",
        )
    if not cuts:
        raise UnsupportedParameter(
            f"dimensions is {asked}, but {model} was not made to have its vectors cut (it is no "
            f"Matryoshka model): leave it out, and they have {size} numbers.",
            param="dimensions",
        )
    return asked


def too_long(place: int, tokens: int, model: str, context: int) -> ContextLengthExceeded:
    """The error of a text that does not fit: the `place`-th of its request, from 0."""
    return ContextLengthExceeded(
        f"Text {place} of input has {tokens} tokens, but {model} reads at most {context} of one "
        "text: shorten or split it.",
        param="input",
    )
