"""A small contrast-enhanced CT torso, from the lungs' bases to the lower poles of the kidneys.

All CT tasks share it: the same seed gives the same patient, and only the task decides what is labelled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uniseg_nets.phantom.canvas import Canvas, grain
from uniseg_nets.phantom.shapes import Shape, Waves, both, bumpy, curve, ellipsoid, grown, tube, union, without

__all__ = ["paint_torso"]

_AIR, _FAT, _LUNG, _MUSCLE, _WATER = -1000.0, -100.0, -830.0, 55.0, 10.0


def paint_torso(canvas: Canvas, rng: np.random.Generator, noise: np.random.Generator) -> None:
    """Paints one patient in HU; tumours come last, so that no organ covers them."""
    canvas.image[:] = _AIR
    inner = _wall(canvas, rng)
    lungs = _chest(canvas, rng)
    _spine(canvas, rng)
    liver = _liver(canvas, rng, inner)
    _spleen(canvas, rng, inner)
    colon = _bowel(canvas, rng)
    kidneys = _kidneys(canvas, rng)
    pancreas = _pancreas(canvas, rng)
    _tumours(canvas, rng, lungs, liver, kidneys, pancreas, colon)
    level = rng.uniform(8, 18)
    canvas.image[0] += np.float32(level) * grain(noise, canvas.space.shape)
    np.clip(canvas.image, -1024, 2000, out=canvas.image)


def _wall(canvas: Canvas, rng: np.random.Generator) -> Shape:
    """Skin, fat and muscle; gives back the room inside."""
    outline = ellipsoid((0, 0, 0), (120 * _about(rng), 90 * _about(rng), 900), power=2.4)
    outline = bumpy(outline, Waves(rng, 150), 2)
    fat, muscle = rng.uniform(6, 12), rng.uniform(7, 10)
    canvas.paint(outline, _FAT)
    canvas.paint(grown(outline, -fat), _MUSCLE, texture=(Waves(rng, 25), 0.06))
    inner = grown(outline, -fat - muscle)
    canvas.paint(inner, _FAT)
    canvas.paint(ellipsoid((0, -62, 0), (58, 24, 900), power=3), _MUSCLE)  # back muscles
    for level in range(5):  # ribs: hoops in the wall that fall towards the front
        for side in (-1, 1):
            turn = np.linspace(-0.95, 1.0, 9)
            height = 95 - 22 * level + rng.uniform(-2, 2) - 22 * (turn + 0.95) / 2
            hoop = np.stack([side * 104 * np.cos(turn), 76 * np.sin(turn), height], axis=1)
            canvas.paint(tube(curve(hoop, 10), 4.2), 380)
    return inner


def _chest(canvas: Canvas, rng: np.random.Generator) -> list[Shape]:
    lungs = []
    canvas.paint(ellipsoid((0, -5, 95), (40, 60, 62), power=3), 40)  # mediastinum
    for side in (-1, 1):
        centre = _near(rng, (60 * side, 2, 95))
        lung = bumpy(ellipsoid(centre, _near(rng, (41, 64, 68), 2), power=2.6), Waves(rng, 90), 2)
        canvas.paint(lung, _LUNG + rng.uniform(-20, 40), texture=(Waves(rng, 30), 0.02))
        for _ in range(7):  # lung vessels, thinner than any tumour
            start = centre + (-28 * side, 0, 0) + rng.normal(0, 6, 3)
            end = centre + rng.uniform((-20, -45, -50), (25, 45, -5))
            middle = (start + end) / 2 + rng.normal(0, 6, 3)
            canvas.paint(both(tube(curve([start, middle, end], 8), rng.uniform(1.5, 3)), lung), 20)
        lungs.append(lung)
    canvas.paint(bumpy(ellipsoid(_near(rng, (-20, 26, 82)), (42, 36, 38), (0, 25, 20)), Waves(rng, 60), 2), 120)
    return lungs


def _spine(canvas: Canvas, rng: np.random.Generator) -> None:
    bend, pitch = rng.uniform(-5, 5), rng.uniform(27, 30)
    canvas.paint(tube(curve([(0, -64, -140), (bend, -64, 0), (0, -64, 140)], 20), 8), 25)  # spinal canal
    spongy, hard = rng.uniform(190, 240), rng.uniform(320, 420)
    offset = rng.uniform(0, pitch)
    for level in range(-5, 5):
        z = level * pitch + offset
        x = bend * np.cos(z / 90)
        centre = _near(rng, (x, -42, z), 0.7)
        x, y, z = centre
        canvas.paint(ellipsoid((x, y, z + pitch / 2), (18, 14, 5), power=3), 85)  # disc
        body = bumpy(ellipsoid(centre, (20, 15.5, pitch / 2 - 3), power=3.5), Waves(rng, 30), 0.7)
        arch = [
            tube([(x + s * 13, y - 12, z + 3), (x + s * 14, y - 24, z), (x, y - 35, z - 3)], 4.5) for s in (-1, 1)
        ]
        wings = tube(curve([(x - 34, y - 27, z + 2), (x, y - 31, z), (x + 34, y - 27, z + 2)], 10), 3.8)
        spine = ellipsoid((x, y - 38, z - 6), (4, 10, 9), (-20, 0, 0))
        rear = without(union(wings, spine, *arch, blend=4), tube([(x, -64, z - 30), (x, -64, z + 30)], 8))
        canvas.paint(rear, hard, "vertebrae")
        canvas.paint(body, hard, "vertebrae")
        canvas.paint(grown(body, -2.5), spongy, "vertebrae", texture=(Waves(rng, 8), 0.08))
    aorta = curve([(-14, -22, -140), (-12 + bend, -18, -20), (-18, -22, 140)], 15)
    canvas.paint(tube(aorta, rng.uniform(9, 11)), 185)
    canvas.paint(tube(curve([(16, -20, -140), (18 + bend, -16, 0), (22, -10, 75)], 15), rng.uniform(9, 11)), 150)


def _liver(canvas: Canvas, rng: np.random.Generator, inner: Shape) -> Shape:
    shift, size = rng.normal(0, 3, 3), _about(rng)
    right = ellipsoid(shift + (57, 2, 10), np.array((49, 62, 50)) * size, (0, 10, 0), power=2.3)
    left = ellipsoid(shift + (2, 40, 24), np.array((56, 24, 26)) * size, (0, 8, -12))
    whole = bumpy(union(right, left, blend=18), Waves(rng, 70), 2.5)
    groove = ellipsoid(shift + (18, 4, -14), (26, 18, 26))  # the hilum and the gallbladder's bed
    liver = both(without(whole, groove), grown(inner, -2))
    level = rng.uniform(92, 116)
    canvas.paint(liver, level, "liver", texture=(Waves(rng, 20), 0.03))
    hilum, cava = shift + (24, 4, 8), shift + (26, -10, 44)
    trunk = tube([shift + (2, 2, -14), hilum], 4)
    tips = [(78, 34, 6), (84, -30, -8), (60, 30, -26), (80, 0, 34), (60, -34, 20), (-14, 44, 22)]
    portal = [_branch(rng, hilum, shift + tip) for tip in tips]
    veins = [_branch(rng, cava, shift + tip) for tip in [(82, 16, 26), (70, -22, 4), (40, 38, 20), (-22, 40, 30)]]
    vessels = union(trunk, *portal, *veins)
    canvas.paint(both(vessels, grown(liver, -2)), level + rng.uniform(65, 85), "hepatic_vessel", "liver")
    gallbladder = ellipsoid(_near(rng, shift + (36, 34, -24)), (11, 13, 19), (25, 0, 0))
    canvas.paint(grown(gallbladder, 1.5), 45)
    canvas.paint(gallbladder, _WATER)
    return both(grown(liver, -6), ellipsoid(shift + (58, 4, 12), (60, 70, 38)))


def _branch(rng: np.random.Generator, start: ArrayLike, end: ArrayLike) -> Shape:
    """A vessel with one fork, 8 mm wide at the root and 5 mm at the tips."""
    a, b = np.asarray(start, float), _near(rng, end, 4)
    bend = (a + b) / 2 + rng.normal(0, 5, 3)
    line = curve([a, bend, b])
    tip = bend + 0.6 * (b - a) / 2 + rng.normal(0, 12, 3)
    return union(tube(line, np.linspace(4, 2.6, len(line))), tube([bend, (bend + tip) / 2 + (2, 0, 2), tip], 2.5))


def _spleen(canvas: Canvas, rng: np.random.Generator, inner: Shape) -> None:
    centre = _near(rng, (-76, -24, 20))
    whole = ellipsoid(centre, np.array((24, 40, 33)) * _about(rng, 0.1), (0, 0, 20))
    hollow = ellipsoid(centre + (26, 16, 2), (24, 30, 28))
    spleen = both(bumpy(without(whole, hollow), Waves(rng, 50), 1.5), grown(inner, -2))
    canvas.paint(grown(spleen, 3), _FAT)
    canvas.paint(spleen, rng.uniform(115, 138), "spleen", texture=(Waves(rng, 18), 0.03))


def _bowel(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.float64]:
    """Stomach, small bowel and colon; gives back the colon's middle line."""
    line = curve([_near(rng, p) for p in [(-30, 2, 48), (-52, 14, 32), (-46, 36, 6), (-8, 44, -10)]], 8)
    stomach = bumpy(tube(line, np.linspace(20, 13, len(line))), Waves(rng, 45), 2.5)
    canvas.paint(grown(stomach, 3), _FAT)
    canvas.paint(stomach, 85)
    lumen = grown(stomach, -4)
    canvas.paint(lumen, rng.uniform(0, 30))
    canvas.paint(both(lumen, ellipsoid((-45, 62, 25), (60, 30, 50))), -900)  # gas lies in front of the fluid
    for _ in range(3):
        knots = [rng.uniform((-48, 0, -95), (48, 45, -62)) for _ in range(5)]
        loop = bumpy(tube(curve(knots, 9), 11), Waves(rng, 30), 1.5)
        canvas.paint(loop, 95)
        canvas.paint(grown(loop, -3), rng.uniform(0, 50))
    knots = [(82, -12, -130), (84, -8, -80), (82, 8, -50), (60, 44, -44), (10, 60, -52), (-48, 50, -44)]
    knots += [(-84, 16, -26), (-88, -6, -60), (-84, -10, -130)]
    line = curve([_near(rng, p) for p in knots], 5)
    folds = np.sin(np.arange(len(line)) * 5 / 24 * 2 * np.pi)
    colon = bumpy(tube(line, 13.5 + 1.5 * folds), Waves(rng, 40), 1)
    canvas.paint(grown(colon, 2), _FAT)
    canvas.paint(colon, 75)
    lumen = grown(colon, -3)
    canvas.paint(lumen, rng.uniform(-20, 40), texture=(Waves(rng, 14), 0.9))
    for middle in rng.choice(line, 4, replace=False):
        canvas.paint(both(lumen, ellipsoid(middle + (0, 5, 0), (26, 12, 26))), -880)
    return line


def _kidneys(canvas: Canvas, rng: np.random.Generator) -> list[Shape]:
    kidneys = []
    level = rng.uniform(165, 200)
    for side in (-1, 1):
        centre = _near(rng, (54 * side, -34, -36 if side > 0 else -28))
        size = _about(rng)
        whole = ellipsoid(centre, np.array((23, 20, 40)) * size, (-10, 12 * side, -15 * side))
        hilum = ellipsoid(centre + np.array((-19 * side, 6, 0)) * size, (14, 8, 16))
        kidney = bumpy(without(whole, hilum), Waves(rng, 45), 1.2)
        canvas.paint(grown(whole, 5), _FAT)
        canvas.paint(kidney, level, "kidney")
        marrow = both(grown(kidney, -6), ellipsoid(centre, (30, 30, 34)))
        canvas.paint(marrow, level - 35, "kidney", texture=(Waves(rng, 14, 2), 0.1))
        kidneys.append(kidney)
    return kidneys


def _pancreas(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gives back the gland's middle line."""
    knots = [(30, 14, -34), (26, 16, -20), (6, 20, -10), (-22, 12, -2), (-54, -6, 6)]
    line = curve([_near(rng, p, 2) for p in knots], 5)
    width = np.interp(np.linspace(0, 1, len(line)), [0, 0.25, 0.5, 1], [13, 12, 8.5, 8]) * _about(rng)
    pancreas = bumpy(tube(line, width), Waves(rng, 18), 1.6)
    canvas.paint(grown(pancreas, 3), _FAT)
    canvas.paint(pancreas, rng.uniform(82, 102), "pancreas", texture=(Waves(rng, 9), 0.08))
    return line


def _tumours(
    canvas: Canvas,
    rng: np.random.Generator,
    lungs: list[Shape],
    liver: Shape,
    kidneys: list[Shape],
    pancreas: NDArray[np.float64],
    colon: NDArray[np.float64],
) -> None:
    for _ in range(rng.integers(1, 4)):
        lump = _lump(rng, rng.uniform(liver.low + (30, 34, 18), liver.high - (34, 34, 18)), rng.uniform(10, 20))
        names = ("liver_tumour", "hepatic_vessel_tumour", "liver")
        canvas.paint(both(lump, liver), rng.uniform(40, 58), *names, texture=(Waves(rng, 12), 0.12))
    kidney = kidneys[rng.integers(2)]
    spot = kidney.centre + (0.6 * np.sign(kidney.centre[0]) * 23, 0, rng.choice((-1, 1)) * rng.uniform(10, 22))
    lump = _lump(rng, spot, rng.uniform(10, 17))
    canvas.paint(lump, rng.uniform(55, 80), "kidney_tumour", "kidney", texture=(Waves(rng, 12), 0.12))
    spot = pancreas[rng.integers(2, len(pancreas) - 5)]
    lump = _lump(rng, spot, rng.uniform(10, 14))
    canvas.paint(lump, rng.uniform(38, 52), "pancreas_tumour", "pancreas", texture=(Waves(rng, 12), 0.12))
    inside = np.flatnonzero(colon[:, 2] > -72)
    middle = rng.integers(inside[2], inside[-2])
    ring = tube(colon[middle - 3 : middle + 4], 16)
    lump = without(both(_lump(rng, colon[middle], rng.uniform(14, 20)), ring), tube(colon[middle - 6 : middle + 7], 3.5))
    canvas.paint(lump, rng.uniform(55, 75), "colon_tumour", texture=(Waves(rng, 10), 0.1))
    for _ in range(rng.integers(1, 3)):
        lung = lungs[rng.integers(2)]
        spot = lung.centre + rng.uniform((-14, -32, -34), (14, 32, -20))
        lump = both(_lump(rng, spot, rng.uniform(10, 16)), lung)
        canvas.paint(lump, rng.uniform(25, 60), "lung_tumour", texture=(Waves(rng, 12), 0.12))


def _lump(rng: np.random.Generator, centre: ArrayLike, radius: float) -> Shape:
    """A tumour: a rough, slightly flattened ball."""
    radii = radius * rng.uniform(0.88, 1.15, 3)
    return bumpy(ellipsoid(centre, radii, tuple(rng.uniform(-40, 40, 3))), Waves(rng, 1.6 * radius), 0.09 * radius)


def _near(rng: np.random.Generator, point: ArrayLike, spread: float = 3) -> NDArray[np.float64]:
    """The point, moved at random by some millimetres, at most two spreads."""
    return np.asarray(point, float) + spread * np.clip(rng.normal(size=3), -2, 2)


def _about(rng: np.random.Generator, share: float = 0.06) -> float:
    """A factor close to one."""
    return float(rng.uniform(1 - share, 1 + share))
