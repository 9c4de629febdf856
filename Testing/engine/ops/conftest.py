"""Fixtures of the operators' tests."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from peers.triton_interpreter import Interpreter


@pytest.fixture(scope="session")
def triton() -> None:
    """Fails where continuous integration has no Triton, and skips on systems for which there is none."""
    if find_spec("triton") is None:
        if os.environ.get("CI"):
            pytest.fail("Triton is not installed")
        pytest.skip("Triton is not installed: there is none for this system, or the extra `test` is older")


@pytest.fixture(scope="session")
def interpreted(triton: None) -> Iterator[Interpreter]:
    """The Triton backend by Triton's interpreter, in a process of its own."""
    with Interpreter() as interpreter:
        yield interpreter
