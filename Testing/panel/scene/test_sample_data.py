"""Sample data: the bundled file, by its checksum, without a network and with a picture."""

import builtins
import hashlib
import urllib.request
from pathlib import Path

import pytest
import qt

from UMambaSegmentationLib import logs, paths
from UMambaSegmentationLib.scene import sample_data


@pytest.fixture
def source(recorded):
    assert sample_data.register()
    (found,) = recorded.samples[sample_data.CATEGORY]
    return found


def test_the_file_that_is_offered_is_fetched_without_a_network(source, tmp_path):
    """As Sample Data does: urlretrieve into its cache, then the checksum."""
    assert source["uris"].startswith("file:///")
    target = tmp_path / source["fileNames"]
    urllib.request.urlretrieve(source["uris"], target)
    algorithm, digest = source["checksums"].split(":")
    assert algorithm == "SHA256"
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest


def test_slicer_reads_it_under_its_own_name(source, scene):
    file = Path(urllib.request.url2pathname(source["uris"].removeprefix("file://")))
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(file))
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert storage.ReadData(volume)
    assert volume.GetImageData().GetDimensions() == (197, 233, 189)
    assert source["loadFileType"] == "VolumeFile"
    assert source["nodeNames"]


def test_its_picture_is_real_and_small(source):
    picture = qt.QImage(source["thumbnailFileName"])
    assert (picture.width(), picture.height()) == (260, 280)
    grey = [picture.pixelColor(x, y).lightness() for x in range(0, 260, 10) for y in range(0, 280, 10)]
    assert min(grey) < 10
    assert max(grey) > 230
    assert len(set(grey)) > 30, "an even picture shows nothing"
    assert Path(source["thumbnailFileName"]).stat().st_size < 60_000


def test_a_folder_with_spaces_and_accents_is_fetched_too(recorded, monkeypatch, tmp_path):
    folder = tmp_path / "Données d'essai 100%" / "SampleData"
    file = folder / sample_data.FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(b"voxels")
    monkeypatch.setattr(
        sample_data, "shared_resources", lambda name: folder if name == "SampleData" else None
    )
    assert sample_data.register()
    (found,) = recorded.samples[sample_data.CATEGORY]
    urllib.request.urlretrieve(found["uris"], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"voxels"


def test_an_installation_without_the_file_offers_nothing(recorded, monkeypatch):
    monkeypatch.setattr(sample_data, "shared_resources", lambda _name: None)
    assert not sample_data.register()
    assert not recorded.samples
    assert "sample data" in logs.log_file().read_text("utf-8")


def test_a_slicer_without_the_module_is_no_fault(recorded, monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "SampleData":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert not sample_data.register()


def test_nothing_is_read_or_fetched_at_start(recorded, monkeypatch):
    """Registering runs at every start of Slicer: it may look whether the file is there, no more."""

    def never(*_args, **_keywords):
        raise AssertionError("the file was opened")

    for name in ("open", "read_bytes", "read_text"):
        monkeypatch.setattr(Path, name, never)
    monkeypatch.setattr(urllib.request, "urlopen", never)
    assert sample_data.register()
    assert paths.shared_resources("SampleData") is not None
