import subprocess
import sys

import numpy as np
import pytest
import torch

from posegram.models import vision_ops
from posegram.models.vision_ops import nms, roi_align, torchvision_ready


def boxes(count, seed=0, side=100.0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, side, (count, 2))
    return torch.tensor(np.hstack([corner, corner + rng.uniform(1, side / 2, (count, 2))])).float()


def overlap(a, b):
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = sum((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b))
    return wide * high / (both - wide * high)


def one_by_one(box, score, threshold):
    """What suppression means: the best box stays, those that overlap it go, and so on."""
    left, kept = sorted(range(len(box)), key=lambda n: -score[n]), []
    while left:
        kept.append(left.pop(0))
        left = [n for n in left if overlap(box[kept[-1]], box[n]) <= threshold]
    return kept


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.7])
def test_suppression_keeps_what_one_by_one_would_keep(threshold):
    box, score = boxes(120), torch.rand(120, generator=torch.Generator().manual_seed(1))
    wanted = one_by_one(box.tolist(), score.tolist(), threshold)
    assert nms(box, score, threshold).tolist() == wanted


def test_suppression_works_across_its_blocks(monkeypatch):
    box, score = boxes(90), torch.rand(90, generator=torch.Generator().manual_seed(1))
    whole = nms(box, score, 0.3).tolist()
    monkeypatch.setattr(vision_ops, "_BLOCK", 8)
    assert nms(box, score, 0.3).tolist() == whole


def test_of_equal_boxes_the_best_stays():
    assert nms(torch.tensor([[0.0, 0, 9, 9]] * 3), torch.tensor([0.1, 0.9, 0.5]), 0.5).tolist() == [
        1
    ]


def test_nothing_to_suppress_is_nothing_kept():
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def test_boxes_without_area_do_not_overlap():
    assert nms(torch.zeros(2, 4), torch.tensor([0.9, 0.5]), 0.5).tolist() == [0, 1]


def sample(image, y, x):
    """One bilinear sample of a map (H, W); 0 further than one cell outside."""
    height, width = image.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    down, right = min(top + 1, height - 1), min(left + 1, width - 1)
    a, b = y - top, x - left
    return (1 - a) * ((1 - b) * image[top, left] + b * image[top, right]) + a * (
        (1 - b) * image[down, left] + b * image[down, right]
    )


def cell_by_cell(maps, region, scale, cells, samples, aligned):
    """One region's cells, (C, cells, cells), by the definition in the paper."""
    x0, y0, x1, y1 = (v * scale - (0.5 if aligned else 0) for v in region[1:])
    wide, high = (d if aligned else max(d, 1.0) for d in (x1 - x0, y1 - y0))
    out = np.zeros((maps.shape[1], cells, cells))
    for row, column in np.ndindex(cells, cells):
        for i, j in np.ndindex(samples, samples):
            y = y0 + (row + (i + 0.5) / samples) * high / cells
            x = x0 + (column + (j + 0.5) / samples) * wide / cells
            for c in range(len(out)):
                out[c, row, column] += sample(maps[int(region[0]), c], y, x) / samples**2
    return out


REGIONS = torch.tensor(
    [[0.0, 3, 4, 20, 30], [1, -9, -9, 5, 5], [1, 30, 2, 60, 12], [0, 7, 7, 7.2, 7.1]]
)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("samples", [1, 2, 3])
def test_regions_are_pooled_as_the_definition_says(aligned, samples):
    maps = torch.rand(2, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    found = roi_align(maps, REGIONS, 0.25, 4, 4, samples, aligned)
    wanted = [cell_by_cell(maps.numpy(), r, 0.25, 4, samples, aligned) for r in REGIONS.tolist()]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


def test_many_regions_are_pooled_in_parts_alike(monkeypatch):
    maps, region = torch.rand(1, 3, 9, 11), torch.cat([torch.zeros(50, 1), boxes(50, side=30)], 1)
    whole = roi_align(maps, region, 0.25, 4, 4, 2, False)
    monkeypatch.setattr(vision_ops, "_ROWS", 7)
    torch.testing.assert_close(roi_align(maps, region, 0.25, 4, 4, 2, False), whole)


def test_no_regions_give_no_cells():
    assert roi_align(torch.rand(1, 3, 9, 9), torch.zeros(0, 5), 0.25, 7, 7, 2, False).shape == (
        *(0, 3, 7, 7),
    )


def test_the_gradient_is_that_of_finite_differences():
    maps = torch.rand(2, 2, 5, 6, requires_grad=True)
    weight = torch.rand(len(REGIONS), 2, 3, 3)
    roi_align(maps, REGIONS, 0.2, 3, 3, 2, False).mul(weight).sum().backward()
    step = torch.zeros_like(maps)
    step[1, 1, 2, 3] = 0.5  # the operator is linear in the maps, so any step will do
    ahead, behind = (
        roi_align(maps.detach() + way * step, REGIONS, 0.2, 3, 3, 2, False).mul(weight).sum()
        for way in (1, -1)
    )
    torch.testing.assert_close(maps.grad[1, 1, 2, 3], ahead - behind, atol=1e-4, rtol=1e-3)


def test_an_open_number_of_samples_is_refused():
    with pytest.raises(NotImplementedError, match="sampling_ratio of 1 or more"):
        roi_align(torch.rand(1, 1, 4, 4), REGIONS, 1.0, 2, 2, -1, False)


def test_torchvisions_own_functions_work():
    torchvision_ready()
    from torchvision import ops

    box, score = boxes(40), torch.rand(40)
    assert ops.nms(box, score, 0.4).tolist() == one_by_one(box.tolist(), score.tolist(), 0.4)
    maps = torch.rand(2, 3, 9, 11)
    torch.testing.assert_close(
        ops.roi_align(maps, REGIONS, (4, 4), 0.25, 2),
        roi_align(maps, REGIONS, 0.25, 4, 4, 2, False),
    )


def test_asking_twice_gives_the_same_module():
    assert torchvision_ready() is torchvision_ready()


def test_a_missing_torchvision_says_what_to_install(monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Nothing(), *sys.meta_path])
    with pytest.raises(ImportError, match=r"needs torchvision: pip install 'posegram\[rcnn\]'"):
        torchvision_ready()


class _Nothing:
    """An importer that finds no torchvision."""

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")


def test_another_fault_of_torchvision_names_torch(monkeypatch):
    def broken(name):
        raise RuntimeError("operator torchvision::deform_conv2d does not exist")

    for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(vision_ops.importlib, "import_module", broken)
    with pytest.raises(ImportError, match=r"does not fit torch \d.*deform_conv2d"):
        torchvision_ready()


def test_importing_posegrams_operators_imports_no_torchvision():
    check = "import posegram.models.vision_ops, sys; print('torchvision' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
