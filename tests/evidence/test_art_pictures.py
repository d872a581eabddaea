"""Pictures of artworks: each is either read as a person sees it, or missing with its reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from aes_audit.evidence.art_pictures import MAX_PIXELS, FilePicture, Unreadable

LEFT, RIGHT = (200, 30, 30), (30, 30, 200)


def two_halves(width: int = 40, height: int = 20) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RIGHT)
    image.paste(LEFT, (0, 0, width // 2, height))
    return image


def seen(path: Path) -> Image.Image:
    """What a reward is given; the header agrees with it on the size."""
    picture = FilePicture(path)
    image = picture.open()
    assert picture.size() == image.width * image.height
    assert image.mode == "RGB"
    return image


def refused(path: Path) -> str:
    """Why a picture is missing."""
    with pytest.raises(Unreadable) as caught:
        FilePicture(path).open()
    return str(caught.value)


def near(image: Image.Image, place: tuple[int, int], colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    """Whether a pixel has about this colour."""
    return bool(np.abs(np.array(image.getpixel(place)) - colour).max() <= tolerance)


def test_a_plain_file_is_read_as_it_is(tmp_path: Path) -> None:
    two_halves().save(path := tmp_path / "work.png")
    assert seen(path).tobytes() == two_halves().tobytes()


def test_the_content_and_not_the_name_says_what_a_file_is(tmp_path: Path) -> None:
    two_halves().save(path := tmp_path / "work.jpg", format="PNG")
    assert seen(path).tobytes() == two_halves().tobytes()


def test_a_turned_photograph_is_turned_back(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    two_halves().save(path := tmp_path / "work.jpg", exif=exif, quality=95)
    image = seen(path)
    assert image.size == (20, 40)
    assert near(image, (10, 5), LEFT)
    assert near(image, (10, 35), RIGHT)


def test_print_colours_become_screen_colours(tmp_path: Path) -> None:
    two_halves().convert("CMYK").save(path := tmp_path / "work.jpg", quality=95)
    image = seen(path)
    assert near(image, (5, 10), LEFT)
    assert near(image, (35, 10), RIGHT)


def test_a_profile_in_the_file_decides_where_the_mode_is_not_rgb(tmp_path: Path) -> None:
    lab = ImageCms.profileToProfile(
        two_halves(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    lab.save(path := tmp_path / "work.tiff", icc_profile=profile)
    image = seen(path)
    assert near(image, (5, 10), LEFT)
    # Eight bits of L*a*b* hold this blue only about.
    assert near(image, (35, 10), RIGHT, 30)


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    image = two_halves().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 20, 20))
    image.save(path := tmp_path / "work.png")
    assert seen(path).getpixel((5, 5)) == (255, 255, 255)
    assert seen(path).getpixel((35, 5)) == RIGHT


def test_sixteen_bits_of_grey_keep_their_tones(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (8, 1))
    Image.fromarray(ramp).save(path := tmp_path / "work.png")
    grey = np.asarray(seen(path))[0, :, 0]
    assert (grey[0], grey[-1]) == (0, 255)
    assert abs(int(grey[32]) - 129) <= 2


def test_sixteen_bits_of_colour_keep_their_tones(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64)
    line = b"\0" + np.stack([ramp, ramp[::-1], ramp], axis=1).astype(">u2").tobytes()
    content = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 8, 16, 2, 0, 0, 0))
    content += chunk(b"IDAT", zlib.compress(line * 8)) + chunk(b"IEND", b"")
    (path := tmp_path / "work.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    found = np.asarray(seen(path)).astype(int)[0]
    np.testing.assert_allclose(found[:, 0], np.linspace(0, 255, 64), atol=1)
    np.testing.assert_allclose(found[:, 1], np.linspace(255, 0, 64), atol=1)


def test_a_palette_has_its_colours_and_its_transparent_one_is_white(tmp_path: Path) -> None:
    image = two_halves().quantize(2)
    image.save(plain := tmp_path / "plain.gif")
    assert near(seen(plain), (5, 10), LEFT)
    image.save(path := tmp_path / "work.png", transparency=image.getpixel((35, 10)))
    assert near(seen(path), (5, 10), LEFT)
    assert seen(path).getpixel((35, 10)) == (255, 255, 255)


def test_grey_with_transparency_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("LA", (8, 8), (100, 255))
    image.paste((0, 0), (0, 0, 4, 8))
    image.save(path := tmp_path / "work.png")
    assert (seen(path).getpixel((1, 1)), seen(path).getpixel((6, 1))) == ((255, 255, 255), (100, 100, 100))


def test_a_photograph_with_a_second_view_is_no_animation(tmp_path: Path) -> None:
    two_halves().save(path := tmp_path / "work.jpg", format="MPO", save_all=True, append_images=[two_halves()])
    assert near(seen(path), (5, 10), LEFT)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_a_truncated_file_is_missing(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    Image.fromarray(noise).save(path := tmp_path / f"work.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refused(path).startswith(("cannot be decoded", "not an image", "cannot be read"))


def chunk(name: bytes, data: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_a_small_file_of_100_megapixels_is_missing_although_it_could_be_decoded(tmp_path: Path) -> None:
    Image.new("1", (12_500, 8_000)).save(path := tmp_path / "work.png")
    assert path.stat().st_size < 100_000
    assert refused(path) == f"12500x8000 is more than {MAX_PIXELS:,} pixels: scale it down"


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_bomb_is_missing_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    (path := tmp_path / "work.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    assert f"{MAX_PIXELS:,} pixels: scale it down" in refused(path)
    with pytest.raises(Unreadable, match="scale it down"):
        FilePicture(path).size()


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_an_animation_is_missing(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (LEFT, RIGHT, (0, 0, 0))]
    frames[0].save(path := tmp_path / f"work.{suffix}", save_all=True, append_images=frames[1:])
    assert refused(path).startswith("3 frames: an artwork is one picture")


def test_a_text_with_the_name_of_an_image_is_missing(tmp_path: Path) -> None:
    (path := tmp_path / "work.jpg").write_text("no image at all")
    assert refused(path) == "not an image in a format that Pillow reads"


def test_an_empty_file_is_missing(tmp_path: Path) -> None:
    (path := tmp_path / "work.png").touch()
    assert refused(path) == "not an image in a format that Pillow reads"


def test_a_folder_with_the_name_of_an_image_is_missing_and_has_no_key(tmp_path: Path) -> None:
    (path := tmp_path / "work.png").mkdir()
    assert refused(path) == "cannot be read: Is a directory"
    with pytest.raises(Unreadable, match="Is a directory"):
        FilePicture(path).key()


def test_an_absent_file_is_missing_and_has_no_key(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere.png") == "no such file"
    with pytest.raises(Unreadable, match="no such file"):
        FilePicture(tmp_path / "nowhere.png").key()


def test_a_text_bomb_in_a_png_is_missing(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "a" * 70_000_000, zip=True)
    two_halves().save(path := tmp_path / "work.png", pnginfo=info)
    assert refused(path).startswith("cannot be decoded")


def test_the_key_follows_the_bytes_and_not_the_name(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one.png", "same.png", "other.png"))
    two_halves().save(one)
    same.write_bytes(one.read_bytes())
    two_halves(42).save(other)
    assert FilePicture(one).key() == FilePicture(same).key() != FilePicture(other).key()
