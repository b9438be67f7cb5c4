"""docs/api.md: every route, every code of an error and every header is in it, and no other."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from aiplat.http.errors import _INTERNAL, _KINDS, HttpError
from aiplat.http.generating import DEADLINE_HEADER, PRIVACY_HEADER
from aiplat.http.openapi.document import document
from aiplat.http.openapi.operations import OPERATIONS

importlib.import_module("aiplat.http.app")  # with the errors of all APIs
API = Path(__file__).parents[3] / "docs" / "api.md"
TEXT = API.read_text()


def test_every_error_has_its_row_with_what_to_do() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (\S+) \| `(\w+)` \| (.+) \|$", TEXT, re.M)
    told = [(int(status), kind, code.strip("`")) for status, code, kind, _ in rows]
    http_only = [one.kind for one in HttpError.__subclasses__()]
    wanted = {
        (status, kind, code or "null")
        for status, kind, code in [*_KINDS.values(), *http_only, _INTERNAL]
    }
    assert len(told) == len(set(told))
    assert set(told) == wanted
    assert all(len(mend) > 8 for *_, mend in rows)


def test_every_route_has_an_example_in_curl_and_one_in_python() -> None:
    shell = "\n".join(re.findall(r"^```bash\n(.*?)^```$", TEXT, re.M | re.S))
    for one in OPERATIONS:
        path = re.sub(r"\{id\}", "(\\$id|smollm2-135m)", one.path.replace(".", r"\."))
        short = path.removeprefix("/v1")
        assert re.search(rf'(BASE_URL{short}|\$url{path})"', shell), one.path
    assert len(re.findall(r"^```python$", TEXT, re.M)) >= 10


def test_every_header_is_told() -> None:
    told = {name for row in re.findall(r"^\| (`[^|]+`) \|", TEXT, re.M)
            for name in re.findall(r"`([a-z-]+)`", row)}  # fmt: skip
    described = {
        name
        for path in document(OPERATIONS)["paths"].values()
        for operation in path.values()
        for name in operation["responses"]["200"]["headers"]
    }
    asked = {DEADLINE_HEADER.decode(), PRIVACY_HEADER.decode()}
    assert described | asked | {"retry-after"} <= told
