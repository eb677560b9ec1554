"""A .mat file in the layout of the official MPII release, with the oddities of the real one."""

import numpy as np
import scipy.io


def struct(**fields):
    """One MATLAB struct."""
    made = np.zeros((1, 1), dtype=[(name, object) for name in fields])
    for name, value in fields.items():
        made[0, 0][name] = value
    return made


def structs(*rows):
    """A MATLAB struct array; rows are dicts, and a missing field is an empty array."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    made = np.zeros((1, len(rows)), dtype=[(name, object) for name in names])
    for n, row in enumerate(rows):
        for name in names:
            made[0, n][name] = row.get(name, np.zeros((0, 0)))
    return made


def cells(values):
    """A MATLAB cell array with one column."""
    made = np.empty((len(values), 1), dtype=object)
    for n, value in enumerate(values):
        made[n, 0] = value
    return made


def point(joint, x, y, flag):
    """A labelled joint, its integers in the smallest type as MATLAB saves them."""
    return {"x": np.uint8(x), "y": np.float64(y), "id": np.uint8(joint), "is_visible": flag}


def person(points, *, scale=1.5, **more):
    """One `annorect` with a head box of 30 x 40 pixels."""
    fields = {
        "x1": np.uint8(10),
        "y1": np.uint8(20),
        "x2": np.uint8(40),
        "y2": np.uint8(60),
        "scale": scale,
        "objpos": struct(x=np.uint8(101), y=np.uint16(201)),
    }
    if points:
        fields["annopoints"] = struct(point=structs(*points))
    return fields | more


def images():
    """Two training images, one without anybody, and a test image."""
    empty = np.zeros((0, 0), dtype=np.uint8)
    full = [point(9, 50, 20.5, empty), point(8, 51, 30.0, np.uint8(1)), point(0, 0, 250.0, "1"),
            point(1, 200, 200.0, "0"), point(2, 1, 1.0, np.uint8(0))]  # fmt: skip
    second = person([point(k, 10 + k, 20.0 + k, np.uint8(1)) for k in range(16)])
    return [
        (1, [person(full, part_occ1=np.uint8(1)), person(None), second], [1, 3]),
        (1, None, []),
        (0, [person(None)], [1]),
        (1, [person(full[:2], scale=np.zeros((0, 0)))], [1]),
    ]


def save(path, entries=None, **changes):
    """The file written; `changes` replace or add fields of RELEASE, None takes one away."""
    entries = images() if entries is None else entries
    rows = []
    for n, (_, people, _) in enumerate(entries):
        row = {"image": struct(name=f"{n:09d}.jpg"), "vidx": np.uint8(1)}
        rows.append(row | ({} if people is None else {"annorect": structs(*people)}))
    fields = {
        "annolist": structs(*rows),
        "img_train": np.array([[e[0] for e in entries]], dtype=np.uint8),
        "single_person": cells([np.array([e[2]], dtype=np.uint8).T for e in entries]),
        "version": "12",
    }
    fields = {k: v for k, v in (fields | changes).items() if v is not None}
    scipy.io.savemat(path, {"RELEASE": struct(**fields)})
    return path
