"""The languages whose code is coloured.

A model writes the language and the code, and some of Pygments' lexers take seconds or minutes for
twenty thousand characters of the wrong kind. Each of these was tried against that many: of every
character of ASCII, of pairs that begin what has to end, and of chance; none went on for more than
80 ms between two tokens. Others take seconds and are left out, such as ``ini``, ``console``,
``scala`` (backslashes in a string); so is ``postgresql``, which asks whichever lexer the code
names. ``c`` and ``cpp`` are read without the two rules that look for functions, which take seconds
for two thousand spaces behind a name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygments.lexer import Lexer

MAX_COLOURED = 20_000
"""Characters of one block that are coloured; what is behind them is plain."""
LANGUAGES = frozenset(
    {
        "bash", "batch", "clojure", "cmake", "common-lisp", "csharp", "css", "dart", "diff",
        "docker", "elixir", "erlang", "fsharp", "go", "graphql", "groovy", "haskell", "html",
        "java", "javascript", "json", "jsx", "julia", "kotlin", "less", "lua", "markdown", "mysql",
        "nginx", "perl", "php", "powershell", "python", "python2", "r", "ruby", "rust", "sass",
        "scheme", "scss", "sql", "swift", "tex", "toml", "tsx", "typescript", "xml", "yaml", "zig",
    }
)  # fmt: skip
"""Pygments' first name of each; its other names are known too."""
_MAX_NAME = 40


@lru_cache(maxsize=64)
def lexer_of(name: str) -> Lexer | None:
    """The lexer of a language; None where it is not one of these.

    Arguments:
        name: one of its names in Pygments, in small letters.
    """
    if not name or len(name) > _MAX_NAME:
        return None
    if (found := _of_the_c_family().get(name)) is not None:
        return found
    from pygments.lexers import get_all_lexers, get_lexer_by_name

    for _, names, _, _ in get_all_lexers(plugins=False):
        if name in names and not LANGUAGES.isdisjoint(names):
            # Markdown would ask any lexer for the blocks of code in it.
            return get_lexer_by_name(name, stripnl=False, ensurenl=False, handlecodeblocks=False)
    return None


@lru_cache(maxsize=1)
def _of_the_c_family() -> dict[str, Lexer]:
    """C and C++ by their names, as statements alone."""
    from pygments.lexer import default, include
    from pygments.lexers.c_cpp import CLexer, CppLexer

    root = [include("whitespace"), include("keywords"), include("types"), default("statement")]

    class QuickC(CLexer):
        tokens = {"root": root}  # noqa: RUF012  # so in Pygments

    class QuickCpp(CppLexer):
        tokens = {"root": root}  # noqa: RUF012  # the same

    found: dict[str, Lexer] = {}
    for made in (QuickC, QuickCpp):
        lexer = made(stripnl=False, ensurenl=False)
        found |= dict.fromkeys(made.aliases, lexer)
    return found
