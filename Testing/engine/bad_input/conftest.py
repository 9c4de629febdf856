"""A desk for every test, and one tiny model of each kind for all of them."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from engine.bad_input.desk import Desk
from engine.bad_input.samples import make_image, make_model
from image_builders import nifti_bytes


@pytest.fixture
def desk(tmp_path, tmp_path_factory, monkeypatch, capfd) -> Desk:
    temporary = tmp_path_factory.mktemp("temporary")
    for variable in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(variable, str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return Desk(tmp_path, Path(os.environ["UMAMBA_HOME"]), temporary, capfd)


@pytest.fixture(scope="session")
def mr(tmp_path_factory) -> Path:
    """A 3D model of one MR channel, four labels, 1 mm."""
    return make_model(tmp_path_factory.mktemp("mr"))


@pytest.fixture(scope="session")
def ct(tmp_path_factory) -> Path:
    """The same of CT."""
    return make_model(tmp_path_factory.mktemp("ct"), scheme="CTNormalization", channels=("CT",))


@pytest.fixture(scope="session")
def two_channels(tmp_path_factory) -> Path:
    """The same of two MR channels, T1 and FLAIR."""
    return make_model(tmp_path_factory.mktemp("two"), channels=("T1", "FLAIR"))


@pytest.fixture(scope="session")
def flat(tmp_path_factory) -> Path:
    """A 2D model of one channel."""
    return make_model(tmp_path_factory.mktemp("flat"), patch=(16, 16))


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    """(10, 19, 22) float32."""
    return make_image()


@pytest.fixture
def scan(desk, image) -> Path:
    """The image as a NIfTI file that nothing is wrong with."""
    return desk.save("scan.nii", nifti_bytes(image))


@pytest.fixture(scope="session")
def expected(mr, image) -> np.ndarray:
    """The model's labels of the image, through Python; every label is there."""
    import umamba
    from umamba.imaging.image import Geometry, Image

    grid = Geometry(image.shape[::-1], (1.0,) * 3, (0.0,) * 3, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    labels = umamba.segment(Image(image, grid), mr, device="cpu", mirror=False).labels
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    return labels
