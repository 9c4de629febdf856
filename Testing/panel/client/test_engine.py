"""The engine's client with the real worker and the real model."""

import itertools
import os
import signal
import sys
import time

import numpy as np
import psutil
import pytest

from .conftest import PATIENCE_S


def gone(pid):
    """Whether a process has ended; one that only waits to be read by its parent has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until_progress(job, spin):
    """Wait for the first tile; then the worker computes."""
    seen = []
    job.on_event(seen.append)
    spin(lambda: job.ended or any(event["event"] == "progress" for event in seen), PATIENCE_S)
    assert not job.ended, job.error
    return seen


def worker_pid(engine):
    return engine._worker.pid


def test_a_run_to_its_end_and_a_second_one_with_the_same_worker(warm_engine, ask, spin, tmp_path):
    from umamba.version import __version__

    events, ended = [], []
    job = warm_engine.submit("segment", folder=tmp_path, on_event=events.append, on_end=ended.append, **ask)
    assert (job.state, warm_engine.busy) == ("waiting", True)
    spin(lambda: job.ended, PATIENCE_S)
    assert (job.state, job.error, ended, warm_engine.version) == ("done", None, [job], __version__)
    kinds = [event["event"] for event in events]
    assert kinds.count("plan") == 1
    assert "progress" in kinds
    assert (kinds[-1], kinds.count("result"), job.check()) == ("result", 1, events[-1])
    labels = np.load(job.result["arrays"]["labels"])
    assert (labels.shape, set(np.unique(labels))) == ((189, 233, 197), {0, 1, 2})
    pid = worker_pid(warm_engine)
    assert warm_engine.warm
    started = time.monotonic()
    again = warm_engine.submit("segment", folder=tmp_path, **ask)
    spin(lambda: again.ended, PATIENCE_S)
    print(f"warm run of a region, from file to file: {time.monotonic() - started:.2f} s")
    assert again.state == "done"
    assert worker_pid(warm_engine) == pid
    assert np.array_equal(np.load(again.result["arrays"]["labels"]), labels)


def test_errors_of_the_engine_arrive_with_their_kind(warm_engine, ask, spin):
    jobs = [
        warm_engine.submit("plan", **ask | {"model": "no-such"}),
        warm_engine.submit("plan", **ask | {"images": ["/no.nii"]}),
    ]
    spin(lambda: all(job.ended for job in jobs), PATIENCE_S)
    assert [(job.state, job.error.kind) for job in jobs] == [("failed", "model"), ("failed", "input")]
    from UMambaSegmentationLib.client.job import JobError

    with pytest.raises(JobError, match="no-such"):
        jobs[0].check()


def test_a_plan_is_one_answer_and_keys_that_are_none_are_left_out(warm_engine, ask, spin):
    job = warm_engine.submit("plan", **ask, labels=None, threads=1)
    spin(lambda: job.ended, PATIENCE_S)
    assert "CPU" in job.check()["line"]
    assert "labels" not in job.keys


def test_cancel_is_immediate_and_the_warm_worker_takes_the_next_run(warm_engine, long_ask, ask, spin):
    ended, released = [], []
    job = warm_engine.submit("segment", on_end=ended.append, **long_ask)
    job.on_release(released.append)
    until_progress(job, spin)
    pid = worker_pid(warm_engine)
    started = time.monotonic()
    job.cancel()
    assert time.monotonic() - started < 0.05
    assert (job.state, job.error.kind, warm_engine.busy) == ("cancelled", "cancelled", False)
    assert (ended, released) == ([job], [])
    job.cancel()
    spin(lambda: released, PATIENCE_S)
    idle = time.monotonic() - started
    print(f"cancel to idle: {idle:.2f} s")
    assert idle < 1.0
    again = warm_engine.submit("plan", **ask)
    spin(lambda: again.ended, PATIENCE_S)
    assert (again.state, worker_pid(warm_engine), ended) == ("done", pid, [job])


def test_a_job_that_waits_is_cancelled_without_the_worker_hearing_of_it(warm_engine, ask, spin):
    first, second = warm_engine.submit("plan", **ask), warm_engine.submit("plan", **ask)
    second.cancel()
    assert (second.state, first.ended) == ("cancelled", False)
    spin(lambda: first.ended, PATIENCE_S)
    assert (first.state, second.result) == ("done", None)


def test_a_killed_worker_is_one_clear_message_and_the_next_run_starts_a_new_one(engine, long_ask, spin):
    job = engine.submit("segment", **long_ask)
    waiting = engine.submit("hello")
    until_progress(job, spin)
    pid = worker_pid(engine)
    os.kill(pid, signal.SIGKILL)
    spin(lambda: job.ended, 5)
    assert (job.state, job.error.kind) == ("failed", "fault")
    assert job.error.message.startswith("The engine stopped unexpectedly (")
    spin(lambda: waiting.ended, PATIENCE_S)
    assert waiting.state == "done"
    assert worker_pid(engine) != pid


def test_a_worker_that_hangs_is_found_and_replaced(engine, long_ask, spin, monkeypatch):
    from UMambaSegmentationLib.client.connection import WorkerConnection

    job = engine.submit("segment", **long_ask)
    spin(lambda: job.state == "running", PATIENCE_S)
    pid = worker_pid(engine)
    monkeypatch.setattr(WorkerConnection, "quiet_seconds", 0.5)
    monkeypatch.setattr(WorkerConnection, "answer_seconds", 1.0)
    os.kill(pid, signal.SIGSTOP)
    spin(lambda: job.ended, 10)
    assert (job.error.kind, "did not answer" in job.error.message) == ("fault", True)
    spin(lambda: gone(pid), 5)
    monkeypatch.undo()
    again = engine.submit("hello")
    spin(lambda: again.ended, PATIENCE_S)
    assert again.state == "done"


def test_a_worker_that_computes_gives_a_sign(engine, long_ask, spin, monkeypatch):
    """Between two tiles it is asked, answers at once, and is left alone."""
    from UMambaSegmentationLib.client.connection import WorkerConnection

    job = engine.submit("segment", **long_ask)
    stages = []
    job.on_event(lambda event: stages.append(event.get("stage")))
    spin(lambda: "predict" in stages, PATIENCE_S)
    worker, asked = engine._worker, engine._worker._numbers
    monkeypatch.setattr(WorkerConnection, "quiet_seconds", 0.01)
    monkeypatch.setattr(WorkerConnection, "answer_seconds", 10.0)
    spin(lambda: worker._numbers >= asked + 3, PATIENCE_S)
    spin(lambda: len(worker._open) == 1, PATIENCE_S)  # all answered but the run itself
    assert job.state == "running"


def test_cancel_of_a_worker_that_does_not_listen(engine, long_ask, spin):
    """A stopped process hears neither the message nor SIGTERM: it is killed, and its children with it."""
    job = engine.submit("segment", **long_ask)
    spin(lambda: job.state == "running", PATIENCE_S)
    pid = worker_pid(engine)
    os.kill(pid, signal.SIGSTOP)
    job.cancel()
    again = engine.submit("hello")
    spin(lambda: again.ended, PATIENCE_S)
    assert (again.state, gone(pid)) == ("done", True)


def test_it_ends_by_itself_after_the_idle_time(engine, spin):
    engine.keep_warm_minutes = 0
    job = engine.submit("hello")
    spin(lambda: job.ended, PATIENCE_S)
    spin(lambda: not engine.warm and not engine._leaving, 10)
    assert not engine._timer.active
    engine.keep_warm_minutes = 10
    job = engine.submit("hello")
    spin(lambda: job.ended, PATIENCE_S)
    pid = worker_pid(engine)
    assert engine.warm
    engine.keep_warm_minutes = 0.001
    spin(lambda: gone(pid), 10)
    assert not engine.warm


def test_close_leaves_nothing_and_ends_jobs(engine, long_ask, spin):
    job = engine.submit("segment", **long_ask)
    waiting = engine.submit("hello")
    until_progress(job, spin)
    pid = worker_pid(engine)
    started = time.monotonic()
    engine.close()
    assert time.monotonic() - started < 3
    assert gone(pid)
    assert (job.state, waiting.state) == ("cancelled", "cancelled")
    assert (engine.warm, engine.busy, engine._timer.active) == (False, False, False)
    again = engine.submit("hello")
    spin(lambda: again.ended, PATIENCE_S)
    assert again.state == "done"


def test_it_ends_with_slicer(engine, app, spin):
    job = engine.submit("hello")
    spin(lambda: job.ended, PATIENCE_S)
    pid = worker_pid(engine)
    app.aboutToQuit.emit()
    assert gone(pid)


@pytest.mark.parametrize("window", [False, True])
def test_wait(engine, ask, app, window):
    import qt

    main = qt.QMainWindow() if window else None
    if window:
        main.objectName = "qSlicerMainWindow"
    ticks = []
    timer = qt.QTimer()
    timer.connect("timeout()", lambda: ticks.append(time.monotonic()))
    timer.start(5)
    job = engine.submit("segment", **ask) if window else engine.submit("models")
    assert not job.wait(0.05)
    assert job.wait(PATIENCE_S)
    timer.stop()
    assert job.state == "done"
    assert (len(ticks) > 10) is window  # the window lives only where there is one
    if window:
        longest = max(later - earlier for earlier, later in itertools.pairwise(ticks))
        print(f"longest gap of the event loop during a run: {1000 * longest:.0f} ms")
        assert longest < 0.25
        main.deleteLater()


def test_a_worker_ends_when_slicer_is_killed(spin, tmp_path, long_ask):
    """A small program in Slicer's place starts a run through the same launch and is killed in the middle."""
    import json
    import subprocess

    from UMambaSegmentationLib.client.interpreter import worker_launch
    from UMambaSegmentationLib.client.packages import packages_in_use

    packages = packages_in_use()
    launch = worker_launch(packages.interpreter, packages.folder)
    request = json.dumps({"id": 1, "do": "segment", **long_ask, "images": [str(long_ask["images"][0])]})
    driver = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[2:], stdin=-1, stdout=-1)\n"
        "child.stdin.write(sys.argv[1].encode() + b'\\n'); child.stdin.flush()\n"
        "for line in child.stdout: print(line.decode(), end='', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", driver, request, launch.program, *launch.arguments],
        stdout=subprocess.PIPE,
        env=launch.environment,
    ) as process:
        pid = json.loads(process.stdout.readline())["pid"]
        while json.loads(process.stdout.readline())["event"] != "progress":
            pass
        assert not gone(pid)
        process.kill()
    spin(lambda: gone(pid), 10)


def test_the_protocol_is_the_engines():
    from umamba.worker.jobs import PROTOCOL as THEIRS
    from UMambaSegmentationLib.client.engine import PROTOCOL

    assert PROTOCOL == THEIRS
