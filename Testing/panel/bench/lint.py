"""Forms that PythonQt and PySide6 do not share, and habits that freeze or break Slicer: thirteen rules.

Each finding has a line and a reason. A line that must be so says why: `# lint: <reason>`; such a mark on a
line without a finding is one itself.
"""

from __future__ import annotations

import ast
import builtins
import fnmatch
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = re.compile(r"#\s*lint:\s*\S")
QT_NAME = re.compile(r"[A-Z]\w*")

PROPERTIES = frozenset(
    (
        *("text", "visible", "enabled", "checked", "value", "minimum", "maximum", "currentIndex"),
        *(
            "currentText",
            "currentData",
            "count",
            "toolTip",
            "plainText",
            "collapsed",
            "currentNodeID",
            "width",
            "height",
        ),
        *("size", "pos"),
    )
)
NUMBERED = ("exitStatus", "state", "error", "checkState")
GONE = frozenset(("QTextCodec", "QRegExp", "QDesktopWidget", "QVariant", "QStringList", "QString"))
PUMPING = frozenset(("exec", "exec_", "processEvents"))
MODAL = frozenset(("QMessageBox", "QInputDialog"))
ADDING = frozenset(("append", "extend", "add", "setdefault"))  # of a list, a set, a dict: builtins too
ENVIRONMENT = frozenset(f"os.environ.{name}" for name in ("update", "setdefault", "pop", "clear", "popitem"))
BINDINGS = frozenset(("PySide2", "PySide6", "PyQt5", "PyQt6", "shiboken6"))
FOREIGN = {
    "panel": BINDINGS | {"torch", "imp", "umamba", "scipy", "SimpleITK", "sitkUtils"},
    "engine": BINDINGS | {"slicer", "qt", "ctk", "vtk", "vtkmodules", "sitkUtils"},
}


@dataclass(frozen=True, order=True)
class Finding:
    """One line that breaks a rule."""

    file: str
    line: int
    rule: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: rule {self.rule}: {self.reason}"


Reasons = Iterator[tuple[int, str]]


def check_source(source: str, name: str, house: str = "panel") -> list[Finding]:
    """Findings in the text of a file; `house` is "panel" or "engine" (to which only rule 9 applies)."""
    lines = source.splitlines()
    rules = RULES if house == "panel" else (_imports,)
    found = set()
    for node in ast.walk(ast.parse(source, name)):
        for rule in rules:
            for number, reason in rule(node, house):
                found.add(Finding(name, node.lineno, number, reason))
    marked = {number for number, line in enumerate(lines, 1) if MARK.search(line)}
    kept = [finding for finding in found if finding.line not in marked]
    unused = sorted(marked - {finding.line for finding in found}) if house == "panel" else []
    return sorted([*kept, *(Finding(name, line, 0, "the mark excuses nothing") for line in unused)])


def check_file(path: Path, house: str = "panel") -> list[Finding]:
    """Findings in a file."""
    return check_source(path.read_text(encoding="utf-8"), str(path), house)


def check_listed(folder: Path) -> list[Finding]:
    """Rule 13: files of a module's folder that its CMakeLists.txt neither names nor matches by a pattern."""
    text = (folder / "CMakeLists.txt").read_text(encoding="utf-8")
    text = re.sub(r"#.*", "", text)
    patterns = [word.strip('"') for word in re.findall(r'"[^"\n]+"|[\w./*-]+\.\w+', text)]
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        made_by_python = "__pycache__" in path.parts
        if not path.is_file() or name == "CMakeLists.txt" or made_by_python or "/." in f"/{name}":
            continue
        # A pattern of GLOB_RECURSE without a folder matches the last part of a path anywhere.
        if not any(fnmatch.fnmatch(name, each) or fnmatch.fnmatch(path.name, each) for each in patterns):
            found.append(Finding(str(path), 1, 13, "CMakeLists.txt does not list it: the package lacks it"))
    return found


def _properties(node: ast.AST, house: str) -> Reasons:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args):
        return
    owner = node.func.value
    if node.func.attr in PROPERTIES and isinstance(owner, ast.Attribute):
        parts = _dotted(owner).split(".")
        if len(parts) >= 2 and parts[-2].lstrip("_") == "ui":
            yield 1, f"{_dotted(node.func)} is a property in PythonQt: no parentheses"


def _connections(node: ast.AST, house: str) -> Reasons:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
        return
    if node.func.attr not in ("connect", "disconnect"):
        return
    first = node.args[0]
    by_name = isinstance(first, ast.Constant) and isinstance(first.value, str)
    if by_name and not first.value.rstrip().endswith(")"):
        yield 2, f"signal {first.value!r} lacks its argument list"
    slot = node.args[1] if by_name and len(node.args) > 1 else None if by_name else first
    if isinstance(slot, ast.Call) and _dotted(slot.func).split(".")[-1] == "partial":
        yield 3, "a partial as a slot is handed every argument of the signal: write a lambda"
    if isinstance(slot, ast.Name) and hasattr(builtins, slot.id):
        yield 3, f"the builtin {slot.id} as a slot is handed every argument of the signal"
    if isinstance(slot, ast.Attribute) and slot.attr in ADDING:
        yield 3, f"the builtin {_dotted(slot)} as a slot is handed every argument of the signal"


def _enums(node: ast.AST, house: str) -> Reasons:
    if isinstance(node, ast.Attribute):
        parts = _dotted(node).split(".")
        if parts[0] == "qt" and len(parts) == 4 and all(QT_NAME.fullmatch(part) for part in parts[1:]):
            yield 4, f"{'.'.join(parts)} is empty in PythonQt: write qt.{parts[1]}.{parts[3]}"
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        numbers = [s for s in sides if isinstance(s, ast.Constant) and isinstance(s.value, int)]
        calls = [s for s in sides if isinstance(s, ast.Call) and isinstance(s.func, ast.Attribute)]
        if numbers and any(call.func.attr in NUMBERED for call in calls):
            yield 5, f"{ast.unparse(node)} compares an enum with a number: compare with its name"


def _gone(node: ast.AST, house: str) -> Reasons:
    if isinstance(node, ast.Attribute):
        name = _dotted(node)
        if name.startswith("qt.") and name.removeprefix("qt.") in GONE:
            yield 6, f"{name} is gone in Qt 6"
        if node.attr == "setMargin":
            yield 6, "setMargin is gone in Qt 6: setContentsMargins"


def _waiting(node: ast.AST, house: str) -> Reasons:
    from_time = node.names if isinstance(node, ast.ImportFrom) and node.module == "time" else []
    if any(alias.name == "sleep" for alias in from_time):
        yield 7, "sleep stops the window: use a timer"
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return
    name = node.func.attr
    if name in PUMPING:
        yield 7, f"{name} lets the user act in the middle of a function"
    if name.startswith("waitFor") and not node.args:
        yield 7, f"{name} without a limit can stop the window for ever"
    if _dotted(node.func) == "time.sleep":
        yield 7, "sleep stops the window: use a timer"


def _dialogs(node: ast.AST, house: str) -> Reasons:
    if isinstance(node, ast.Call):
        parts = _dotted(node.func).split(".")
        if parts[0] in ("qt", "ctk") and len(parts) > 1 and parts[1] in MODAL | {"ctkMessageBox"}:
            yield 8, f"{'.'.join(parts)} is modal: slicer.util.*Display, or a line in the panel"


def _imports(node: ast.AST, house: str) -> Reasons:
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        names = [node.module or ""]
    elif isinstance(node, ast.Call) and _dotted(node.func).split(".")[-1] in ("import_module", "__import__"):
        names = [str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    for name in names:
        if name.split(".")[0] in FOREIGN[house]:
            yield 9, f"the {house} does not import {name}"


def _environment(node: ast.AST, house: str) -> Reasons:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    for target in targets:
        base = target.value if isinstance(target, ast.Subscript) else target
        if _dotted(base) in ("os.environ", "environ"):
            yield 10, "os.environ is all of Slicer's: give the process its own environment"
    if isinstance(node, ast.Call) and _dotted(node.func) in ENVIRONMENT | {"os.putenv", "os.unsetenv"}:
        yield 10, "os.environ is all of Slicer's: give the process its own environment"


def _bases(node: ast.AST, house: str) -> Reasons:
    if isinstance(node, ast.ClassDef):
        for base in map(_dotted, node.bases):
            if base in ("qt.QThread", "qt.QProcess") or re.match(r"ctk\.|slicer\.q(MRML|Slicer)", base):
                yield 11, f"{base} cannot be subclassed in PythonQt: keep one and connect to it"


def _words(node: ast.AST, house: str) -> Reasons:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        text = {"_": 0, "tr": 0, "translate": 1}.get(node.func.id)
        if text is not None and len(node.args) > text:
            argument = node.args[text]
            if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                yield 12, "translators see literals only: _('{n} voxels').format(n=n)"


RULES: tuple[Callable[[ast.AST, str], Reasons], ...] = (
    _properties,
    _connections,
    _enums,
    _gone,
    _waiting,
    _dialogs,
    _imports,
    _environment,
    _bases,
    _words,
)


def _dotted(node: ast.AST) -> str:
    """`a.b.c` as written; an empty name in place of what is not a plain name."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""
