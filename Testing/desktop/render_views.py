"""A picture of a result in Slicer's own slice and 3D views, drawn off screen.

Kitware's trame-slicer drives Slicer's displayable managers without its desktop. It pins other versions than
the tests do, so it wants an environment of its own:

    python3.11 -m venv /tmp/views && /tmp/views/bin/pip install 'trame-slicer[standalone]==2.0.0' pillow
    make demo
    VTK_DEFAULT_OPENGL_WINDOW=vtkEGLRenderWindow /tmp/views/bin/python Testing/desktop/render_views.py \
        Resources/SampleData/MNI152_T1_1mm/MNI152_T1_1mm.nii.gz demo-output/hippocampi.seg.nrrd \
        Resources/Screenshots/slicer-views.png

Linux needs libegl1 for that. It takes twenty seconds; VTK complains of images without a colour table on the
way, and draws them rightly all the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

import vtk
from PIL import Image, ImageDraw, ImageFont
from slicer import (
    vtkMRMLSegmentationNode,
    vtkMRMLSliceNode,
    vtkSegmentationConverter,
)
from trame_slicer.core import SlicerApp
from trame_slicer.views import AbstractView, DirectViewFactory, ViewLayoutDefinition
from vtk.util.numpy_support import vtk_to_numpy

TILE = (560, 420)  # pixels of one view
BAR, GAP = 22, 4
SLICE_WIDTH_MM = 130.0
FILL = 0.4  # opacity
SLICE_COLORS = {"Axial": (243, 74, 51), "Coronal": (109, 173, 74), "Sagittal": (239, 213, 77)}
THREED_COLOR = (116, 116, 196)
# Letters at the left, right, top and bottom of each view, as Slicer shows a patient.
LETTERS = {"Axial": "RLAP", "Coronal": "RLSI", "Sagittal": "APSI"}
PALE, DARK = (236, 238, 240), (34, 36, 38)
SMOOTHING = "0.5"


def centre_of(segmentation: vtkMRMLSegmentationNode, ids: list[str]) -> list[float]:
    """Middle of the segments' boxes, RAS mm."""
    box = vtk.vtkBoundingBox()
    for segment_id in ids:
        box.AddPoint(segmentation.GetSegmentCenterRAS(segment_id))
    centre = [0.0, 0.0, 0.0]
    box.GetCenter(centre)
    return centre


def show_slice(node: vtkMRMLSliceNode, point: list[float]) -> None:
    """Put a slice through a point (RAS mm) and zoom in on it."""
    node.JumpSliceByCentering(*point)
    node.SetFieldOfView(SLICE_WIDTH_MM, SLICE_WIDTH_MM * TILE[1] / TILE[0], 1.0)


def show_surfaces(segmentation: vtkMRMLSegmentationNode) -> None:
    """Make the smoothed surfaces that Slicer's *Show 3D* makes, and thin outlines over a light fill."""
    segmentation.GetSegmentation().SetConversionParameter(
        vtkSegmentationConverter.GetClosedSurfaceRepresentationName(), ""
    )
    segmentation.GetSegmentation().SetConversionParameter("Smoothing factor", SMOOTHING)
    segmentation.CreateClosedSurfaceRepresentation()
    display = segmentation.GetDisplayNode()
    display.SetVisibility(True)
    display.SetVisibility3D(True)
    display.SetSliceIntersectionThickness(2)


def look(view: AbstractView, point: list[float]) -> None:
    """Look from the front, above and the left at a point (RAS mm), with an axial slice below it."""
    camera = view.renderer().GetActiveCamera()
    camera.SetFocalPoint(*point)
    camera.SetPosition(point[0] - 85.0, point[1] + 165.0, point[2] + 125.0)
    camera.SetViewUp(0.0, 0.0, 1.0)
    camera.SetViewAngle(22.0)
    view.renderer().ResetCameraClippingRange()
    view.renderer().SetUseDepthPeeling(False)


def picture_of(view: AbstractView) -> Image.Image:
    """What a view shows."""
    view.render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(view.render_window())
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3]
    return Image.fromarray(pixels.copy())


def filled_picture_of(view: AbstractView, segmentation: vtkMRMLSegmentationNode) -> Image.Image:
    """What a slice view shows, with a light fill: off screen, Slicer's own would be blended with black."""
    display = segmentation.GetDisplayNode()
    pictures = []
    for opacity in (0.0, 1.0):
        display.SetOpacity2DFill(opacity)
        pictures.append(picture_of(view))
    return Image.blend(pictures[0], pictures[1], FILL)


def with_bar(picture: Image.Image, title: str, color: tuple[int, int, int], letters: str) -> Image.Image:
    """A view under its coloured bar, with the patient's directions at the edges."""
    tile = Image.new("RGB", (TILE[0], TILE[1] + BAR), color)
    tile.paste(picture, (0, BAR))
    draw = ImageDraw.Draw(tile)
    draw.text((8, BAR / 2), title, fill=DARK, font=ImageFont.load_default(14), anchor="lm")
    font = ImageFont.load_default(17)
    middle_x, middle_y = TILE[0] / 2, BAR + TILE[1] / 2
    places = [(12, middle_y), (TILE[0] - 12, middle_y), (middle_x, BAR + 14), (middle_x, BAR + TILE[1] - 14)]
    for letter, place in zip(letters, places, strict=False):
        draw.text(place, letter, fill=PALE, stroke_fill=DARK, stroke_width=2, font=font, anchor="mm")
    return tile


def legend(segmentation: vtkMRMLSegmentationNode, ids: list[str], width: int) -> Image.Image:
    """A line with each segment's colour and name."""
    strip = Image.new("RGB", (width, 40), DARK)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(15)
    step = width / len(ids)
    for number, segment_id in enumerate(ids):
        segment = segmentation.GetSegmentation().GetSegment(segment_id)
        color = tuple(round(255 * part) for part in segment.GetColor())
        left = round(step * number + 18)
        draw.rounded_rectangle((left, 12, left + 16, 28), 3, fill=color)
        draw.text((left + 25, 20), segment.GetName(), fill=PALE, font=font, anchor="lm")
    return strip


def load(app: SlicerApp, volume: Path, segments: Path) -> vtkMRMLSegmentationNode:
    """Load both and show the volume in all slices."""
    volume_node = app.io_manager.load_volumes([str(volume)])[0]
    segmentation = app.io_manager.load_segmentation(str(segments))
    app.display_manager.show_volume_in_slice_background(volume_node)
    app.display_manager.reset_views()
    return segmentation


def main(volume: Path, segments: Path, output: Path) -> None:
    """Draw the picture.

    Args:
        volume: An image file.
        segments: A .seg.nrrd on its grid.
        output: The PNG to write.
    """
    app = SlicerApp()
    app.view_manager.register_factory(DirectViewFactory(do_render_offscreen=True))
    definitions = {
        "Axial": ViewLayoutDefinition.axial_view(),
        "3D": ViewLayoutDefinition.threed_view(background_color=("#c1c3ea", "#7476b2")),
        "Coronal": ViewLayoutDefinition.coronal_view(),
        "Sagittal": ViewLayoutDefinition.sagittal_view(),
    }
    views = {name: app.view_manager.create_view(definition) for name, definition in definitions.items()}
    for view in views.values():
        view.render_window().SetOffScreenRendering(1)
        view.render_window().SetSize(*TILE)

    segmentation = load(app, volume, segments)
    ids = list(segmentation.GetSegmentation().GetSegmentIDs())
    show_surfaces(segmentation)
    middle = centre_of(segmentation, ids)
    first = list(segmentation.GetSegmentCenterRAS(ids[0]))
    points = {
        "Axial": [middle[0], middle[1], (middle[2] + first[2]) / 2],
        "Coronal": [middle[0], first[1], middle[2]],
        "Sagittal": first,
    }

    views["Axial"].get_view_node().SetSliceVisible(True)
    tiles = []
    for name, view in views.items():
        if name == "3D":
            look(view, middle)
            tiles.append(with_bar(picture_of(view), "3D", THREED_COLOR, ""))
            continue
        view.fit_view_to_content()
        show_slice(view.get_view_node(), points[name])
        tiles.append(with_bar(filled_picture_of(view, segmentation), name, SLICE_COLORS[name], LETTERS[name]))

    width, height = TILE[0] * 2 + GAP, (TILE[1] + BAR) * 2 + GAP
    sheet = Image.new("RGB", (width, height + 40), DARK)
    for number, tile in enumerate(tiles):
        sheet.paste(tile, ((number % 2) * (TILE[0] + GAP), (number // 2) * (TILE[1] + BAR + GAP)))
    sheet.paste(legend(segmentation, ids, width), (0, height))
    sheet.save(output, optimize=True)
    print(f"{output}: {output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
