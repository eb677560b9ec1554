"""How many planted faults `posegram data check` finds in a data set, with a model and without.

    python bench/doctor.py lsp:LSP --model small --seeds 5

The labels are spoilt, boxes and pictures are not: so the model is asked once.
"""

import argparse
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import planted
from posegram import data
from posegram.cli.data import look
from posegram.data.check import check
from posegram.data.doctor.annotations import gather, load


def main() -> None:
    """Print one row for each kind of fault, and who was blamed wrongly."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("source")
    options.add_argument("--model", default="small")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--each", type=int, default=20)
    given = options.parse_args()
    samples = data.read(given.source)
    clean = gather(samples, given.source)
    opinion = look(clean[0], given.model, 1)
    print("| planted | without a model | with the model |\n|---|---|---|")
    rows = defaultdict(lambda: [[0, 0], [0, 0]])
    for seed in range(given.seeds):
        for kinds in (planted.PEOPLE, planted.HARD):
            folder = Path(tempfile.mkdtemp())
            made = planted.plant(
                samples, folder / "set", seed=seed, each=given.each, kinds=kinds, pictures=False
            )
            (people,) = load(str(made.train), made.images)
            for way, opinions in enumerate(([], [opinion])):
                report = check([people], copies=False, opinions=opinions)
                for name, (hits, count) in planted.found(made, report, kinds=kinds).items():
                    rows[name][way][0] += hits
                    rows[name][way][1] += count
            shutil.rmtree(folder)
    for name, ways in rows.items():
        cells = [f"{hits} of {count} ({hits / max(count, 1):.1%})" for hits, count in ways]
        print(f"| {name} | {cells[0]} | {cells[1]} |")
    for words, opinions in (("without a model", []), ("with the model", [opinion])):
        flagged = len(check(clean, copies=False, opinions=opinions).flagged())
        print(f"flagged in the set as it is, {words}: {flagged} of {len(samples)}")


if __name__ == "__main__":
    main()
