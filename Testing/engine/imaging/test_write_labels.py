"""Label maps written and read again by others: the input's grid, the right values, one whole file."""

import gzip
import json
import struct

import numpy as np
import PIL.Image
import pytest
import SimpleITK
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from image_builders import metaimage_bytes, nifti_bytes, nrrd_bytes, plain_series, save_series
from umamba.errors import InputError
from umamba.imaging import labelfiles
from umamba.imaging.image import Geometry, Image
from umamba.imaging.read import read_image
from umamba.imaging.write import LABEL_SUFFIXES, check_output, write_labels

SIZE = (2, 3, 4)
LABELS = np.arange(24, dtype=np.uint8).reshape(SIZE[::-1])
PROVENANCE = {"engine": "umamba", "date": "2026-01-01", "model": {"id": 'a"b\\c', "name": "Größe\nzwei"}}
VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
# Single precision of cosines, and of millimetres up to some hundreds: what NIfTI can hold of another grid.
COSINE_ROUNDING, MM_ROUNDING = 1e-6, 1e-4
# A grid that no format stores in round numbers.
TURN = (
    0.8660254037844387,
    -0.49999999999999994,
    0.0,
    0.49999999999999994,
    0.8660254037844387,
    0.0,
    0.0,
    0.0,
    1.0,
)
OBLIQUE = Geometry(SIZE, (0.7, 1 / 3, 2.5000001), (-101.1, 20.000003, 1e-3), TURN)


def made_image(geometry=OBLIQUE):
    return Image(np.zeros(geometry.shape, np.int16), geometry)


def grid_of(image):
    return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def read_back(path):
    image = SimpleITK.ReadImage(str(path))
    return SimpleITK.GetArrayFromImage(image), grid_of(image)


@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_values_and_number_type(tmp_path, suffix, kind):
    labels = (LABELS.astype(kind) * (1 if kind == np.uint8 else 2800)).astype(kind)
    path = tmp_path / f"größe x{suffix}"
    write_labels(path, labels, made_image(), provenance=PROVENANCE)
    found, _ = read_back(path)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(read_image(path)[0].data, labels)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_grid_from_elsewhere_is_kept_exactly(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_labels(path, LABELS, made_image(), provenance=PROVENANCE)
    _, grid = read_back(path)
    assert grid.origin == OBLIQUE.origin
    if suffix == ".mha":
        assert grid == OBLIQUE
    else:  # NRRD stores the product of spacing and cosines
        assert grid.spacing == pytest.approx(OBLIQUE.spacing, rel=1e-15)
        assert grid.direction == pytest.approx(OBLIQUE.direction, abs=1e-15)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("left_handed", [False, True])
def test_a_grid_from_elsewhere_as_nifti(tmp_path, suffix, left_handed):
    direction = (*TURN[:8], -1.0) if left_handed else TURN
    geometry = Geometry(SIZE, OBLIQUE.spacing, OBLIQUE.origin, direction)
    path = tmp_path / f"a{suffix}"
    write_labels(path, LABELS, made_image(geometry))
    _, grid = read_back(path)
    assert grid.size == SIZE
    np.testing.assert_allclose(grid.spacing, geometry.spacing, rtol=COSINE_ROUNDING)
    np.testing.assert_allclose(grid.direction, geometry.direction, atol=COSINE_ROUNDING)
    np.testing.assert_allclose(grid.origin, geometry.origin, atol=MM_ROUNDING)
    forms = read_image(path)[0].nifti
    np.testing.assert_allclose(forms.qform(), forms.sform(), atol=MM_ROUNDING)
    assert (forms.qform_code, forms.sform_code) == (1, 1)
    assert read_image(path)[0].warnings == ()


def rotation(quaternion, mirrored):
    """(3, 3), with the third axis turned round if `mirrored`."""
    a, b, c, d = np.array(quaternion) / np.linalg.norm(quaternion)
    matrix = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    if mirrored:
        matrix[:, 2] *= -1
    return matrix


def header_fields(path):
    """The bytes of a NIfTI header that say where its voxels lie."""
    content = path.read_bytes()
    block = gzip.decompress(content) if path.suffix == ".gz" else content
    return block[76:108], block[123:124], block[252:328]


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 2), (1, 1), (2, 4), (1, 3)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("units", [0, 2, 3, 10])
def test_nifti_to_nifti_copies_both_forms_bit_by_bit(tmp_path, codes, suffix, units):
    source, target = tmp_path / "in.nii", tmp_path / f"out{suffix}"
    turned = np.column_stack([rotation((3, 1, -2, 5), True) * (0.7, 0.7, 1.3), (11.3, -5.7, 8.9)])
    content = nifti_bytes(
        np.zeros(SIZE[::-1], "<i2"),
        codes=codes,
        srows=turned.ravel(),
        quaternion=(0.1, 0.2, 0.3),
        qoffset=(1.1, 2.2, 3.3),
        pixdim=(0.7, 0.7, 1.3, 2.5),
        qfac=-1.0,
        units=units,
    )
    source.write_bytes(content)
    like = read_image(source)[0]
    write_labels(target, LABELS, like)
    assert header_fields(target) == header_fields(source)
    found, grid = read_back(target)
    np.testing.assert_array_equal(found, LABELS)
    assert grid == like.geometry


def test_nifti_from_the_other_byte_order(tmp_path):
    (tmp_path / "in.nii").write_bytes(nifti_bytes(np.zeros(SIZE[::-1], ">f4"), pixdim=(0.7, 0.3, 0.1)))
    like = read_image(tmp_path / "in.nii")[0]
    write_labels(tmp_path / "out.nii", LABELS, like)
    assert read_back(tmp_path / "out.nii")[1] == like.geometry == read_back(tmp_path / "in.nii")[1]


@pytest.mark.parametrize("off", [1e-4, 1e-2])
def test_nifti_with_axes_not_quite_at_right_angles_keeps_its_forms(tmp_path, off):
    srows = (1.0, off, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0)
    (tmp_path / "in.nii").write_bytes(nifti_bytes(np.zeros(SIZE[::-1], "<i2"), srows=srows))
    like = read_image(tmp_path / "in.nii")[0]
    for suffix in VOLUME_SUFFIXES:
        path = tmp_path / f"out{suffix}"
        write_labels(path, LABELS, like)
        again = read_image(path)[0].geometry
        np.testing.assert_allclose(again.matrix, like.geometry.matrix, atol=COSINE_ROUNDING)
    assert header_fields(tmp_path / "out.nii") == header_fields(tmp_path / "in.nii")


# Decimals as headers have them; ITK turns cosines below some 1e-300 into 0 on the way.
finite = st.integers(-500_000, 500_000).map(lambda value: value / 997)
lengths = st.integers(20, 15_000).map(lambda value: value / 1009)
quaternions = st.tuples(*[st.integers(-100, 100)] * 4).filter(any)


@settings(max_examples=60, deadline=None)
@given(quaternions, st.booleans(), st.tuples(*[lengths] * 3), st.tuples(*[finite] * 3))
def test_any_grid_survives_every_format(tmp_path_factory, quaternion, mirrored, spacing, origin):
    """Same format in and out: to the last bit. Into another one: as exact as that format."""
    folder = tmp_path_factory.mktemp("grids")
    direction = rotation(quaternion, mirrored)
    source = SimpleITK.GetImageFromArray(np.zeros(SIZE[::-1], np.int16))
    source.SetSpacing(spacing)
    source.SetOrigin(origin)
    source.SetDirection(tuple(direction.ravel()))
    for given_as in (".nii", ".nrrd", ".mha"):
        path = folder / f"in{given_as}"
        SimpleITK.WriteImage(source, str(path))
        (like,) = read_image(path)
        assert like.geometry == read_back(path)[1]
        for written_as in (".nii", ".nrrd", ".mha"):
            target = folder / f"out{written_as}"
            write_labels(target, LABELS, like, overwrite=True)
            _, grid = read_back(target)
            if written_as in (given_as, ".mha"):
                assert grid == like.geometry
            else:
                np.testing.assert_allclose(grid.matrix, like.geometry.matrix, atol=MM_ROUNDING)
                np.testing.assert_allclose(grid.origin, like.geometry.origin, atol=MM_ROUNDING)


def test_dicom_in_every_format(tmp_path):
    like = read_image(save_series(tmp_path / "series", plain_series()))[0]
    labels = np.ones(like.geometry.shape, np.uint8)
    for suffix in (".nrrd", ".mha"):
        write_labels(tmp_path / f"a{suffix}", labels, like)
        assert read_back(tmp_path / f"a{suffix}")[1] == like.geometry


def test_a_flat_image_in_every_format(tmp_path):
    geometry = Geometry((5, 4), (1.5, 0.5), (3.0, -4.0), (0.0, 1.0, 1.0, 0.0))
    like = Image(np.zeros((1, 4, 5), np.uint8), geometry, source="natural")
    labels = np.arange(20, dtype=np.uint8).reshape(1, 4, 5)
    for suffix in (".nrrd", ".mha"):
        write_labels(tmp_path / f"a{suffix}", labels, like)
        found, grid = read_back(tmp_path / f"a{suffix}")
        np.testing.assert_array_equal(found, labels[0])
        assert grid == geometry
    upright = Image(
        like.data, Geometry((5, 4), (1.5, 0.5), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0)), source="natural"
    )
    write_labels(tmp_path / "a.nii.gz", labels, upright)
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz")[0].data, labels)
    assert read_image(tmp_path / "a.nii.gz")[0].geometry.spacing == (1.5, 0.5)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
def test_pictures(tmp_path, kind, suffix):
    like = Image(
        np.zeros((1, 4, 5), np.uint8),
        Geometry((5, 4), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0)),
        source="natural",
    )
    labels = (np.arange(20).reshape(1, 4, 5) * (12 if kind == np.uint8 else 3000)).astype(kind)
    path = tmp_path / f"a{suffix}"
    write_labels(path, labels, like, provenance=PROVENANCE)
    if suffix == ".png":
        picture = PIL.Image.open(path)
        assert json.loads(picture.text["UMamba.Provenance"]) == PROVENANCE
        found = np.asarray(picture)
    else:
        found = tifffile.imread(path)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, labels[0])
    np.testing.assert_array_equal(read_image(path)[0].data, labels)


def test_a_stack_of_pages(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", np.zeros((6, 4, 5), np.uint8), photometric="minisblack")
    like = read_image(tmp_path / "in.tif")[0]
    labels = np.arange(120, dtype=np.uint8).reshape(6, 4, 5)
    write_labels(tmp_path / "out.tif", labels, like)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), labels)


def test_provenance_in_headers(tmp_path):
    write_labels(tmp_path / "a.nrrd", LABELS, made_image(), provenance=PROVENANCE)
    image = SimpleITK.ReadImage(str(tmp_path / "a.nrrd"))
    assert image.GetMetaData("UMamba.engine") == "umamba"
    assert json.loads(image.GetMetaData("UMamba.model")) == PROVENANCE["model"]
    write_labels(tmp_path / "a.mha", LABELS, made_image(), provenance=PROVENANCE)
    image = SimpleITK.ReadImage(str(tmp_path / "a.mha"))
    assert json.loads(image.GetMetaData("UMamba_Provenance")) == PROVENANCE


def test_the_same_labels_give_the_same_bytes(tmp_path):
    for suffix in LABEL_SUFFIXES[:5]:
        for name in "ab":
            write_labels(tmp_path / f"{name}{suffix}", LABELS, made_image(), provenance=PROVENANCE)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.dcm", "DICOM SEG comes in a later release"),
        ("a.jpg", r"as \.jpg; known are \.nii\.gz, \.nii, \.nrrd"),
        ("a", "a file without an ending"),
        ("a.nii.gz.bak", r"\.bak"),
        ("a.png", "PNG holds flat images"),
        ("a.tif", "TIFF would lose the volume's grid"),
        ("missing/a.nii", "its folder does not exist"),
    ],
)
def test_outputs_that_cannot_be(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        write_labels(tmp_path / name, LABELS, made_image())
    assert list(tmp_path.iterdir()) == []


def test_overlaps_need_a_segmentation(tmp_path):
    with pytest.raises(InputError, match=r"overlapping labels need a \.seg\.nrrd"):
        write_labels(tmp_path / "a.nii", [LABELS, LABELS], made_image())


def test_arrays_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match="uint8 or uint16"):
        write_labels(tmp_path / "a.nii", LABELS.astype(np.int64), made_image())
    with pytest.raises(ValueError, match="do not fit"):
        write_labels(tmp_path / "a.nii", LABELS[1:], made_image())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", LABEL_SUFFIXES[:5])
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")

    def full(labels, *_):
        yield b"x"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(labelfiles, "_planes", full)
    monkeypatch.setattr(np, "stack", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(InputError, match="the disk is full"):
        write_labels(path, LABELS, made_image(), overwrite=True)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_check_output_says_the_format():
    assert check_output("Folder.nii/X.NII.GZ") == ".nii.gz"
    assert check_output("a.seg.nrrd", made_image()) == ".seg.nrrd"


def test_an_axis_too_long_for_nifti(tmp_path):
    like = made_image(Geometry((40_000, 1, 1), (1.0,) * 3, (0.0,) * 3, OBLIQUE.direction))
    labels = np.zeros((1, 1, 40_000), np.uint8)
    with pytest.raises(InputError, match=r"40000 voxels does not fit into NIfTI; write \.nrrd"):
        write_labels(tmp_path / "a.nii", labels, like)
    write_labels(tmp_path / "a.nrrd", labels, like)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.nrrd"]


def test_kept_vectors_of_another_grid_are_not_used(tmp_path):
    (tmp_path / "in.nrrd").write_bytes(nrrd_bytes(LABELS.astype("<i2").tobytes()))
    like = read_image(tmp_path / "in.nrrd")[0]
    write_labels(tmp_path / "a.nrrd", LABELS, like.with_data(like.data, OBLIQUE))
    assert read_back(tmp_path / "a.nrrd")[1].origin == OBLIQUE.origin


def test_metaimage_grid_round_trip(tmp_path):
    fields = {
        "TransformMatrix": "0 1 0 0 0 1 1 0 0",
        "Offset": "0.1 0.2 0.3",
        "ElementSpacing": "0.7 0.3 0.1",
    }
    (tmp_path / "in.mha").write_bytes(metaimage_bytes(LABELS.astype("<i2").tobytes(), **fields))
    like = read_image(tmp_path / "in.mha")[0]
    write_labels(tmp_path / "out.mha", LABELS, like)
    assert read_back(tmp_path / "out.mha")[1] == like.geometry


def test_nifti_headers_are_complete(tmp_path):
    write_labels(tmp_path / "a.nii", LABELS, made_image())
    block = (tmp_path / "a.nii").read_bytes()
    assert len(block) == 352 + LABELS.size
    assert struct.unpack_from("<2h", block, 70) == (2, 8)  # uint8, 8 bits
    assert struct.unpack_from("<3f", block, 108) == (352, 1, 0)
    assert block[148:154] == b"umamba"
