"""What networks say of legs that are outside the photo: people of LSP, cut below the hips.

python bench/cut_people.py lsp:PATH#801-1000 MODEL...

A row a model: share of the knees and ankles that are not there with a score above .3 (they would
be drawn) and .5, and the mean score of the joints of the arms, which are there.
"""

from __future__ import annotations

import numpy as np
from usage import arguments

from posegram import data
from posegram import image as pictures
from posegram.infer.load import load

ARMS = [f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist") for side in ("left", "right")]
LEGS = [f"{side}_{joint}" for joint in ("knee", "ankle") for side in ("left", "right")]
BELOW = 8  # pixels from the lower hip to the cut


def main() -> None:
    given = arguments(__doc__, 2)
    people = data.read(given[0])
    print("| model | people | knees > .3 | > .5 | ankles > .3 | > .5 | arms, mean |")
    print("|---" * 7 + "|")
    for name in given[1:]:
        estimate = load(name, detector="none", threads=1)
        place = estimate.card.skeleton.index
        scores = []
        for one in people:
            joint = one.skeleton.index
            legs = one.xy[[joint(leg) for leg in LEGS], 1]
            end = int(max(one.xy[joint("left_hip"), 1], one.xy[joint("right_hip"), 1]) + BELOW)
            image = pictures.read(one.image)
            if end >= min(legs.min(), len(image) - 10):  # somebody sits or lies, or is cut already
                continue
            box = one.box.copy()
            box[3] = min(box[3], end)
            scores.append(estimate(image[:end], box[None]).score[0])
        found = np.array(scores)
        cells = [name, str(len(found))]
        for joint_name in ("knee", "ankle"):
            there = found[:, [place(f"left_{joint_name}"), place(f"right_{joint_name}")]]
            cells += [f"{100 * (there > least).mean():.0f} %" for least in (0.3, 0.5)]
        cells.append(f"{found[:, [place(arm) for arm in ARMS]].mean():.2f}")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
