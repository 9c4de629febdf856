"""DICOM series: the right grid and values, or the reason why there is none."""

import shutil
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)

from image_builders import dicom_slice, plain_series, save_series
from umamba.errors import InputError
from umamba.imaging.read import read_image

SECRETS = ("Secret", "SECRET")
EXPECTED = np.stack([np.arange(20).reshape(4, 5) + 100 * index for index in range(5)])


def refused(path, message, capfd, **options):
    with pytest.raises(InputError, match=message) as caught:
        read_image(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert not any(secret in text for secret in SECRETS)
    assert capfd.readouterr() == ("", "")
    return text


def test_unsorted_files_become_a_volume(tmp_path, capfd):
    (image,) = read_image(save_series(tmp_path / "series ä", plain_series()))
    np.testing.assert_array_equal(image.data, EXPECTED)
    assert image.geometry.size == (5, 4, 5)
    assert image.geometry.spacing == (0.5, 0.75, 2.0)
    assert image.geometry.origin == (-10.5, 20.25, 5.0)
    assert image.geometry.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert (image.source, image.modality, image.warnings) == ("dicom", "CT", ())
    assert image.files == ("im00.dcm", "im07.dcm", "im03.dcm", "im10.dcm", "im06.dcm")
    assert image.details["instance_uids"] == tuple(f"1.2.826.0.1.99.1.{n}" for n in range(1, 6))
    assert image.details["study_uid"] == "1.2.826.0.1.99"
    assert image.details["frame_of_reference_uid"] == "1.2.826.0.1.99.7"
    assert not any(secret in repr(image) for secret in SECRETS)
    assert capfd.readouterr() == ("", "")


def test_the_grid_is_simpleitks(tmp_path):
    turned = [0.8, 0.6, 0.0, -0.48, 0.64, 0.6]
    normal = np.cross(turned[:3], turned[3:])
    slices = plain_series()
    for index, dataset in enumerate(slices.values()):
        dataset.ImageOrientationPatient = turned
        dataset.ImagePositionPatient = [
            round(float(v), 6) for v in np.array([1, 2, 3]) + 2.5 * index * normal
        ]
    folder = save_series(tmp_path / "a", slices)
    (image,) = read_image(folder)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    reference = reader.Execute()
    assert image.geometry.spacing == reference.GetSpacing()
    assert image.geometry.origin == reference.GetOrigin()
    assert image.geometry.direction == reference.GetDirection()
    np.testing.assert_array_equal(image.data, SimpleITK.GetArrayFromImage(reference))


def test_negated_column_cosine(tmp_path):
    """Rows from foot to head of the picture: the slices then run towards the feet."""
    slices = plain_series(ImageOrientationPatient=[1, 0, 0, 0, -1, 0])
    (image,) = read_image(save_series(tmp_path / "a", slices))
    np.testing.assert_array_equal(image.data, EXPECTED[::-1])
    assert image.geometry.origin == (-10.5, 20.25, 13.0)
    assert image.geometry.direction == (1, 0, 0, 0, -1, 0, 0, 0, -1)


@pytest.mark.parametrize(("off", "warned"), [(1e-6, False), (1e-4, True), (1e-2, True)])
def test_axes_not_quite_at_right_angles(tmp_path, off, warned):
    """GDCM would take the identity for them, in silence; here a turn by 37 degrees stays one."""
    slices = plain_series(ImageOrientationPatient=[0.8, 0.6, 0, round(-0.6 + off, 8), 0.8, 0])
    (image,) = read_image(save_series(tmp_path / "a", slices))
    expected = (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)
    np.testing.assert_allclose(image.geometry.direction, expected, atol=off)
    assert any("right angles" in line for line in image.warnings) == warned


@pytest.mark.parametrize(
    ("cosines", "message"),
    [
        ([1, 0.3, 0, 0, 1, 0], "right angles"),
        ([1, 0, 0, 1, 0, 0], "direction cosines that are none"),
        ([0, 0, 0, 0, 1, 0], "direction cosines that are none"),
        ([2, 0, 0, 0, 2, 0], "direction cosines that are none"),
    ],
)
def test_axes_that_are_none(tmp_path, capfd, cosines, message):
    folder = save_series(tmp_path / "a", plain_series(ImageOrientationPatient=cosines))
    refused(folder, message, capfd)


@pytest.mark.parametrize("kind", ["1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.1"])
def test_other_kinds_of_objects_keep_their_grid(tmp_path, kind):
    """Secondary captures and radiographs: GDCM gives 1 mm, the identity, or no place for them."""
    slices = plain_series(SOPClassUID=kind, ImageOrientationPatient=[0.8, 0.6, 0, -0.6, 0.8, 0])
    for dataset in slices.values():
        dataset.file_meta.MediaStorageSOPClassUID = kind
    (image,) = read_image(save_series(tmp_path / "a", slices))
    assert image.geometry.spacing == (0.5, 0.75, 2.0)
    assert image.geometry.origin == (-10.5, 20.25, 5.0)
    np.testing.assert_allclose(image.geometry.direction, (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1), atol=1e-15)
    np.testing.assert_array_equal(image.data, EXPECTED)


def test_one_file_stands_for_its_series(tmp_path):
    folder = save_series(tmp_path / "a", plain_series())
    save_series(folder, {"other.dcm": dicom_slice(0, uid="1.2.826.0.1.99.2")})
    (image,) = read_image(folder / "im03.dcm")
    assert image.data.shape == (5, 4, 5)
    (other,) = read_image(folder / "other.dcm")
    assert other.data.shape == (1, 4, 5)
    assert other.geometry.spacing == (0.5, 0.75, 2.0)


def test_names_without_ending_and_foreign_files(tmp_path):
    slices = {name.removesuffix(".dcm"): dataset for name, dataset in plain_series().items()}
    folder = save_series(tmp_path / "a", slices)
    (folder / "readme.txt").write_text("not DICOM")
    (folder / "empty").touch()
    (folder / "deeper").mkdir()
    assert read_image(folder)[0].data.shape == (5, 4, 5)
    assert read_image(folder / "im03")[0].data.shape == (5, 4, 5)


def test_a_folder_that_holds_only_a_folder(tmp_path, capfd):
    save_series(tmp_path / "a" / "b" / "c", plain_series())
    (image,) = read_image(tmp_path / "a")
    assert image.data.shape == (5, 4, 5)
    assert "read from c" in image.warnings[0]
    (tmp_path / "a" / "note.txt").write_text("x")
    refused(tmp_path / "a", "no DICOM files in this folder", capfd)


def test_several_series(tmp_path, capfd):
    folder = save_series(tmp_path / "a", plain_series())
    save_series(folder, {f"mr{n}": dicom_slice(n, uid="1.2.826.0.1.99.2", Modality="MR") for n in range(3)})
    text = refused(folder, "choose one with --series", capfd)
    assert "1.2.826.0.1.99.1 (CT, 5 slices), 1.2.826.0.1.99.2 (MR, 3 slices)" in text
    assert read_image(folder, series="1.2.826.0.1.99.2")[0].data.shape == (3, 4, 5)
    refused(folder, r"no image series 1\.2\.3; it holds", capfd, series="1.2.3")
    refused(folder / "mr0", "belongs to another series", capfd, series="1.2.826.0.1.99.1")


def test_reports_beside_the_images_are_passed_over(tmp_path):
    folder = save_series(tmp_path / "a", plain_series())
    report = dicom_slice(0, uid="1.2.826.0.1.99.3", Modality="SR", PixelData=None, Rows=None, Columns=None)
    save_series(folder, {"report.dcm": report})
    assert read_image(folder)[0].data.shape == (5, 4, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("im03.dcm"), "slice seems to be missing after the 2nd from below"),
        (lambda s: s.update(copy=s["im03.dcm"]), "1 slices lie at the place of another"),
        (lambda s: setattr(s["im03.dcm"], "ImagePositionPatient", [-10.5, 20.25, 9.5]), "unevenly spaced"),
        (lambda s: setattr(s["im03.dcm"], "ImagePositionPatient", [-8.5, 20.25, 9.0]), "tilted"),
        (lambda s: setattr(s["im03.dcm"], "ImageOrientationPatient", [0, 1, 0, 0, 0, -1]), "orientation"),
        (lambda s: setattr(s["im03.dcm"], "PixelSpacing", [0.75, 0.6]), "different pixel spacing"),
        (lambda s: setattr(s["im03.dcm"], "PixelSpacing", [0, 0]), "no pixel spacing"),
        (lambda s: delattr(s["im03.dcm"], "PixelSpacing"), "no pixel spacing"),
        (lambda s: delattr(s["im03.dcm"], "ImagePositionPatient"), "no position"),
        (lambda s: delattr(s["im03.dcm"], "ImageOrientationPatient"), "no orientation"),
        (lambda s: s["im03.dcm"].update({"Rows": 2, "Columns": 10}), "different sizes"),
        (lambda s: delattr(s["im03.dcm"], "PixelData"), "im03.dcm holds no pixel data"),
        (lambda s: setattr(s["im03.dcm"], "PixelData", bytes(38)), "38 bytes of pixels, 40 are wanted"),
        (lambda s: setattr(s["im03.dcm"], "PhotometricInterpretation", "PALETTE COLOR"), "no grey image"),
        (lambda s: setattr(s["im03.dcm"], "SamplesPerPixel", 3), "bytes of pixels|no grey image"),
        (lambda s: s["im03.dcm"].update({"NumberOfFrames": 2, "Rows": 2}), "multi-frame object"),
    ],
)
def test_what_is_no_regular_volume_is_refused(tmp_path, capfd, change, message):
    slices = plain_series()
    change(slices)
    refused(save_series(tmp_path / "scan", slices), f"^scan: .*{message}|^im03.dcm: .*{message}", capfd)


def test_slices_a_little_out_of_place_are_told(tmp_path):
    slices = plain_series()
    slices["im03.dcm"].ImagePositionPatient = [-10.5, 20.25, 9.06]  # 3 % of 2 mm
    (image,) = read_image(save_series(tmp_path / "a", slices))
    assert image.geometry.spacing[2] == 2.0
    assert "unevenly spaced (1.94 to 2.06 mm); 2 mm was used" in image.warnings[0]


def test_rounded_positions_are_no_fault(tmp_path):
    slices = plain_series(spacing_mm=0.625)
    for index, dataset in enumerate(slices.values()):
        dataset.ImagePositionPatient = [-10.5, 20.25, round(0.625 * index, 2)]
    (image,) = read_image(save_series(tmp_path / "a", slices))
    assert image.warnings == ()


def test_slices_of_one_place_are_time_points(tmp_path, capfd):
    slices = {f"{n}.dcm": dicom_slice(n % 2) for n in range(6)}
    refused(save_series(tmp_path / "a", slices), "several time points, echoes or phases", capfd)


def test_different_rescales_are_applied_slice_by_slice(tmp_path):
    """As in PET: the first slice alone would promise integers."""
    slices = plain_series()
    slices["im03.dcm"].RescaleSlope = 0.5
    (image,) = read_image(save_series(tmp_path / "a", slices))
    expected = EXPECTED.astype(np.float64)
    expected[2] = (EXPECTED[2] + 1024) * 0.5 - 1024
    assert image.data.dtype == np.float64
    np.testing.assert_array_equal(image.data, expected)


def test_one_slice_without_thickness(tmp_path):
    (image,) = read_image(save_series(tmp_path / "a", {"a": dicom_slice(0, SliceThickness=None)}))
    assert image.geometry.spacing == (0.5, 0.75, 1.0)
    assert "thickness" in image.warnings[0]


def test_inverted_grey_scale_is_told(tmp_path):
    slices = plain_series(PhotometricInterpretation="MONOCHROME1")
    (image,) = read_image(save_series(tmp_path / "a", slices))
    assert "MONOCHROME1" in image.warnings[0]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLSLossless])
def test_transfer_syntaxes(tmp_path, syntax):
    slices = plain_series()
    for dataset in slices.values():
        pixels = np.frombuffer(dataset.PixelData, "<u2").reshape(4, 5)
        if syntax == JPEGLSLossless:
            dataset.PixelData = encapsulate([imagecodecs.jpegls_encode(pixels)])
            dataset["PixelData"].is_undefined_length = True
        elif syntax == ExplicitVRBigEndian:
            dataset.PixelData = pixels.astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
    folder = tmp_path / "a"
    folder.mkdir()
    for name, dataset in slices.items():
        if syntax == ExplicitVRBigEndian:
            dataset = Dataset(dataset)
            dataset.file_meta = slices[name].file_meta
            dataset.preamble = bytes(128)
            pydicom.dcmwrite(folder / name, dataset, implicit_vr=False, little_endian=False)
        else:
            pydicom.dcmwrite(folder / name, dataset)
    (image,) = read_image(folder)
    np.testing.assert_array_equal(image.data, EXPECTED)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.1.99", "1.2.3.4"])
def test_unknown_transfer_syntaxes_are_refused(tmp_path, capfd, syntax):
    folder = save_series(tmp_path / "a", plain_series())
    for path in folder.iterdir():
        content = path.read_bytes()
        old, new = b"1.2.840.10008.1.2.1\0", syntax.encode()
        new += b"\0" * (len(new) % 2)
        at = content.index(old)
        path.write_bytes(content[: at - 2] + len(new).to_bytes(2, "little") + new + content[at + len(old) :])
    refused(folder, f"packed in a way that cannot be read .{syntax}", capfd)


def test_no_preamble(tmp_path):
    """As old exports have them: the data set alone."""
    folder = tmp_path / "a"
    folder.mkdir()
    for name, dataset in plain_series().items():
        bare = Dataset(dataset)
        pydicom.dcmwrite(folder / name, bare, implicit_vr=True, little_endian=True)
        assert (folder / name).read_bytes()[:2] == b"\x08\0"
    np.testing.assert_array_equal(read_image(folder)[0].data, EXPECTED)


def nested(depth, undefined):
    """(0040,A730) in an item of (0040,A730) ...; by hand, as pydicom would take 2^depth steps."""
    value = b""
    for _ in range(depth):
        length = b"\xff\xff\xff\xff" if undefined else len(value).to_bytes(4, "little")
        item = b"\xfe\xff\x00\xe0" + length + value + (b"\xfe\xff\x0d\xe0\0\0\0\0" if undefined else b"")
        length = b"\xff\xff\xff\xff" if undefined else len(item).to_bytes(4, "little")
        value = b"\x40\x00\x30\xa7SQ\0\0" + length + item
        value += b"\xfe\xff\xdd\xe0\0\0\0\0" if undefined else b""
    return value


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("depth", [5, 300])
def test_nested_sequences(tmp_path, capfd, depth, undefined):
    folder = save_series(tmp_path / "a", plain_series())
    for path in folder.iterdir():
        content = path.read_bytes()
        at = content.index(b"\xe0\x7f\x10\x00OW")
        path.write_bytes(content[:at] + nested(depth, undefined) + content[at:])
    if depth == 5:
        np.testing.assert_array_equal(read_image(folder)[0].data, EXPECTED)
    else:
        refused(folder, "nested deeper than 32", capfd)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[: len(b) // 2], "longer than the file|no pixel data|bytes of pixels"),
        (lambda b: b[:-5], "longer than the file"),
        (lambda b: b.replace(b"\x08\0\x60\0CS", b"\x08\0\x60\0??"), "unknown value representation"),
        (lambda b: b.replace(b"\x08\0\x60\0CS\2\0", b"\x08\0\x60\0CS\xff\xff"), "longer than the file"),
        (lambda b: b.replace(b"MONOCHROME2", b"MONO\nHROME2"), "no grey image .MONO HROME2."),
    ],
)
def test_damaged_files_are_refused(tmp_path, capfd, damage, message):
    folder = save_series(tmp_path / "a", plain_series())
    path = folder / "im03.dcm"
    path.write_bytes(damage(path.read_bytes()))
    refused(folder, rf"(im03\.dcm|a): .*({message})", capfd)


def test_compressed_pixels_that_are_none(tmp_path, capfd):
    slices = plain_series()
    for dataset in slices.values():
        dataset.PixelData = encapsulate([b"nonsense" * 4])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    with pytest.raises(InputError, match="cannot be decoded") as caught:
        read_image(save_series(tmp_path / "a", slices))
    assert "\n" not in str(caught.value)


def test_an_empty_folder_and_one_of_other_objects(tmp_path, capfd):
    (tmp_path / "a").mkdir()
    refused(tmp_path / "a", "^a: no DICOM files", capfd)
    report = dicom_slice(0, Modality="SR", PixelData=None, Rows=None, Columns=None)
    refused(save_series(tmp_path / "a", {"x.dcm": report}), "1 DICOM objects, none with pixel data", capfd)


def test_an_enhanced_object_of_one_frame(tmp_path, capfd):
    dataset = dicom_slice(0, SOPClassUID=EnhancedMRImageStorage, NumberOfFrames=1, PixelSpacing=None)
    refused(save_series(tmp_path / "a", {"x.dcm": dataset}), "multi-frame object", capfd)


def test_a_header_cut_before_its_series(tmp_path, capfd):
    folder = save_series(tmp_path / "a", plain_series())
    path = folder / "im06.dcm"  # the last slice: without it the volume would only be shorter
    content = path.read_bytes()
    for end in (b"\x20\0\x0d\0UI", b"\x28\0\x10\0US", b"\xe0\x7f\x10\0OW"):  # study, rows, pixels
        path.write_bytes(content[: content.index(end)])
        refused(folder, r"^a: im06\.dcm .*(belongs to no series|holds no pixel data)", capfd)


PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.mark.parametrize(
    "name",
    ["bigendian", "implicit", "padded", "expb", "RLE", "jpeg_ls_lossless", "jp2klossless"],
)
def test_one_slice_in_seven_encodings(tmp_path, capfd, name):
    """Files of other makers that ship with pydicom; all hold the pixels of MR_small.dcm."""
    shutil.copy(PYDICOM_FILES / f"MR_small_{name}.dcm", tmp_path)
    (image,) = read_image(tmp_path)
    plain = pydicom.dcmread(PYDICOM_FILES / "MR_small.dcm")
    reference = SimpleITK.ReadImage(str(PYDICOM_FILES / "MR_small.dcm"))
    np.testing.assert_array_equal(image.data[0], plain.pixel_array)
    assert image.geometry.spacing[:2] == reference.GetSpacing()[:2]
    assert image.geometry.spacing[2] == plain.SliceThickness  # ITK takes 1 mm for some kinds of objects
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MR_truncated", "cut off"),
        ("rtplan_truncated", "cut off"),
        ("SC_rgb_jpeg_dcmtk", "no grey image"),
        ("JPEG2000-embedded-sequence-delimiter", "cannot be decoded"),
        ("rtdose", "multi-frame object"),
        ("liver_1frame", "no pixel spacing"),
        ("rtstruct", "none with pixel data"),
        ("image_dfl", "packed in a way that cannot be read"),
    ],
)
def test_files_of_other_makers_that_are_no_volume(tmp_path, capfd, name, message):
    shutil.copy(PYDICOM_FILES / f"{name}.dcm", tmp_path)
    refused(tmp_path, message, capfd)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ("ct_head_gantry_tilt", r"unevenly spaced \(1\.08 to 7\.00 mm\).* tilted .* by 18\.5 degrees"),
        ("mr_enhanced_philips", r"multi-frame object \(64 frames\)"),
        ("mr_enhanced_siemens_xa", r"multi-frame object \(6 frames\)"),
    ],
)
def test_real_series_that_are_no_regular_volume(shared_data, capfd, series, message):
    refused(shared_data / "dicom" / series, message, capfd)


def test_a_real_compressed_series(shared_data):
    """Grid and values against SimpleITK's series reader, two slices also against another JPEG-LS decoder."""
    folder = shared_data / "dicom" / "ct_chest_cmb_crc"
    (image,) = read_image(folder)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    reference = reader.Execute()
    assert image.geometry.size == reference.GetSize() == (512, 512, 100)
    assert image.geometry.spacing == reference.GetSpacing() == (0.898438, 0.898438, 2.5)
    assert image.geometry.origin == reference.GetOrigin() == (-228.8, -220.0, -236.5)
    assert image.geometry.direction == reference.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    np.testing.assert_array_equal(image.data, SimpleITK.GetArrayFromImage(reference))
    for index in (0, 63):
        dataset = pydicom.dcmread(folder / image.files[index])
        assert float(dataset.ImagePositionPatient[2]) == -236.5 + 2.5 * index
        frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
        stored = imagecodecs.jpegls_decode(frame).view(np.int16)
        np.testing.assert_array_equal(image.data[index], stored.astype(np.int32) - 1024)


def test_order_does_not_depend_on_names(shared_data, tmp_path):
    source = shared_data / "dicom" / "ct_chest_cmb_crc"
    for index in range(40, 45):
        shutil.copy(source / f"{index:04d}.dcm", tmp_path / f"{(index * 13) % 100:02d}")
    (image,) = read_image(tmp_path)
    assert image.geometry.origin[2] == -236.5 + 2.5 * 39
    assert image.geometry.spacing[2] == 2.5
