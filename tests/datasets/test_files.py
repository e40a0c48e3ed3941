import os

import pytest

from datasets import _files
from datasets._files import ImageError, ImageFiles


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    (root / "Img/img/Item_A").mkdir(parents=True)
    (root / "Img/img/Item_A/1.jpg").write_bytes(b"one")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.jpg").write_bytes(b"secret")
    return root


def test_reads_below_the_folder(tree):
    assert ImageFiles(tree, "Img").read("img/Item_A/1.jpg") == b"one"
    assert ImageFiles(tree, "Img").size("img/Item_A/1.jpg") == 3


def test_the_root_itself_may_be_a_link(tree, tmp_path):
    (tmp_path / "link").symlink_to(tree)
    assert ImageFiles(tmp_path / "link", "Img").read("img/Item_A/1.jpg") == b"one"


@pytest.mark.parametrize("path", ["img/item_a/1.jpg", "IMG/Item_A/1.JPG", "img/ITEM_A/1.jpg"])
def test_letter_case_may_differ(tree, path):
    files = ImageFiles(tree, "Img")
    assert files.read(path) == b"one"
    assert files.case_fault(path) == "img/Item_A/1.jpg"
    assert files.case_fault("img/Item_A/1.jpg") == ""


def test_links_inside_the_root_are_followed(tree):
    (tree / "Img/img/again").symlink_to(tree / "Img/img/Item_A")
    (tree / "Img/img/Item_A/2.jpg").symlink_to("1.jpg")
    files = ImageFiles(tree, "Img")
    assert files.read("img/again/1.jpg") == b"one"
    assert files.read("img/Item_A/2.jpg") == b"one"


LINK = "leads out of the data set's folder through a symbolic link; put the files themselves there"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../../outside/secret.jpg", "leads out of the data set's folder"),
        ("/etc/passwd", "is an absolute path"),
        ("img/away/secret.jpg", f"img/away/secret.jpg {LINK}"),
        ("img/AWAY/secret.jpg", f"img/AWAY/secret.jpg {LINK}"),
    ],
)
def test_nothing_outside_the_root_is_opened(tree, tmp_path, monkeypatch, path, message):
    (tree / "Img/img/away").symlink_to(tmp_path / "outside")
    real_open = os.open
    monkeypatch.setattr(
        os, "open", lambda name, *rest: pytest.fail("opened") if "secret" in str(name) or "passwd" in str(name) else real_open(name, *rest)
    )
    files = ImageFiles(tree, "Img")
    with pytest.raises(ImageError, match=message):
        files.read(path)
    assert files.size(path) == -1


@pytest.mark.parametrize("target", ["../../../../outside/secret.jpg", "/etc/passwd"])
def test_a_file_that_is_a_link_out_is_never_followed(tree, monkeypatch, target):
    (tree / "Img/img/Item_A/2.jpg").symlink_to(target)
    followed = []
    real_open = os.open
    monkeypatch.setattr(os, "open", lambda name, *rest: followed.append(real_open(name, *rest)) or followed[-1])
    with pytest.raises(ImageError, match=f"img/Item_A/2.jpg {LINK}"):
        ImageFiles(tree, "Img").read("img/Item_A/2.jpg")
    assert followed == []


def test_a_sibling_folder_with_the_same_beginning_is_outside(tree, tmp_path):
    (tmp_path / "rooted").mkdir()
    (tmp_path / "rooted/x.jpg").write_bytes(b"x")
    (tree / "Img/img/side").symlink_to(tmp_path / "rooted")
    with pytest.raises(ImageError, match=LINK):
        ImageFiles(tree, "Img").read("img/side/x.jpg")


def test_what_is_no_image_file(tree, monkeypatch):
    files = ImageFiles(tree, "Img")
    os.mkfifo(tree / "Img/img/Item_A/pipe.jpg")
    with pytest.raises(ImageError, match=r"img/Item_A/pipe.jpg is not a regular file"):
        files.read("img/Item_A/pipe.jpg")
    with pytest.raises(ImageError, match=r"img/Item_A is not a regular file"):
        files.read("img/Item_A")
    monkeypatch.setattr(_files, "MAX_BYTES", 2)
    with pytest.raises(ImageError, match=r"img/Item_A/1.jpg holds 3 bytes, more than the 2 that an image may have"):
        files.read("img/Item_A/1.jpg")


@pytest.mark.parametrize("path", ["img/Item_A/9.jpg", "img/Item_B/1.jpg", "img/Item_A/1.jpg/x"])
def test_missing(tree, path):
    with pytest.raises(ImageError, match=f"^{path} is missing; fetch the images again, or take the line out of the list$"):
        ImageFiles(tree, "Img").read(path)


def test_a_path_of_windows_says_what_to_write(tree, tmp_path):
    (tree / "Img/img/away").symlink_to(tmp_path / "outside")
    files = ImageFiles(tree, "Img")
    with pytest.raises(ImageError) as caught:
        files.read("img\\Item_A\\1.jpg")
    assert str(caught.value) == "img\\Item_A\\1.jpg is missing, but img/Item_A/1.jpg is there: write / for \\ in the list"
    for path in ("img\\Item_A\\9.jpg", "img\\away\\secret.jpg", "img\\Item_A"):
        with pytest.raises(ImageError) as caught:
            files.read(path)
        assert str(caught.value) == f"{path} is missing; fetch the images again, or take the line out of the list"
    (tree / "Img/img\\Item_A\\1.jpg").write_bytes(b"two")
    assert ImageFiles(tree, "Img").read("img\\Item_A\\1.jpg") == b"two"


def test_unreadable(tree, monkeypatch):
    def denied(name, flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(ImageError, match=r"img/Item_A/1.jpg cannot be opened: Permission denied"):
        ImageFiles(tree, "Img").read("img/Item_A/1.jpg")
