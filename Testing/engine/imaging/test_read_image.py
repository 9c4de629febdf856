"""Which reader a name gets, names and places of every kind, locales."""

import locale
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK

from image_builders import metaimage_bytes, nifti_bytes, nrrd_bytes, plain_series, save_series
from umamba.errors import InputError
from umamba.imaging.image import Image
from umamba.imaging.read import from_sitk, read_image, to_sitk

VOXELS = np.arange(24, dtype="<i2").reshape(4, 3, 2)
FILES = {
    ".nii": nifti_bytes(VOXELS),
    ".nrrd": nrrd_bytes(VOXELS.tobytes()),
    ".mha": metaimage_bytes(VOXELS.tobytes()),
}
NAMES = [
    "plain",
    "two words",
    "größe",
    "脳スキャン",
    "🧠",
    "a=b",
    "UPPER.case",
    "x" * 230,
    "-dash",
    "semi;colon",
]


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_kind(tmp_path, name, suffix):
    folder = tmp_path / name[:50]
    folder.mkdir()
    path = folder / (name + suffix)
    path.write_bytes(FILES[suffix])
    for form in (path, str(path)):
        (image,) = read_image(form)
        np.testing.assert_array_equal(image.data, VOXELS)
        assert image.files == (path.name,)


@pytest.mark.parametrize("suffix", FILES)
def test_upper_and_mixed_case_endings(tmp_path, suffix):
    for form in (suffix.upper(), suffix.title()):
        path = tmp_path / f"a{form}"
        path.write_bytes(FILES[suffix])
        np.testing.assert_array_equal(read_image(path)[0].data, VOXELS)


def test_dicom_in_folders_of_every_kind(tmp_path):
    for name in NAMES:
        assert read_image(save_series(tmp_path / name, plain_series()))[0].data.shape == (5, 4, 5)


def test_links_are_followed(tmp_path):
    (tmp_path / "a.nii").write_bytes(FILES[".nii"])
    (tmp_path / "b.nii").symlink_to(tmp_path / "a.nii")
    np.testing.assert_array_equal(read_image(tmp_path / "b.nii")[0].data, VOXELS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jpg", b"\xff\xd8", r"a\.jpg: images of the kind \.jpg cannot be read; known are \.nii\.gz"),
        ("a.img", b"x", r"kind \.img"),
        ("a", b"x", "kind without an ending"),
        ("a.nii.gz", b"hello world", "no NIfTI file"),
        ("a.nii.gz", b"", "file is empty"),
        ("a.dcm", b"hello world", r"kind \.dcm"),
    ],
)
def test_what_is_no_image(tmp_path, capfd, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_image(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_series_of_one_image(tmp_path):
    (tmp_path / "a.nii").write_bytes(FILES[".nii"])
    with pytest.raises(InputError, match="from a DICOM folder only"):
        read_image(tmp_path / "a.nii", series="1.2.3")


def test_odd_voxels_are_told_with_the_files_name(tmp_path):
    voxels = np.ones((4, 3, 2), np.float32)
    voxels[0, 0, 0], voxels[1, 1, 1] = np.nan, np.inf
    (tmp_path / "scan.nii").write_bytes(nifti_bytes(voxels))
    (image,) = read_image(tmp_path / "scan.nii")
    assert image.warnings[0].startswith("scan.nii: 2 of 24 voxels are not finite")
    assert np.isfinite(image.data).all()


def test_two_thousand_slices(tmp_path):
    voxels = np.zeros((2000, 8, 8), np.int16)
    voxels[:, 4, 4] = np.arange(2000)
    (tmp_path / "long.nii").write_bytes(nifti_bytes(voxels))
    np.testing.assert_array_equal(read_image(tmp_path / "long.nii")[0].data, voxels)


@pytest.fixture(scope="module")
def comma_locale(tmp_path_factory):
    """A locale with a decimal comma: one that is installed, else one compiled for the test."""
    for name in ("de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"):
        run = subprocess.run(
            [sys.executable, "-c", f"import locale; locale.setlocale(locale.LC_ALL, {name!r})"],
            check=False,
            capture_output=True,
        )
        if run.returncode == 0:
            return {"name": name}
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef"):
        source = folder / "comma"
        source.write_text(
            'comment_char %\nescape_char /\nLC_CTYPE\ncopy "POSIX"\nEND LC_CTYPE\nLC_NUMERIC\n'
            'decimal_point ","\nthousands_sep "."\ngrouping 3\nEND LC_NUMERIC\n'
        )
        made = folder / "xx_XX.UTF-8"
        subprocess.run(
            ["localedef", "-c", "-f", "UTF-8", "-i", str(source), str(made)], check=False, capture_output=True
        )
        if (made / "LC_NUMERIC").exists():
            return {"name": "xx_XX.UTF-8", "LOCPATH": str(folder)}
    pytest.skip("no locale with a decimal comma, and no localedef to make one")


def test_a_decimal_comma_changes_nothing(tmp_path, comma_locale):
    """In a process whose host program has set the locale, as Qt does."""
    fields = {"space_directions": "(0.5,0,0) (0,0.75,0) (0,0,1.25)", "space_origin": "(1.5,2.5,3.5)"}
    (tmp_path / "a.nrrd").write_bytes(nrrd_bytes(VOXELS.tobytes(), **fields))
    fields = {"ElementSpacing": "0.5 0.75 1.25", "Offset": "1.5 2.5 3.5"}
    (tmp_path / "a.mha").write_bytes(metaimage_bytes(VOXELS.tobytes(), **fields))
    save_series(tmp_path / "dicom", plain_series())
    code = (
        "import locale, sys\n"
        "locale.setlocale(locale.LC_NUMERIC, sys.argv[1])\n"
        "assert locale.str(1.5) == '1,5'\n"
        "from umamba.imaging.read import read_image\n"
        "from umamba.imaging.write import write_labels\n"
        "for name in ('a.nrrd', 'a.mha', 'dicom'):\n"
        "    image = read_image(name)[0]\n"
        "    print(image.geometry.spacing, image.geometry.origin)\n"
        "    write_labels(name + '.out.nrrd', (image.data > 5).astype('u1'), image)\n"
        "    print(read_image(name + '.out.nrrd')[0].geometry == image.geometry)\n"
        "assert locale.str(1.5) == '1,5'\n"
    )
    environment = {**os.environ, **{key: value for key, value in comma_locale.items() if key != "name"}}
    run = subprocess.run(
        [sys.executable, "-c", code, comma_locale["name"]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    expected = "(0.5, 0.75, 1.25) (1.5, 2.5, 3.5)\nTrue\n"
    assert run.stdout == expected * 2 + "(0.5, 0.75, 2.0) (-10.5, 20.25, 5.0)\nTrue\n"
    assert locale.str(1.5) == "1.5"


@pytest.mark.parametrize("axes", [2, 3])
def test_simpleitk_images_and_back(axes):
    image = SimpleITK.GetImageFromArray(VOXELS if axes == 3 else VOXELS[0])
    image.SetSpacing((0.1, 0.7, 1 / 3)[:axes])
    image.SetOrigin((1 / 7, 2.0, -3.0)[:axes])
    if axes == 3:
        image.SetDirection((0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, -1))
    (found,) = from_sitk(image)
    assert isinstance(found, Image)
    assert found.data.shape == ((4, 3, 2) if axes == 3 else (1, 3, 2))
    back = to_sitk(found)
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection", "GetPixelID"):
        assert getattr(back, name)() == getattr(image, name)()
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(back), SimpleITK.GetArrayFromImage(image))
    image.SetPixel((0,) * axes, 99)
    assert found.data[0, 0, 0] == 0  # a copy, not a view


def test_simpleitk_images_of_other_kinds():
    vector = SimpleITK.GetImageFromArray(np.arange(72).reshape(4, 3, 2, 3), isVector=True)
    for index, channel in enumerate(from_sitk(vector)):
        np.testing.assert_array_equal(channel.data, np.arange(index, 72, 3).reshape(4, 3, 2))
    with pytest.raises(InputError, match="complex"):
        from_sitk(SimpleITK.Image((2, 2, 2), SimpleITK.sitkComplexFloat32))
    with pytest.raises(InputError, match="4 axes"):
        from_sitk(SimpleITK.Image((2, 2, 2, 2), SimpleITK.sitkInt16))
