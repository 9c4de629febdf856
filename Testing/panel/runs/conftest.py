"""A head to segment, a worker that stays warm from test to test, and the command line to compare with."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from .steps import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
IMAGE = ROOT / "Resources" / "SampleData" / "MNI152_T1_1mm" / "MNI152_T1_1mm.nii.gz"
MODEL = "hippocampus-mr"
# Middle of the left hippocampus in the template, mm: RAS as Slicer has it, LPS as the engine.
LEFT_RAS, LEFT_LPS = (-28.0, -20.0, -14.0), (28.0, 20.0, -14.0)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

# PySide6 6.12 takes None for immortal, as Python 3.12 has it; under 3.11 each call without a result takes one
# reference from None, and after some hundred thousand of them Python ends. So it gets enough of them.
if sys.version_info < (3, 12):
    ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40


def ijk_to_ras(image):
    """A SimpleITK image's matrix from index to RAS, mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return LPS_TO_RAS @ matrix


@pytest.fixture(scope="session")
def template():
    """The MNI152 head as a SimpleITK image."""
    return sitk.ReadImage(str(IMAGE))


@pytest.fixture
def head(volume_from, template):
    """The MNI152 head in the scene."""
    return volume_from(sitk.GetArrayFromImage(template), ijk_to_ras(template), "MNI152")


@pytest.fixture(autouse=True)
def engine(app, monkeypatch):
    """The engine that panel and logic share. Here it outlives the panels: loading PyTorch takes longer than
    most tests. Tests of what a panel leaves behind use `own_engine`.
    """
    from UMambaSegmentationLib.client.engine import shared_engine

    found = shared_engine()
    monkeypatch.setattr(found, "close", lambda: None)
    return found


def pytest_runtest_teardown(item, nextitem):
    """After the last test of this folder the engine is as it was before: cold."""
    here = Path(__file__).parent
    if here in item.path.parents and (nextitem is None or here not in nextitem.path.parents):
        from UMambaSegmentationLib.client.engine import Engine, shared_engine

        Engine.close(shared_engine())


@pytest.fixture
def own_engine(engine, monkeypatch):
    """The shared engine as it is for a person: cold, and closed by the panel's cleanup."""
    monkeypatch.delattr(engine, "close")  # the stand-in for it
    engine.close()
    yield engine
    engine.close()


@pytest.fixture
def logic(scene):
    from UMambaSegmentation import UMambaSegmentationLogic

    return UMambaSegmentationLogic()


@pytest.fixture
def point(scene):
    """A point list with one point in the left hippocampus."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "F")
    node.AddControlPointWorld(*LEFT_RAS)
    return node


@pytest.fixture
def box(scene):
    """A ROI of 36 x 44 x 36 mm around the left hippocampus."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    node.SetCenter(LEFT_RAS)
    node.SetSize(36.0, 44.0, 36.0)
    return node


@pytest.fixture(scope="session")
def command_line(tmp_path_factory):
    """`command_line(*arguments)`: labels (K, J, I) that `umamba segment` writes; each command runs once."""
    known = {}

    def run(*arguments):
        words = tuple(str(argument) for argument in arguments)
        if words not in known:
            output = tmp_path_factory.mktemp("command-line") / "labels.nrrd"
            done = subprocess.run(
                [sys.executable, "-m", "umamba", "segment", *words, "-o", str(output), "--json"],
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT / "UMambaSegmentation")},
                timeout=PATIENCE_S,
            )
            assert done.returncode == 0, done.stderr
            volumes = json.loads(done.stdout.splitlines()[-1])["volumes"]
            known[words] = sitk.GetArrayFromImage(sitk.ReadImage(str(output))), volumes
        return known[words]

    return run


@pytest.fixture
def nodes(scene):
    """`nodes()`: ID, name and class of every node of the scene, in order."""

    def listed():
        return [
            (node.GetID(), node.GetName(), node.GetClassName())
            for node in (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
        ]

    return listed


@pytest.fixture
def labels_in():
    """`labels_in(segmentation, volume)`: (K, J, I) with each segment's UMamba.Label on the volume's grid."""
    import slicer
    import vtk

    def read(segmentation, volume):
        found = np.zeros(slicer.util.arrayFromVolume(volume).shape[:3], np.uint16)
        for segment_id in segmentation.GetSegmentation().GetSegmentIDs():
            text = vtk.reference("")
            assert segmentation.GetSegmentation().GetSegment(segment_id).GetTag("UMamba.Label", text)
            voxels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume)
            found[voxels > 0] = int(str(text))
        return found

    return read


@pytest.fixture
def run_folders(app):
    """`run_folders()`: the private folders of runs that are there now."""
    from UMambaSegmentationLib.run_folder import PREFIX

    return lambda: sorted(path.name for path in Path(app.temporaryPath).glob(PREFIX + "*"))


def _imported_model(home, model_id, lines):
    """The folder of a model that a process of its own imports from `results`, made by `lines` of Python."""
    script = (
        "import sys; from pathlib import Path; from umamba import models; home = Path(sys.argv[1])\n"
        f"{lines}\nmodels.import_(results, id={model_id!r}, name={model_id!r})\n"
    )
    paths = [ROOT / "Testing", ROOT / "Testing" / "engine", ROOT / "UMambaSegmentation"]
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)],
        capture_output=True,
        text=True,
        env={**os.environ, "UMAMBA_HOME": str(home), "PYTHONPATH": os.pathsep.join(map(str, paths))},
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return home / "models" / model_id


@pytest.fixture(scope="session")
def _two_channels(tmp_path_factory):
    """A model of two channels, T1 and T2, with random weights."""
    lines = (
        "from bad_input.samples import make_model\n"
        "results = make_model(home / 'results', channels=('T1', 'T2'))"
    )
    return _imported_model(tmp_path_factory.mktemp("two-channels"), "two-channels", lines)


@pytest.fixture(scope="session")
def _flat_mamba_unet(tmp_path_factory):
    """A small Mamba-UNet for slices, with random weights."""
    lines = (
        "import torch; from umamba.nn import MambaUNet; from mamba_unet_results import write_results\n"
        "sizes = {'dims': [8, 16], 'depths': [1, 1], 'patch_size': [4, 4], 'strides': [[2, 2]]}\n"
        "torch.manual_seed(0)\n"
        "results = write_results(home, MambaUNet(1, 3, **sizes), sizes, [32, 32])"
    )
    return _imported_model(tmp_path_factory.mktemp("flat-mamba-unet"), "flat-mamba-unet", lines)


@pytest.fixture
def two_channels(_two_channels, engine_home):
    """The same model, installed in this test's home; ask for it before `panel`."""
    folder = engine_home / "models" / "two-channels"
    shutil.copytree(_two_channels, folder)
    return folder


@pytest.fixture
def flat_mamba_unet(_flat_mamba_unet, engine_home):
    """The same of this model."""
    folder = engine_home / "models" / "flat-mamba-unet"
    shutil.copytree(_flat_mamba_unet, folder)
    return folder


@pytest.fixture
def start_panel(request):
    """`start_panel()`: the panel, set up and shown, once a test has prepared what it should find."""
    return lambda: request.getfixturevalue("panel")


@pytest.fixture
def ready(panel, head, spin):
    """The panel with the head in it."""
    spin(lambda: panel.ui.segmentButton.enabled)
    return panel


@pytest.fixture
def no_engine_here(monkeypatch):
    """Names of packages that this process cannot import meanwhile, whatever other tests have imported."""
    foreign = {"torch", "umamba", "numba"}

    class Closed:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.partition(".")[0] in foreign:
                raise ImportError(f"{name} has no business in Slicer's process")

    for name in [name for name in sys.modules if name.partition(".")[0] in foreign]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Closed, *sys.meta_path])
    return foreign
