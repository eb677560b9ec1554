from dataclasses import fields
from pathlib import Path

import pytest

from posegram.train import Config

SHIPPED = sorted((Path(__file__).parent.parent.parent / "configs").glob("*.toml"))


def written(folder, text):
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


# reading


def test_what_a_file_leaves_out_has_its_default(tmp_path):
    assert Config.read(written(tmp_path, "epochs = 3\n")) == Config(epochs=3)


def test_lists_of_a_file_become_tuples(tmp_path):
    read = Config.read(written(tmp_path, 'size = [64, 48]\ntrain = ["lsp:a", "lsp:b"]'))
    assert (read.size, read.train) == ((64, 48), ("lsp:a", "lsp:b"))


def test_a_whole_number_will_do_for_a_fraction(tmp_path):
    turn = Config.read(written(tmp_path, "turn = 15")).turn
    assert (turn, type(turn)) == (15.0, float)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no settings file .*gone\.toml"):
        Config.read(tmp_path / "gone.toml")


@pytest.mark.parametrize("content", [b"epochs 3", b"\xff\xfe\x00", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_named(tmp_path, content):
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"settings\.toml is not TOML"):
        Config.read(path)


def test_a_table_is_refused_as_an_unknown_setting(tmp_path):
    with pytest.raises(ValueError, match="no setting 'model'"):
        Config.read(written(tmp_path, "[model]\nwidth = 3"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_every_shipped_file_names_every_setting(path):
    keys = {line.split("=")[0].strip() for line in path.read_text().splitlines() if "=" in line}
    assert {f.name for f in fields(Config)} <= keys
    assert Config.read(path).train


def test_there_are_shipped_files():
    assert SHIPPED


# overriding


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ("epochs=3", "epochs", 3),
        (" epochs = 3 ", "epochs", 3),
        ("rate=1e-4", "rate", 1e-4),
        ("turn=5", "turn", 5.0),
        ("freeze=true", "freeze", True),
        ("name=night run", "name", "night run"),
        ('name="night run"', "name", "night run"),
        ("start=", "start", ""),
        ("start=a=b.ckpt", "start", "a=b.ckpt"),
        ("size=[64, 48]", "size", (64, 48)),
        ("train=lsp:data/lsp", "train", ("lsp:data/lsp",)),
        ('train=["lsp:a#1-5", "coco:b"]', "train", ("lsp:a#1-5", "coco:b")),
        ("train=[]", "train", ()),
        ("train=", "train", ()),
        ("mean=[1, 2, 3]", "mean", (1.0, 2.0, 3.0)),
    ],
)
def test_a_text_changes_one_setting(change, key, value):
    assert getattr(Config().override(change), key) == value


def test_the_last_change_of_a_setting_holds():
    assert Config().override("epochs=3", {"epochs": 4}, "epochs=5").epochs == 5


def test_the_settings_that_are_changed_stay_as_they_were():
    config = Config()
    config.override("epochs=3")
    assert config == Config()


def test_the_dict_of_changes_stays_as_it_was():
    changes = {"size": [64, 48]}
    Config().override(changes)
    assert changes == {"size": [64, 48]}


def test_an_unknown_key_is_refused_with_a_list_of_all_known_ones():
    with pytest.raises(ValueError, match="no setting 'epoch'; there are ") as refusal:
        Config().override("epoch=3")
    told = str(refusal.value).partition("there are ")[2].split(", ")
    assert told == [f.name for f in fields(Config)]


def test_an_unknown_key_of_a_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no setting 'lr'"):
        Config.read(written(tmp_path, "lr = 0.1"))


def test_a_change_without_a_value_is_refused():
    with pytest.raises(ValueError, match="'epochs' is no setting; write key=value"):
        Config().override("epochs")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("epochs=many", "epochs = 'many'; it takes a whole number"),
        ("epochs=2.5", r"epochs = 2\.5; it takes a whole number"),
        ("epochs=true", "epochs = True; it takes a whole number"),
        ("rate=true", "rate = True; it takes a number"),
        ("rate=fast", "rate = 'fast'; it takes a number"),
        ("freeze=1", "freeze = 1; it takes true or false"),
        ("size=220", "size = 220; it takes a list"),
        ("size=[220]", "size takes 2 values, not 1"),
        ("size=[220, 0.5]", r"size = 0\.5; it takes a whole number"),
        ("mean=[0, 0]", "mean takes 3 values, not 2"),
        ("train=[1]", "train = 1; it takes a text"),
        ("schedule=linear", "schedule = 'linear'; it can be cosine, plateau, step"),
        ("precision=fp64", "precision = 'fp64'; it can be auto, bf16, fp32"),
        ("optimizer=sgd", "optimizer = 'sgd'; it can be adam, adamw"),
        ("cache=cloud", "cache = 'cloud'; it can be ram, disk, off"),
        ("kernels=on", "kernels = 'on'; it can be auto, off"),
        ("batch=0", "batch = 0; it must be positive"),
        ("epochs=-1", "epochs = -1; it must be positive"),
        ("warmup=-1", "warmup = -1; it must not be negative"),
        ("epoch_people=-5", "epoch_people = -5; it must not be negative"),
        ("bell=0", r"bell = 0\.0; it must be positive"),
        ("size=[0, 64]", r"size = \[0, 64\]; it must be positive"),
        ("std=[1, 1, 0]", r"std = \[1\.0, 1\.0, 0\.0\]; it must be positive"),
        ("scale=[0, 1]", r"scale = \[0\.0, 1\.0\]; it must be positive"),
        ("scale=[1.2, 0.8]", r"scale = \[1\.2, 0\.8\]; its first number must be the smaller"),
        ("margin=0", r"margin = 0\.0; it must be positive"),
        ("rate=nan", r"rate = nan; it must be positive"),
        ("seed=-1", "seed = -1; it must not be negative"),
        ("brightness=-0.1", r"brightness = -0\.1; it must not be negative"),
        ("flip=2", r"flip = 2\.0; it is a number from 0 to 1"),
        ("ema=1.5", r"ema = 1\.5; it is a number from 0 to 1"),
        ("split=1.0", r"split = 1\.0; it is a share between 0 and 1"),
        ("split=0", r"split = 0\.0; it is a share between 0 and 1"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        Config().override(change)


def test_no_warm_up_is_allowed():
    assert Config().override("warmup=0").warmup == 0


# writing


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train": ["lsp:a", "coco:b#1-5"], "valid": [], "size": [64, 48]},
        {"name": 'a "quoted" name', "folder": r"C:\runs\new", "start": "größe-雪.ckpt"},
        {"rate": 1e-7, "freeze": True, "mean": [123.675, 116.28, 103.53]},
    ],
)
def test_settings_written_and_read_are_the_same(tmp_path, changes):
    config = Config().override(changes)
    assert Config.read(written(tmp_path, config.to_toml())) == config


def test_the_written_file_is_complete():
    lines = Config().to_toml().splitlines()
    assert [line.split(" = ")[0] for line in lines] == [f.name for f in fields(Config)]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("lsp:data/lsp#1-5", "data/lsp"),
        ("data/boxes.json#train", "data/boxes.json"),
        ("coco:a.json", "a.json"),
        ("coco:runs/a#b/a.json#1-5", "runs/a#b/a.json"),
        ("lsp:C:/data/lsp", "C:/data/lsp"),
    ],
)
def test_a_data_set_is_a_path_without_its_reader_and_range(spec, path):
    assert Config(train=(spec,)).sources == (Path(path),)


def test_a_run_lives_in_its_folder_under_its_name():
    assert Config(folder="runs", name="night").run == Path("runs/night")
