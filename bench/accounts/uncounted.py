"""`aiplat` with a gateway whose accounts are switched off, which no setting can do.

    .venv/bin/python bench/accounts/uncounted.py --home DIR serve --model echo

It lets in whoever has the local token, holds no limit and counts nothing: `door` compares with it.
"""

from __future__ import annotations

from aiplat.cli.main import main
from aiplat.runtime import run

if __name__ == "__main__":
    run._House._open_accounts = lambda house: None  # type: ignore[assignment,method-assign,return-value]  # on purpose
    main()
