import pytest

import runs
from posegram.cli import main
from posegram.data import coco
from posegram.infer.load import load
from posegram.pose import LSP14
from posegram.train import Config, curves, quickstart
from posegram.train.semi import Collapsed

# a run of a second; the settings file says the rest
SMALL = ("size=[64,64]", "channels=4", "epochs=1", "batch=4", "threads=1", "precision=fp32")


def run(*args):
    """Exit code of one run of `posegram train`; 0 when it just ends."""
    with pytest.raises(SystemExit) as stop:
        main(["train", *map(str, args)])
    return stop.value.code or 0


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(curves, "draw_curves", lambda lines, out: None)


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(runs.settings(tmp_path, runs.labels(tmp_path, 8), batch=4).to_toml())
    return path


def test_a_settings_file_becomes_a_model(settings, tmp_path, undrawn):
    assert run(settings, "epochs=1") == 0
    assert load(tmp_path / "tiny" / "tiny.onnx").card.skeleton == LSP14


def test_labels_are_refused_among_several_processes(settings, monkeypatch, capsys):
    for key, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(key, value)
    assert run(settings, "--labels", "2,4") == 2
    assert "--labels is for one process, and torchrun started 2" in capsys.readouterr().err


def test_changes_on_the_command_line_win_over_the_file(settings, tmp_path, undrawn):
    assert run(settings, "epochs=1", "name=other", "rate=1e-3") == 0
    kept = Config.read(tmp_path / "other" / "config.toml")
    assert kept == Config.read(settings).override("epochs=1", "name=other", "rate=1e-3")


def test_the_end_of_a_run_says_where_everything_is(settings, tmp_path, undrawn, capsys):
    run(settings, "epochs=1")
    told = capsys.readouterr().out
    model = tmp_path / "tiny" / "tiny.onnx"
    assert f"trained: {model}\n" in told
    assert f"posegram predict PHOTO --model {model} --out poses" in told
    assert f"kept apart: posegram evaluate {model.parent / 'valid.json'} --model {model}\n" in told


def test_a_bar_counts_images_a_second(settings, undrawn, capsys):
    run(settings, "epochs=1")
    shown = capsys.readouterr()
    assert "images/s" in shown.out + shown.err


def test_quickstart_needs_no_data(tmp_path, undrawn, monkeypatch):
    monkeypatch.setattr(quickstart, "COUNT", 8)
    assert run("quickstart", f"folder={tmp_path}", *SMALL) == 0
    assert load(tmp_path / "quickstart" / "quickstart.onnx").card.size == (64, 64)


def test_labels_draws_a_curve(settings, tmp_path, undrawn, capsys):
    assert run(settings, "epochs=1", "batch=2", "--labels", "3,all") == 0
    told = capsys.readouterr().out
    assert "| 3 |" in told
    assert "| 6 |" in told
    assert (tmp_path / "tiny" / "labels.png").exists()


def test_a_collapse_is_failed_work(settings, capsys, monkeypatch):
    def stopped(config):
        raise Collapsed("runs/a: stopped after epoch 3")

    monkeypatch.setattr("posegram.train.fit", stopped)
    assert run(settings) == 1
    assert capsys.readouterr().err == "posegram: runs/a: stopped after epoch 3\n"


# mistakes


@pytest.mark.parametrize("config", ["settings", "quickstart"])
def test_an_unknown_key_is_one_sentence_and_exit_code_2(settings, capsys, config):
    assert run(settings if config == "settings" else config, "epoch=3") == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith("posegram: no setting 'epoch'; there are name, folder, train")


def test_an_unknown_key_leaves_nothing_behind(settings, tmp_path):
    before = sorted(tmp_path.iterdir())
    run(settings, "epoch=3")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("epochs", "'epochs' is no setting; write key=value"),
        ("epochs=many", "epochs = 'many'; it takes a whole number"),
        ("network=vit", "no network 'vit'; there are cnn, "),
        ("skeleton=cat", "no skeleton 'cat'; there are body19, coco17, lsp14, mpii16"),
        ("train=gone:x", "no reader 'gone'; there are"),
        ("train=lsp:gone/lsp#1-9", "train: gone/lsp: no such file; give train=reader:path"),
        ("valid=coco:gone.json", "valid: gone.json: no such file; give valid=reader:path"),
        ("start=gone.ckpt", "no checkpoint gone.ckpt to start from"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(settings, capsys, change, sentence):
    assert run(settings, change) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"posegram: {sentence}")
    assert told.count("\n") == 1


def test_data_that_is_not_there_is_all_that_is_said(settings, capsys):
    assert run(settings, "train=lsp:gone/lsp") == 2
    assert capsys.readouterr().out == ""


def test_a_missing_settings_file_is_named(tmp_path, capsys):
    assert run(tmp_path / "gone.toml") == 2
    assert (
        capsys.readouterr().err == f"posegram: there is no settings file {tmp_path / 'gone.toml'}\n"
    )


def test_a_run_of_other_settings_in_the_folder_stops_it(settings, capsys, undrawn):
    run(settings, "epochs=1")
    capsys.readouterr()
    assert run(settings, "epochs=2") == 2
    assert "holds a run with other settings (epochs)" in capsys.readouterr().err


def test_data_without_its_pictures_is_one_sentence(settings, tmp_path, capsys):
    people = coco.read(tmp_path / "labels.json")
    for sample in people:
        sample.image.unlink()
    assert run(settings) == 2
    assert str(tmp_path / "images") in capsys.readouterr().err


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photo_is_one_sentence_whoever_reads_it(settings, tmp_path, capsys, workers):
    for photo in (tmp_path / "images").iterdir():
        photo.write_bytes(photo.read_bytes()[:200])
    assert run(settings, f"workers={workers}") == 2
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "damaged" in line]
    assert told.startswith(f"posegram: {tmp_path / 'images'}")


def test_a_collapse_within_a_curve_is_failed_work(settings, capsys, monkeypatch):
    def stopped(config, *, progress):
        raise Collapsed("runs/a/labels-3: stopped after epoch 3")

    monkeypatch.setattr("posegram.train.labels.fit", stopped)
    assert run(settings, "--labels", "3") == 1
    assert capsys.readouterr().err == "posegram: runs/a/labels-3: stopped after epoch 3\n"
