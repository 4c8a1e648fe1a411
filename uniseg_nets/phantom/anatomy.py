"""Four synthetic bodies: torso CT, pelvis MR, brain MR, whole-body PET/CT.

Each function takes a scene and returns the image channels and a mask per class name of its tasks. Positions are in mm
from the centre of the field of view: +x right, +y anterior, +z superior of the patient.
"""

from __future__ import annotations

import numpy as np

from uniseg_nets.phantom.scene import Mask, Scene, Volume

__all__ = ["FIELD_OF_VIEW", "brain", "pelvis", "torso", "whole_body"]

# (x, y, z) in mm.
FIELD_OF_VIEW = {
    "torso": (260, 200, 180),
    "pelvis": (150, 150, 90),
    "brain": (150, 180, 140),
    "whole_body": (360, 260, 480),
}

Body = tuple[list[Volume], dict[str, Mask]]


def torso(scene: Scene) -> Body:
    """Contrast-enhanced abdominal CT in Hounsfield units, with one anatomy for all eight CT tasks."""
    vary, rng = scene.vary, scene.rng
    image = np.full(scene.shape, -1000, dtype=np.float32)
    masks: dict[str, Mask] = {}

    def paint(mask: Mask, hounsfield: float) -> Mask:
        image[mask] = hounsfield
        return mask

    paint(scene.ellipsoid((0, 0, 0), (118, 86, 700), wobble=0.02), vary(-95))
    paint(scene.ellipsoid((0, 0, 0), (106, 74, 690), wobble=0.02), vary(50))
    paint(scene.ellipsoid((0, 12, -20), (90, 52, 95), wobble=0.04), vary(-85))  # fat between the organs
    for side in (1, -1):
        paint(scene.ellipsoid((side * 55, 0, 95), (44, 60, 48)), vary(-800, 0.05))
    masks["liver"] = paint(scene.ellipsoid((52, 12, 22), (48, 46, 44)), vary(110))
    paint(scene.ellipsoid((-40, 30, 28), (28, 24, 28)), vary(25, 0.5))  # stomach
    masks["spleen"] = paint(scene.ellipsoid((-76, -22, 25), (18, 28, 34)), vary(130))
    kidneys = [scene.ellipsoid((side * 50, -38, -38), (20, 19, 36)) for side in (1, -1)]
    masks["kidney"] = paint(kidneys[0] | kidneys[1], vary(190))
    masks["pancreas"] = paint(scene.tube([(28, 14, -18), (8, 10, -8), (-22, 2, 0), (-52, -6, 8)], vary(11)), vary(85))
    colon_path = [(82, 10, -78), (80, 24, -45), (40, 48, -50), (-40, 48, -48), (-80, 20, -42), (-80, 5, -78)]
    paint(scene.tube(colon_path, vary(14)), vary(10, 0.8))
    paint(scene.tube([(-10, -24, -120), (-8, -24, 120)], vary(10)), vary(170))  # aorta

    spine = np.zeros(scene.shape, dtype=bool)
    offset = rng.uniform(-16, 16)
    for level in range(-4, 5):
        z = level * 32 + offset
        spine |= scene.ellipsoid((0, -52, z), (21, 16, 13), jitter=1, power=4)
        spine |= scene.tube([(0, -60, z), (0, -80, z - 8)], 5, jitter=1)
    masks["vertebrae"] = paint(spine, vary(330))

    hilum = (24, 2, 14)
    tips = [(88, 20, 32), (70, 40, 5), (60, -14, 40), (45, 35, 50)]
    vessels = [scene.tube([hilum, np.add(np.asarray(hilum), tip) / 2, tip], vary(3.6)) for tip in tips]
    masks["hepatic_vessel"] = paint(np.logical_or.reduce(vessels) & masks["liver"], vary(185))

    def tumour(name: str, spots: list[tuple[float, float, float]], radius: float, hounsfield: float) -> None:
        spot = spots[rng.integers(len(spots))]
        size = [vary(radius, 0.25) for _ in range(3)]
        masks[name] = paint(scene.ellipsoid(spot, size, jitter=2), vary(hounsfield))

    tumour("liver_tumour", [(70, 15, 15), (45, 20, 35), (60, -5, 20)], 15, 55)
    masks["hepatic_vessel_tumour"] = masks["liver_tumour"]
    tumour("kidney_tumour", [(62, -38, -20), (-62, -38, -45), (55, -45, -60)], 14, 80)
    tumour("pancreas_tumour", [(20, 13, -14), (-15, 5, -2)], 12, 35)
    tumour("colon_tumour", [(80, 24, -48), (-78, 18, -45), (0, 48, -49)], 17, 75)
    tumour("lung_tumour", [(58, 5, 72), (-55, -10, 74), (-50, 15, 70)], 13, 45)
    return [scene.finish(image, noise=vary(12, 0.3))], masks


def pelvis(scene: Scene) -> Body:
    """T2-weighted MR with a bias field and an arbitrary intensity scale."""
    vary = scene.vary
    image = np.zeros(scene.shape, dtype=np.float32)
    image[scene.ellipsoid((0, 0, 0), (90, 70, 300), wobble=0.02)] = vary(0.75)  # fat
    for side in (1, -1):
        image[scene.ellipsoid((side * 45, -5, 0), (17, 30, 60))] = vary(0.25)  # muscle
        image[scene.ellipsoid((side * 62, 5, 10), (14, 18, 22))] = vary(0.5)  # femoral head
    image[scene.ellipsoid((0, 18, 38), (30, 26, 24))] = vary(1.5)  # bladder
    image[scene.ellipsoid((0, -38, 0), (15, 13, 60))] = vary(0.15, 0.6)  # rectum
    prostate = scene.ellipsoid((0, -4, -6), (25, 18, 21))
    image[prostate] = vary(0.95)
    image[prostate & scene.ellipsoid((0, 2, -4), (15, 11, 14), jitter=1)] = vary(0.6)  # transition zone
    image *= 1 + 0.08 * scene.field(6)
    image *= np.exp(0.2 * scene.field(90))
    scaled = np.abs(scene.finish(image, noise=0.04)) * np.float32(scene.rng.uniform(200, 900))
    return [scaled], {"prostate": prostate}


def brain(scene: Scene) -> Body:
    """Skull-stripped T1, T1ce, T2 and FLAIR with a tumour; exactly zero outside the brain."""
    vary, rng = scene.vary, scene.rng
    inside = scene.ellipsoid((0, 0, 0), (60, 76, 56), wobble=0.03)
    white = scene.ellipsoid((0, 0, 0), (49, 64, 46), wobble=0.12)
    ventricles = scene.ellipsoid((9, 4, 6), (6, 22, 10)) | scene.ellipsoid((-9, 4, 6), (6, 22, 10))
    side, front = rng.choice([-1, 1]), rng.uniform(-28, 28)
    spot = (side * 28, front, rng.uniform(-8, 22))
    grow = rng.uniform(0.85, 1.2)
    oedema = scene.ellipsoid(spot, [26 * grow] * 3, wobble=0.2, jitter=1) & inside
    enhancing = scene.ellipsoid(spot, [16 * grow] * 3, jitter=1) & oedema
    core = scene.ellipsoid(spot, [10 * grow] * 3, jitter=1) & enhancing
    #                T1   T1ce  T2  FLAIR
    tissues = (
        (inside, (0.60, 0.62, 0.75, 0.70)),  # grey matter
        (white, (0.85, 0.87, 0.55, 0.55)),
        (ventricles, (0.25, 0.25, 1.40, 0.20)),
        (oedema, (0.55, 0.57, 1.15, 1.25)),
        (enhancing, (0.55, 1.35, 0.95, 1.05)),
        (core, (0.35, 0.40, 1.25, 0.85)),
    )
    texture = 1 + 0.05 * scene.field(5)
    channels = []
    for index in range(4):
        image = np.zeros(scene.shape, dtype=np.float32)
        for mask, contrast in tissues:
            image[mask] = vary(contrast[index], 0.06)
        image *= texture * np.exp(0.1 * scene.field(80))
        scaled = np.abs(scene.finish(image, noise=0.03)) * np.float32(rng.uniform(150, 800)) + 1
        channels.append(np.where(inside, scaled, np.float32(0)))
    masks = {
        "brain_oedema": oedema & ~enhancing,
        "brain_non_enhancing_tumour": core,
        "brain_enhancing_tumour": enhancing & ~core,
    }
    return channels, masks


def whole_body(scene: Scene) -> Body:
    """CT in Hounsfield units and PET in SUV; uptake of brain, heart, kidneys and bladder is normal, lesions are hot."""
    vary, rng = scene.vary, scene.rng
    ct = np.full(scene.shape, -1000, dtype=np.float32)
    pet = np.zeros(scene.shape, dtype=np.float32)

    def paint(mask: Mask, hounsfield: float, uptake: float) -> Mask:
        ct[mask], pet[mask] = hounsfield, uptake
        return mask

    paint(scene.ellipsoid((0, 0, -30), (150, 95, 240), wobble=0.03, power=4), vary(-95), vary(0.3))
    paint(scene.ellipsoid((0, 0, -30), (136, 82, 236), wobble=0.03, power=4), vary(50), vary(0.8))
    paint(scene.ellipsoid((0, 5, 205), (62, 75, 50)), vary(40), vary(0.9))
    paint(scene.ellipsoid((0, 5, 212), (52, 64, 36)), vary(38), vary(8))  # brain
    for side in (1, -1):
        paint(scene.ellipsoid((side * 70, 0, 80), (48, 62, 75)), vary(-800, 0.05), vary(0.4))
        paint(scene.ellipsoid((side * 60, -40, -60), (24, 22, 45)), vary(60), vary(4))  # kidneys
    paint(scene.ellipsoid((-20, 25, 55), (36, 30, 36)), vary(45), vary(4, 0.5))  # heart
    paint(scene.ellipsoid((75, 10, -20), (60, 55, 45)), vary(60), vary(2))  # liver
    paint(scene.ellipsoid((0, 20, -210), (36, 30, 26)), vary(10), vary(12, 0.4))  # bladder
    paint(scene.tube([(0, -58, -260), (0, -58, 160)], 18), vary(250), vary(1.2))
    spots = [
        (80, 0, 95),
        (-75, -15, 70),
        (15, 10, 110),
        (80, 15, -10),
        (-60, 30, -90),
        (10, -15, -120),
        (-90, 10, -170),
        (0, -58, -40),
    ]
    lesions = np.zeros(scene.shape, dtype=bool)
    for index in rng.permutation(len(spots))[: rng.integers(1, 5)]:
        lesion = scene.ellipsoid(spots[index], [vary(20, 0.3) for _ in range(3)])
        lesions |= paint(lesion, vary(45), vary(9, 0.3))
    blurred = scene.finish(pet, noise=0)
    noisy = np.maximum(blurred + 0.12 * np.sqrt(np.maximum(blurred, 0)) * rng.standard_normal(scene.shape), 0)
    return [scene.finish(ct, noise=vary(15)), noisy.astype(np.float32)], {"whole_body_tumour": lesions}
