"""Thick slices in any direction: what the plan says of them, and that results lie on the organ."""

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.nn.functional import one_hot

from tests.networks import bright_backbone
from uniseg_nets import Segmenter
from uniseg_nets.data.datalist import image_files
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.plan import PlanOptions, plan_dataset
from uniseg_nets.plan.axes import choose_axes, choose_mirror_axes
from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms import LabelMapd, LoadCased, PreprocessCased
from uniseg_nets.transforms.grid import Grid
from uniseg_nets.transforms.resample import resample_argmax, resample_labels
from uniseg_nets.weights.checkpoints import save_weights

# Affines of a stack of 12 slices, stored along z, by where those slices lie in the patient.
STACK = np.diag([1.5, 1.5, 8.0])
TURNS = {
    "axial": np.eye(3),
    "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "oblique": Rotation.from_euler("xyz", (60, 35, -20), degrees=True).as_matrix(),
}


def affine(turn, axes=(0, 1, 2)):
    """Of the stack with its file axes in another order."""
    found = np.eye(4)
    found[:3, :3] = (TURNS[turn] @ STACK)[:, axes]
    return found


def stack(seed, size=(96, 80, 12)):
    """A bright ellipsoid away from the middle, in noise, with its label: (x, y, z)."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij")
    inside = sum(((a - m) / r) ** 2 for a, m, r in zip(axes, (0.3, -0.2, 0.1), (0.3, 0.4, 0.5))) < 1
    image = np.random.default_rng(seed).normal(100, 10, size) + 200 * inside
    return image.astype(np.float32), inside.astype(np.uint8)


def write_set(folder, geometries):
    """A labelled set of stacks: turn and order of the file's axes of each."""
    for index, (turn, axes) in enumerate(geometries):
        for name, volume in zip(("images", "labels"), stack(index)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            image = nib.Nifti1Image(np.ascontiguousarray(volume.transpose(axes)), affine(turn, axes))
            nib.save(image, folder / name / f"case{index}.nii.gz")
    return folder


def grids(*geometries, size=(96, 80, 12), axes="anatomical"):
    return [Grid(tuple(np.take(size, order)), affine(turn, order), (1, 1, 1), axes=axes) for turn, order in geometries]


STORED = (0, 1, 2)


ORGAN, KIDNEYS = ["organ"], ["left_kidney", "right_kidney"]


@pytest.mark.parametrize("turn", ["axial", "sagittal", "oblique"])
def test_thick_slices_are_taken_as_acquired_whatever_the_headers_say(turn):
    axes, reason, doubt = choose_axes(grids((turn, STORED), (turn, (2, 0, 1))), ORGAN)
    assert (axes, doubt) == ("acquisition", None) and "of 2 scans" in reason


def test_axial_slices_keep_the_patient_s_axes_where_sides_are_classes():
    axes, reason, doubt = choose_axes(grids(("axial", STORED), ("axial", (2, 0, 1))), KIDNEYS)
    assert (axes, doubt) == ("anatomical", None) and "left_kidney, right_kidney differ by their side" in reason


def test_sides_that_could_not_be_told_apart_are_refused():
    assert choose_axes(grids(("coronal", STORED), ("coronal", STORED)), KIDNEYS)[0] == "acquisition"
    with pytest.raises(ValueError, match=r"stored in several directions .*--axes anatomical"):
        choose_axes(grids(("coronal", STORED), ("coronal", (2, 0, 1))), KIDNEYS)


def test_cases_that_disagree_are_warned_of():
    _, _, doubt = choose_axes(grids(("sagittal", STORED), ("coronal", STORED)), ORGAN)
    assert "1 sagittal, 1 coronal" in doubt
    cube = Grid((50, 50, 50), np.eye(4), (1, 1, 1))
    axes, _, doubt = choose_axes([*grids(("sagittal", STORED), ("sagittal", STORED)), cube], ORGAN)
    assert axes == "acquisition" and doubt.startswith("1 scans have no thick slices")


def test_voxels_that_are_nearly_cubes_keep_the_patient_s_axes():
    cubes = [Grid((50, 50, 50), np.diag([1, 1, 3, 1.0]), (1, 1, 1))] * 2
    assert choose_axes([*cubes, *grids(("sagittal", STORED))], ORGAN)[0] == "anatomical"


@pytest.mark.parametrize(
    ("classes", "allowed"),
    [
        (["liver"], (0, 1, 2)),
        (KIDNEYS, (0, 1)),
        (["Right kidney"], (0, 1)),
        (["LeftKidney"], (0, 1)),
        (["kidney_l"], (0, 1)),
        (["LKidney"], (0, 1)),
        (["RKidney"], (0, 1)),
        (["Lt_kidney"], (0, 1)),
        (["kidney_rt"], (0, 1)),
        (["Parotid_Lt"], (0, 1)),
        (["gland RParotid"], (0, 1)),
        (["vertebra_L1", "L5", "vertebraL2"], (0, 1, 2)),
        (["rib_l1", "rib_r1"], (0, 1)),
        (["tooth_L2", "tooth_R2"], (0, 1)),
        (["LV", "RV", "LAtrium", "LIVER", "Lung", "Rectum"], (0, 1, 2)),
        (["Left-Lateral-Ventricle"], (0, 1)),
        (["bright_spot", "leftover", "lung"], (0, 1, 2)),
        (["left_ventricle", "right atrium", "LeftVentricle"], (0, 1, 2)),
    ],
)
def test_classes_of_one_side_are_not_mirrored_to_the_other(classes, allowed):
    found, reason = choose_mirror_axes(grids(("axial", STORED)), classes)
    assert found == allowed and (reason is None) == (allowed == (0, 1, 2))
    entry = {"name": "t", "channels": ["CT"], "spacing": [3, 1, 1], "classes": classes}
    assert TaskTable([entry]).tasks[0].mirror_axes == allowed  # of a table written by hand, too
    if reason:  # where the axis from left to right is not known, none is mirrored
        assert TaskTable([entry | {"axes": "acquisition"}]).tasks[0].mirror_axes == ()


def test_scans_whose_slices_lie_otherwise_than_the_task_s_are_warned_of(tmp_path, caplog):
    data = write_set(tmp_path, [("sagittal", STORED)])
    entry = {"name": "t", "channels": ["MR"], "spacing": [8, 1.5, 1.5], "classes": ["a"]}
    for axes, warned in (("anatomical", True), ("acquisition", False)):
        caplog.clear()
        case = LoadCased("image")({"image": data / "images" / "case0.nii.gz"})
        PreprocessCased("image", TaskTable([{**entry, "axes": axes}]), 0)(case)
        assert ("its thick slices lie across x, those of task 't' across z" in caplog.text) is warned


def test_a_task_of_thick_slices_puts_the_coarsest_axis_first_even_below_3_to_1():
    edges = np.diag([5.0, 1.7, 1.7, 1.0])  # slices stored first, 2.94 to 1
    thick, fine = (Grid((12, 70, 60), edges, spacing, axes="acquisition") for spacing in ((8, 1.5, 1.5), (2, 2, 2)))
    assert thick.stored_shape == (12, 60, 70) and fine.stored_shape == (60, 70, 12)


def test_left_and_right_may_lie_along_the_slices():
    chosen = grids(("sagittal", STORED), axes="acquisition")
    found, reason = choose_mirror_axes(chosen, ["left_kidney"])
    assert found == (1, 2) and "no mirroring along z" in reason
    both = grids(("sagittal", STORED), ("coronal", STORED), axes="acquisition")
    assert choose_mirror_axes(both, ["left_kidney"])[0] == (1,)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=lambda axes: "xyz"[axes[0]] + "_first")
def test_a_planned_task_finds_the_organ_of_thick_slices_in_any_direction(tmp_path, turn, axes):
    """Plan, weights that say bright is organ, segmentation of the file: the map lies on the organ."""
    data = write_set(tmp_path / "data", [(turn, axes), (turn, (0, 1, 2))])
    plan = plan_dataset(data, tmp_path / "plan.json", PlanOptions(folds=2, channels=["MR"]))
    entry = plan["task_entry"]
    assert entry["axes"] == "acquisition"
    assert entry["spacing"] == [8, 1.5, 1.5] and plan["patch_size"][0] == 16
    save_weights(bright_backbone().state_dict(), tmp_path / "bright.pt")
    sizes = {"network_def#base_features": 4, "network_def#max_features": 8}
    segmenter = Segmenter(
        bundle_folder("uniseg_finetune"),
        weights=str(tmp_path / "bright.pt"),
        task_entry=entry,
        patch_size=plan["patch_size"],
        **sizes,
    )
    scan = data / "images" / "case0.nii.gz"
    found, label = segmenter(scan) == 1, np.asarray(nib.load(data / "labels" / "case0.nii.gz").dataobj) == 1
    assert found.shape == nib.load(scan).shape
    assert dice(found, label) > 0.97


@pytest.mark.slow
@pytest.mark.parametrize("centre", ["a", "b"])
def test_one_anatomy_gets_one_kind_of_plan_at_two_centres(test_data, tmp_path, centre):
    """Short-axis hearts: axial by the headers of centre a, sagittal or coronal by those of centre b."""
    plan = plan_dataset(test_data / "data" / f"cardiac_mr_centre_{centre}", tmp_path / "plan.json")
    z, y, x = plan["task_entry"]["spacing"]
    assert z == pytest.approx(8, abs=0.1) and y == x and 1.4 < x < 2.1
    assert plan["patch_size"][0] == 16
    sides = {}
    for case in plan["data"]:
        sides.setdefault(case["name"].split("_frame")[0], set()).add(case["fold"])
    assert all(len(folds) == 1 for folds in sides.values()) and len(sides) == {"a": 30, "b": 27}[centre]
    assert plan["task_entry"]["axes"] == "acquisition"
    tasks = TaskTable([plan["task_entry"]])
    from_left_to_right = []  # ventricle, in the network's plane: a sign for the orientation that it sees
    for case in plan["data"]:
        files = {key: test_data / "data" / f"cardiac_mr_centre_{centre}" / name for key, name in paths(case)}
        done = PreprocessCased(["image", "label"], tasks, 0)(LoadCased(["image", "label"])(files))
        scan = nib.load(files["image"])
        zooms, slices = scan.header.get_zooms(), int(np.argmax(scan.header.get_zooms()))
        cropped = done["image"].meta["crop_stop"] - done["image"].meta["crop_start"]
        assert cropped[0] <= scan.shape[slices] and done["image"].shape[1] == round(cropped[0] * zooms[slices] / z)
        assert done["image"].shape[1] < min(done["image"].shape[2:])
        middles = [torch.nonzero(done["label"][0] == value).double().mean(dim=0)[1:] for value in (3, 1)]
        from_left_to_right.append((middles[1] - middles[0]) / (middles[1] - middles[0]).norm())
        scores = one_hot(done["label"][0].long(), 4).movedim(-1, 0).float()
        back = LabelMapd("pred", tasks, 0, values="task")({**done, "pred": scores})["pred"][0].numpy()
        reference = np.asarray(nib.load(files["label"]).dataobj).astype(np.uint8)
        ceiling = there_and_back_along(slices, reference, zooms, plan["task_entry"]["spacing"])
        for value in np.unique(reference)[1:]:
            assert dice(back == value, reference == value) > 0.98 * dice(ceiling == value, reference == value)
    y, x = torch.stack(from_left_to_right).mean(dim=0)
    assert x < -0.7 and abs(y) < 0.5  # at both centres


def there_and_back_along(slices, label, zooms, spacing):
    """What the network's grid can hold of a label map (x, y, z) whose slice axis is known."""
    stored = torch.from_numpy(np.moveaxis(label, slices, 0))
    zooms = [zooms[slices], *np.delete(zooms, slices)]
    size = [round(count * float(old) / new) for count, old, new in zip(stored.shape, zooms, spacing)]
    scores = one_hot(resample_labels(stored, size, 0).long(), 4).movedim(-1, 0).float()
    return np.moveaxis(resample_argmax(scores, range(4), stored.shape, 0).numpy(), 0, slices)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def paths(case):
    return [("image", image_files(case)[0]), ("label", case["label"])]
