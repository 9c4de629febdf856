"""MetaImage: grid and values as SimpleITK gives them, and every header that makes no sense refused."""

import gzip
import zlib

import numpy as np
import pytest
import SimpleITK

from image_builders import metaimage_bytes
from umamba.errors import InputError
from umamba.imaging.metaimage import read_metaimage
from umamba.imaging.read import read_image

VOXELS = np.arange(24, dtype="<i2").reshape(4, 3, 2)
DATA = VOXELS.tobytes()
PACKED = zlib.compress(DATA)
PACKED_FIELDS = {"CompressedData": "True", "CompressedDataSize": str(len(PACKED))}
OBLIQUE = "0.8 0.6 0 -0.6 0.8 0 0 0 1"


def write(path, content):
    path.write_bytes(content)
    return path


def assert_like_simpleitk(path):
    (image,) = read_metaimage(path)
    reference = SimpleITK.ReadImage(str(path))
    assert image.geometry.size == reference.GetSize()
    assert image.geometry.spacing == reference.GetSpacing()
    assert image.geometry.origin == reference.GetOrigin()
    assert image.geometry.direction == reference.GetDirection()
    voxels = SimpleITK.GetArrayFromImage(reference).reshape(image.geometry.shape)
    assert image.data.dtype == voxels.dtype
    np.testing.assert_array_equal(image.data, voxels)
    return image


@pytest.mark.parametrize("packed", [False, True])
def test_plain_and_packed(tmp_path, packed):
    fields = {"TransformMatrix": OBLIQUE, "Offset": "1.5 -2 3.25"} | (PACKED_FIELDS if packed else {})
    content = metaimage_bytes(PACKED if packed else DATA, **fields)
    image = assert_like_simpleitk(write(tmp_path / "a.mha", content))
    assert image.warnings == ()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("i1", "CHAR"), ("u1", "UCHAR"), ("i2", "SHORT"), ("u2", "USHORT"), ("i4", "INT"), ("u4", "UINT"),
     ("i4", "LONG"), ("u4", "ULONG"), ("i8", "LONG_LONG"), ("u8", "ULONG_LONG"), ("f4", "FLOAT"),
     ("f8", "DOUBLE")],
)  # fmt: skip
@pytest.mark.parametrize("big", [False, True])
def test_every_number_type(tmp_path, kind, name, big):
    data = np.arange(24).astype((">" if big else "<") + kind).tobytes()
    fields = {"ElementType": f"MET_{name}", "BinaryDataByteOrderMSB": str(big)}
    assert_like_simpleitk(write(tmp_path / "a.mha", metaimage_bytes(data, **fields)))


@pytest.mark.parametrize(
    ("fields", "warned"),
    [
        ({"TransformMatrix": None, "Offset": None}, ""),
        ({"ElementSpacing": None}, "no spacing"),
        ({"ElementSpacing": None, "ElementSize": "2 2 2"}, ""),
        ({"ElementToIntensityFunctionSlope": "2"}, "ignored"),
        ({"AnatomicalOrientation": "RAI", "Comment": "a = b"}, ""),
    ],
)
def test_what_a_header_may_leave_out_or_add(tmp_path, fields, warned):
    image = assert_like_simpleitk(write(tmp_path / "a.mha", metaimage_bytes(DATA, **fields)))
    assert len(image.warnings) == bool(warned)
    assert all(warned in line for line in image.warnings)


@pytest.mark.parametrize("size_known", [True, False])
def test_detached_header(tmp_path, size_known):
    (tmp_path / "voxels.zraw").write_bytes(PACKED)
    (tmp_path / "voxels.raw").write_bytes(b"head" + DATA)
    plain = metaimage_bytes(b"", ElementDataFile="voxels.raw", HeaderSize="4" if size_known else "-1")
    assert_like_simpleitk(write(tmp_path / "a.mhd", plain))
    packed = metaimage_bytes(b"", ElementDataFile="voxels.zraw", **PACKED_FIELDS)
    assert_like_simpleitk(write(tmp_path / "b.mhd", packed))


def test_lines_that_metaio_would_complain_of(tmp_path, capfd):
    path = tmp_path / "a.mha"
    path.write_bytes(metaimage_bytes(DATA, ObjectType="Tube", NDimensions="x", Color="red", Modality="?"))
    np.testing.assert_array_equal(read_image(path)[0].data, VOXELS)
    assert capfd.readouterr() == ("", "")


def test_gzip_inside_is_read_too(tmp_path):
    path = write(tmp_path / "a.mha", metaimage_bytes(gzip.compress(DATA), CompressedData="True"))
    np.testing.assert_array_equal(read_image(path)[0].data, VOXELS)


def test_components_become_channels(tmp_path):
    path = write(tmp_path / "a.mha", metaimage_bytes(DATA, DimSize="2 2 2", ElementNumberOfChannels="3"))
    channels = read_image(path)
    reference = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    assert len(channels) == 3
    for index, channel in enumerate(channels):
        np.testing.assert_array_equal(channel.data, reference[..., index])


def test_flat_image(tmp_path):
    fields = {"NDims": "2", "DimSize": "4 6", "ElementSpacing": "1 2", "Offset": "3 4"}
    fields["TransformMatrix"] = "0 1 1 0"
    image = assert_like_simpleitk(write(tmp_path / "a.mha", metaimage_bytes(DATA, **fields)))
    assert image.data.shape == (1, 6, 4)


BAD_FILES = {
    "text": (b"hello\n", "no MetaImage file"),
    "cut": (metaimage_bytes(DATA[:-5]), "cut off"),
    "cut packed": (metaimage_bytes(PACKED[:-12], **PACKED_FIELDS), "ends early|cut off"),
    "short packed": (metaimage_bytes(zlib.compress(DATA[:-6]), **PACKED_FIELDS), "ends early"),
    "bad checksum": (metaimage_bytes(PACKED[:-4] + b"abcd", **PACKED_FIELDS), "damaged"),
    "not packed": (metaimage_bytes(DATA, **PACKED_FIELDS), "damaged"),
    "huge": (metaimage_bytes(DATA, DimSize="32767 32767 32767"), "promises 70362301923326 bytes"),
    "negative size": (metaimage_bytes(DATA, DimSize="2 -3 4"), "size 2 -3 4"),
    "zero size": (metaimage_bytes(DATA, DimSize="2 0 4"), "size 2 0 4"),
    "two sizes": (metaimage_bytes(DATA, DimSize="6 4"), "size 6 4"),
    "no size": (metaimage_bytes(DATA, DimSize=None), "no proper size"),
    "4d": (metaimage_bytes(DATA, NDims="4", DimSize="2 3 2 2"), "4 axes"),
    "zero spacing": (metaimage_bytes(DATA, ElementSpacing="1 0 3"), "spacing 1 x 0 x 3"),
    "negative spacing": (metaimage_bytes(DATA, ElementSpacing="1 -2 3"), "spacing 1 x -2 x 3"),
    "nan spacing": (metaimage_bytes(DATA, ElementSpacing="1 nan 3"), "spacing 1 x nan x 3"),
    "text spacing": (metaimage_bytes(DATA, ElementSpacing="1 abc 3"), "spacing is not 3 numbers"),
    "comma spacing": (metaimage_bytes(DATA, ElementSpacing="1,5 2,5 3,5"), "spacing is not 3 numbers"),
    "short matrix": (metaimage_bytes(DATA, TransformMatrix="1 0 0 1"), "direction is not 9 numbers"),
    "shear": (metaimage_bytes(DATA, TransformMatrix="1 0 0 1 1 0 0 0 1"), "right angles"),
    "length 2": (metaimage_bytes(DATA, TransformMatrix="2 0 0 0 2 0 0 0 2"), "not of length 1"),
    "micrometres": (metaimage_bytes(DATA, ElementSpacing="1e-6 1e-6 1e-6"), "cannot be right"),
    "text voxels": (metaimage_bytes(b"1 2 3", BinaryData="False"), "stored as text"),
    "unknown type": (metaimage_bytes(DATA, ElementType="MET_OTHER"), "type 'OTHER'"),
    "text channels": (metaimage_bytes(DATA, ElementNumberOfChannels="x"), "a whole number is wanted"),
    "missing data": (metaimage_bytes(b"", ElementDataFile="nothere.raw"), r"nothere\.raw: .*does not exist"),
    "many files": (metaimage_bytes(b"", ElementDataFile="LIST"), "many files"),
    "no data": (metaimage_bytes(b"", ElementDataFile=""), "does not name its data file"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_FILES)
def test_bad_files_are_refused_in_one_line(tmp_path, fault, capfd):
    content, message = BAD_FILES[fault]
    path = write(tmp_path / "scan.mha", content)
    with pytest.raises(InputError, match=message) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("off", [1e-4, 1e-2])
def test_axes_not_quite_at_right_angles_are_used_as_they_are(tmp_path, off):
    fields = {"TransformMatrix": f"1 0 0 {off} 1 0 0 0 1"}
    image = read_image(write(tmp_path / "a.mha", metaimage_bytes(DATA, **fields)))[0]
    assert image.geometry.direction == (1, off, 0, 0, 1, 0, 0, 0, 1)
    assert "not quite at right angles" in image.warnings[0]
