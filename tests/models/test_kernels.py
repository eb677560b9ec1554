import copy
import itertools

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from posegram import models
from posegram.models import kernels
from posegram.pose import LSP14, Card, Skeleton
from posegram.train.export import export

PLAIN = tuple(flag for flag in kernels._FLAGS if flag != "-march=native")  # no special CPU


@pytest.fixture(scope="module")
def ready():
    """The kernels, compiled once for all tests."""
    if kernels.missing():
        pytest.skip(f"no kernels here: {kernels.missing()}")


@pytest.fixture(params=["native", "plain"])
def either(ready, request, monkeypatch, plain):
    """The kernels as this CPU has them, and as any CPU would."""
    if request.param == "plain":
        monkeypatch.setattr(kernels, "_built", lambda: plain)


@pytest.fixture(scope="module")
def plain(ready):
    flags, kernels._FLAGS = kernels._FLAGS, PLAIN
    yield kernels._built.__wrapped__()
    kernels._FLAGS = flags


@pytest.fixture(autouse=True)
def one_thread():
    """On a busy machine, threads that wait for each other take far longer than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[1, 3])
def threads(request, one_thread):
    torch.set_num_threads(request.param)


def off(found, expected):
    """How far one array is from another, relative."""
    return float((found.float() - expected.float()).norm() / expected.float().norm().clamp(1e-9))


def picture(*shape):
    """Values as a layer inside a network sees them, (B, C, H, W)."""
    made = (torch.randn(*shape) * 3 + 2).to(torch.bfloat16)
    return made.contiguous(memory_format=torch.channels_last)


def learnt(network, x, gradient, *, half):
    """Output, gradient of the input and gradients of the weights by name."""
    x = x.detach().to(torch.bfloat16 if half else torch.float32).requires_grad_()
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        y = network(x)
    y.backward(gradient.to(y.dtype))
    return y.detach(), x.grad, {n: p.grad for n, p in network.named_parameters()}


def both(network, x):
    """What `learnt` finds in float32 by torch, and in bfloat16 by the kernels."""
    quick = copy.deepcopy(network)
    kernels.quicken(quick)
    gradient = torch.randn_like(network(x.float())).to(torch.bfloat16)
    fresh = copy.deepcopy(network)  # `network` has just moved its statistics
    fresh.load_state_dict(quick.state_dict())
    torch_found = learnt(fresh, x, gradient, half=False)
    return torch_found, learnt(quick, x, gradient, half=True), (fresh, quick)


def agree(expected, found, *, within):
    assert off(found[0], expected[0]) < within
    assert off(found[1], expected[1]) < within
    for name, gradient in expected[2].items():
        assert off(found[2][name], gradient) < within, name


# depthwise convolution


@pytest.mark.parametrize(
    ("kernel", "stride", "channels", "size"),
    [
        *((*kind, 48, (13, 9)) for kind in itertools.product((3, 5), (1, 2))),
        *((*kind, 24, (8, 12)) for kind in itertools.product((3, 5), (1, 2))),
        *((5, 1, 16, (1, 1)), (3, 2, 8, (1, 7)), (5, 2, 32, (2, 3))),
        (5, 1, 64, (32, 24)),  # so large that threads share it
    ],
)
def test_a_depthwise_convolution_learns_as_torchs(either, threads, kernel, stride, channels, size):
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
    with torch.no_grad():  # weights that bfloat16 knows: what is left is the kernels' own rounding
        layer.weight.copy_(layer.weight.to(torch.bfloat16).float())
    expected, found, _ = both(nn.Sequential(layer), picture(3, channels, *size))
    agree(expected, found, within=5e-3)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, padding=1, groups=8),  # a bias
        nn.Conv2d(8, 8, 7, padding=3, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=0, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, stride=(1, 2), padding=1, groups=8, bias=False),
        nn.Conv2d(8, 16, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        nn.Conv2d(8, 8, 3, padding="same", groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False, padding_mode="reflect"),
    ],
    ids=str,
)
def test_other_convolutions_stay_torchs(layer):
    assert not kernels._is_depthwise(layer)


# batch norm and activation

ACTIVATIONS = {"none": [], "relu": [nn.ReLU(inplace=True)], "relu6": [nn.ReLU6(inplace=True)]}


def norm(channels, activation, **settings):
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(channels, eps=1e-3, **settings)
    nn.init.uniform_(layer.weight, 0.5, 2)
    nn.init.normal_(layer.bias)
    nn.init.uniform_(layer.running_mean, 1, 3)
    nn.init.uniform_(layer.running_var, 4, 16)
    return nn.Sequential(layer, *ACTIVATIONS[activation])


@pytest.mark.parametrize("held", [False, True], ids=["batch", "held"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("channels", "size"), [(32, (9, 7)), (24, (5, 5)), (8, (1, 1)), (64, (40, 24))]
)
def test_a_norm_learns_as_torchs(either, threads, channels, size, activation, held):
    network = norm(channels, activation).train(not held)
    expected, found, _ = both(network, picture(4, channels, *size))
    agree(expected, found, within=1e-2)


@pytest.mark.parametrize("momentum", [0.01, 0.1])
def test_running_statistics_move_as_torchs(either, threads, momentum):
    network = norm(24, "relu6", momentum=momentum)
    _, _, (stock, quick) = both(network, picture(4, 24, 31, 24))
    for name, array in stock.named_buffers():
        torch.testing.assert_close(quick.get_buffer(name), array, rtol=1e-4, atol=1e-5)


def test_held_statistics_stay(ready):
    network = norm(16, "relu").eval()
    before = {name: array.clone() for name, array in network.named_buffers()}
    _, _, (_, quick) = both(network, picture(2, 16, 5, 5))
    assert all(torch.equal(quick.get_buffer(name), array) for name, array in before.items())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_norm_without_gradients_answers_as_torchs(either, activation):
    network = norm(40, activation).eval()
    quick = copy.deepcopy(network)
    kernels.quicken(quick)
    x = picture(2, 40, 6, 5)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert off(quick(x), network(x.float())) < 5e-3


def test_frozen_weights_of_a_held_norm_get_no_gradient(ready):
    network = norm(16, "relu6").eval().requires_grad_(False)
    kernels.quicken(network)
    x = picture(2, 16, 5, 5).requires_grad_()
    network(x).float().square().sum().backward()
    assert float(x.grad.float().abs().sum()) > 0
    assert network[0].weight.grad is None


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_value_that_is_no_number_shows(either, activation):
    network = norm(16, activation).eval()
    kernels.quicken(network)
    x = picture(1, 16, 3, 3)
    x[0, 5, 1, 1] = float("nan")
    answer = network(x).isnan()
    assert (int(answer.sum()), bool(answer[0, 5, 1, 1])) == (1, True)


@pytest.mark.parametrize("share", [0.25, 0.75])
@pytest.mark.parametrize("up", [-1, 0, 1])
def test_answers_are_rounded_to_the_nearest_bfloat16(either, share, up):
    network = nn.Sequential(nn.BatchNorm2d(16, eps=0.0)).eval()
    kernels.quicken(network)
    value = 1 + 2**-7 * (share + up)  # bfloat16 has seven bits behind the point
    nn.init.constant_(network[0].weight, value)
    answer = network(torch.ones(1, 16, 2, 1).bfloat16())
    assert torch.equal(answer, torch.full((1, 16, 2, 1), value).bfloat16())


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm2d(8, affine=False),
        nn.BatchNorm2d(8, track_running_stats=False),
        nn.BatchNorm2d(8, momentum=None),
        nn.SyncBatchNorm(8),
        nn.GroupNorm(2, 8),
    ],
    ids=str,
)
def test_other_norms_stay_torchs(layer):
    assert not kernels._is_norm(layer)


@pytest.mark.parametrize(
    "x", [torch.randn(2, 12, 4, 4).bfloat16(), torch.randn(2, 16, 4, 4)], ids=["12", "float32"]
)
def test_what_does_not_fit_is_run_by_torch(ready, monkeypatch, x):
    monkeypatch.setattr(kernels, "_call", lambda *_: pytest.fail("a kernel was called"))
    channels = x.shape[1]
    layers = [
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]
    quick = nn.Sequential(*layers)
    stock = copy.deepcopy(quick)
    kernels.quicken(quick)
    with torch.autocast("cpu", torch.bfloat16, enabled=x.dtype == torch.bfloat16):
        assert torch.equal(quick(x), stock(x))


# whole networks


def network(kind):
    torch.manual_seed(0)
    skeleton = LSP14 if kind == "lite" else Skeleton("box", ())
    output = "heatmap" if kind == "lite" else "detector"
    card = Card("x", output, skeleton, (64, 64), settings={"network": kind, "head": 16})
    made = models.build(card)
    return card, made.to(memory_format=torch.channels_last)


def pair(kind):
    """The same network without and with kernels."""
    _, stock = network(kind)
    quick = copy.deepcopy(stock)
    kernels.quicken(quick)
    return stock, quick


def step(net, x, *, half=True):
    """Output and gradients by name of one step in bfloat16."""
    net.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        y = net(x)
    y = y if isinstance(y, torch.Tensor) else torch.cat([part.flatten() for part in y])
    y.float().square().mean().backward()
    return y.detach(), {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}


def direction(found, expected):
    """Cosine between all gradients of two steps."""
    one, other = (torch.cat([g[n].flatten() for n in expected]) for g in (found, expected))
    return float(torch.cosine_similarity(one, other, dim=0))


@pytest.mark.parametrize("held", [False, True], ids=["batch", "held"])
@pytest.mark.parametrize("number", [0, 1, 3, 4, 5, 8, 15])
def test_a_block_of_lite_learns_as_near_to_float32_as_torchs(ready, number, held):
    _, net = network("lite")
    block = net.blocks[number].train(not held)
    x = picture(4, block.body[0].in_channels, 15, 12)
    gradient = torch.randn_like(copy.deepcopy(block)(x.float())).to(torch.bfloat16)
    stock, quick = copy.deepcopy(block), copy.deepcopy(block)
    kernels.quicken(quick)
    truth = learnt(block, x, gradient, half=False)
    theirs, ours = (learnt(net, x, gradient, half=True) for net in (stock, quick))
    assert off(ours[0], truth[0]) < 0.01
    assert off(ours[1], truth[1]) < 0.08
    # a norm whose scale a later norm takes back has hardly any gradient but rounding, and
    # where bfloat16 puts one value across the edge of an activation, a whole per cent moves
    for name, expected in truth[2].items():
        limit = 1.8 * off(theirs[2][name], expected) + 0.06
        assert off(ours[2][name], expected) < limit, name


# bfloat16 alone turns the gradients of so deep and fresh a network, whoever computes them
@pytest.mark.parametrize(("kind", "frozen"), [("lite", False), ("lite", True), ("detector", False)])
def test_a_step_is_as_near_to_float32_as_torchs(ready, kind, frozen):
    stock, quick = pair(kind)
    for net in (stock, quick):
        net.freeze(on=frozen)
    exact = copy.deepcopy(stock)
    x = torch.randn(8, 3, 96, 64).contiguous(memory_format=torch.channels_last)
    truth, theirs, ours = step(exact, x, half=False), step(stock, x), step(quick, x)
    assert off(ours[0], truth[0]) < 1.2 * off(theirs[0], truth[0]) + 1e-3
    assert set(ours[1]) == set(theirs[1])
    assert direction(ours[1], truth[1]) > direction(theirs[1], truth[1]) - 0.1


def test_the_kernels_are_what_a_step_uses(ready, monkeypatch):
    _, quick = pair("lite")
    called = []
    call = kernels._call
    monkeypatch.setattr(kernels, "_call", lambda name, *v: (called.append(name), call(name, *v)))
    step(quick, torch.randn(2, 3, 64, 64))
    norms = sum(isinstance(part, nn.BatchNorm2d) for part in quick.modules())
    deep = sum(kernels._is_depthwise(part) for part in quick.modules())
    counts = [called.count(n) for n in ("moments", "input_gradient", "depthwise_gradients")]
    assert counts == [norms, norms, deep]


@pytest.mark.parametrize("kind", ["lite", "detector"])
def test_in_float32_nothing_changes_at_all(kind):
    stock, quick = pair(kind)
    x = torch.randn(2, 3, 64, 64)
    theirs, ours = step(stock, x, half=False), step(quick, x, half=False)
    assert torch.equal(ours[0], theirs[0])
    assert all(torch.equal(ours[1][name], theirs[1][name]) for name in theirs[1])


def test_evaluation_answers_as_torch(ready):
    stock, quick = (net.eval() for net in pair("lite"))
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        theirs, ours = stock(x), quick(x)
    with torch.no_grad():
        assert off(ours, stock(x)) < 1.2 * off(theirs, stock(x)) + 1e-3


def test_weights_keep_their_names_and_layers_their_kinds():
    stock, quick = pair("lite")
    assert list(quick.state_dict()) == list(stock.state_dict())
    kinds = [type(part) for part in stock.modules() if type(part) is not nn.Sequential]
    assert [type(p) for p in quick.modules() if not isinstance(p, nn.Sequential)] == kinds


def test_weights_go_back_into_a_network_without_kernels():
    stock, quick = pair("lite")
    nn.init.normal_(quick.maps[0].weight)
    stock.load_state_dict(quick.state_dict())
    assert torch.equal(stock.maps[0].weight, quick.maps[0].weight)


def test_a_copy_learns_by_itself(ready):
    _, quick = pair("lite")
    x = torch.randn(2, 3, 64, 64)
    other = copy.deepcopy(quick)
    kept = {name: array.clone() for name, array in quick.state_dict().items()}
    step(other, x)
    assert all(torch.equal(array, kept[name]) for name, array in quick.state_dict().items())
    assert all(p.grad is None for p in quick.parameters())
    assert off(step(quick, x)[0], step(other, x)[0]) < 1e-6


def test_quickening_twice_is_quickening_once():
    _, quick = pair("lite")
    kinds = [type(part) for part in quick.modules()]
    kernels.quicken(quick)
    assert [type(part) for part in quick.modules()] == kinds


def test_a_network_with_kernels_is_exported_as_one_without(ready, tmp_path):
    card, stock = network("lite")
    quick = copy.deepcopy(stock)
    kernels.quicken(quick)
    step(quick, torch.randn(4, 3, 64, 64))
    stock.load_state_dict(quick.state_dict())
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    answers = [
        onnxruntime.InferenceSession(
            str(export(net, card, tmp_path / f"{name}.onnx", crops=crops)),
            providers=["CPUExecutionProvider"],
        ).run(None, {"crop": crops})[0]
        for name, net in (("stock", stock), ("quick", quick))
    ]
    np.testing.assert_array_equal(*answers)


# machines without them


def built(monkeypatch, tmp_path, *, command=None):
    """What is said with CXX being a command, or without any compiler."""
    monkeypatch.delenv("CXX", raising=False)
    if command is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.setenv("CXX", command)
    return kernels._built.__wrapped__()


def test_a_machine_without_a_compiler_is_told_of(monkeypatch, tmp_path):
    assert built(monkeypatch, tmp_path) == (None, "there is no C++ compiler (c++ or g++)")


def test_a_compiler_that_is_not_there_is_told_of(monkeypatch, tmp_path):
    library, why = built(monkeypatch, tmp_path, command="no-such-compiler -v")
    assert library is None
    assert "no-such-compiler -v" in why


def test_a_compiler_that_fails_is_told_of(monkeypatch, tmp_path):
    assert built(monkeypatch, tmp_path, command="false") == (None, "false does not compile them")


def test_a_library_that_does_not_load_is_told_of(monkeypatch, tmp_path):
    library, why = built(monkeypatch, tmp_path, command="true")
    assert library is None
    assert why.startswith("what true makes of them does not load (")


def test_compiling_leaves_no_file(ready, monkeypatch, tmp_path):
    source = kernels.Path(kernels.__file__).parent
    before = sorted(path.name for path in source.iterdir())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(kernels, "_FLAGS", ("-std=c++17", "-Wno-psabi", "-shared", "-fPIC"))
    assert kernels._built.__wrapped__()[1] == ""
    assert list(tmp_path.iterdir()) == []
    assert sorted(path.name for path in source.iterdir()) == before
