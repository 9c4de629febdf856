"""Imports, exports and installs that are stopped: at whatever moment, nothing is left behind."""

import zipfile

import pytest

from engine.models.hostile_files import files_below, write_zip
from umamba import models
from umamba.errors import Cancelled
from umamba.events import Monitor

# Of the moments at which an action asks whether to stop, so many are tried, evenly spread.
MOMENTS = 12


class Stop:
    """Says yes the n-th time it is asked."""

    def __init__(self, moment: int | None = None) -> None:
        self.left = moment
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.left is not None and self.asked > self.left


@pytest.fixture
def results_zip(results_804, tmp_path):
    members = {
        str(path.relative_to(results_804)): path.read_bytes()
        for path in sorted(results_804.rglob("*"))
        if path.is_file()
    }
    return write_zip(tmp_path / "results.zip", members, zipfile.ZIP_DEFLATED)


def stopped_everywhere(action, leftovers):
    """Run it, then stop it at many moments; each time nothing of it may be left."""
    whole = Stop()
    steps = []
    action(Monitor(steps.append, whole))
    assert whole.asked > MOMENTS
    for moment in range(0, whole.asked, max(1, whole.asked // MOMENTS)):
        leftovers(clear=True)
        with pytest.raises(Cancelled):
            action(Monitor(None, Stop(moment)))
        assert leftovers(clear=False) == set()
    return steps


def of_the_store(home):
    def leftovers(clear):
        if clear:
            for entry in models.list():
                models.remove(entry.id)
        return files_below(home) - {home / "models"}

    return leftovers


@pytest.mark.parametrize("source", ["folder", "zip"])
def test_import(source, results_804, results_zip, home):
    path = results_804 if source == "folder" else results_zip
    steps = stopped_everywhere(
        lambda monitor: models.import_results(path, id="a", monitor=monitor), of_the_store(home)
    )
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages == (["unpack", "write"] if source == "zip" else ["write"])
    assert all(0 <= step.done < step.total for step in steps)


def test_inspect(results_zip, home):
    stopped = Stop(2)
    with pytest.raises(Cancelled):
        models.inspect_results(results_zip, monitor=Monitor(None, stopped))
    assert files_below(home) <= {home / "models"}


def test_install(results_804, tmp_path, home):
    models.import_results(results_804, id="a")
    file = models.export("a", tmp_path / "a.zip")
    models.remove("a")
    steps = stopped_everywhere(lambda monitor: models.install(file, monitor), of_the_store(home))
    assert list(dict.fromkeys(step.stage for step in steps)) == ["unpack", "check"]


def test_export(results_804, tmp_path):
    models.import_results(results_804, id="a")
    file = tmp_path / "out" / "a.zip"
    file.parent.mkdir()

    def leftovers(clear):
        if clear:
            file.unlink(missing_ok=True)
        return files_below(file.parent)

    steps = stopped_everywhere(lambda monitor: models.export("a", file, True, monitor), leftovers)
    assert list(dict.fromkeys(step.stage for step in steps)) == ["check", "write"]


def test_an_export_that_is_stopped_leaves_the_file_that_was_there(results_804, tmp_path):
    models.import_results(results_804, id="a")
    file = tmp_path / "a.zip"
    file.write_bytes(b"precious")
    with pytest.raises(Cancelled):
        models.export("a", file, True, Monitor(None, Stop(20)))
    assert file.read_bytes() == b"precious"
