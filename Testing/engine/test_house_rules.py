"""Rules that a reader of one file cannot see: who may import whom, what nobody may, what README claims."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "UMambaSegmentation" / "umamba"
PANEL = ROOT / "UMambaSegmentation"
PANEL_FILES = ("UMambaSegmentation.py", "UMambaSegmentationLib")
README = ROOT / "README.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

LONGEST_FILE = 500  # lines; beyond it a file holds more than one idea

# What each room may need, besides itself. The order is that of the table in docs/development.md.
BASE = frozenset({"errors", "events", "version"})
MAY_NEED = {
    "errors": frozenset(),
    "version": frozenset(),
    "events": frozenset({"errors"}),
    "ops": BASE,
    "plans": BASE,
    "nn": BASE | {"ops", "plans"},
    "models": BASE | {"ops", "plans", "nn"},
    "imaging": BASE | {"ops", "plans"},  # numba's compilation; the resampling that plans ask for
    "inference": BASE | {"ops", "plans", "nn", "models", "imaging"},
    "evaluation": BASE | {"plans", "models", "imaging"},
    "training": BASE | {"ops", "plans", "nn", "models", "imaging", "inference", "evaluation"},
    "messages": BASE | {"inference"},
    "doctor": BASE | {"ops", "plans", "nn", "models", "imaging", "inference"},
}
MAY_NEED["worker"] = frozenset(MAY_NEED)
MAY_NEED["cli"] = frozenset(MAY_NEED)
MAY_NEED["__main__"] = frozenset({"cli"})
FACADE = "__init__"  # re-exports every room's public names, each when first used

# The innermost rooms compute and know no file formats; the outermost ones compute nothing.
FOREIGN_TO = {
    "ops": {"json", "SimpleITK", "safetensors"},
    "nn": {"pathlib", "json", "SimpleITK", "safetensors"},
    "plans": {"torch", "numba", "SimpleITK"},
    "imaging": {"torch", "safetensors"},
    "evaluation": {"torch", "numba"},
    "cli": {"torch", "numba"},
    "worker": {"torch", "numba"},
}
SLICER_MODULES = {"slicer", "qt", "vtk", "ctk", "vtkmodules", "qSlicerAbstractCoreModule"}

# Names through which data could become code. A module stands for all that is in it.
CODE_RUNNING = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "pickle._Unpickler", "_pickle", "marshal", "shelve"),
    *("dill", "cloudpickle", "joblib", "torch.load", "torch.hub", "torch.jit.load", "torch.package"),
    *("os.system", "os.popen", "runpy", "code"),
}
CODE_RUNNING_BUILTINS = {"eval", "exec", "compile", "__import__"}

HEAVY = ("torch", "numba", "SimpleITK", "scipy", "PIL", "rich", "jsonschema", "tifffile", "nnunetv2")


def _python_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder] if folder.is_file() else []


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _module_name(path: Path) -> str:
    parts = list(path.relative_to(ENGINE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute module) of every import in a file of the engine, those inside functions included.

    `from a import b` gives "a.b": whether b is a module or a name in it does not matter for the rules.
    """
    package = _module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and _dotted(node.func).split(".")[-1] == "import_module"
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def _dotted(node: ast.expr) -> str:
    """`a.b.c` as written, or an empty string for anything that is not a plain dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def _room(path: Path) -> str:
    first = path.relative_to(ENGINE).parts[0]
    return first.removesuffix(".py")


def _place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def _engine_files() -> list[Path]:
    files = _python_files(ENGINE)
    assert files, f"no Python files under {ENGINE}"
    return files


def test_engine_never_imports_slicer() -> None:
    found = [
        f"{_place(path, line)} imports {module}"
        for path in _engine_files()
        for line, module in _imports(path)
        if module.split(".")[0] in SLICER_MODULES
    ]
    assert not found, "\n".join(found)


def test_panel_never_imports_torch() -> None:
    files = [file for name in PANEL_FILES for file in _python_files(PANEL / name)]
    found = [
        f"{_place(path, node.lineno)} imports torch"
        for path in files
        for node in ast.walk(_tree(path))
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if module.split(".")[0] == "torch"
    ]
    assert not found, "\n".join(found)


def test_every_room_is_in_the_table() -> None:
    rooms = {_room(path) for path in _engine_files()} - {FACADE}
    assert rooms <= set(MAY_NEED), f"rooms without a rule: {sorted(rooms - set(MAY_NEED))}"


def test_rooms_need_only_those_above_them() -> None:
    found = []
    for path in _engine_files():
        room = _room(path)
        if room == FACADE:
            continue
        for line, module in _imports(path):
            parts = module.split(".")
            if parts[0] != "umamba" or len(parts) == 1:
                continue
            needed = "version" if parts[1] == "__version__" else parts[1]
            if needed != room and needed not in MAY_NEED[room]:
                found.append(f"{_place(path, line)}: {room} needs {needed}")
    assert not found, "\n".join(found)


def test_rooms_import_no_library_that_is_foreign_to_them() -> None:
    found = [
        f"{_place(path, line)}: {_room(path)} imports {module}"
        for path in _engine_files()
        for line, module in _imports(path)
        if module.split(".")[0] in FOREIGN_TO.get(_room(path), set())
    ]
    assert not found, "\n".join(found)


def _runs_code(dotted: str) -> bool:
    parts = dotted.split(".")
    return any(".".join(parts[: n + 1]) in CODE_RUNNING for n in range(len(parts)))


def _code_running(path: Path) -> Iterator[tuple[int, str]]:
    """(line, what) of everything in a file of the engine that could turn data into code."""
    yield from ((line, f"imports {module}") for line, module in _imports(path) if _runs_code(module))
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Attribute) and _runs_code(_dotted(node)):
            yield node.lineno, f"uses {_dotted(node)}"
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in CODE_RUNNING_BUILTINS:
            yield node.lineno, f"calls {node.func.id}()"
        for keyword in node.keywords:
            harmless = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg in ("shell", "allow_pickle") and not harmless:
                yield node.lineno, f"passes {keyword.arg}"


def test_nothing_in_the_engine_can_run_foreign_code() -> None:
    found = [f"{_place(path, line)} {what}" for path in _engine_files() for line, what in _code_running(path)]
    assert not found, "\n".join(found)


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    folders = (PANEL, ROOT / "Testing", ROOT / "demo")
    found = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for folder in folders
        for path in _python_files(folder)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("modules", ["umamba", "umamba, umamba.cli.main"])
def test_importing_costs_no_heavy_library(modules: str) -> None:
    code = f"import sys, {modules}; print(*sorted(m for m in {HEAVY!r} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


# README: every command, option, name and file in it exists.


def _readme_blocks(*languages: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for language, text in fenced if language in languages]


def _readme_commands() -> list[list[str]]:
    """Words of each command line in README's shell blocks, continued lines joined, comments dropped."""
    commands = []
    for block in _readme_blocks("sh", "bash", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                commands.append(words)
    return commands


def _help(words: list[str]) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "umamba", *words, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
    )
    assert run.returncode == 0, f"umamba {' '.join(words)} --help: {run.stderr}"
    return run.stdout


def test_readme_shows_commands_that_exist() -> None:
    commands = [words for words in _readme_commands() if words[0] == "umamba"]
    assert commands, "README shows no umamba command"
    helped: dict[tuple[str, ...], str] = {}
    for words in commands:
        names = words[1:3] if words[1] == "models" else words[1:2]
        names = [name for name in names if not name.startswith("-")]
        text = helped.setdefault(tuple(names), _help(names))
        for option in (word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)):
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), (
                f"README: `{' '.join(words)}`: {option} is not in the help of `umamba {' '.join(names)}`"
            )


def test_readme_shows_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = {words[1] for words in _readme_commands() if words[0] == "make"}
    assert shown, "README shows no make command"
    assert shown <= targets


def test_readme_shows_python_that_exists() -> None:
    blocks = _readme_blocks("python")
    assert blocks, "README shows no Python"
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            name = _dotted(node) if isinstance(node, ast.Attribute) else ""
            if name.startswith("umamba."):
                _resolve(name)
            if isinstance(node, ast.Call) and _dotted(node.func).startswith("umamba."):
                known = inspect.signature(_resolve(_dotted(node.func))).parameters
                unknown = {keyword.arg for keyword in node.keywords} - set(known)
                assert not unknown, (
                    f"README: {_dotted(node.func)} has no parameter {sorted(map(str, unknown))}"
                )


def _resolve(dotted: str) -> object:
    value: object = importlib.import_module("umamba")
    for name in dotted.split(".")[1:]:
        assert hasattr(value, name), f"README names {dotted}, which does not exist"
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_link_to_files_that_exist(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing, f"{page.name} links to {missing}"
