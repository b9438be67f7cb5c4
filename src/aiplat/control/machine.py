"""What a face may ask of the node's own machine: its log, a look at each step, its models.

Fields are append-only, each new one with a default.
"""

from __future__ import annotations

from typing import Literal

import msgspec

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
MAX_LOG_LINES = 1000


class LogAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The lines of the node's log that came after the line `after`; the newest `most` of them.

    Arguments:
        after: the number of a line; -1 for all that are there.
        before: only lines with a smaller number, for those that `most` left out; -1 for no bound.
        level: this level and what is graver.
        search: only lines that hold this text, whatever its case.
    """

    after: int = -1
    before: int = -1
    most: int = 500
    level: LogLevel = "debug"
    search: str = ""


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the log.

    Arguments:
        number: counts up from 0 with each life of the node.
        at: seconds since 1970 (UTC).
        more: the fields that belong to it, as ``name=value`` in one text.
    """

    number: int
    at: float
    level: LogLevel
    logger: str
    message: str
    more: str = ""


class LogReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Lines, the oldest first.

    Arguments:
        last: the number of the newest line that there is, found or not; -1 for none.
        lost: how many came after `after` and are not here, though they would be but for a bound:
            of the memory, or `most`.
        path: of the file that holds them all.
    """

    lines: tuple[LogLine, ...]
    last: int = -1
    lost: int = 0
    path: str = ""


class DoctorStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step from here to an answer: what was found, and what to do if it is not well."""

    name: str
    ok: bool
    text: str
    advice: str = ""


class DoctorReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at each step found."""

    ok: bool
    steps: tuple[DoctorStep, ...]


class KnownModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model that this machine could run.

    Arguments:
        bytes: to fetch where it is not here, on the disk where it is; 0 where not known.
        here: whether it lies on this machine, ready.
        served: whether the node offers it.
        note: in words, for a person.
    """

    name: str
    bytes: int = 0
    here: bool = False
    served: bool = False
    note: str = ""


class Pull(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model that is, or was, brought onto this machine.

    Arguments:
        stage: what is done now (`download`, `verify`, `unpack`, `convert`, `wait`).
        done, total: of that stage, in its unit: bytes, or tensors of `convert`; 0 where unknown.
        error: why it failed.
    """

    model: str
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    stage: str = ""
    done: int = 0
    total: int = 0
    error: str = ""


class Shelf(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The models that this machine has or could have, and what is being brought.

    Arguments:
        memory_bytes: what models may take together here (`engine.memory_mib`); 0 where the node
            runs none.
        free_bytes: on the disk of the cache.
    """

    models: tuple[KnownModel, ...]
    pulls: tuple[Pull, ...] = ()
    memory_bytes: int = 0
    free_bytes: int = 0
    cache: str = ""


class PullWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Bring a model onto this machine, and offer it if `serve` says so; or `cancel` that."""

    model: str
    serve: bool = True
    cancel: bool = False


class ServeWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Offer a model that lies here, now and after restarts; or no more with `off`."""

    model: str
    off: bool = False
