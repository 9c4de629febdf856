"""PNG and TIFF: the values that nnU-Net's own reader gives."""

import json
import struct
import zlib

import numpy as np
import pytest
import tifffile
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO

from umamba.errors import InputError
from umamba.imaging.read import read_image

GENERATOR = np.random.default_rng(7)
ROWS, COLUMNS = 4, 5
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
VALUES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
COLOURS = bytes(range(48))  # sixteen of them


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bytes(pixels, bits, kind, more=b"", size=None):
    """A PNG of (rows, columns, values), written bit by bit."""
    rows = []
    for row in pixels.reshape(pixels.shape[0], -1):
        text = "".join(format(int(value), f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(b"\0" + int(text, 2).to_bytes(len(text) // 8, "big"))
    width, height = size or (pixels.shape[1], pixels.shape[0])
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    body = chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def draw(bits, kind):
    values = VALUES[kind]
    return GENERATOR.integers(0, min(2**bits, 16 if kind == PALETTE else 2**bits), (ROWS, COLUMNS, values))


def assert_like_nnunet(path, channels):
    images = read_image(path)
    expected, properties = NaturalImage2DIO().read_images([str(path)])
    assert len(images) == channels
    for index, image in enumerate(images):
        assert image.data.shape == (1, ROWS, COLUMNS)
        np.testing.assert_array_equal(image.data.astype(np.float32), expected[index])
        assert image.geometry.axes == 2
        assert image.geometry.spacing_zyx == properties["spacing"]
        assert image.data.flags.c_contiguous
    return images


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_png(tmp_path, bits):
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(draw(bits, GREY), bits, GREY))
    (image,) = assert_like_nnunet(path, 1)
    assert image.data.dtype == (np.uint16 if bits == 16 else np.uint8)


@pytest.mark.parametrize(("bits", "kind"), [(8, RGB), (16, RGB), (8, RGB_ALPHA), (16, RGB_ALPHA)])
def test_colour_png(tmp_path, bits, kind):
    path = tmp_path / "ä b.PNG"
    path.write_bytes(png_bytes(draw(bits, kind), bits, kind))
    images = assert_like_nnunet(path, 3)
    told = " ".join(images[0].warnings)
    assert ("16 bits" in told) == (bits == 16)
    assert ("alpha" in told) == (kind == RGB_ALPHA)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
def test_palette_png(tmp_path, bits, transparent):
    path = tmp_path / "a.png"
    more = chunk(b"PLTE", COLOURS[: 3 * 2 ** min(bits, 4)])
    if transparent:
        more += chunk(b"tRNS", bytes(2))
    path.write_bytes(png_bytes(draw(bits, PALETTE), bits, PALETTE, more))
    assert_like_nnunet(path, 3)


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_png_with_transparency(tmp_path, bits):
    pixels = draw(bits, GREY_ALPHA)
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(pixels, bits, GREY_ALPHA))
    (image,) = read_image(path)
    np.testing.assert_array_equal(image.data[0], pixels[..., 0] >> (bits - 8))
    assert any("alpha" in line for line in image.warnings)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.uint16, np.int16, np.float32])
def test_grey_tiff(tmp_path, kind):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GENERATOR.integers(0, 2, (ROWS, COLUMNS)).astype(kind))
    assert_like_nnunet(path, 1)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_colour_tiff(tmp_path, compression, planar, kind):
    path = tmp_path / "a.tiff"
    pixels = GENERATOR.integers(0, 255, (ROWS, COLUMNS, 3)).astype(kind)
    if planar == "separate":
        pixels = np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(path, pixels, photometric="rgb", planarconfig=planar, compression=compression)
    assert_like_nnunet(path, 3)


def test_tiff_with_transparency_and_palette(tmp_path):
    path = tmp_path / "a.tif"
    pixels = GENERATOR.integers(0, 255, (ROWS, COLUMNS, 4)).astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unassalpha"])
    images = assert_like_nnunet(path, 3)
    assert "alpha" in images[0].warnings[0]
    palette = GENERATOR.integers(0, 65535, (3, 256)).astype(np.uint16)
    tifffile.imwrite(path, pixels[..., 0], photometric="palette", colormap=palette)
    images = read_image(path)
    for channel, image in enumerate(images):
        np.testing.assert_array_equal(image.data[0], palette[channel][pixels[..., 0]] // 256)


@pytest.mark.parametrize("imagej", [False, True])
@pytest.mark.parametrize("spacing", [None, [3.0, 0.5, 0.25]])
def test_a_stack_is_a_volume(tmp_path, imagej, spacing):
    path = tmp_path / "case_0000.tif"
    pixels = GENERATOR.integers(0, 255, (6, ROWS, COLUMNS)).astype(np.uint8)
    tifffile.imwrite(path, pixels, imagej=imagej, photometric="minisblack")
    if spacing:
        (tmp_path / "case_0000.json").write_text(json.dumps({"spacing": spacing}))
        (tmp_path / "case.json").write_text(json.dumps({"spacing": spacing}))  # where nnU-Net looks for it
    (image,) = read_image(path)
    expected, properties = Tiff3DIO().read_images([str(path)])
    np.testing.assert_array_equal(image.data, expected[0])
    assert image.geometry.spacing_zyx == tuple(properties["spacing"])
    assert ("1 mm was assumed" in " ".join(image.warnings)) == (spacing is None)


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"spacing": [1, 2]}', '{"spacing": [0, 1, 1]}', '{"spacing": "abc"}', "["]
)
def test_a_spacing_file_that_makes_no_sense(tmp_path, content):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((6, ROWS, COLUMNS), np.uint8), photometric="minisblack")
    path.with_suffix(".json").write_text(content)
    with pytest.raises(InputError, match=r"a\.json: .*(spacing)"):
        read_image(path)


def test_stacks_of_colours_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((6, ROWS, COLUMNS, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match="6 x 4 x 5 x 3"):
        read_image(path)


def test_pages_of_different_sizes_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((ROWS, COLUMNS), np.uint8))
        file.write(np.zeros((2 * ROWS, COLUMNS), np.uint8))
    with pytest.raises(InputError, match="2 images of several kinds"):
        read_image(path)


def good_png():
    return png_bytes(GENERATOR.integers(0, 256, (64, 64, 1)), 8, GREY)


def tiff_of(tmp_path, **options):
    path = tmp_path / "whole.tif"
    tifffile.imwrite(path, GENERATOR.integers(0, 255, (64, 64)).astype(np.uint8), **options)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b"hello", "is no PNG file"),
        (lambda b: b[:20], "is no PNG file"),
        (lambda b: b[: len(b) // 2], "damaged PNG"),
        (lambda b: b[:-200], "damaged PNG"),
        (lambda b: b[:50] + bytes(20) + b[70:], "damaged PNG"),
        (lambda b: png_bytes(np.zeros((1, 1, 1), int), 8, GREY, size=(2**31 - 1, 2**31 - 1)), "promises"),
        (lambda b: png_bytes(np.zeros((1, 1, 1), int), 8, GREY, size=(0, 5)), "makes no sense"),
    ],
)
def test_bad_png(tmp_path, capfd, damage, message):
    path = tmp_path / "scan.png"
    path.write_bytes(damage(good_png()))
    with pytest.raises(InputError, match=rf"^scan\.png: .*{message}") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"compression": "lzw"}])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.95])
def test_a_cut_tiff(tmp_path, capfd, options, kept):
    whole = tiff_of(tmp_path, **options)
    path = tmp_path / "scan.tif"
    path.write_bytes(whole[: int(len(whole) * kept)] or b"hello")
    with pytest.raises(InputError, match=r"^scan\.tif: ") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_that_promises_more_than_it_can_hold(tmp_path, compression):
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression=compression)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageLength", "RowsPerStrip"):
            file.pages[0].tags[name].overwrite(2**20)
    with pytest.raises(InputError, match=r"^scan\.tif: the header promises 67108864 bytes"):
        read_image(path)


def test_real_photographs(shared_data):
    grey = next(iter(sorted((shared_data / "nuclei" / "fluorescence" / "images").iterdir())))
    colour = next(iter(sorted((shared_data / "nuclei" / "stained" / "images").iterdir())))
    for path, channels in ((grey, 1), (colour, 3)):
        images = read_image(path)
        expected, _ = NaturalImage2DIO().read_images([str(path)])
        assert len(images) == channels
        np.testing.assert_array_equal(np.stack([image.data for image in images]), expected)
