"""`umamba doctor` says what works here, in a few lines."""

import json

import pytest

from umamba import ops
from umamba.version import __version__

MOST_LINES = 15


def test_a_few_lines(call):
    done = call("doctor")
    assert (done.status, done.err) == (0, [])
    assert len(done.out) <= MOST_LINES
    assert __version__ in done.out[0]
    told = {line.strip() for line in done.out}
    assert {f"not {name}: {why}" for name, why in ops.backends().items() if why is not None} <= told


def test_json(call, monkeypatch):
    monkeypatch.setenv("UMAMBA_DEVICE", "cpu")
    done = call("doctor", "--json")
    (line,) = done.out
    report = json.loads(line)
    assert [device["device"] for device in report["devices"]] == ["cpu"]
    assert report["devices"][0]["scan_ns"] > 0
    assert report["devices"][0]["convolution_gflops"] > 0
    assert report["backends"]["torch"] is None
    assert report["settings"]["UMAMBA_DEVICE"] == "cpu"
    assert report["models_folder"].startswith(report["settings"]["UMAMBA_HOME"])


def test_a_device_that_is_not_there(call, monkeypatch):
    monkeypatch.setenv("UMAMBA_DEVICE", "abacus")
    done = call("doctor")
    assert (done.status, len(done.err)) == (2, 1)
    assert "abacus" in done.err[0]


@pytest.mark.parametrize("words", [["--json"], []])
def test_no_word_too_many(call, words):
    assert call("doctor", "now", *words).status == 2
