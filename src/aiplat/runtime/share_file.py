"""The terms on which this machine is shared, kept in a file of the home: whole, and owner-only."""

from __future__ import annotations

from pathlib import Path

import msgspec

from aiplat.control.messages import ShareTerms
from aiplat.domain.errors import ConfigError, InvalidRequest
from aiplat.roles.sharing_terms import check
from aiplat.runtime.private import make_private_folder, read_private, write_private


class TermsFile:
    """Where they are kept.

    Arguments:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> ShareTerms:
        """The terms that hold; without a file those of a machine that is shared with all.

        Raises:
            ConfigError: the file is damaged, or others may read it. A machine is not shared on
                terms that nobody chose.
        """
        text = read_private(self.path)
        if text is None:
            return ShareTerms()
        try:
            terms = msgspec.json.decode(text, type=ShareTerms)
            check(terms)
        except (msgspec.MsgspecError, InvalidRequest) as fault:
            raise ConfigError(
                f"{self.path} holds no terms of sharing ({fault}). Remove it, and choose them anew "
                "with `aiplat share`."
            ) from None
        return terms

    def keep(self, terms: ShareTerms) -> None:
        """Keep them over restarts.

        Raises:
            ConfigError: the file cannot be written; what was kept is kept still.
        """
        make_private_folder(self.path.parent)
        write_private(self.path, msgspec.json.encode(terms).decode() + "\n")
