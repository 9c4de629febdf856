"""An engine to talk to, a real image for it, and a worker that misbehaves as told."""

import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODEL = "hippocampus-mr"
IMAGE = ROOT / "Resources" / "SampleData" / "MNI152_T1_1mm" / "MNI152_T1_1mm.nii.gz"
FETCH = ROOT / "UMambaSegmentation" / "UMambaSegmentationLib" / "client" / "fetch_wheels.py"
# A voxel in the left hippocampus, mm, LPS.
HIPPOCAMPUS = [28.0, 20.0, -14.0]
# Loading PyTorch and compiling kernels on a busy machine; a test that waits longer has failed.
PATIENCE_S = 120.0


@pytest.fixture
def engine(app):
    from UMambaSegmentationLib.client.engine import Engine

    made = Engine()
    yield made
    made.close()


@pytest.fixture(scope="module")
def warm_engine(app):
    """One for the tests that leave its worker alive."""
    from UMambaSegmentationLib.client.engine import Engine

    made = Engine()
    yield made
    made.close()


@pytest.fixture
def ask():
    """Keys of a run of some seconds: one region of the MNI152 head."""
    return {"model": MODEL, "images": [IMAGE], "around": HIPPOCAMPUS, "device": "cpu"}


@pytest.fixture
def long_ask(ask):
    """Keys of a run that takes longer than any test waits."""
    whole = {name: value for name, value in ask.items() if name != "around"}
    return {**whole, "step": 0.1, "mirror": True}


@pytest.fixture
def fake_worker(monkeypatch):
    """`fake_worker(script)`: from now on engines start this script for a worker. For faults only.

    The script has `say(**event)`, `hear()`, which gives the next request or ends the script, `greet()`, which
    starts as a worker does and answers the first request, hello, and `behave()`, which answers all others.
    """
    from UMambaSegmentationLib.client import engine, interpreter

    head = """
        import json, os, signal, sys, time
        def say(**event):
            sys.stdout.write(json.dumps(event) + "\\n"); sys.stdout.flush()
        def hear():
            line = sys.stdin.readline()
            if not line: sys.exit(0)
            return json.loads(line)
        def greet(protocol=PROTOCOL, **more):
            os.setsid()
            say(event="started", pid=os.getpid(), group=True)
            say(id=hear()["id"], event="ready", version="0.0.1", protocol=protocol, python="3", **more)
        def behave():
            while True:
                request = hear()
                say(id=request["id"], event="result", pid=os.getpid())
                if request["do"] == "shutdown": sys.exit(0)
    """.replace("PROTOCOL", str(engine.PROTOCOL))

    def use(script):
        text = textwrap.dedent(head) + textwrap.dedent(script)
        environment = interpreter.environment(interpreter.current())
        fake = interpreter.Launch(sys.executable, ("-c", text), environment)
        monkeypatch.setattr(engine, "worker_launch", lambda *_: fake)

    return use
