"""Every fault of a case is one line before anything is planned; the other faulty cases are counted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from dataset_builders import (
    LABELS,
    SIZE,
    label_voxels,
    nnunet_dataset,
    picture_folder,
    write_picture,
    write_volume,
)
from umamba import Cancelled, InputError
from umamba.events import Monitor
from umamba.training.dataset.check import SAME_PLACE, check_dataset
from umamba.training.dataset.raw import open_dataset

NAMES = ("a", "b", "c")


def _refusal(folder: Path, **options: Any) -> str:
    raw = open_dataset(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError) as caught:
        check_dataset(raw, **options)
    assert sorted(folder.rglob("*")) == before
    line = str(caught.value)
    assert "\n" not in line
    return line


def _label(folder: Path, voxels: np.ndarray, spacing: tuple[float, ...] = (1.0, 1.0, 2.0)) -> None:
    write_volume(folder / "labelsTr" / "b.nii.gz", voxels, spacing)


def _image(folder: Path, voxels: np.ndarray, spacing: tuple[float, ...] = (1.0, 1.0, 2.0)) -> None:
    write_volume(folder / "imagesTr" / "b_0000.nii.gz", voxels, spacing)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _moved_label(folder: Path, *, shift_mm: float = 0.0, flip: bool = False) -> None:
    image = SimpleITK.GetImageFromArray(label_voxels(1))
    image.SetSpacing((1.0, 1.0, 2.0))
    image.SetOrigin((0.0, shift_mm, 0.0))
    if flip:
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    SimpleITK.WriteImage(image, str(folder / "labelsTr" / "b.nii.gz"))


def _with(value: float) -> np.ndarray:
    voxels = label_voxels(1).astype(np.float32)
    voxels[3, 4, 5] = value
    return voxels


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "size": (
        lambda f: _label(f, label_voxels(1, (10, 14, 13))),
        "13 x 14 x 10 voxels, its image 12 x 14 x 10",
    ),
    "spacing": (lambda f: _label(f, label_voxels(1), (1.0, 1.0, 2.001)), "label b.nii.gz has spacing"),
    "origin": (lambda f: _moved_label(f, shift_mm=0.5), "up to 0.5 mm apart"),
    "direction": (lambda f: _moved_label(f, flip=True), "lies elsewhere than its image"),
    "undeclared": (lambda f: _label(f, _with(7)), "b.nii.gz holds the value 7, declared are 0, 1, 2"),
    "negative": (lambda f: _label(f, _with(-1)), "holds the value -1"),
    "fraction": (lambda f: _label(f, _with(0.5)), "holds the value 0.5; labels are whole numbers"),
    "label nan": (lambda f: _label(f, _with(np.nan)), "holds the value nan"),
    "huge": (lambda f: _label(f, _with(1e6)), "holds the value 1e+06"),
    "image nan": (lambda f: _image(f, _with(np.nan)), "b_0000.nii.gz: holds NaN or infinite values"),
    "image inf": (lambda f: _image(f, _with(np.inf)), "b_0000.nii.gz: holds NaN or infinite values"),
    "empty file": (
        lambda f: (f / "imagesTr" / "b_0000.nii.gz").write_bytes(b"") or None,
        "the file is empty",
    ),
    "no image": (lambda f: (f / "labelsTr" / "b.nii.gz").write_bytes(b"not gzip") or None, "b.nii.gz"),
    "vector": (
        lambda f: SimpleITK.WriteImage(
            SimpleITK.GetImageFromArray(np.zeros((*SIZE, 3), np.float32), isVector=True),
            str(f / "imagesTr" / "b_0000.nii.gz"),
        ),
        "b_0000.nii.gz: holds 3 channels; save each as a file of its own",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_case_is_named(tmp_path: Path, fault: str) -> None:
    folder = nnunet_dataset(tmp_path / "data", NAMES)
    spoil, said = FAULTS[fault]
    spoil(folder)
    line = _refusal(folder)
    assert line.startswith("case b: ")
    assert said in line


def test_channels_on_different_grids_are_refused(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "data", NAMES, channels=2)
    write_volume(folder / "imagesTr" / "c_0001.nii.gz", np.ones(SIZE, np.float32), (1.0, 1.0, 3.0))
    assert "case c: channel c_0001.nii.gz has spacing 1 x 1 x 3 mm" in _refusal(folder)


def test_the_first_faulty_case_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "data", [f"case{n}" for n in range(9)])
    for n in range(2, 9):
        write_volume(folder / "labelsTr" / f"case{n}.nii.gz", np.full(SIZE, n, np.uint8))
    write_volume(folder / "labelsTr" / "case2.nii.gz", label_voxels(2))
    line = _refusal(folder)
    assert line.startswith("case case3: case3.nii.gz holds the value 3, declared are 0, 1, 2")
    assert line.endswith("(5 more cases have faults: case4, case5, case6, case7 and 1 more)")


def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "data", NAMES)
    for name in "ac":
        write_volume(folder / "labelsTr" / f"{name}.nii.gz", np.full(SIZE, 9, np.uint8))
    assert _refusal(folder, processes=2) == _refusal(folder)


def test_a_whole_dataset_passes_and_absent_labels_are_told(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "data", NAMES, channels=2)
    assert check_dataset(open_dataset(folder)) == ()
    more = nnunet_dataset(tmp_path / "more", NAMES, labels={**LABELS, "shell": 3, "ignore": 4})
    assert check_dataset(open_dataset(more)) == ("no case has the label shell",)


def test_an_ignored_value_and_rounded_headers_pass(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "data", NAMES, labels={**LABELS, "ignore": 3})
    _label(folder, _with(3))
    assert check_dataset(open_dataset(folder)) == ()
    _moved_label(folder, shift_mm=SAME_PLACE / 2)
    assert check_dataset(open_dataset(folder)) == ()


def test_labels_of_background_alone_are_refused(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "data", NAMES)
    for name in NAMES:
        write_volume(folder / "labelsTr" / f"{name}.nii.gz", np.zeros(SIZE, np.uint8))
    assert "nothing to learn" in _refusal(folder)


def test_pictures_that_training_would_see_otherwise_are_refused(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "data", NAMES)
    assert check_dataset(open_dataset(folder)) == ()
    image = folder / "images" / "b.png"
    kept = image.read_bytes()
    write_picture(image, np.full((24, 20, 4), 99, np.uint8))
    assert "case b: b.png: nnU-Net reads other values (4 channels)" in _refusal(folder)
    write_picture(image, np.full((24, 20), 99, np.uint8))
    assert "case b: its images hold 1 channels in all, 3 wanted" in _refusal(folder)
    image.write_bytes(kept[:-200])
    assert _refusal(folder).startswith("case b: b.png")


def test_flat_nifti_must_be_packed_for_nnunet(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "data", NAMES, shape=(14, 12), spacing=(1.0, 1.0))
    assert check_dataset(open_dataset(folder)) == ()
    for path in sorted(folder.rglob("*.nii.gz")):
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)), str(path).removesuffix(".gz"))
        path.unlink()
    described = (folder / "dataset.json").read_text(encoding="utf-8").replace(".nii.gz", ".nii")
    (folder / "dataset.json").write_text(described, encoding="utf-8")
    assert _refusal(folder).startswith("case a: a_0000.nii: is flat")


def test_coloured_label_pictures_are_refused(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "data", NAMES)
    (folder / "labels.json").write_text('{"core": 1, "rim": 2}', encoding="utf-8")
    write_picture(folder / "labels" / "c.png", np.zeros((24, 20, 3), np.uint8))
    assert "case c: c.png: holds 3 channels (colours); a label map has one" in _refusal(folder)


def test_a_check_can_be_watched_and_cancelled(tmp_path: Path) -> None:
    raw = open_dataset(nnunet_dataset(tmp_path / "data", NAMES))
    seen: list[tuple[str, int, int]] = []
    check_dataset(raw, Monitor(lambda p: seen.append((p.stage, p.done, p.total))))
    assert seen == [("check", done, 3) for done in range(4)]
    with pytest.raises(Cancelled):
        check_dataset(raw, Monitor(cancel=lambda: True))
