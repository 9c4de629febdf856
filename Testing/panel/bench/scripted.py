"""Scripted modules: slicer.ScriptedLoadableModule, slicer.i18n, and the two C++ objects that hold a module.

Their behaviour is Slicer's, the developer section excepted: `onReload` goes through the real
slicer.util.reloadScriptedModule.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import types
import unittest
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from PySide6 import QtCore, QtGui, QtWidgets


class qSlicerScriptedLoadableModule:
    """`parent` of the module's class, and slicer.modules.<name>. Unknown attributes cannot be set."""

    __slots__ = (
        *("name", "path", "title", "categories", "dependencies", "contributors", "helpText"),
        *("acknowledgementText", "icon", "hidden", "index", "associatedNodeTypes", "instance", "_widget"),
        "widgetRepresentationCreationEnabled",
    )

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path, self.title = name, str(path), name
        self.categories, self.dependencies, self.contributors = [], [], []
        self.helpText = self.acknowledgementText = ""
        self.icon = QtGui.QIcon()
        self.hidden, self.index = False, -1
        self._widget: qSlicerScriptedLoadableModuleWidget | None = None

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        """The panel; made and set up when it is first asked for."""
        if self._widget is None:
            self._widget = qSlicerScriptedLoadableModuleWidget()
            self._widget.setPythonSource(self.path)
            self._widget.setup()
            self._widget.setMRMLScene(slicer.mrmlScene)
        return self._widget

    def logic(self) -> None:
        """In Slicer a C++ object without the module's own functions."""


class qSlicerScriptedLoadableModuleWidget(QtWidgets.QWidget):
    """`parent` of the widget's class: it makes that object from the module's file, and calls it."""

    CXX_CLASS = True
    CXX_SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._self: Any = None
        self._source = ""
        self._scene: Any = None
        self._entered = False
        super().__init__(parent)
        QtWidgets.QVBoxLayout(self)

    isEntered = QtCore.Property(bool, lambda self: self._entered)

    def setPythonSource(self, path: str) -> None:
        """Make the Python object of class `<file name>Widget`."""
        self._source = path
        name = Path(path).stem
        module = sys.modules.get(name) or load_module_file(Path(path))
        self._self = getattr(module, f"{name}Widget")(self)
        setattr(slicer.modules, f"{name}Widget", self._self)

    def self(self) -> Any:
        """The Python object."""
        return self._self

    def setup(self) -> None:
        """Called once, at the first opening."""
        self._self.setup()

    def enter(self) -> None:
        """The user opens the panel."""
        self._entered = True
        if hasattr(self._self, "enter"):
            self._self.enter()

    def exit(self) -> None:
        """The user opens another panel."""
        self._entered = False
        if hasattr(self._self, "exit"):
            self._self.exit()

    def reload(self) -> None:
        """Make the Python object anew, from what sys.modules now holds."""
        self.setPythonSource(self._source)
        self.setup()

    def mrmlScene(self) -> Any:
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        """Slot of the C++ class."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class ScriptedLoadableModule:
    def __init__(self, parent: qSlicerScriptedLoadableModule) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        for extension in (".svg", ".png"):
            icon = Path(self.resourcePath(f"Icons/{self.moduleName}{extension}"))
            if icon.is_file():
                parent.icon = QtGui.QIcon(str(icon))
                break
        if not hasattr(slicer, "selfTests"):
            slicer.selfTests = {}
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / filename)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        return f"<p>{docPage or self.moduleName}</p>"

    def runTest(self, msec: int = 100, **options: Any) -> None:
        case = getattr(sys.modules[type(self).__module__], f"{self.moduleName}Test")()
        case.messageDelay = msec
        case.runTest(**options)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue(
            "Developer/DeveloperMode", False, converter=slicer.util.toBool
        )
        self.parent = slicer.qMRMLWidget() if parent is None else parent
        if parent is None:
            self.parent.setLayout(QtWidgets.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()
        slicer.app.moduleManager().connect(
            "moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded
        )

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self) -> None:
        pass

    def cleanup(self) -> None:
        pass

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:
        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect(
                "moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded
            )


class ScriptedLoadableModuleLogic:
    def __init__(self, parent: object = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if node is not None:
                node.SetAttribute("ModuleName", self.moduleName)
        else:
            node = next(iter(self.getAllParameterNodes()), None)
        return node if node is not None else slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self) -> list[Any]:
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> Any:
        node = slicer.vtkMRMLScriptedModuleNode()
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    messageDelay = 0

    def runTest(self) -> None:
        pass

    def delayDisplay(self, message: str, *_more: object, **_options: object) -> None:
        logging.info(message)


def install() -> None:
    """Make slicer.ScriptedLoadableModule and slicer.i18n importable."""
    bases = types.ModuleType("slicer.ScriptedLoadableModule")
    classes = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    bases.__all__ = [cls.__name__ for cls in classes]
    for cls in classes:
        setattr(bases, cls.__name__, cls)
    words = types.ModuleType("slicer.i18n")
    words.tr = lambda text: text
    words.translate = lambda context, text: text
    for module in (bases, words):
        sys.modules[module.__name__] = module
        setattr(slicer, module.__name__.rpartition(".")[2], module)


def load_module_file(path: Path) -> types.ModuleType:
    """Import a scripted module's file under its own name, with its folder on sys.path, as Slicer does."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def add_module(path: Path) -> qSlicerScriptedLoadableModule:
    """What Slicer's start does with a module's file: import it, make its module object, announce it."""
    name = path.stem
    holder = qSlicerScriptedLoadableModule(name, path)
    setattr(slicer.modules, name.lower(), holder)
    module = sys.modules.get(name) or load_module_file(path)
    holder.instance = getattr(module, name)(holder)
    setattr(slicer.modules, f"{name}Instance", holder.instance)
    return holder


def remove_module(name: str) -> None:
    """What Slicer's end does: every panel cleans up; then the names go."""
    holder = getattr(slicer.modules, name.lower(), None)
    slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(name)
    if holder is not None and holder._widget is not None:
        holder._widget.hide()
        holder._widget.deleteLater()
        holder._widget = None
    for attribute in (name.lower(), f"{name}Widget", f"{name}Instance"):
        if hasattr(slicer.modules, attribute):
            delattr(slicer.modules, attribute)
