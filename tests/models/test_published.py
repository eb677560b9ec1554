import hashlib
import http.server
import threading
from dataclasses import dataclass, field

import pytest
import torch

import rcnns
from posegram.models import published
from posegram.models.published import arrays, cache, fetch, find, keypoints, meter

BODY = bytes(range(256)) * 8192  # 2 MiB
NAME = f"weights-{hashlib.sha256(BODY).hexdigest()[:8]}.pth"


@dataclass
class Server:
    """Stands in for the place where the weights lie."""

    address: str = ""
    asked: list = field(default_factory=list)  # the Range of every request
    ranges: bool = True  # whether it can send a part
    breaks: int = 0  # bytes after which it hangs up; 0: never


@pytest.fixture
def server():
    told = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            told.asked.append(asked)
            if not self.path.endswith(NAME) and "other" not in self.path:
                self.send_error(404)
                return
            first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and told.ranges else 0
            if first >= len(BODY):
                self.send_error(416)
                return
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(BODY) - first))
            self.end_headers()
            self.wfile.write(BODY[first : told.breaks or None])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        told.address = f"http://127.0.0.1:{running.server_address[1]}/{NAME}"
        yield told
        running.shutdown()


def test_a_file_is_fetched_whole(server, tmp_path):
    assert fetch(server.address, tmp_path / NAME).read_bytes() == BODY


def test_folders_on_the_way_are_made(server, tmp_path):
    assert fetch(server.address, tmp_path / "hub" / "deep" / NAME).is_file()


def test_progress_counts_up_to_the_whole(server, tmp_path):
    told = []
    fetch(server.address, tmp_path / NAME, progress=lambda *numbers: told.append(numbers))
    assert told[-1] == (len(BODY), len(BODY))
    assert sorted(told) == told
    assert len(told) > 1


def test_a_broken_download_says_how_far_it_came(server, tmp_path):
    server.breaks = 500_000
    with pytest.raises(OSError, match=r"broke after 500000 of 2097152 bytes|IncompleteRead"):
        fetch(server.address, tmp_path / NAME)
    assert not (tmp_path / NAME).exists()


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.breaks = 500_000
    with pytest.raises(OSError, match="broke"):
        fetch(server.address, tmp_path / NAME)
    server.breaks = 0
    assert fetch(server.address, tmp_path / NAME).read_bytes() == BODY
    assert server.asked == [None, "bytes=500000-"]


def test_a_server_that_sends_no_parts_is_asked_for_everything(server, tmp_path):
    server.ranges = False
    (tmp_path / f"{NAME}.part").write_bytes(BODY[:1000])
    assert fetch(server.address, tmp_path / NAME).read_bytes() == BODY


def test_a_whole_part_needs_nothing_more(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(BODY)
    assert fetch(server.address, tmp_path / NAME).read_bytes() == BODY


def test_a_file_with_another_checksum_is_refused_and_thrown_away(server, tmp_path):
    other = server.address.replace(NAME, "other-00000000.pth")
    with pytest.raises(ValueError, match=r"SHA-256 begins with .*, not with 00000000"):
        fetch(other, tmp_path / "other-00000000.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_does_not_stay_in_the_way(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * 1000)
    with pytest.raises(ValueError, match="damaged"):
        fetch(server.address, tmp_path / NAME)
    assert fetch(server.address, tmp_path / NAME).read_bytes() == BODY


# finding


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine on which torch keeps its downloads in a fresh folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv(published.VARIABLE, raising=False)
    return tmp_path


def test_the_cache_is_torchs_own(home):
    assert str(cache()) == f"{torch.hub.get_dir()}/checkpoints"


def test_a_download_lands_in_the_cache(server, home):
    assert find("", server.address) == cache() / NAME


def test_what_is_in_the_cache_is_not_fetched_again(server, home):
    find("", server.address)
    find("", server.address)
    assert len(server.asked) == 1


def test_the_given_file_comes_before_the_variables(home, monkeypatch):
    for name in ("given.pth", "named.pth"):
        (home / name).write_bytes(b"x")
    monkeypatch.setenv(published.VARIABLE, str(home / "named.pth"))
    assert find(home / "given.pth", "http://127.0.0.1:9/x.pth") == home / "given.pth"
    assert find("", "http://127.0.0.1:9/x.pth") == home / "named.pth"


def test_a_missing_file_is_named(home):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone\.pth with weights$"):
        find(home / "gone.pth", "http://127.0.0.1:9/x.pth")


def test_a_missing_file_that_the_variable_names_is_named_with_it(home, monkeypatch):
    monkeypatch.setenv(published.VARIABLE, str(home / "gone.pth"))
    with pytest.raises(FileNotFoundError, match=rf"gone\.pth .*, named by {published.VARIABLE}$"):
        find("", "http://127.0.0.1:9/x.pth")


def test_without_network_and_file_one_sentence_says_everything(home):
    address = "http://127.0.0.1:9/keypointrcnn-fc266e95.pth"
    with pytest.raises(FileNotFoundError) as refusal:
        find("", address)
    said = str(refusal.value)
    assert "\n" not in said
    for part in (
        address,
        published.PAGE,
        str(cache()),
        "--weights FILE",
        "--model FILE",
        published.VARIABLE,
    ):
        assert part in said


@pytest.mark.parametrize("value", ["1", "yes"])
def test_offline_nothing_is_fetched(server, home, monkeypatch, value):
    monkeypatch.setenv(published.OFFLINE, value)
    with pytest.raises(FileNotFoundError, match=rf"fetched \({published.OFFLINE}={value} is set\)"):
        find("", server.address)
    assert (server.asked, cache().exists()) == ([], False)


def test_offline_what_is_here_is_used(server, home, monkeypatch):
    find("", server.address)
    monkeypatch.setenv(published.OFFLINE, "1")
    assert find("", server.address) == cache() / NAME


@pytest.mark.parametrize("value", ["", "0"])
def test_offline_may_be_switched_off(server, home, monkeypatch, value):
    monkeypatch.setenv(published.OFFLINE, value)
    assert find("", server.address) == cache() / NAME


def test_the_meter_tells_every_percent_once(capsys):
    tell = meter("x.pth")
    for have in (0, 10, 10_000_000, 10_000_001, 200_000_000):
        tell(have, 200_000_000)
    said = capsys.readouterr().err
    assert said.count("\r") == 3
    assert said.endswith("fetching x.pth: 200 of 200 MB\n")


# reading


@pytest.fixture
def small(monkeypatch):
    """The published network, a thousandth as large."""
    monkeypatch.setattr(published, "CARD", rcnns.card())
    return rcnns.card()


def test_the_published_network_comes_from_torchvisions_file(home, small):
    network = rcnns.kept()
    torch.save(network.state_dict(), home / "own.pth")
    card, found = keypoints(home / "own.pth")
    name = "roi_heads.keypoint_predictor.kps_score_lowres.weight"
    assert card == small
    assert torch.equal(found.state_dict()[name], network.state_dict()[name])
    assert not found.training


def test_the_address_is_torchvisions_own(home, small, monkeypatch):
    asked = []
    monkeypatch.setattr(published, "find", lambda weights, address: asked.append(address))
    monkeypatch.setattr(published, "arrays", lambda path: {})
    with pytest.raises(ValueError, match="holds no weights of torchvision's"):
        keypoints()
    assert asked[0].startswith("https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco")


def test_other_weights_are_refused(home, small):
    torch.save({"x": torch.zeros(3)}, home / "other.pth")
    with pytest.raises(ValueError, match="holds no weights of torchvision's keypointrcnn"):
        keypoints(home / "other.pth")


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02 nonsense"])
def test_no_weights_are_refused(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pth is no file of weights"):
        arrays(tmp_path / "x.pth")


def test_code_in_a_file_is_never_run(tmp_path):
    torch.save({"x": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match="no file of weights"):
        arrays(tmp_path / "trap.pth")


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("code of a file of weights was run",))


def test_weights_of_the_older_format_are_read(tmp_path):
    torch.save({"x": torch.ones(3)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert arrays(tmp_path / "old.pth")["x"].tolist() == [1, 1, 1]
