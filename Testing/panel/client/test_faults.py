"""Workers that do not behave: each becomes one sentence, and the next request starts a new worker."""

import subprocess
import sys
import time

import pytest

from .test_engine import gone


def failed(engine, spin, seconds=10, **keys):
    """The error of a request, and then proof that the engine starts anew."""
    job = engine.submit("models", **keys)
    spin(lambda: job.ended, seconds)
    assert job.state == "failed"
    assert job.error.message.count("\n") == 0
    assert engine._worker is None
    return job.error


@pytest.mark.parametrize(
    "answer",
    [
        "print('segmentation is fun', flush=True)",
        "say(id=1000, event='result')",
        "say(id=None, event='error', kind='input', message='not a JSON object')",
        "say(id='one', event='result')",
        "say(id=2)",
        "print('[1, 2]', flush=True)",
        "print('[' * 100000, flush=True)",
        "sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stdout.flush()",
    ],
)
def test_an_answer_that_makes_no_sense(engine, fake_worker, spin, answer):
    fake_worker(f"greet(); hear(); {answer}; time.sleep(100)")
    job = engine.submit("models")
    worker = engine._worker
    spin(lambda: job.ended)
    assert (job.error.kind, "makes no sense" in job.error.message) == ("fault", True)
    spin(lambda: gone(worker.pid))
    fake_worker("greet(); behave()")
    again = engine.submit("models")
    spin(lambda: again.ended)
    assert again.state == "done"


def test_a_line_without_an_end(engine, fake_worker, spin, monkeypatch):
    from UMambaSegmentationLib.client import child

    monkeypatch.setattr(child, "LONGEST_LINE", 1_000_000)
    fake_worker("greet(); hear()\nwhile True: sys.stdout.write('x' * 100_000)")
    assert "makes no sense" in failed(engine, spin).message


def test_a_long_line_is_read_and_quickly(engine, fake_worker, spin):
    fake_worker("greet(); say(id=hear()['id'], event='result', text='x' * 30_000_000); hear()")
    job = engine.submit("models")
    started = time.monotonic()
    spin(lambda: job.ended)
    assert len(job.check()["text"]) == 30_000_000
    assert time.monotonic() - started < 5


def test_two_events_in_one_piece_and_one_in_two(engine, fake_worker, spin):
    fake_worker("""
        greet()
        number = hear()["id"]
        text = json.dumps({"id": number, "event": "progress", "stage": "predict"}) + "\\n"
        sys.stdout.write(text + text[:20]); sys.stdout.flush(); time.sleep(0.1)
        sys.stdout.write(text[20:]); sys.stdout.flush()
        say(id=number, event="result")
        hear()
    """)
    events = []
    job = engine.submit("models", on_event=events.append)
    spin(lambda: job.ended)
    assert [event["event"] for event in events] == ["progress", "progress", "result"]


def test_a_missing_interpreter(engine, monkeypatch, spin):
    from UMambaSegmentationLib.client import engine as engine_module
    from UMambaSegmentationLib.client.interpreter import Launch

    monkeypatch.setattr(engine_module, "worker_launch", lambda *_: Launch("/no/such/python", (), {}))
    error = failed(engine, spin)
    assert (error.kind, "/no/such/python" in error.message, "Set-up" in error.message) == (
        "fault",
        True,
        True,
    )


def test_a_program_that_is_no_python(engine, monkeypatch, spin):
    from UMambaSegmentationLib.client import engine as engine_module
    from UMambaSegmentationLib.client.interpreter import Launch

    monkeypatch.setattr(engine_module, "worker_launch", lambda *_: Launch("/bin/echo", ("hello",), {}))
    assert "could not be started (exit status 0)" in failed(engine, spin).message


def test_a_worker_without_its_modules(engine, monkeypatch, spin, tmp_path):
    """The engine's folder is gone: Python itself starts, and says why it ends in the log."""
    from UMambaSegmentationLib import logs
    from UMambaSegmentationLib.client import engine as engine_module
    from UMambaSegmentationLib.client.interpreter import launch, slicer_interpreter

    lost = launch(slicer_interpreter(), "no_such_module")
    monkeypatch.setattr(engine_module, "worker_launch", lambda *_: lost)
    assert "install it again under Set-up" in failed(engine, spin).message
    assert "no_such_module" in logs.log_file().read_text(encoding="utf-8")


@pytest.mark.parametrize(("protocol", "older"), [(0, "The engine"), (99, "This panel")])
def test_another_protocol(engine, fake_worker, spin, protocol, older):
    fake_worker(f"greet(protocol={protocol}); behave()")
    error = failed(engine, spin)
    assert error.message.startswith(f"{older}")
    assert "version 0.0.1" in error.message
    spin(lambda: not engine._leaving)


def test_silence_is_no_fault_while_the_worker_gives_a_sign(engine, fake_worker, spin, monkeypatch):
    """A tile may take minutes: hello is answered meanwhile."""
    from UMambaSegmentationLib.client.connection import WorkerConnection

    monkeypatch.setattr(WorkerConnection, "quiet_seconds", 0.2)
    monkeypatch.setattr(WorkerConnection, "answer_seconds", 0.6)
    fake_worker("""
        greet()
        number = hear()["id"]
        for _ in range(4):
            sign = hear()
            assert sign["do"] == "hello"
            say(id=sign["id"], event="ready", protocol=1)
        say(id=number, event="result")
        hear()
    """)
    job = engine.submit("models")
    started = time.monotonic()
    spin(lambda: job.ended)
    assert job.state == "done"
    assert time.monotonic() - started > 0.8


def test_a_busy_window_is_not_taken_for_a_silent_worker(engine, fake_worker, spin, monkeypatch):
    from UMambaSegmentationLib.client.connection import WorkerConnection

    monkeypatch.setattr(WorkerConnection, "quiet_seconds", 0.2)
    monkeypatch.setattr(WorkerConnection, "answer_seconds", 0.8)
    fake_worker("""
        greet()
        number = hear()["id"]
        sign = hear()
        time.sleep(0.2)
        say(id=sign["id"], event="ready", protocol=1)
        say(id=number, event="result")
        hear()
    """)
    job = engine.submit("models")
    spin(lambda: engine._worker._sign_asked)
    time.sleep(2.0)  # the window is busy with something else; the answers lie in the pipe
    engine._tick()  # the clock may come first
    spin(lambda: job.ended)
    assert job.state == "done"


def test_cancel_is_enforced_step_by_step(engine, fake_worker, spin, monkeypatch):
    """A worker that goes on sending progress is terminated; one that ignores that too is killed."""
    from UMambaSegmentationLib.client.connection import WorkerConnection

    monkeypatch.setattr(WorkerConnection, "grace_seconds", 0.5)
    fake_worker("""
        import subprocess
        signal.signal(signal.SIGTERM, lambda *_: say(id=2, event="log", level="info", message="no"))
        greet()
        number = hear()["id"]
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        say(id=number, event="log", message=child.pid)
        while True:
            say(id=number, event="progress", stage="predict"); time.sleep(0.05)
    """)
    events = []
    job = engine.submit("models", on_event=events.append)
    spin(lambda: len(events) > 1)
    pid, child = engine._worker.pid, events[0]["message"]
    job.cancel()
    seen = len(events)
    started = time.monotonic()
    spin(lambda: gone(pid))
    assert 0.8 < time.monotonic() - started < 3
    assert len(events) == seen  # nothing more is told of a cancelled job
    spin(lambda: gone(child))
    assert not engine.warm


def test_a_result_that_crosses_the_cancel(engine, fake_worker, spin):
    fake_worker("""
        greet()
        number = hear()["id"]
        assert hear()["do"] == "cancel"
        say(id=number, event="result")
        say(id=number, event="log", level="info", message="nothing to cancel")
        number = hear()["id"]
        say(id=number, event="result", pid=os.getpid())
        hear()
    """)
    job = engine.submit("models")
    spin(lambda: job.state == "running")
    pid = engine._worker.pid
    job.cancel()
    again = engine.submit("models")
    spin(lambda: again.ended)
    assert (job.state, job.result, again.result["pid"]) == ("cancelled", None, pid)


def test_a_callback_that_fails_harms_nobody_else(engine, fake_worker, spin, monkeypatch):
    faults, ended = [], []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: faults.append(kind))
    fake_worker("greet(); behave()")
    job = engine.submit("models", on_end=lambda job: 1 / 0)
    job.on_end(ended.append)
    spin(lambda: job.ended)
    assert (faults, ended, engine.warm) == ([ZeroDivisionError], [job], True)


@pytest.mark.parametrize(("when", "state"), [("progress", "cancelled"), ("result", "done")])
def test_the_engine_is_closed_from_within_an_answer(engine, fake_worker, spin, when, state):
    """The panel goes away because of what it has just been told."""
    fake_worker("""
        greet()
        number = hear()["id"]
        say(id=number, event="progress")
        say(id=number, event="result")
        hear()
    """)
    told = []

    def close(event):
        told.append(event["event"])
        if event["event"] == when:
            engine.close()

    job = engine.submit("models", on_event=close)
    worker = engine._worker
    spin(lambda: job.ended)
    assert (told[-1], job.state) == (when, state)
    assert gone(worker.pid)
    assert not engine.warm
    fake_worker("greet(); behave()")
    assert engine.submit("models").wait(10)


def test_a_process_that_was_given_up_is_waited_for_when_slicer_ends(app, spin):
    """Its object may not be deleted while it runs."""
    from UMambaSegmentationLib.client import child
    from UMambaSegmentationLib.client.interpreter import Launch

    spin(lambda: not child._kept)
    words = ("-c", "import time; time.sleep(0.5)")
    removing = child.Child(Launch(sys.executable, words, {}), on_line=None, on_error_line=None, on_end=None)
    removing.start()
    removing.release()
    assert child._kept == {removing}
    app.aboutToQuit.emit()
    assert not removing.running
    spin(lambda: not child._kept)


def test_an_end_that_came_before_the_question(engine, fake_worker, spin):
    fake_worker("greet(); behave()")
    job = engine.submit("models")
    spin(lambda: job.ended)
    late = []
    job.on_end(late.append)
    job.on_release(late.append)
    assert late == [job, job]


def test_a_request_from_within_the_end_of_another(engine, fake_worker, spin):
    """The panel asks for a plan and then for the run: one worker does both, even if it is not kept warm."""
    engine.keep_warm_minutes = 0
    fake_worker("greet(); behave()")
    second = []
    first = engine.submit("models", on_end=lambda job: second.append(engine.submit("models")))
    spin(lambda: second and second[0].ended)
    assert first.result["pid"] == second[0].result["pid"]


def test_nothing_is_started_where_something_is_missing(app, spin, tmp_path):
    from UMambaSegmentationLib.client.engine import Engine
    from UMambaSegmentationLib.client.interpreter import Interpreter
    from UMambaSegmentationLib.client.packages import Packages

    bare = Interpreter((sys.executable,), (3, 12), "linux-x86_64", (), own=True)
    engine = Engine(packages=Packages(bare, tmp_path))
    job = engine.submit("models")
    assert job.state == "waiting"
    spin(lambda: job.ended)
    assert job.error.message.startswith("The engine is not installed (missing: torch, numpy,")
    late = engine.submit("models")
    assert late.wait(5)  # without a window, too
    assert late.state == "failed"
    assert not engine._timer.active


def test_what_cannot_be_sent_is_an_error_at_once(engine):
    with pytest.raises(TypeError, match="object cannot be sent"):
        engine.submit("models", what=object())
    with pytest.raises(ValueError, match="JSON"):
        engine.submit("models", what=float("nan"))
    assert not engine.busy


def test_standard_error_goes_to_the_log(engine, fake_worker, spin):
    from UMambaSegmentationLib import logs

    fake_worker("greet(); sys.stderr.write('first\\nsecond'); sys.stderr.flush(); behave()")
    job = engine.submit("models")
    spin(lambda: job.ended)
    engine.close()
    text = logs.log_file().read_text(encoding="utf-8")
    assert "first" in text
    assert "second" in text


def test_the_start_script_leads_a_group_and_leaves_its_own_folder(tmp_path):
    from UMambaSegmentationLib.client.interpreter import launch, slicer_interpreter

    (tmp_path / "look.py").write_text(
        "import os, sys; print(os.getpgid(0) == os.getpid(), sys.path, sys.argv)"
    )
    start = launch(slicer_interpreter(), "look", ["a b", "é"], [tmp_path])
    done = subprocess.run(
        [start.program, *start.arguments], env=start.environment, capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert '"event": "started"' in first
    assert second.startswith(f"True ['{tmp_path}', ")
    assert "client" not in second
    assert second.endswith("'a b', 'é']")
