"""A published model and its image, and command lines run in this process."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from umamba.cli.main import main


@dataclass(frozen=True)
class Case:
    """One run of published code: nnunetv2's PlainConvUNet on a CT phantom, fold 0, without mirroring."""

    model: Path
    image: Path
    expected: np.ndarray

    @property
    def words(self) -> list[str]:
        return ["--model", str(self.model), "--folds", "0", "--no-mirror", "--device", "cpu"]


@dataclass(frozen=True)
class Call:
    """What a command line gave."""

    status: int
    out: list[str]
    err: list[str]


@pytest.fixture(scope="session")
def case(oracle) -> Case:
    folder = oracle / "e2e_804"
    expected = sitk.GetArrayFromImage(sitk.ReadImage(folder / "output" / "case_a_fold0.nii.gz"))
    model = folder / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    return Case(model, folder / "input" / "case_a_0000.nii.gz", expected)


@pytest.fixture
def call(capsys):
    """Run a command line in this process; gives its status and lines."""

    def run(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Call(status, captured.out.splitlines(), captured.err.splitlines())

    return run


@pytest.fixture
def segment(call, case):
    """Segment the case into an output, with further words."""

    def run(output, *words):
        return call("segment", case.image, "-o", output, *case.words, *words)

    return run
