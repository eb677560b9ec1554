import numpy as np
import pytest
import torch

from posegram import areas
from posegram.metrics import boxes
from posegram.models.detector import grid
from posegram.train.assign import IGNORED, PERSON, assign, detection_loss, giou, iou

CENTRE = grid((64, 64), torch.device("cpu"))  # 64 + 16 + 4 cells
STILL = torch.full((1, len(CENTRE)), -4.6)


def around(half=(8.0, 8.0)):
    """Boxes (1, M, 4) of that half width and height around every cell."""
    reach = torch.tensor(half)
    return torch.cat([CENTRE - reach, CENTRE + reach], dim=-1)[None]


def labels(*rows, kind=PERSON):
    box = torch.tensor(rows, dtype=torch.float32).reshape(1, -1, 4)
    return box, torch.full(box.shape[:2], kind)


def random_boxes(count):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 30, (count, 2))
    return np.column_stack([corner, corner + rng.uniform(5, 40, (count, 2))]).astype(np.float32)


# overlap


def test_the_overlap_is_that_of_the_metrics():
    a, b = random_boxes(6), random_boxes(9)[3:]
    ours = iou(torch.from_numpy(a)[:, None], torch.from_numpy(b))
    np.testing.assert_allclose(ours, areas.iou(a, b), atol=1e-6)


@pytest.mark.parametrize(
    ("other", "value"),
    [
        ([0, 0, 10, 10], 1.0),
        ([10, 0, 20, 10], 0.0),  # side by side: the hull is the union
        ([20, 0, 30, 10], -1 / 3),
    ],
)
def test_giou_tells_far_from_near(other, value):
    one = torch.tensor([[0.0, 0, 10, 10]])
    assert giou(one, torch.tensor([other]).float()).item() == pytest.approx(value, abs=1e-6)


# who answers


@pytest.mark.parametrize("person", [[8, 8, 24, 40], [8, 32, 24, 56], [40, 8, 60, 24]])
def test_cells_outside_every_person_are_background(person):
    target = assign(around(), STILL, CENTRE, *labels(person))
    answering = CENTRE[target.score[0] > 0]
    assert len(answering)
    assert (answering >= torch.tensor(person[:2])).all()
    assert (answering <= torch.tensor(person[2:])).all()


def test_a_few_cells_answer_for_one_person():
    target = assign(around(), STILL, CENTRE, *labels([0, 0, 64, 64]))
    assert (target.score > 0).sum() == 9


def test_the_best_cell_should_score_its_overlap():
    target = assign(around(), STILL, CENTRE, *labels([8, 8, 24, 24]))
    best = iou(around(), torch.tensor([8.0, 8, 24, 24])).max()
    assert target.score.max().item() == pytest.approx(best.item())


def test_a_persons_lesser_cells_weigh_less():
    target = assign(around(), STILL, CENTRE, *labels([8, 8, 24, 24]))
    shares = target.share[target.share > 0].sort().values
    assert shares[-1] == 1
    assert shares[-2] < 0.5


def test_every_person_weighs_the_same():
    # the boxes of all cells are 16 wide: they overlap the first person well, the second hardly
    target = assign(around(), STILL, CENTRE, *labels([0, 0, 16, 16], [30, 30, 36, 62]))
    best = [
        target.share[0][(target.box[0] == torch.tensor(box)).all(dim=-1)].max().item()
        for box in ([0.0, 0, 16, 16], [30.0, 30, 36, 62])
    ]
    assert best == [1, 1]


def test_of_two_cells_the_one_that_scores_higher_should():
    logit = STILL.clone()
    logit[0, 9] = 2.0  # two cells as far from the person's middle
    target = assign(around(), logit, CENTRE, *labels([4, 4, 20, 20]))
    assert target.score[0].argmax() == 9


def test_a_cell_inside_two_people_answers_for_the_one_it_overlaps_more():
    small, large = [24.0, 24, 40, 40], [0.0, 0, 64, 64]
    target = assign(around(), STILL, CENTRE, *labels(large, small))
    cell = int((CENTRE - 27.5).abs().sum(dim=1).argmin())
    assert target.box[0, cell].tolist() == small


def test_a_person_smaller_than_a_cell_is_answered_for():
    target = assign(around(), STILL, CENTRE, *labels([7, 7, 9, 9]))
    assert (target.score > 0).any()


def test_a_person_that_nothing_overlaps_yet_is_answered_for():
    away = around() + 500
    target = assign(away, STILL, CENTRE, *labels([8, 8, 40, 40]))
    assert (target.box[0] == torch.tensor([8.0, 8, 40, 40])).all(dim=-1).any()


def test_every_photo_of_a_batch_has_its_own_people():
    pairs = zip(labels([8, 8, 24, 24]), labels([40, 40, 56, 56]), strict=True)
    box, kind = (torch.cat(pair) for pair in pairs)
    twice = around().expand(2, -1, -1), STILL.expand(2, -1)
    target = assign(*twice, CENTRE, box, kind)
    for n, corner in enumerate((8, 40)):
        answering = CENTRE[target.score[n] > 0]
        assert ((answering >= corner) & (answering <= corner + 16)).all()


def test_what_fills_a_batch_up_is_nobody():
    box, kind = labels([8, 8, 24, 24])
    full = torch.cat([box, torch.zeros(1, 5, 4)], dim=1)
    kinds = torch.cat([kind, torch.zeros(1, 5, dtype=kind.dtype)], dim=1)
    for one, other in zip(
        assign(around(), STILL, CENTRE, full, kinds),
        assign(around(), STILL, CENTRE, box, kind),
        strict=True,
    ):
        assert torch.equal(one, other)


# ignored regions


def test_cells_in_an_ignored_region_are_not_judged():
    target = assign(around(), STILL, CENTRE, *labels([0, 0, 32, 64], kind=IGNORED))
    assert torch.equal(target.judged[0], CENTRE[:, 0] > 32)


def test_a_person_in_an_ignored_region_is_still_learnt():
    box, kind = labels([0, 0, 64, 64], [8, 8, 24, 24])
    kind[0, 0] = IGNORED
    target = assign(around(), STILL, CENTRE, box, kind)
    assert torch.equal(target.judged, target.score > 0)


def test_a_photo_without_people_is_judged_everywhere():
    target = assign(around(), STILL, CENTRE, *labels())
    assert target.judged.all()
    assert not target.score.any()


# the loss


def test_better_boxes_lose_less():
    people = labels([8, 8, 24, 24])
    inside = ((CENTRE >= 8) & (CENTRE <= 24)).all(dim=-1)
    # an undecided cell costs the same whatever its score should be
    undecided = torch.where(inside, 0.0, -20.0)[None]
    good, bad = (
        detection_loss((around(half), undecided), CENTRE, *people)
        for half in ((8.0, 8.0), (3.0, 20.0))
    )
    assert good < bad


def test_background_that_scores_loses_more():
    loud = torch.zeros_like(STILL)
    quiet, noisy = (detection_loss((around(), s), CENTRE, *labels()) for s in (STILL, loud))
    assert quiet < noisy


def test_an_ignored_photo_without_people_loses_nothing():
    loud = torch.zeros_like(STILL)
    everywhere = labels([-1e6, -1e6, 1e6, 1e6], kind=IGNORED)
    assert detection_loss((around(), loud), CENTRE, *everywhere) == 0


def test_steps_down_the_loss_find_the_people():
    torch.manual_seed(0)
    people = labels([8, 4, 24, 40], [36, 30, 60, 62])
    reach = torch.zeros(1, len(CENTRE), 4, requires_grad=True)
    logit = STILL.clone().requires_grad_()
    optimizer = torch.optim.Adam([reach, logit], 0.2)
    for _ in range(60):
        sides = reach.exp() * 8
        box = torch.cat([CENTRE - sides[..., :2], CENTRE + sides[..., 2:]], dim=-1)
        optimizer.zero_grad()
        detection_loss((box, logit), CENTRE, *people).backward()
        optimizer.step()
    kept = boxes.suppress(box[0].detach().numpy(), logit[0].detach().numpy())[:2]
    found = areas.iou(box[0].detach().numpy()[kept], people[0][0].numpy())
    assert found.max(axis=0).min() > 0.9
