"""NRRD: grid and values as SimpleITK gives them, and every header that makes no sense refused."""

import bz2
import gzip

import numpy as np
import pytest
import SimpleITK

from image_builders import nrrd_bytes
from umamba.errors import InputError
from umamba.imaging.nrrd import read_nrrd
from umamba.imaging.read import read_image

VOXELS = np.arange(24, dtype="<i2").reshape(4, 3, 2)
DATA = VOXELS.tobytes()
NO_SPACE = {"space_directions": None, "space": None, "space_origin": None}
OBLIQUE = "(1.05,0.325,0) (-0.739,2.388,0) (0.1,0,3)"


def write(path, content):
    path.write_bytes(content)
    return path


def assert_like_simpleitk(path):
    (image,) = read_nrrd(path)
    reference = SimpleITK.ReadImage(str(path))
    assert image.geometry.size == reference.GetSize()
    assert image.geometry.spacing == reference.GetSpacing()
    assert image.geometry.origin == reference.GetOrigin()
    assert image.geometry.direction == reference.GetDirection()
    voxels = SimpleITK.GetArrayFromImage(reference).reshape(image.geometry.shape)
    assert image.data.dtype == voxels.dtype
    np.testing.assert_array_equal(image.data, voxels)
    return image


@pytest.mark.parametrize("encoding", ["raw", "gzip", "gz"])
@pytest.mark.parametrize("space", ["left-posterior-superior", "RAS", "left-anterior-superior"])
def test_spaces_and_encodings(tmp_path, encoding, space):
    data = DATA if encoding == "raw" else gzip.compress(DATA)
    fields = {"space": space, "space_directions": OBLIQUE, "space_origin": "(1.5,-2,3)"}
    content = nrrd_bytes(data, encoding=encoding, **fields)
    image = assert_like_simpleitk(write(tmp_path / "a.nrrd", content))
    assert image.warnings == ()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("i1", "signed char"), ("u1", "uchar"), ("i2", "short"), ("u2", "unsigned short"), ("i4", "int"),
     ("u4", "uint32"), ("i8", "long long"), ("u8", "unsigned long long int"), ("f4", "float"),
     ("f8", "double")],
)  # fmt: skip
@pytest.mark.parametrize(("order", "endian"), [("<", "little"), (">", "big")])
def test_every_number_type(tmp_path, kind, name, order, endian):
    data = np.arange(24).astype(order + kind).tobytes()
    assert_like_simpleitk(write(tmp_path / "a.nrrd", nrrd_bytes(data, type=name, endian=endian)))


@pytest.mark.parametrize(
    ("fields", "warned"),
    [
        ({"space": None, "space_directions": None, "space_origin": None, "spacings": "1 2 3"}, ""),
        ({"space": None, "space_directions": None, "space_origin": None}, "no spacing"),
        (NO_SPACE | {"spacings": "1 2 3", "axis_mins": "5 6 7"}, ""),
        ({"space": "scanner-xyz"}, "anatomical space"),
        ({"space_units": '"m" "m" "m"'}, "taken for mm"),
        ({"space_units": '"mm" "mm" "mm"'}, ""),
        ({"measurement_frame": "(1,0,0) (0,1,0) (0,0,1)"}, ""),
    ],
)
def test_what_a_header_may_leave_out(tmp_path, fields, warned):
    image = assert_like_simpleitk(write(tmp_path / "a.nrrd", nrrd_bytes(DATA, **fields)))
    assert len(image.warnings) == bool(warned)
    assert all(warned in line for line in image.warnings)


@pytest.mark.parametrize(
    ("fields", "lead"),
    [({"byte_skip": "4"}, b"abcd"), ({"byte_skip": "-1"}, b"header"), ({"line_skip": "2"}, b"one\ntwo\n")],
)
def test_skipped_bytes_and_lines(tmp_path, fields, lead):
    assert_like_simpleitk(write(tmp_path / "a.nrrd", nrrd_bytes(lead + DATA, **fields)))


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_detached_header(tmp_path, encoding):
    (tmp_path / "voxels ä.bin").write_bytes(DATA if encoding == "raw" else gzip.compress(DATA))
    content = nrrd_bytes(b"", data_file="voxels ä.bin", encoding=encoding)
    assert_like_simpleitk(write(tmp_path / "a.nhdr", content))
    assert_like_simpleitk(write(tmp_path / "b.nhdr", content.rstrip(b"\n") + b"\n"))


@pytest.mark.parametrize(
    ("sizes", "kinds", "directions", "axis"),
    [
        ("3 2 2 2", "vector domain domain domain", "none (1,0,0) (0,1,0) (0,0,1)", -1),
        ("3 2 2 2", "RGB-color domain domain domain", "none (1,0,0) (0,1,0) (0,0,1)", -1),
        ("2 2 2 3", "domain domain domain vector", "(1,0,0) (0,1,0) (0,0,1) none", 0),
    ],
)
def test_components_become_channels(tmp_path, sizes, kinds, directions, axis):
    content = nrrd_bytes(DATA, dimension="4", sizes=sizes, kinds=kinds, space_directions=directions)
    channels = read_image(write(tmp_path / "a.nrrd", content))
    whole = np.arange(24).reshape([int(size) for size in sizes.split()][::-1])
    reference = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "a.nrrd")))
    for index, channel in enumerate(channels):
        np.testing.assert_array_equal(channel.data, np.take(whole, index, axis=axis))
        np.testing.assert_array_equal(channel.data, reference[..., index])


def test_flat_image(tmp_path):
    content = nrrd_bytes(
        DATA, dimension="2", sizes="4 6", kinds="domain domain", space=None, space_directions=None,
        space_origin=None, spacings="2 3",
    )  # fmt: skip
    image = assert_like_simpleitk(write(tmp_path / "a.nrrd", content))
    assert image.data.shape == (1, 6, 4)


def test_windows_line_ends(tmp_path):
    head, _, data = nrrd_bytes(DATA).partition(b"\n\n")
    path = write(tmp_path / "a.nrrd", head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + data)
    assert_like_simpleitk(path)


FOUR_AXES = {"dimension": "4", "sizes": "2 2 3 2"}
BAD_FILES = {
    "text": (b"hello\n", "no NRRD file"),
    "no end": (nrrd_bytes(b"").rstrip(b"\n"), "header has no end"),
    "cut": (nrrd_bytes(DATA[:-5]), "cut off"),
    "cut gzip": (nrrd_bytes(gzip.compress(DATA)[:-12], encoding="gzip"), "ends early"),
    "short gzip": (nrrd_bytes(gzip.compress(DATA[:-6]), encoding="gzip"), "ends early"),
    "huge": (nrrd_bytes(DATA, sizes="32767 32767 32767"), "promises 70362301923326 bytes"),
    "bzip2": (nrrd_bytes(bz2.compress(DATA), encoding="bzip2"), "encoding 'bzip2' is not supported"),
    "ascii": (nrrd_bytes(b"1 2 3", encoding="ascii"), "not supported"),
    "no encoding": (nrrd_bytes(DATA, encoding=None), "not supported"),
    "no endian": (nrrd_bytes(DATA, endian=None), "byte order"),
    "block": (nrrd_bytes(DATA, type="block"), "type 'block'"),
    "no sizes": (nrrd_bytes(DATA, sizes=None), "no proper size"),
    "text sizes": (nrrd_bytes(DATA, sizes="a b c"), "no proper size"),
    "zero size": (nrrd_bytes(DATA, sizes="0 3 4"), "size 0 3 4"),
    "two sizes": (nrrd_bytes(DATA, sizes="6 4"), "size 6 4 in 3 axes"),
    "list": (nrrd_bytes(DATA, **FOUR_AXES, kinds="list domain domain domain"), "4D"),
    "time": (nrrd_bytes(DATA, dimension="4", sizes="2 3 2 2", kinds="domain domain domain time"), "4D"),
    "complex": (nrrd_bytes(DATA, **FOUR_AXES, kinds="complex domain domain domain"), "complex"),
    "4d": (nrrd_bytes(DATA, **FOUR_AXES, kinds=None), "4 axes"),
    "zero spacing": (nrrd_bytes(DATA, space_directions="(1,0,0) (0,0,0) (0,0,1)"), "spacing 1 x 0 x 1"),
    "nan spacing": (nrrd_bytes(DATA, space_directions="(1,0,0) (nan,0,0) (0,0,1)"), "spacing 1 x nan x 1"),
    "nan spacings": (nrrd_bytes(DATA, **NO_SPACE, spacings="1 nan 2"), "spacing 1 x nan x 2"),
    "negative": (nrrd_bytes(DATA, **NO_SPACE, spacings="1 -1 2"), "spacing 1 x -1 x 2"),
    "metres": (nrrd_bytes(DATA, space_directions="(1e6,0,0) (0,1e6,0) (0,0,1e6)"), "spacing"),
    "text vector": (nrrd_bytes(DATA, space_directions="(a,0,0) (0,1,0) (0,0,1)"), "where a number belongs"),
    "short vector": (nrrd_bytes(DATA, space_directions="(1,0) (0,1) (0,1)"), "lack entries|header"),
    "shear": (nrrd_bytes(DATA, space_directions="(1,0,0) (1,1,0) (0,0,1)"), "right angles"),
    "nan origin": (nrrd_bytes(DATA, space_origin="(0,nan,0)"), "origin|header"),
    "negative skip": (nrrd_bytes(DATA, byte_skip="-7"), "byte skip is negative"),
    "text skip": (nrrd_bytes(DATA, byte_skip="x"), "byte skip is no number"),
    "missing data": (nrrd_bytes(b"", data_file="nothere.raw"), r"nothere\.raw: .*does not exist"),
    "folder data": (nrrd_bytes(b"", data_file="."), "data file is a folder"),
    "many files": (nrrd_bytes(b"", data_file="LIST"), "many files"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_FILES)
def test_bad_files_are_refused_in_one_line(tmp_path, fault, capfd):
    content, message = BAD_FILES[fault]
    path = write(tmp_path / "scan.nrrd", content)
    with pytest.raises(InputError, match=message) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
