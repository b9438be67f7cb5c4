"""What every test gets: Hypothesis profiles, and a home of its own where it needs one."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.nodes import aiplat

settings.register_profile(
    "quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "deep", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# A shell's background job ignores Ctrl-C, and so would every node and command that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged is sent by a worker as UTF-8, which not all that is logged can be."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the embedded model, pulled as a person does; kept between runs."""
    cache = Path(os.environ.get("AIPLAT_CACHE") or Path(__file__).parents[1] / ".cache" / "aiplat")
    home = tmp_path_factory.mktemp("pull")
    done = aiplat(home, "models", "pull", "smollm2-135m", AIPLAT_CACHE=str(cache), timeout=1800)
    assert done.returncode == 0, done.stderr
    return cache


@pytest.fixture(scope="session")
def embedding_cache(model_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with the embedding model of the catalogue in it."""
    home = tmp_path_factory.mktemp("pull")
    done = aiplat(
        home, "models", "pull", "all-minilm-l6-v2", AIPLAT_CACHE=str(model_cache), timeout=1800
    )
    assert done.returncode == 0, done.stderr
    return model_cache
