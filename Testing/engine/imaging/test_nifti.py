"""NIfTI: grid and values as SimpleITK gives them, and every header that makes no sense refused."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK

from image_builders import NIFTI_CODES, nifti_bytes, nifti_header
from umamba.errors import InputError
from umamba.imaging.nifti import read_nifti
from umamba.imaging.read import read_image

SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)

SIZE = (2, 3, 4)
VOXELS = np.arange(24, dtype="<i2").reshape(SIZE[::-1])
ROTATED = (0.0, -2.0, 0.0, 5.5, 1.5, 0.0, 0.0, -3.25, 0.0, 0.0, 3.0, 7.125)  # 90 degrees about k, as an sform
HALF_TURN = 2**-0.5  # quaternion of the same turn: cos and sin of 45 degrees
NAN, INFINITY = float("nan"), float("inf")


def write(path, content):
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def assert_like_simpleitk(path):
    """One grey image: grid to the last bit, number type and values."""
    (image,) = read_nifti(path)
    reference = SimpleITK.ReadImage(str(path))
    assert image.geometry.size == reference.GetSize()
    assert image.geometry.spacing == reference.GetSpacing()
    assert image.geometry.origin == reference.GetOrigin()
    assert image.geometry.direction == reference.GetDirection()
    voxels = SimpleITK.GetArrayFromImage(reference).reshape(image.geometry.shape)
    assert image.data.dtype == voxels.dtype
    np.testing.assert_array_equal(image.data, voxels)
    assert image.data.flags.c_contiguous
    return image


@pytest.mark.parametrize("kind", sorted(NIFTI_CODES))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_every_number_type(tmp_path, kind, order, suffix):
    voxels = np.arange(24).reshape(SIZE[::-1]).astype(order + kind)
    image = assert_like_simpleitk(write(tmp_path / f"a{suffix}", nifti_bytes(voxels)))
    assert image.warnings == ()


@pytest.mark.parametrize("kind", ["u1", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize(
    "rescale",
    [
        (2.5, 0),
        (1, -1024),
        (0.1, 3.3),
        (-1, 0),
        (0, 0),
        (0, 5),
        (NAN, 0),
        (NAN, NAN),
        (1, NAN),
        (NAN, 3),
        (2, INFINITY),
    ],
)
def test_every_rescale(tmp_path, kind, rescale):
    values = [0, 1, 255, 3, 7, 100] if kind == "u1" else [0, 1, 2**24 + 1, -5, 2**30 + 1, 77]
    voxels = np.array(values * 4).reshape(SIZE[::-1]).astype("<" + kind)
    assert_like_simpleitk(write(tmp_path / "a.nii", nifti_bytes(voxels, rescale=rescale)))


@pytest.mark.parametrize("sform_code", range(5))
@pytest.mark.parametrize("qform_code", range(5))
def test_the_form_that_is_used_is_simpleitks(tmp_path, qform_code, sform_code):
    content = nifti_bytes(
        VOXELS, codes=(qform_code, sform_code), srows=ROTATED, qoffset=(1, 2, 3), pixdim=(1.5, 2, 3)
    )
    image = assert_like_simpleitk(write(tmp_path / "a.nii", content))
    if qform_code and sform_code:
        used = "sform" if sform_code == 1 else "qform"
        assert len(image.warnings) == 1
        assert "sform and qform disagree" in image.warnings[0]
        assert f"the {used} was used" in image.warnings[0]
    elif not qform_code and not sform_code:
        assert "codes are 0" in image.warnings[0]
    else:
        assert image.warnings == ()


def test_equal_forms_are_no_cause_for_a_warning(tmp_path):
    content = nifti_bytes(
        VOXELS,
        codes=(1, 1),
        srows=ROTATED,
        pixdim=(1.5, 2, 3),
        quaternion=(0, 0, HALF_TURN),
        qoffset=(5.5, -3.25, 7.125),
    )
    image = assert_like_simpleitk(write(tmp_path / "a.nii", content))
    assert image.warnings == ()
    assert image.nifti.qform() == pytest.approx(
        image.nifti.sform(), abs=1e-6
    )  # single precision of sqrt(1/2)


@pytest.mark.parametrize(("units", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (10, 1)])
def test_units(tmp_path, units, factor):
    content = nifti_bytes(VOXELS, units=units, srows=ROTATED, pixdim=(1.5, 2, 3))
    image = assert_like_simpleitk(write(tmp_path / "a.nii", content))
    assert image.geometry.spacing == pytest.approx((1.5 * factor, 2 * factor, 3 * factor))
    assert bool(image.warnings) == (factor != 1)


def test_left_handed_grid(tmp_path):
    mirrored = (-1.0, 0, 0, 5, 0, 1.0, 0, 6, 0, 0, 1.0, 7)
    image = assert_like_simpleitk(write(tmp_path / "a.nii", nifti_bytes(VOXELS, srows=mirrored)))
    assert np.linalg.det(np.reshape(image.geometry.direction, (3, 3))) < 0
    assert image.warnings == ()


@pytest.mark.parametrize("code", [1, 2])
@pytest.mark.parametrize("off", [1e-7, 1e-5, 1e-4, 1e-3, 1e-2])
def test_axes_not_quite_at_right_angles(tmp_path, off, code):
    """ITK refuses the larger ones; their grid is then the sform's own, made the same way."""
    srows = (1.0, off, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0)
    (image,) = read_image(write(tmp_path / "a.nii", nifti_bytes(VOXELS, srows=srows, codes=(0, code))))
    norm = np.hypot(1, off)
    expected = (-1, -off / norm, 0, 0, -1 / norm, 0, 0, 0, 1)
    assert image.geometry.direction == pytest.approx(expected, abs=1e-7)  # single precision
    assert image.geometry.spacing == (1.0, 1.0, 1.0)
    warned = [line for line in image.warnings if "right angles" in line]
    assert len(warned) == (1 if off >= 1e-4 else 0)


def test_sheared_axes_are_taken_with_a_warning(tmp_path):
    """Off by a tenth: 5.7 degrees."""
    srows = (1.0, 0.1, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0)
    (image,) = read_image(write(tmp_path / "a.nii", nifti_bytes(VOXELS, srows=srows)))
    assert any("tilted by 5.7 degrees" in line for line in image.warnings)


@pytest.mark.parametrize("off", [0.8, 1.0])
def test_axes_at_any_angle_are_refused(tmp_path, off):
    srows = (1.0, off, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0)
    path = write(tmp_path / "a.nii", nifti_bytes(VOXELS, srows=srows))
    with pytest.raises(InputError, match=r"a\.nii: .*not at right angles.*resample"):
        read_image(path)


def test_a_sheared_sform_beside_a_qform_gives_way_to_it(tmp_path):
    srows = (1.0, 0.5, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0)
    image = assert_like_simpleitk(write(tmp_path / "a.nii", nifti_bytes(VOXELS, srows=srows, codes=(1, 1))))
    assert "the qform was used" in image.warnings[0]


def test_pixdim_and_sform_of_different_length(tmp_path):
    srows = (2.0, 0, 0, 0, 0, 2.0, 0, 0, 0, 0, 2.0, 0)
    image = assert_like_simpleitk(write(tmp_path / "a.nii", nifti_bytes(VOXELS, srows=srows)))
    assert "2 x 2 x 2 is not that of pixdim 1 x 1 x 1" in image.warnings[0]


@pytest.mark.parametrize(
    "size", [(4, 6), (4, 6, 1), (1, 24, 1), (1, 1, 24), (2, 3, 4, 1), (2, 3, 4, 1, 1), (1, 1, 1)]
)
def test_flat_thin_and_single_voxel_images(tmp_path, size):
    voxels = VOXELS.reshape(-1)[: np.prod(size)]
    image = assert_like_simpleitk(write(tmp_path / "a.nii.gz", nifti_bytes(voxels, size=size)))
    assert image.geometry.axes == (2 if len(size) == 2 else 3)


def test_colours_become_channels(tmp_path):
    values = np.arange(72, dtype=np.uint8).reshape(4, 3, 2, 3)
    path = write(tmp_path / "a.nii", nifti_header(SIZE, 128) + values.tobytes())
    channels = read_image(path)
    assert len(channels) == 3
    reference = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    for index, channel in enumerate(channels):
        np.testing.assert_array_equal(channel.data, reference[..., index])


def test_transparency_is_left_out(tmp_path):
    path = write(tmp_path / "a.nii", nifti_header(SIZE, 2304) + bytes(range(96)))
    channels = read_image(path)
    assert len(channels) == 3
    assert "alpha" in channels[0].warnings[0]


def test_vector_components_become_channels(tmp_path):
    voxels = np.arange(48, dtype="<f4")
    path = write(tmp_path / "a.nii", nifti_bytes(voxels, size=(2, 3, 4, 1, 2), intent=1007))
    first, second = read_image(path)
    np.testing.assert_array_equal(first.data.ravel(), np.arange(24))
    np.testing.assert_array_equal(second.data.ravel(), np.arange(24, 48))


GOOD = nifti_bytes(VOXELS)
DATA = VOXELS.tobytes()


def changed(position, form, *values):
    block = bytearray(GOOD)
    struct.pack_into(form, block, position, *values)
    return bytes(block)


BAD_HEADERS = {
    "short": (GOOD[:200], "no NIfTI file"),
    "text": (b"hello world\n" * 50, "no NIfTI file"),
    "pair": (changed(344, "4s", b"ni1\0"), "NIfTI-1 file in one piece"),
    "analyze": (changed(344, "4s", b"\0\0\0\0"), "NIfTI-1 file in one piece"),
    "nifti2": (changed(0, "<i", 540), "NIfTI-2"),
    "4d": (nifti_bytes(VOXELS, size=(2, 3, 2, 2)), "series of 2 volumes"),
    "1d": (nifti_bytes(VOXELS, size=(24,)), "one axis only"),
    "negative size": (changed(42, "<h", -2), "size"),
    "zero size": (changed(42, "<h", 0), "size"),
    "no axes": (changed(40, "<h", 0), "size"),
    "nine axes": (changed(40, "<h", 9), "size"),
    "complex": (changed(70, "<h", 32), "complex"),
    "quad": (changed(70, "<h", 1536), "128 bits"),
    "bits": (changed(70, "<h", 1), "single bits"),
    "unknown type": (changed(70, "<h", 4711), "unknown type 4711"),
    "offset": (changed(108, "<f", 0.0), "begin at byte 0"),
    "nan offset": (changed(108, "<f", NAN), "begin at byte nan"),
    "far offset": (changed(108, "<f", 1e9), "promises"),
    "missing voxels": (GOOD[:-5], "cut off|ends early"),
    "huge": (nifti_header((32767, 32767, 32767), 4) + DATA, "promises 70362301923678 bytes"),
    "zero spacing": (changed(80, "<f", 0.0), "spacing 0 x 1 x 1"),
    "negative spacing": (changed(84, "<f", -1.0), "spacing 1 x -1 x 1"),
    "nan spacing": (changed(88, "<f", NAN), "spacing 1 x 1 x nan"),
    "infinite spacing": (changed(88, "<f", INFINITY), "spacing 1 x 1 x inf"),
    "micrometres": (changed(80, "<3f", 1e-6, 1e-6, 1e-6), "spacing"),
    "metres": (changed(80, "<3f", 1e6, 1e6, 1e6), "spacing"),
    "nan qform": (nifti_bytes(VOXELS, codes=(1, 0), qoffset=(0, NAN, 0)), "its qform holds values"),
    "nan origin": (changed(292, "<f", NAN), "its sform holds values that are no numbers"),
    "flat sform": (changed(280, "<f", 0.0), "its sform has an axis of length 0"),
}


@pytest.mark.parametrize("fault", BAD_HEADERS)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_bad_headers_are_refused_in_one_line(tmp_path, fault, suffix, capfd):
    content, message = BAD_HEADERS[fault]
    path = write(tmp_path / f"scan{suffix}", content)
    with pytest.raises(InputError, match=rf"scan{suffix}: .*({message})") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # nothing from ITK's or niftilib's own mouth


def test_a_cut_gzip_file_is_refused(tmp_path):
    noise = np.random.default_rng(1).integers(-1000, 1000, (20, 30, 40)).astype("<i2")
    packed = gzip.compress(nifti_bytes(noise))
    path = tmp_path / "scan.nii.gz"
    for kept in (5, 100, len(packed) // 2, len(packed) - 1):
        path.write_bytes(packed[:kept])
        with pytest.raises(InputError, match=r"scan\.nii\.gz"):
            read_image(path)


def test_packed_and_plain_are_told_by_content(tmp_path):
    packed_as_plain, plain_as_packed = tmp_path / "a.nii", tmp_path / "b.nii.gz"
    packed_as_plain.write_bytes(gzip.compress(GOOD))
    plain_as_packed.write_bytes(GOOD)
    for path in (packed_as_plain, plain_as_packed):
        np.testing.assert_array_equal(read_image(path)[0].data, VOXELS)


def test_an_axis_of_one_voxel_may_lack_its_spacing(tmp_path):
    content = nifti_bytes(VOXELS, size=(4, 6, 1), pixdim=(2, 2, 0))
    assert assert_like_simpleitk(write(tmp_path / "a.nii", content)).geometry.spacing == (2, 2, 1)


@pytest.mark.parametrize("folder", ["hippocampus", "abdomen-mr", "heart-cine-lv"])
def test_real_files(shared_data, folder):
    for path in sorted((shared_data / folder / "imagesTr").iterdir())[::29][:4]:
        image = assert_like_simpleitk(path)
        peer = nibabel.load(path)
        np.testing.assert_array_equal(image.data, np.asanyarray(peer.dataobj).T)
        lps = np.diag([-1.0, -1, 1]) @ peer.affine[:3]
        places = np.column_stack([image.geometry.matrix, image.geometry.origin])
        np.testing.assert_allclose(
            places, lps, atol=1e-4
        )  # nibabel may prefer the other form: 0.1 micrometre
