import contextlib
import io
import os
import stat
import struct
import sys
import zlib

import numpy as np
import PIL.Image
import pillow_heif
import pytest

from posegram import drawing
from posegram import image as pictures


def noise(height=20, width=30):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def smooth(height=40, width=60):
    """A picture that survives lossy compression."""
    down, across = np.mgrid[0:height, 0:width]
    return np.stack([down * 4, across * 4, 255 - down * 4], axis=-1).astype(np.uint8)


def header_of_a_png(width, height):
    """A valid PNG header that promises pixels which never come."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + start + struct.pack(">I", 9) + b"IDAT"


# rgb


def test_an_array_stays_as_it_is():
    picture = noise()
    assert pictures.rgb(picture) is picture


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1)])
def test_grey_becomes_three_colours(shape):
    grey = noise()[..., 0]
    np.testing.assert_array_equal(pictures.rgb(grey.reshape(shape)), np.dstack([grey] * 3))


def test_transparent_parts_of_an_array_become_white():
    clear = np.dstack([noise(), np.zeros((20, 30), dtype=np.uint8)])
    assert (pictures.rgb(clear) == 255).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_an_image_of_pillow_is_taken_in_any_mode(mode):
    opened = PIL.Image.fromarray(noise()).convert(mode)
    np.testing.assert_array_equal(pictures.rgb(opened), np.array(opened.convert("RGB")))


def test_an_image_of_pillow_is_turned_upright(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(smooth()).save(tmp_path / "a.png", exif=exif)
    assert pictures.rgb(PIL.Image.open(tmp_path / "a.png")).shape == (60, 40, 3)


def test_a_path_bytes_and_an_open_file_are_read(tmp_path):
    path = tmp_path / "a.png"
    pictures.write(path, noise())
    with path.open("rb") as file:
        for source in (path, str(path), path.read_bytes(), file):
            np.testing.assert_array_equal(pictures.rgb(source), noise())


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ([], "a picture is an array .*, not list"),
        (np.zeros((5, 5, 2), np.uint8), r"a picture is \(H, W, 3\) uint8"),
        (np.zeros((5, 5), np.float32), r"a picture is \(H, W, 3\) uint8"),
        (np.zeros((0, 5), np.uint8), r"a picture is \(H, W, 3\) uint8"),
        (np.zeros(5, np.uint8), r"a picture is \(H, W, 3\) uint8"),
    ],
)
def test_what_is_no_picture_is_refused(other, said):
    with pytest.raises(ValueError, match=said):
        pictures.rgb(other)


def test_a_broken_image_of_pillow_is_told():
    data = io.BytesIO()
    PIL.Image.fromarray(noise()).save(data, "PNG")
    with pytest.raises(ValueError, match="the image is damaged or cut off"):
        pictures.rgb(PIL.Image.open(io.BytesIO(data.getvalue()[:200])))


def test_an_image_of_pillow_may_be_too_large():
    with pytest.raises(ValueError, match="the image has more than 89,000,000 pixels"):
        pictures.rgb(PIL.Image.new("1", (10_000, 8_901)))


def test_a_file_that_was_opened_for_text_is_told(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with (
        (tmp_path / "a.txt").open() as file,
        pytest.raises(ValueError, match=r"opened for bytes: open\(FILE, 'rb'\)"),
    ):
        pictures.rgb(file)


# read


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF"])
def test_a_lossless_picture_comes_back_exactly(tmp_path, suffix):
    pictures.write(tmp_path / f"a{suffix}", noise())
    np.testing.assert_array_equal(pictures.read(tmp_path / f"a{suffix}"), noise())


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG", ".webp"])
def test_a_lossy_picture_comes_back_nearly(tmp_path, suffix):
    pictures.write(tmp_path / f"a{suffix}", smooth())
    away = pictures.read(tmp_path / f"a{suffix}").astype(int) - smooth()
    assert np.abs(away).mean() < 3


def test_a_path_with_umlauts_and_spaces_works(tmp_path):
    path = tmp_path / "Fuß ball 写真.png"
    pictures.write(path, noise())
    np.testing.assert_array_equal(pictures.read(path), noise())


def test_what_is_read_may_be_painted_on(tmp_path):
    pictures.write(tmp_path / "a.png", noise())
    assert pictures.read(tmp_path / "a.png").flags.writeable


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_every_exif_orientation_is_stood_upright(tmp_path, tag, suffix):
    # how a camera that was held so stores the upright picture: EXIF's definition, in numpy
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[::-1],
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a.swapaxes(0, 1)[:, ::-1],
    }[tag](noise())
    exif = PIL.Image.Exif()
    exif[0x0112] = tag
    path = tmp_path / f"a.{suffix}"
    PIL.Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    np.testing.assert_array_equal(pictures.read(path), noise())


def test_an_orientation_that_exif_does_not_know_is_ignored(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 77
    PIL.Image.fromarray(noise()).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(pictures.read(tmp_path / "a.png"), noise())


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow says that it is broken
def test_broken_exif_does_not_cost_the_photo(tmp_path):
    PIL.Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert pictures.read(tmp_path / "a.jpg").shape == (40, 60, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    PIL.Image.fromarray(np.full((9, 9, 3), 255, np.uint8)).convert(mode).save(
        tmp_path / f"a.{suffix}"
    )
    assert pictures.read(tmp_path / f"a.{suffix}").tolist() == np.full((9, 9, 3), 255).tolist()


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path):
    grey = np.array([[0, 128 * 256], [64 * 256, 255 * 256]], dtype=np.uint16)
    PIL.Image.fromarray(grey).save(tmp_path / "a.png")
    assert pictures.read(tmp_path / "a.png")[..., 1].tolist() == [[0, 128], [64, 255]]


@pytest.mark.parametrize("white", [1.0, 255.0, 65_535.0, 1e6])
def test_numbers_with_a_point_are_scaled_by_their_white(tmp_path, white):
    grey = np.array([[0, 0.2, np.nan], [0.6, 1, -1]], dtype=np.float32) * np.float32(white)
    PIL.Image.fromarray(grey).save(tmp_path / "a.tif")
    assert pictures.read(tmp_path / "a.tif")[..., 1].tolist() == [[0, 51, 0], [153, 255, 0]]


def test_transparent_parts_become_white(tmp_path):
    clear = np.zeros((4, 4, 4), dtype=np.uint8)
    PIL.Image.fromarray(clear).save(tmp_path / "a.png")
    assert (pictures.read(tmp_path / "a.png") == 255).all()


def test_a_transparent_palette_becomes_white(tmp_path):
    flat = PIL.Image.new("P", (4, 4), 1)
    flat.putpalette([0, 0, 0, 9, 9, 9])
    flat.save(tmp_path / "a.png", transparency=b"\xff\x00")
    assert (pictures.read(tmp_path / "a.png") == 255).all()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone\.jpg"):
        pictures.read(tmp_path / "gone.jpg")


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(ValueError, match="is a folder, not an image"):
        pictures.read(tmp_path)


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match=r"a\.jpg is empty"):
        pictures.read(tmp_path / "a.jpg")


def test_text_named_as_a_photo_is_refused_by_name(tmp_path):
    (tmp_path / "a.jpg").write_text("not a photo")
    with pytest.raises(ValueError, match=r"a\.jpg is not a readable JPEG, PNG, WebP, .* image"):
        pictures.read(tmp_path / "a.jpg")


def test_a_format_that_we_do_not_take_is_refused_by_name(tmp_path):
    PIL.Image.fromarray(noise()).save(tmp_path / "a.ppm")
    with pytest.raises(ValueError, match=r"a\.ppm is not a readable JPEG, PNG, WebP, .* image"):
        pictures.read(tmp_path / "a.ppm")


def test_of_a_gif_the_first_frame_is_read(tmp_path):
    first, second = (PIL.Image.new("RGB", (9, 6), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (pictures.read(tmp_path / "a.gif") == (255, 0, 0)).all()


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_a_photo_of_a_phone_is_read(tmp_path, suffix):
    pillow_heif.register_heif_opener()
    PIL.Image.fromarray(smooth()).save(tmp_path / f"a{suffix}", quality=90)
    away = pictures.read(tmp_path / f"a{suffix}").astype(int) - smooth()
    assert np.abs(away).mean() < 4


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_a_photo_of_a_phone_held_upright_stands_upright(tmp_path, suffix):
    pillow_heif.register_heif_opener()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    PIL.Image.fromarray(smooth()).save(tmp_path / f"a{suffix}", quality=90, exif=exif.tobytes())
    away = pictures.read(tmp_path / f"a{suffix}").astype(int) - np.rot90(smooth(), -1)
    assert np.abs(away).mean() < 4
    assert pictures.probe(tmp_path / f"a{suffix}") == (60, 40)


def test_an_iphone_photo_without_its_decoder_says_what_to_install(tmp_path, monkeypatch):
    pillow_heif.register_heif_opener()
    PIL.Image.fromarray(smooth()).save(tmp_path / "a.heic")
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(
        ValueError, match=r"a\.heic is a HEIC photo.*pip install 'posegram\[heic\]'"
    ):
        pictures.read(tmp_path / "a.heic")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow says so, too
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif"])
def test_a_truncated_file_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    pictures.write(path, noise(200, 300))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"a\.{suffix} is "):
        pictures.read(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif"])
def test_damage_anywhere_gives_a_picture_or_a_value_error(tmp_path, suffix):
    path, rng = tmp_path / f"a.{suffix}", np.random.default_rng(0)
    pictures.write(path, smooth())
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    outcomes = set()
    for _ in range(150):
        bad = whole.copy()
        bad[rng.integers(0, len(bad), 3)] = rng.integers(0, 255, 3)
        path.write_bytes(bad.tobytes())
        try:
            outcomes.add(pictures.read(path).ndim)
        except ValueError as fault:
            outcomes.add(str(path) in str(fault))
    assert outcomes <= {3, True}


@pytest.mark.parametrize("side", [9_500, 13_000, 60_000])  # Pillow: silent, warns, refuses
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, side):
    (tmp_path / "a.png").write_bytes(header_of_a_png(side, side))
    with pytest.raises(ValueError, match=r"a\.png has more than 89,000,000 pixels"):
        pictures.read(tmp_path / "a.png")


def test_reading_takes_bytes(tmp_path):
    pictures.write(tmp_path / "a.png", np.full((4, 5, 3), 7, dtype=np.uint8))
    np.testing.assert_array_equal(
        pictures.read((tmp_path / "a.png").read_bytes()), pictures.read(tmp_path / "a.png")
    )


# probe


def test_a_probe_takes_bytes():
    data = io.BytesIO()
    PIL.Image.fromarray(noise(20, 30)).save(data, "png")
    assert pictures.probe(data.getvalue()) == (20, 30)


def test_a_probe_reads_no_pixels():
    assert pictures.probe(header_of_a_png(4000, 3000)) == (3000, 4000)


@pytest.mark.parametrize("tag", [None, 1, 6])
def test_a_probe_decodes_no_png(tmp_path, monkeypatch, tag):
    exif = PIL.Image.Exif()
    if tag is not None:
        exif[0x0112] = tag
    PIL.Image.fromarray(noise(20, 30)).save(tmp_path / "a.png", exif=exif)
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    assert pictures.probe(tmp_path / "a.png") == ((30, 20) if tag == 6 else (20, 30))


def test_a_probe_finds_an_orientation_behind_the_pixels():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    data = io.BytesIO()
    PIL.Image.fromarray(noise(20, 30)).save(data, "png")
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    whole = data.getvalue()[:-12] + chunk + data.getvalue()[-12:]
    assert pictures.probe(whole) == pictures.read(whole).shape[:2] == (30, 20)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tif"])
def test_a_probe_knows_every_format(tmp_path, suffix):
    pictures.write(tmp_path / f"a{suffix}", noise(20, 30))
    assert pictures.probe(tmp_path / f"a{suffix}") == (20, 30)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_probe_gives_the_upright_size(tmp_path, suffix):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(noise(20, 30)).save(tmp_path / f"a.{suffix}", exif=exif)
    assert pictures.probe(tmp_path / f"a.{suffix}") == (30, 20)


def test_a_probe_refuses_a_decompression_bomb():
    with pytest.raises(ValueError, match="the data has more than"):
        pictures.probe(header_of_a_png(60_000, 60_000))


def test_a_probe_refuses_no_data():
    with pytest.raises(ValueError, match="the data is empty"):
        pictures.probe(b"")


# write


def test_an_old_file_is_replaced(tmp_path):
    pictures.write(tmp_path / "a.png", noise(9, 9))
    pictures.write(tmp_path / "a.png", noise(20, 30))
    assert pictures.probe(tmp_path / "a.png") == (20, 30)


def test_writing_leaves_nothing_else_behind(tmp_path):
    pictures.write(tmp_path / "a.png", noise())
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    pictures.write(tmp_path / "a.png", noise())

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        pictures.write(tmp_path / "a.png", noise(5, 5))
    assert [(p.name, pictures.probe(p)) for p in tmp_path.iterdir()] == [("a.png", (20, 30))]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_written_file_has_the_users_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    pictures.write(tmp_path / "a.png", noise())
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "a.png")]
    assert modes[0] == modes[1]


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    with pytest.raises(
        ValueError, match=r"a\.gif: its name must end in one of \.jpg, \.jpeg, \.png"
    ):
        pictures.write(tmp_path / "a.gif", noise())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        pictures.write(tmp_path / "nowhere" / "a.png", noise())


@pytest.mark.parametrize(
    "bad", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)]
)
def test_what_is_no_picture_is_not_written(tmp_path, bad):
    with pytest.raises(ValueError, match=r"a picture is \(H, W, 3\) uint8"):
        pictures.write(tmp_path / "a.png", bad)


# draw


def test_what_draws_people_is_among_the_tools_for_pictures():
    assert pictures.draw is drawing.draw


def grey(height=100, width=120):
    return np.full((height, width, 3), 128, dtype=np.uint8)


# grid


def test_a_grid_holds_every_picture_unchanged():
    sheet = pictures.grid([np.full((10, 10, 3), v, np.uint8) for v in (50, 100, 150)], 2)
    assert [int((sheet == v).all(axis=2).sum()) for v in (50, 100, 150)] == [100, 100, 100]


def test_a_grid_fills_rows_from_the_left():
    sheet = pictures.grid([np.full((10, 10, 3), v, np.uint8) for v in (50, 100, 150)], 2)
    corners = [np.argwhere((sheet == v).all(axis=2))[0].tolist() for v in (50, 100, 150)]
    assert corners == [[4, 4], [4, 18], [18, 4]]


def test_a_grid_centres_smaller_pictures():
    sheet = pictures.grid([grey(20, 20), np.full((10, 10, 3), 200, np.uint8)], 2)
    assert np.argwhere((sheet == 200).all(axis=2))[0].tolist() == [9, 33]


@pytest.mark.parametrize(("count", "columns"), [(0, 2), (2, 0)])
def test_a_grid_of_nothing_is_refused(count, columns):
    with pytest.raises(ValueError, match="a grid needs pictures and columns"):
        pictures.grid([grey()] * count, columns)


def test_damaged_bytes_of_an_avif_are_one_sentence(tmp_path):
    path = tmp_path / "a.avif"
    PIL.Image.new("RGB", (64, 64), "red").save(path)
    whole = path.read_bytes()
    for place in range(0, min(len(whole), 300)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(ValueError, OSError):
            pictures.read(path)
