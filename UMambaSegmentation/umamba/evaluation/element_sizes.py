"""How much surface (a line, in 2D) lies at the corner where 2 x 2 x 2 (2 x 2) voxels meet.

The idea, and the numbers, are those of Nikolov et al. (arXiv:1809.04430): the 8 voxels around a corner make a
code; the surface between those inside and those outside is marching cubes', through the midpoints of the 12
edges of the cube that their centres span. Its triangles are made here from three rules:
- on each face, the midpoints of the edges that leave the mask are joined; of two diagonal corners the side
  that has fewer of the 8 (the mask, where both have 4) is cut off corner by corner;
- the joints make closed loops;
- each loop is cut into triangles in the way that gives most area in a cube of side 1.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

Point = tuple[float, ...]
Corner = tuple[int, ...]
# Vertices of a loop, by their place in it.
Triangle = tuple[int, int, int]

CODES_3D = 256
CODES_2D = 16
HALF_OF_THE_CORNERS = 4


def bits(axes: int) -> tuple[tuple[Corner, int], ...]:
    """Each of the 2**axes voxels around a corner, as 0 (before it) or 1 (behind) per axis, with its bit."""
    voxels = tuple(itertools.product((0, 1), repeat=axes))
    highest = 1 << (len(voxels) - 1)
    return tuple((voxel, highest >> place) for place, voxel in enumerate(voxels))


def element_sizes(spacing_mm: tuple[float, ...]) -> np.ndarray:
    """Size of the surface at a corner, by its code.

    Args:
        spacing_mm: Of the array's axes: three for areas, two for lengths.

    Returns:
        (256,) float64 in mm2, or (16,) in mm; 0 where all voxels or none are inside.
    """
    if len(spacing_mm) == 2:
        return _lengths(spacing_mm)
    sizes = np.zeros(CODES_3D)
    # An area vector's component along an axis grows with the spacings of the two others.
    scale = np.prod(spacing_mm) / np.asarray(spacing_mm, dtype=np.float64)
    for code, vectors in enumerate(_area_vectors()):
        sizes[code] = np.linalg.norm(vectors * scale, axis=1).sum()
    return sizes


def _lengths(spacing_mm: tuple[float, ...]) -> np.ndarray:
    """Marching squares' lines: a cut corner is half a pixel's diagonal, a straight line one pixel long."""
    slant = float(np.hypot(spacing_mm[0], spacing_mm[1])) / 2
    sizes = np.zeros(CODES_2D)
    for code in range(1, CODES_2D - 1):
        inside = [corner for corner, bit in bits(2) if code & bit]
        if len(inside) != 2:
            sizes[code] = slant
            continue
        (row, column), (other_row, other_column) = inside
        if row == other_row:
            sizes[code] = spacing_mm[1]
        else:
            sizes[code] = spacing_mm[0] if column == other_column else 2 * slant
    return sizes


@cache
def _area_vectors() -> tuple[np.ndarray, ...]:
    """For each code the vectors of its triangles, (n, 3): normal to them, as long as they are large."""
    found = []
    for code in range(CODES_3D):
        vectors = [
            _area_vector(*(loop[vertex] for vertex in triangle))
            for loop in _loops(code)
            for triangle in _largest_triangulation(loop)
        ]
        found.append(np.array(vectors, dtype=np.float64).reshape(-1, 3))
    return tuple(found)


def _area_vector(a: Point, b: Point, c: Point) -> np.ndarray:
    return np.cross(np.subtract(b, a), np.subtract(c, a)) / 2


def _loops(code: int) -> list[list[Point]]:
    """The closed lines in which the surface meets the cube's faces, as midpoints of edges."""
    inside = {corner for corner, bit in bits(3) if code & bit}
    cut_off_inside = len(inside) <= HALF_OF_THE_CORNERS
    neighbours: dict[Point, list[Point]] = {}
    for axis, side in itertools.product(range(3), (0, 1)):
        for one, other in _joints(_face(axis, side), inside, cut_off_inside):
            neighbours.setdefault(one, []).append(other)
            neighbours.setdefault(other, []).append(one)
    loops = []
    while neighbours:
        point = min(neighbours)
        loop = []
        while point in neighbours:  # each point lies on two faces, so has two neighbours
            loop.append(point)
            one, other = neighbours.pop(point)
            point = one if one in neighbours else other
        loops.append(loop)
    return loops


def _face(axis: int, side: int) -> list[Corner]:
    """The four corners of a face of the cube, in a circle."""
    return [tuple(int(v) for v in np.insert(flat, axis, side)) for flat in ((0, 0), (1, 0), (1, 1), (0, 1))]


def _joints(face: list[Corner], inside: set[Corner], cut_off_inside: bool) -> list[tuple[Point, Point]]:
    """Which midpoints of the face's edges are joined."""
    middles = [_middle(face[place], face[(place + 1) % 4]) for place in range(4)]
    crossed = [place for place in range(4) if (face[place] in inside) != (face[(place + 1) % 4] in inside)]
    if len(crossed) < 4:
        return [(middles[crossed[0]], middles[crossed[1]])] if crossed else []
    first = 0 if (face[0] in inside) == cut_off_inside else 1
    return [(middles[corner - 1], middles[corner]) for corner in (first, first + 2)]


def _middle(one: Corner, other: Corner) -> Point:
    return tuple((a + b) / 2 for a, b in zip(one, other, strict=True))


def _largest_triangulation(loop: list[Point]) -> list[Triangle]:
    """Of all ways to cut the loop into triangles one with the most area (those have equal areas)."""

    def area(triangles: list[Triangle]) -> float:
        return float(sum(np.linalg.norm(_area_vector(*(loop[v] for v in cut))) for cut in triangles))

    return max(_triangulations(0, len(loop) - 1), key=area)


def _triangulations(first: int, last: int) -> list[list[Triangle]]:
    """All ways to cut the polygon of the vertices first to last."""
    if last - first < 2:
        return [[]]
    return [
        [*left, *right, (first, middle, last)]
        for middle in range(first + 1, last)
        for left in _triangulations(first, middle)
        for right in _triangulations(middle, last)
    ]
