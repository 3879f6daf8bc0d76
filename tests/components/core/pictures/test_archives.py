"""Archives nobody vouches for: what is read, what is refused, and that nothing but a PipelineError ever comes out."""

import gzip
import io
import pathlib
import random
import stat
import subprocess
import tarfile
import zipfile

import pytest

from components.core.errors import PipelineError
from components.core.pictures import archives, packed
from components.core.pictures.archives import archive_kind, iter_members

FILES = {"train/cat/1.jpg": b"a" * 700, "train/dog/2.jpg": b"", "test/cat/3.jpg": bytes(range(256)) * 9}


def write_tar(path: pathlib.Path, *members: tarfile.TarInfo, mode: str = "w") -> pathlib.Path:
    with tarfile.open(path, mode) as tar:
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for member in members:
            tar.addfile(member)
    return path


def write_zip(path: pathlib.Path) -> pathlib.Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("train")
        for name, data in FILES.items():
            archive.writestr(name, data)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read_all(path: pathlib.Path) -> dict[str, bytes]:
    found = {}
    for name, size, file in iter_members(path):
        found[name] = file.read()
        assert len(found[name]) == size
    return found


@pytest.fixture(params=["tar", "tar.gz", "zip"])
def archive(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / f"pictures.{request.param}"
    if request.param == "zip":
        return write_zip(path)
    return write_tar(path, mode="w:gz" if request.param == "tar.gz" else "w")


def test_every_member_comes_out_in_order(archive):
    assert list(read_all(archive).items()) == list(FILES.items())
    assert archive.name.endswith(archive_kind(archive))


def test_the_kind_is_told_by_the_bytes_not_by_the_name(archive):
    kind = archive_kind(archive)
    assert archive_kind(archive.rename(archive.with_suffix(".jpg"))) == kind


def test_members_need_not_be_read_or_only_in_part(archive):
    names = []
    for name, size, file in iter_members(archive):
        names.append(name)
        if size > 700:
            assert file.read(300) + file.read(300) == FILES[name][:600]
    assert names == list(FILES)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/passwd", "..\\evil", "\\evil", "C:/evil"])
def test_names_that_lead_outside_are_refused(tmp_path, name):
    with pytest.raises(PipelineError, match="leads outside"):
        read_all(write_tar(tmp_path / "a.tar", member(name)))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(PipelineError, match="leads outside"):
        read_all(tmp_path / "a.zip")


def test_dot_slash_is_dropped_from_names(tmp_path):
    assert "a/b" in read_all(write_tar(tmp_path / "a.tar", member("./a//b")))


def test_links_inside_are_left_out_with_a_line(tmp_path, capsys):
    links = [
        member("train/cat/4.jpg", tarfile.SYMTYPE, "../dog/2.jpg"),
        member("5.jpg", tarfile.LNKTYPE, "train/cat/1.jpg"),
    ]
    assert read_all(write_tar(tmp_path / "a.tar", *links)) == FILES
    assert "skipped 2 links in a.tar" in capsys.readouterr().out


@pytest.mark.parametrize(
    "link",
    [
        member("train/cat/4.jpg", tarfile.SYMTYPE, "../../../etc/passwd"),
        member("4.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        member("4.jpg", tarfile.LNKTYPE, "../x"),
    ],
)
def test_links_that_lead_outside_are_refused(tmp_path, link):
    with pytest.raises(PipelineError, match="leads outside"):
        read_all(write_tar(tmp_path / "a.tar", link))


@pytest.mark.parametrize("files_only", [False, True])
def test_a_hidden_link_refuses_nothing(tmp_path, files_only):
    """As the tar of a folder with a .venv or a .git has them; a folder is packed without."""
    hidden = [member(".venv/bin/python", tarfile.SYMTYPE, "/usr/bin/python3"), member("train/.x", tarfile.SYMTYPE, "/")]
    packed = write_tar(tmp_path / "a.tar", *hidden)
    assert [name for name, _, _ in iter_members(packed, files_only=files_only)] == [*FILES]


@pytest.mark.parametrize(("target", "refused"), [("../dog/2.jpg", False), ("../../../x", True), ("/etc/passwd", True)])
def test_links_in_a_zip(tmp_path, target, refused):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("train/cat/1.jpg")
        info.create_system = 3
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, target)
    if refused:
        with pytest.raises(PipelineError, match="leads outside"):
            read_all(tmp_path / "a.zip")
    else:
        assert read_all(tmp_path / "a.zip") == {}


def test_links_are_yielded_if_asked_for(tmp_path):
    links = [
        member("train/cat/4.jpg", tarfile.SYMTYPE, "../dog/2.jpg"),
        member("5.jpg", tarfile.LNKTYPE, "./train/cat/1.jpg"),
    ]
    path = write_tar(tmp_path / "a.tar", *links)
    found = {name: (file.link, file.read()) for name, _, file in iter_members(path, files_only=False)}
    assert found["train/cat/4.jpg"] == ("train/dog/2.jpg", b"")
    assert found["5.jpg"] == ("train/cat/1.jpg", b"")
    assert found["train/cat/1.jpg"] == ("", FILES["train/cat/1.jpg"])


@pytest.mark.parametrize(("number", "called"), [(9, "deflate64"), (93, "zstd"), (77, "compression 77")])
def test_a_compression_that_python_can_not_read_is_named(tmp_path, number, called):
    path = write_zip(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    entries = [entry for entry in zipfile.ZipFile(path).infolist() if not entry.is_dir()]
    data[entries[0].header_offset + 8] = number
    start = data.index(b"PK\x01\x02")
    while data[start : start + 4] == b"PK\x01\x02":
        length = int.from_bytes(data[start + 28 : start + 30], "little")
        if data[start + 46 : start + 46 + length] == entries[0].filename.encode():
            data[start + 10] = number
        start += 46 + sum(int.from_bytes(data[start + at : start + at + 2], "little") for at in (28, 30, 32))
    path.write_bytes(data)
    with pytest.raises(PipelineError) as refused:
        read_all(path)
    assert f"packed with {called}, which Python can't read; unpack it and pack it again" in str(refused.value)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(tmp_path, kind):
    with pytest.raises(PipelineError, match="a device"):
        read_all(write_tar(tmp_path / "a.tar", member("null", kind)))


@pytest.mark.parametrize("kind", ["gnu", "posix"])
def test_a_file_without_its_zeros_is_refused(tmp_path, kind):
    """As `tar --sparse` packs it: what would be read is another picture."""
    with (tmp_path / "a.bmp").open("wb") as file:
        file.truncate(1 << 20)
    packing = ["tar", "-C", str(tmp_path), f"--format={kind}", "--sparse", "-cf", str(tmp_path / "a.tar"), "a.bmp"]
    subprocess.run(packing, check=True)
    with pytest.raises(PipelineError, match="a sparse file"):
        read_all(tmp_path / "a.tar")


def test_more_bytes_than_allowed_are_refused_before_they_are_all_read(archive, monkeypatch):
    monkeypatch.setattr(packed, "ALWAYS_ALLOWED_BYTES", 2000)
    monkeypatch.setattr(packed, "MAX_EXPANSION", 0)
    with pytest.raises(PipelineError, match="archive bomb"):
        read_all(archive)


def test_a_long_run_of_zeros_behind_the_end_mark_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "ALWAYS_ALLOWED_BYTES", 2 << 20)
    monkeypatch.setattr(packed, "MAX_EXPANSION", 0)
    path = write_tar(tmp_path / "a.tar.gz", mode="w:gz")
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(5 << 20)))
    with pytest.raises(PipelineError, match="archive bomb"):
        read_all(path)


def test_more_members_than_allowed_are_refused(archive, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    with pytest.raises(PipelineError, match="at most 2 members"):
        read_all(archive)


def test_a_header_that_claims_to_be_huge_is_not_read_into_memory(tmp_path):
    info = member("name", tarfile.GNUTYPE_LONGNAME)
    info.size = 1 << 40
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(PipelineError, match="a header of 1,099,511,627,776 bytes"):
        read_all(path)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_odd_names_are_read_in_each_form_of_tar(tmp_path, form):
    names = ["a" * 100, "b" * 99, "/".join(["directory" * 9] * 2) + "/picture.jpg"]
    if form != tarfile.USTAR_FORMAT:
        names += ["/".join(["directory" * 9] * 5) + "/picture.jpg", "Käse/猫.jpg"]
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as tar:
        for name in names:
            info = member(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name[::-1].encode()[: len(name)]))
    assert read_all(tmp_path / "a.tar") == {name: name[::-1].encode()[: len(name)] for name in names}


def test_an_encrypted_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    for entry in zipfile.ZipFile(path).infolist():
        data[entry.header_offset + 6] |= 1
    start = data.index(b"PK\x01\x02")
    while data[start : start + 4] == b"PK\x01\x02":
        data[start + 8] |= 1
        start += 46 + sum(int.from_bytes(data[start + at : start + at + 2], "little") for at in (28, 30, 32))
    path.write_bytes(data)
    with pytest.raises(PipelineError, match="without a password"):
        read_all(path)


def test_truncated_anywhere_is_never_taken_as_whole(archive):
    whole = archive.read_bytes()
    # A plain tar may lose some of the zeros it ends with and still be whole: its end mark is the first of them.
    must_stay = len(whole.rstrip(b"\0")) if archive_kind(archive) == "tar" else len(whole)
    for length in {*range(0, must_stay, 97), *range(0, must_stay, 512), must_stay - 1}:
        archive.write_bytes(whole[:length])
        with pytest.raises(PipelineError, match=r"truncated|empty|no archive|is no tar"):
            read_all(archive)


def test_flipped_bytes_end_in_the_right_bytes_or_in_one_line(archive):
    """In a plain tar the headers carry a checksum, and the contents none."""
    whole = archive.read_bytes()
    checked = archive_kind(archive) != "tar"
    chance = random.Random(7)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        archive.write_bytes(damaged)
        try:
            found = read_all(archive)
        except PipelineError:
            pass
        else:
            assert found.keys() == FILES.keys()
            if checked:
                assert found == FILES


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><html>busy</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS; fetch the file itself"),
        (b"hello, world " * 99, "no archive at all"),
        (b"\xfd7zXZ\x00" + b"x" * 99, "which is xz; unpack it"),
        (gzip.compress(b"hello" * 200, mtime=0), "gzip of something that is not a tar"),
    ],
)
def test_what_is_no_archive_is_named(tmp_path, data, said):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(data)
    with pytest.raises(PipelineError, match=said):
        list(iter_members(path))


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(PipelineError, match="is not a file"):
            list(iter_members(path))


def test_a_lost_member_behind_zeros_is_noticed(tmp_path):
    path = write_tar(tmp_path / "a.tar")
    data = bytearray(path.read_bytes())
    data[1536:2048] = bytes(512)  # the second header
    path.write_bytes(data)
    with pytest.raises(PipelineError, match="more data after the end mark"):
        read_all(path)


def test_folders_are_yielded_where_asked_for(tmp_path):
    tar = write_tar(tmp_path / "a.tar", member("./train/empty", tarfile.DIRTYPE))
    with zipfile.ZipFile(write_zip(tmp_path / "a.zip"), "a") as archive:
        archive.mkdir("train/empty")
    for path in (tar, tmp_path / "a.zip"):
        assert "train/empty/" in {name for name, _, _ in iter_members(path, files_only=False)}
        assert read_all(path) == FILES
