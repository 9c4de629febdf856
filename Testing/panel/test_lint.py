"""The panel's house keeps to what PythonQt and PySide6 share; and the lint finds what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import lint

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "UMambaSegmentation"

WRONG = [
    (1, "x = self.ui.statusLabel.text()"),
    (1, "if ui.foldsBox.currentIndex() > 0: pass"),
    (2, "self.ui.button.connect('clicked', self.onClick)"),
    (2, "self.ui.button.disconnect('clicked', self.onClick)"),
    (3, "self.ui.button.connect('clicked(bool)', functools.partial(self.run, 1))"),
    (3, "self.ui.button.clicked.connect(partial(self.run, 1))"),
    (3, "self.ui.button.clicked.connect(print)"),
    (3, "process.connect('readyRead()', lines.append)"),
    (4, "label.setAlignment(qt.Qt.AlignmentFlag.AlignLeft)"),
    (5, "ok = process.exitStatus() == 0"),
    (5, "ok = 2 != item.checkState()"),
    (6, "codec = qt.QTextCodec.codecForName('UTF-8')"),
    (6, "layout.setMargin(0)"),
    (7, "dialog.exec_()"),
    (7, "loop.exec()"),
    (7, "slicer.app.processEvents()"),
    (7, "process.waitForFinished()"),
    (7, "time.sleep(1)"),
    (7, "from time import sleep"),
    (8, "qt.QMessageBox.warning(None, 'a', 'b')"),
    (8, "box = ctk.ctkMessageBox()"),
    (8, "name = qt.QInputDialog.getText(None, 'a', 'b')"),
    (9, "import torch"),
    (9, "from PySide6 import QtCore"),
    (9, "import imp"),
    (9, "from umamba.models import get"),
    (9, "importlib.import_module('torch')"),
    (10, "os.environ['A'] = 'b'"),
    (10, "os.environ.update(a='b')"),
    (10, "del os.environ['A']"),
    (11, "class Runner(qt.QThread): pass"),
    (11, "class Selector(slicer.qMRMLNodeComboBox): pass"),
    (11, "class Section(ctk.ctkCollapsibleButton): pass"),
    (12, "label.text = _(f'{n} voxels')"),
    (12, "label.text = _(text)"),
    (12, "x = translate('qSlicerAbstractCoreModule', name)"),
    (0, "x = 1  # lint: nothing to excuse"),
]
RIGHT = [
    "x = self.ui.statusLabel.text",
    "x = self.ui.table.item(0, 1).text()",
    "x = item.text()",
    "self.ui.button.connect('clicked(bool)', self.onClick)",
    "self.ui.button.clicked.connect(lambda: self.run(1))",
    "label.setAlignment(qt.Qt.AlignLeft)",
    "ok = process.exitStatus() == qt.QProcess.NormalExit",
    "process.waitForFinished(2000)",
    "loop.exec()  # lint: nested loop, the console waits",
    "answer = qt.QMessageBox.Yes",
    "from umambalike import x",
    "home = os.environ.get('UMAMBA_HOME')",
    "class Filter(qt.QObject): pass",
    "label.text = _('{n} voxels').format(n=n)",
    "for name, _ in pairs: pass",
]


@pytest.mark.parametrize(("rule", "source"), WRONG, ids=[source for _, source in WRONG])
def test_each_rule_finds_what_it_forbids(rule: int, source: str) -> None:
    found = lint.check_source(f"\n{source}\n", "file.py")
    assert [(finding.rule, finding.line) for finding in found] == [(rule, 2)]


@pytest.mark.parametrize("source", RIGHT)
def test_what_both_bindings_take_passes(source: str) -> None:
    assert lint.check_source(source, "file.py") == []


def test_a_reason_excuses_its_own_line_only() -> None:
    source = "a.exec_()  # lint: the console waits\nb.exec_()\n"
    assert [finding.line for finding in lint.check_source(source, "file.py")] == [2]


def test_a_mark_without_a_reason_excuses_nothing() -> None:
    assert [finding.rule for finding in lint.check_source("a.exec_()  # lint:\n", "file.py")] == [7]


@pytest.mark.parametrize("name", ["slicer", "qt", "ctk", "vtk"])
def test_engine_rule_finds_slicer(name: str) -> None:
    assert [finding.rule for finding in lint.check_source(f"import {name}\n", "file.py", "engine")] == [9]


def test_a_file_that_cmake_does_not_list_is_found(tmp_path: Path) -> None:
    text = 'slicerMacroBuildScriptedModule(SCRIPTS Module.py # "forgotten.py"\n RESOURCES "Resources/*")\n'
    (tmp_path / "CMakeLists.txt").write_text(text, encoding="utf-8")
    (tmp_path / "Resources" / "UI").mkdir(parents=True)
    for name in ("Module.py", "forgotten.py", "Resources/UI/Module.ui", "Lib/forgotten.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = lint.check_listed(tmp_path)
    assert [Path(finding.file).relative_to(tmp_path).as_posix() for finding in found] == [
        "Lib/forgotten.py",
        "forgotten.py",
    ]


def test_panel_keeps_the_rules() -> None:
    files = [*MODULE.glob("*.py"), *(MODULE / "UMambaSegmentationLib").rglob("*.py")]
    assert files, f"no panel under {MODULE}"
    found = [str(finding) for path in sorted(files) for finding in lint.check_file(path)]
    assert not found, "\n".join(found)


def test_engine_keeps_the_rules() -> None:
    files = sorted((MODULE / "umamba").rglob("*.py"))
    assert files, f"no engine under {MODULE}"
    found = [str(finding) for path in files for finding in lint.check_file(path, "engine")]
    assert not found, "\n".join(found)


def test_package_lacks_no_file() -> None:
    found = [str(finding) for finding in lint.check_listed(MODULE)]
    assert not found, "\n".join(found)
