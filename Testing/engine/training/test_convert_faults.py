"""Published datasets that cannot be converted: one line each, and nothing left behind."""

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dataset_builders import write_volume
from published_datasets import (
    CT_SIZE,
    FRAME_SPACING,
    acdc_arrays,
    acdc_challenge,
    labels,
    synapse,
    voxels,
    write_h5,
    write_list,
    write_npz,
)
from umamba import InputError
from umamba.training.convert import arrays
from umamba.training.convert.dataset import LAYOUTS, convert

NAME = "patient003_frame01"
Change = Callable[[Path], object]


def _refusal(tmp_path: Path, layout: str, source: Path, **options: Any) -> str:
    output = tmp_path / "raw"
    with pytest.raises(InputError) as caught:
        convert(layout, source, output, **options)
    line = str(caught.value)
    assert "\n" not in line
    assert not output.exists()
    return line


def _volume(source: Path) -> Path:
    return source / "data" / f"{NAME}.h5"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _add(path: Path, name: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + f"{name}\n", encoding="utf-8")


def _set(path: Path, **changes: np.ndarray) -> None:
    """Other arrays in the file of `NAME`; those that are no arrays are left out."""
    entries = {"image": voxels(NAME), "label": labels(NAME), **changes}
    write_h5(path, **{name: array for name, array in entries.items() if array is not None})


# the layout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_layout_is_told_what_was_looked_for(tmp_path: Path, layout: str) -> None:
    other = acdc_challenge(tmp_path / "here") if layout != "acdc" else synapse(tmp_path / "here")
    wanted = {
        "acdc": "training/patientNNN/patientNNN_frameNN.nii.gz",
        "acdc-h5": "data/*.h5 or data/slices/*.h5",
        "synapse": "test_vol_h5/*.npy.h5 or train_npz/*.npz",
    }
    line = _refusal(tmp_path, layout, other)
    assert line == f"here: is not laid out as {layout}; {wanted[layout]} were looked for"


def test_the_source_must_be_a_folder_that_is_there(tmp_path: Path) -> None:
    assert "nowhere: cannot be read: it does not exist" in _refusal(tmp_path, "acdc", tmp_path / "nowhere")
    (tmp_path / "ACDC.zip").write_bytes(b"PK")
    assert "is a file; give the folder" in _refusal(tmp_path, "acdc-h5", tmp_path / "ACDC.zip")


def test_a_folder_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = acdc_challenge(tmp_path / "database")
    listed = Path.iterdir

    def forbidden(folder: Path) -> Iterator[Path]:
        if folder.name == "patient002":
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert _refusal(tmp_path, "acdc", source) == "database: cannot be read: no permission; check the folder"


def test_the_challenge_has_a_voxel_size_of_its_own(tmp_path: Path) -> None:
    source = acdc_challenge(tmp_path / "database")
    assert "leave out --spacing" in _refusal(tmp_path, "acdc", source, spacing=(1, 1, 1))


# files of arrays


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_cut, f"{NAME}.h5: cannot be read as HDF5; copy or download it again"),
        (lambda p: p.write_bytes(b""), "the file is empty"),
        (lambda p: p.write_text("no HDF5", encoding="utf-8"), "cannot be read as HDF5"),
        (lambda p: _set(p, label=None, mask=labels(NAME)), "has no entry label, it has image, mask;"),
        (lambda p: _set(p, image=None, label=None), "has no entry image and no entry label, it has none;"),
        (
            lambda p: _set(p, label=labels(NAME)[:2]),
            "image is 3 x 9 x 8 and label 2 x 9 x 8; both must have the same shape",
        ),
        (
            lambda p: _set(p, image=voxels(NAME)[0], label=labels(NAME)[0]),
            "image is 9 x 8, a volume (Z, Y, X) is wanted",
        ),
        (lambda p: _set(p, image=np.where(labels(NAME), np.nan, 1.0)), "image holds NaN"),
        (lambda p: _set(p, image=np.where(labels(NAME), 1e300, 1.0)), "infinite values"),  # not in float32
        (lambda p: _set(p, image=np.full(4, b"text")), "image holds no numbers"),
        (lambda p: _set(p, image=voxels(NAME)[:0], label=labels(NAME)[:0]), "image holds no numbers"),
        (
            lambda p: _set(p, label=labels(NAME) + np.uint8(1)),
            "label holds 4; 0 to 3 are wanted",
        ),
        (lambda p: _set(p, label=labels(NAME) / 2), "label holds 0.5, 1.5; 0 to 3 are wanted"),
    ],
)
def test_a_volume_that_cannot_be_used_is_named(tmp_path: Path, change: Change, said: str) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    change(_volume(source))
    line = _refusal(tmp_path, "acdc-h5", source)
    assert line.startswith(f"{NAME}.h5: ")
    assert said in line


def test_a_file_that_declares_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    with h5py.File(_volume(source), "w") as file:  # a few bytes on the disk, 4 TB in memory
        for name in ("image", "label"):
            file.create_dataset(name, (10_000, 10_000, 10_000), "f4", chunks=(1, 100, 100))
    assert "image would take 4000 GB, 8 GB is the most" in _refusal(tmp_path, "acdc-h5", source)
    monkeypatch.setattr(arrays, "_LARGEST_BYTES", 100)
    assert "image would take" in _refusal(tmp_path, "synapse", synapse(tmp_path / "Synapse"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_cut, "case0005_slice001.npz: cannot be read as NPZ"),
        (lambda p: p.write_bytes(b"\x80\x04N."), "cannot be read as NPZ"),  # a pickle: never loaded
        (lambda p: write_npz(p, image=voxels("a", (8, 8))), "has no entry label, it has image;"),
        (
            lambda p: write_npz(p, image=voxels("a", (8, 8)), label=np.full((8, 8), None)),
            "cannot be read as NPZ",
        ),
        (
            lambda p: write_npz(p, image=voxels("a", (8, 6)), label=labels("a", (8, 6))),
            "8 x 6 pixels, case0005_slice000.npz of the same case has 8 x 8",
        ),
        (
            lambda p: write_npz(p, image=voxels("a", (8, 8)), label=labels("a", (8, 8), 14)),
            "label holds 9, 10, 11, 12 and 1 more; 0 to 8 are wanted",
        ),
    ],
)
def test_a_slice_that_cannot_be_used_is_named(tmp_path: Path, change: Change, said: str) -> None:
    source = synapse(tmp_path / "Synapse")
    change(source / "train_npz" / "case0005_slice001.npz")
    line = _refusal(tmp_path, "synapse", source)
    assert line.startswith("case0005_slice001.npz: ")
    assert said in line


def test_a_ct_volume_that_lies_on_its_side_is_refused(tmp_path: Path) -> None:
    source = synapse(tmp_path / "Synapse")
    image, label = voxels("case0001", CT_SIZE), labels("case0001", CT_SIZE, 9)
    turned = {"image": np.moveaxis(image, 0, 2), "label": np.moveaxis(label, 0, 2)}
    write_h5(source / "test_vol_h5" / "case0001.npy.h5", **turned)
    line = _refusal(tmp_path, "synapse", source)
    assert "case0001.npy.h5: is 8 x 8 x 3, with the slices on the last axis" in line


def test_one_slice_in_two_files_is_refused(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    folder = source / "data" / "slices"
    shutil.copy(folder / f"{NAME}_slice_1.h5", folder / f"{NAME}_slice_01.h5")
    assert "are one slice; leave one" in _refusal(tmp_path, "acdc-h5", source)


# lists


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda s: _add(s / "val.list", "patient009_frame01"),
            "val.list: names patient009_frame01, whose files are not there",
        ),
        (
            lambda s: (_volume(s).unlink(), (s / "data" / "slices" / f"{NAME}_slice_2.h5").unlink()),
            f"train_slices.list: names {NAME}_slice_2, whose files are not there",
        ),
        (lambda s: _add(s / "val.list", NAME), f"val.list: {NAME} is in another list too"),
        (lambda s: _add(s / "val.list", "../../secret"), "val.list: '../../secret' is no name of a case"),
        (lambda s: write_list(s / "val.list", [" "]), "val.list: names no case"),
        (lambda s: (s / "val.list").write_bytes(b"\xff\xfe\x00"), "val.list: cannot be read as text"),
        (lambda s: (s / "train_slices.list").unlink(), "there is no case to train on"),
    ],
)
def test_lists_that_cannot_be_used_are_named(tmp_path: Path, change: Change, said: str) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    (source / "train.list").unlink()  # train_slices.list is looked at then
    change(source)
    assert said in _refusal(tmp_path, "acdc-h5", source)


def test_a_patient_in_two_parts_is_refused(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    write_list(source / "val.list", ["patient002_frame01"])
    _add(source / "test.list", "patient002_frame02")
    line = _refusal(tmp_path, "acdc-h5", source)
    assert line.startswith("patient002: images of one patient are in two parts (val and test)")


def test_a_folder_of_lists_must_have_one(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    line = _refusal(tmp_path, "acdc-h5", source, lists=source / "data")
    assert line == (
        "data: has no list of cases; train.list, train_slices.list, val.list, test.list were looked for"
    )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["patient001_frame01", "patient009_frame02"], "names patient009, who are not there"),
        (["patient001_frame01"], "no list names patient002, patient003"),
    ],
)
def test_lists_must_fit_the_patients_of_the_challenge(tmp_path: Path, names: list[str], said: str) -> None:
    source = acdc_challenge(tmp_path / "database")
    write_list(tmp_path / "lists" / "train.list", names)
    assert said in _refusal(tmp_path, "acdc", source, lists=tmp_path / "lists")


def test_a_patient_of_the_challenge_is_in_one_list(tmp_path: Path) -> None:
    source = acdc_challenge(tmp_path / "database", train=(1, 2))
    write_list(tmp_path / "lists" / "train.list", ["patient001_frame01", "patient002_frame01"])
    write_list(tmp_path / "lists" / "val.list", ["patient002_frame02"])
    line = _refusal(tmp_path, "acdc", source, lists=tmp_path / "lists")
    assert line == "val.list: patient002 is in another list too; leave it in one"


# the challenge's files

FRAME = "patient002_frame10"


def _write_frame(folder: Path, ending: str, array: np.ndarray, spacing: tuple[float, ...]) -> None:
    write_volume(folder / f"{FRAME}{ending}.nii.gz", array, spacing)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / f"{FRAME}_gt.nii.gz").unlink(), f"{FRAME}: has no label map"),
        (lambda f: (f / f"{FRAME}.nii.gz").unlink(), f"{FRAME}: has no image"),
        (
            lambda f: [path.unlink() for path in f.glob(f"{FRAME}*")],
            "patient002: Info.cfg names frame 10 (ES), whose files are not there",
        ),
        (
            lambda f: [path.unlink() for path in f.iterdir()],
            "patient002: holds no patient002_frameNN.nii.gz",
        ),
        (lambda f: _cut(f / f"{FRAME}.nii.gz"), f"case {FRAME}: "),
        (
            lambda f: _write_frame(f, "_gt", labels(FRAME)[:2], FRAME_SPACING),
            f"case {FRAME}: ",
        ),
        (lambda f: _write_frame(f, "_gt", labels(FRAME), (1.5, 1.5, 10)), f"case {FRAME}: "),
        (lambda f: _write_frame(f, "_gt", labels(FRAME) + np.uint8(2), FRAME_SPACING), "4, 5"),
    ],
)
def test_frames_of_the_challenge_that_cannot_be_used_are_named(
    tmp_path: Path, change: Change, said: str
) -> None:
    source = acdc_challenge(tmp_path / "database")
    change(source / "training" / "patient002")
    assert said in _refusal(tmp_path, "acdc", source)


def test_a_test_frame_without_label_map_must_be_an_image(tmp_path: Path) -> None:
    source = acdc_challenge(tmp_path / "database")
    folder = source / "testing" / "patient101"
    (folder / "patient101_frame01_gt.nii.gz").unlink()
    _cut(folder / "patient101_frame01.nii.gz")
    assert "patient101_frame01.nii.gz" in _refusal(tmp_path, "acdc", source)


# the output


def test_what_exists_is_left_as_it_is(tmp_path: Path) -> None:
    source = acdc_challenge(tmp_path / "database")
    made = convert("acdc", source, tmp_path / "raw").folder
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    with pytest.raises(InputError, match="Dataset501_ACDC: exists already; choose another folder"):
        convert("acdc", source, tmp_path / "raw")
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["Dataset501_ACDC"]


def test_a_folder_that_was_there_stays_when_the_conversion_fails(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    _cut(_volume(source))
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError):
        convert("acdc-h5", source, tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("name", ["ACDC", "Dataset5_ACDC", "../Dataset501_ACDC", "Dataset501_"])
def test_a_name_that_is_not_nnunets_is_refused(tmp_path: Path, name: str) -> None:
    source = acdc_challenge(tmp_path / "database")
    assert f"{name!r} is no name of nnU-Net" in _refusal(tmp_path, "acdc", source, name=name)


def test_an_output_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    source = acdc_challenge(tmp_path / "database")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match="cannot be written: a part of its path is not a folder"):
        convert("acdc", source, tmp_path / "file" / "raw")
    assert (tmp_path / "file").read_bytes() == b"x"


def test_what_cannot_be_trained_on_does_not_appear(tmp_path: Path) -> None:
    source = synapse(tmp_path / "Synapse", train=(5,))
    assert "holds one case (case0005); training needs two" in _refusal(tmp_path, "synapse", source)
