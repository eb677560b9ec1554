import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import tiny
from posegram import data
from posegram import image as pictures
from posegram.infer.foreign import ADAPTERS, Adapter, adapter_named, fits, load_foreign
from posegram.infer.load import load
from posegram.infer.views import views
from posegram.pose import BODY19, COCO17

KINDS = {"int32": TensorProto.INT32, "float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}
SCORE = 0.75


def foreign(path, *, size=(64, 64), layout="nhwc", dtype="int32", order="rgb", joints=3, batch=1):
    """A network like MoveNet: it gives y, x, score of the reddest, greenest and bluest pixel."""
    shape = [batch, *size, 3] if layout == "nhwc" else [batch, 3, *size]
    pick = 3 * np.eye(3, dtype=np.float32)[:, np.arange(joints) % 3] - 1
    values = {
        "pick": pick if order == "rgb" else pick[::-1].copy(),
        "flat": np.array([1 if batch == 1 else -1, size[0] * size[1], joints], dtype=np.int64),
        "width": np.array(size[1], dtype=np.int64),
        "sizes": np.array([[size[0]], [size[1]]], dtype=np.float32).reshape(2, 1, 1),
        "one": np.array([1], dtype=np.int64),
        "score": np.full((1, 1, 1), SCORE, dtype=np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["x"], ["number"], to=TensorProto.FLOAT),
        node("Transpose", ["number"], ["last"], perm=[0, 2, 3, 1])
        if layout == "nchw"
        else node("Identity", ["number"], ["last"]),
        node("MatMul", ["last", "pick"], ["heat"]),
        node("Reshape", ["heat", "flat"], ["cells"]),
        node("ArgMax", ["cells"], ["top"], axis=1, keepdims=0),  # (B, joints)
        node("Div", ["top", "width"], ["row"]),
        node("Mod", ["top", "width"], ["column"]),
        node("Unsqueeze", ["row", "zero"], ["row1"]),
        node("Unsqueeze", ["column", "zero"], ["column1"]),
        node("Concat", ["row1", "column1"], ["both"], axis=0),  # (2, B, joints)
        node("Cast", ["both"], ["pixels"], to=TensorProto.FLOAT),
        node("Div", ["pixels", "sizes"], ["share"]),
        node("Mul", ["pixels", "nothing"], ["blank"]),
        node("Slice", ["blank", "zero", "one", "zero"], ["blank1"]),
        node("Add", ["blank1", "score"], ["score1"]),
        node("Concat", ["share", "score1"], ["three"], axis=0),  # (3, B, joints)
        node("Transpose", ["three"], ["turned"], perm=[1, 2, 0]),
        node("Unsqueeze", ["turned", "one"], ["answer"]),
    ]
    values |= {"zero": np.array([0], dtype=np.int64), "nothing": np.float32(0)}
    given = [batch, 1, joints, 3]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", KINDS[dtype], shape)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, given)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


TRUTH = np.array([[20, 30], [70, 55], [40, 80]], dtype=np.float32)
PHOTO = tiny.spots(TRUTH, (128, 128))
LIKE = Adapter("like", skeleton=tiny.RGB, calibration=(1.0, 0.0))


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("dtype", sorted(KINDS))
def test_a_foreign_network_finds_the_spots(tmp_path, layout, dtype):
    path = foreign(tmp_path / "m.onnx", layout=layout, dtype=dtype)
    how = Adapter("like", skeleton=tiny.RGB, layout=layout, dtype=dtype)
    # the first of the spot's equal pixels is its upper left one
    np.testing.assert_allclose(load_foreign(path, how)(PHOTO).xy[0], TRUTH - 2.5, atol=1.5)


def test_colours_may_come_in_the_other_order(tmp_path):
    path = foreign(tmp_path / "m.onnx", order="bgr")
    how = Adapter("like", skeleton=tiny.RGB, order="bgr")
    np.testing.assert_allclose(load_foreign(path, how)(PHOTO).xy[0], TRUTH - 2.5, atol=1.5)


def test_x_may_come_before_y(tmp_path):
    path = foreign(tmp_path / "m.onnx")
    here = load_foreign(path, LIKE)(PHOTO).xy
    there = load_foreign(path, Adapter("like", output="xys", skeleton=tiny.RGB))(PHOTO).xy
    np.testing.assert_allclose(there, here[..., ::-1], atol=1e-4)


def test_share_zero_lies_where_the_adapter_says(tmp_path):
    path = foreign(tmp_path / "m.onnx")
    here = load_foreign(path, LIKE)(PHOTO).xy
    there = load_foreign(path, Adapter("like", skeleton=tiny.RGB, zero=-0.5))(PHOTO).xy
    np.testing.assert_allclose(here - there, 0.5 * 128 / 64, atol=1e-4)  # a crop pixel is two wide


def test_a_score_becomes_the_probability_of_the_adapters_logistic(tmp_path):
    how = Adapter("like", skeleton=tiny.RGB, calibration=(6.4, -2.1))
    score = load_foreign(foreign(tmp_path / "m.onnx"), how)(PHOTO).score
    np.testing.assert_allclose(score, 1 / (1 + np.exp(-(6.4 * SCORE - 2.1))), atol=1e-5)


@pytest.mark.parametrize("batch", [1, "B"])
def test_several_people_are_one_each_whatever_the_batch(tmp_path, batch):
    model = load_foreign(foreign(tmp_path / "m.onnx", batch=batch), LIKE)
    boxes = np.array([[0, 0, 127, 127], [10, 10, 100, 100]], dtype=np.float32)
    alone = [model(PHOTO, box[None]).xy[0] for box in boxes]
    np.testing.assert_allclose(model(PHOTO, boxes).xy, alone, atol=1e-4)


def test_load_takes_an_adapters_file(tmp_path):
    (tmp_path / "mine.toml").write_text('skeleton = "body19"\nzero = -0.5\n')
    path = foreign(tmp_path / "m.onnx", joints=19)
    assert load(path, adapter=tmp_path / "mine.toml").card.skeleton == BODY19


# what a description may say


def test_a_file_says_everything_that_an_adapter_holds(tmp_path):
    file = tmp_path / "theirs.toml"
    file.write_text(
        'output = "xys"\nsize = [192, 256]\nlayout = "nchw"\ndtype = "float32"\norder = "bgr"\n'
        'mean = [1, 2, 3]\nstd = [4.0, 5.0, 6.0]\nskeleton = "body19"\nmargin = 1\nzero = -0.5\n'
        'centre = 0.5\ncalibration = [2, -1]\nenough = 0.7\nlicence = "MIT"\n'
    )
    wanted = Adapter(
        name="theirs",
        output="xys",
        size=(192, 256),
        layout="nchw",
        dtype="float32",
        order="bgr",
        mean=(1.0, 2.0, 3.0),
        std=(4.0, 5.0, 6.0),
        skeleton=BODY19,
        margin=1.0,
        zero=-0.5,
        centre=0.5,
        calibration=(2.0, -1.0),
        enough=0.7,
        licence="MIT",
    )
    assert adapter_named(file) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sise = [1, 2]", "no setting 'sise'; there are calibration, centre"),
        ('output = "yx"', "output = 'yx' is none of yxs, xys"),
        ('skeleton = "hand21"', "no skeleton 'hand21'"),
        ("size = 256", "size is a list of numbers, not 256"),
        ("size = [0, 256]", "size is height, width"),
        ("margin = 0", "margin must be above 0"),
        ('zero = "0"', "zero is a number"),
        ("name = 3", "name is a text in quotes, not 3"),
        ("mean = [127, 127]", "three numbers each"),
        ("mean = [127, 127, 127]", "need dtype = 'float32'"),
        ("size = [", "is not TOML"),
        ("size = [inf, 256]", "cannot convert float infinity"),
        ('dtype = "float32"\nstd = [1, 0, 1]', "std divides, so it cannot be (1.0, 0.0, 1.0)"),
    ],
)
def test_a_wrong_description_is_refused_in_one_sentence(tmp_path, text, said):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ValueError, match=r"a\.toml") as fault:
        adapter_named(tmp_path / "a.toml")
    assert said in str(fault.value)


def test_a_missing_description_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no adapter file .*gone\.toml"):
        adapter_named(tmp_path / "gone.toml")


def test_an_unknown_adapter_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"no adapter 'alien'; there are movenet, or name a \.toml"
    ):
        adapter_named("alien")


# a network that is not what the description says


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dtype": "float32"}, "not a picture of int32"),
        ({"layout": "nchw"}, "not nhwc with 3 colours"),
        ({"joints": 21}, r"not \(\.\.\., 17, 3\)"),
        ({"size": ("h", "w")}, "leaves the picture's size open"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(tmp_path, changes, said):
    changes = {"joints": 17} | changes
    path = tmp_path / "m.onnx"
    if isinstance(changes.get("size"), tuple):
        foreign(path, joints=17)
        model = onnx.load(path)
        for axis, name in enumerate(changes["size"], 1):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
        path.write_bytes(model.SerializeToString())
    else:
        foreign(path, **changes)
    with pytest.raises(ValueError, match=said):
        load_foreign(path, "movenet")


def test_a_size_that_the_file_contradicts_is_refused(tmp_path):
    how = Adapter("like", skeleton=tiny.RGB, size=(32, 64))
    with pytest.raises(ValueError, match=r"not \(32, 64\)"):
        load_foreign(foreign(tmp_path / "m.onnx"), how)


def test_our_own_network_does_not_fit_movenets_description(tmp_path):
    assert not fits(tiny.constant(tmp_path / "m.onnx"), ADAPTERS["movenet"])


def test_a_network_of_movenets_form_fits(tmp_path):
    assert fits(foreign(tmp_path / "m.onnx", joints=17), ADAPTERS["movenet"])


# the real teacher


def by_the_notes(path, image, box, turns):
    """The teachers' notes word by word: joints (17, 2), scores (17,) of one person."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    centre, side = (box[:2] + box[2:]) / 2, 1.25 * max(box[2:] - box[:2])
    looks = []
    for degrees in turns:
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        linear = 256 / side * np.array([[cos, -sin], [sin, cos]])
        matrix = np.column_stack([linear, np.array([128, 128]) - linear @ centre])
        crop = cv2.warpAffine(image, matrix, (256, 256))
        rows = session.run(None, {"input:0": crop[None].astype(np.int32)})[0][0, 0]
        looks.append((rows[5:, 2].mean() + 0.03 * (degrees == 0), crop, matrix, rows))
    _, crop, matrix, rows = max(looks, key=lambda look: look[0])
    again = session.run(None, {"input:0": crop[None, :, ::-1].astype(np.int32)})[0][0, 0]
    again = again[COCO17.flipped]
    here = 256 * rows[:, [1, 0]]
    there = np.column_stack([255 - 256 * again[:, 1], 256 * again[:, 0]])
    a, b = rows[:, 2:] ** 2, again[:, 2:] ** 2
    xy = (here * a + there * b) / (a + b)
    return (xy - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T, np.maximum(rows, again)[:, 2]


@pytest.mark.parametrize(
    ("row", "turns"), [(0, (0,)), (51, (0,)), (6, (0, 90, 180, 270))], ids=["a", "b", "turned"]
)
def test_thunder_gives_what_its_notes_say(shared, row, turns):
    path = shared / "teachers" / "movenet-thunder.onnx"
    sample = data.read(f"lsp:{shared / 'data' / 'lsp'}")[row]
    image = pictures.read(sample.image)
    model = views(load_foreign(path, "movenet", threads=1), flip=True, rotations=len(turns) > 1)
    people = model(image, sample.box[None])
    xy, score = by_the_notes(path, image, sample.box, turns)
    np.testing.assert_allclose(people.xy[0], xy, atol=0.1)
    np.testing.assert_allclose(people.score[0], 1 / (1 + np.exp(2.1 - 6.4 * score)), atol=0.01)
