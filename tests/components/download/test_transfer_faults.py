"""Each fault a server can have: the right bytes in the end, or one clear line. Never a wrong or partial file."""

import email.utils
import hashlib
import time

import pytest

from components.core.errors import PipelineError
from components.download import transfer
from tests.components.download.conftest import fetched, nothing_but_the_cache
from tests.components.download.faulty_server import ATTEMPTS, DATA, HALF, Answer, original, tar_gz
from tests.servers.certificate import certificate, tls_of  # noqa: F401
from tests.servers.http_api import Api


def test_a_whole_file(server, place, fetch_known, tmp_path, cache):
    info = fetch_known(original(DATA, place))
    assert fetched(tmp_path) == DATA
    assert info.uri == place
    assert info.sha256 == hashlib.sha256(DATA).hexdigest()
    assert [seen.headers["accept-encoding"] for seen in server.seen] == ["identity"]
    assert not list(cache.glob("*.part*"))


@pytest.mark.parametrize(
    "fault",
    [
        Answer(stop_after=HALF),
        Answer(stop_after=HALF, how="reset"),
        Answer(stop_after=HALF, how="stall"),
        Answer(stop_after=HALF, length=None, chunked=True),
    ],
    ids=["truncated", "reset", "stall", "chunked"],
)
def test_what_broke_off_is_continued_where_it_did(server, place, fetch_known, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(transfer, "TIMEOUTS_S", (20, 2))
    server.answers = [fault]
    fetch_known(original(DATA, place))
    assert fetched(tmp_path) == DATA
    assert len(server.seen) == 2
    already = int(server.seen[1].range.removeprefix("bytes=").removesuffix("-"))
    assert 0 < already <= HALF
    assert server.seen[1].status == 206
    assert server.seen[1].headers["if-range"] == f'"{hashlib.md5(DATA).hexdigest()}"'
    assert server.seen[1].sent == len(DATA) - already


def test_a_server_that_breaks_off_again_and_again_still_delivers(server, place, fetch_known, tmp_path):
    server.answers = [Answer(stop_after=70_000) for _ in range(4)]
    assert len(server.answers) > ATTEMPTS
    fetch_known(original(DATA, place))
    assert fetched(tmp_path) == DATA


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([Answer(stop_after=HALF)] + [Answer(stop_after=0)] * 99, "connection broken"),
        ([Answer(stop_after=HALF, knows_ranges=False)] * 99, "connection broken"),
        ([Answer(status=503, body=b"")] * 99, "HTTP 503"),
    ],
    ids=["always at the same byte", "never the end, and without ranges", "trouble that does not pass"],
)
def test_a_server_without_progress_is_given_up(server, place, fetch_known, tmp_path, answers, said):
    server.answers = list(answers)
    with pytest.raises(PipelineError, match=f"received: {said}"):
        fetch_known(original(DATA, place))
    assert len(server.seen) == ATTEMPTS
    assert nothing_but_the_cache(tmp_path)


def test_a_server_without_ranges_starts_over(server, place, fetch_known, tmp_path):
    server.answers = [Answer(stop_after=HALF, knows_ranges=False), Answer(knows_ranges=False)]
    fetch_known(original(DATA, place))
    assert fetched(tmp_path) == DATA
    assert [seen.status for seen in server.seen] == [200, 200]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_trouble_is_waited_for(server, place, fetch_known, tmp_path, status):
    server.answers = [Answer(status=status, body=b"busy")]
    fetch_known(original(DATA, place))
    assert fetched(tmp_path) == DATA
    assert [seen.status for seen in server.seen] == [status, 200]


@pytest.mark.parametrize(("status", "wait"), [(401, ""), (403, ""), (404, ""), (410, ""), (503, "3600")])
def test_what_patience_does_not_help_with_is_not_asked_twice(server, place, fetch_known, tmp_path, status, wait):
    server.answers = [Answer(status=status, body=b"no", headers={"Retry-After": wait} if wait else {})]
    with pytest.raises(PipelineError, match=f"received: HTTP {status}"):
        fetch_known(original(DATA, place))
    assert len(server.seen) == 1
    assert nothing_but_the_cache(tmp_path)


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured(server, place, fetch_known, tmp_path, as_date):
    until = int(time.time()) + 2
    value = email.utils.formatdate(until, usegmt=True) if as_date else "1"
    server.answers = [Answer(status=429, body=b"", headers={"Retry-After": value})]
    began = time.time()
    fetch_known(original(DATA, place))
    assert time.time() >= (until if as_date else began + 1)
    assert fetched(tmp_path) == DATA


def test_wrong_bytes_are_refused_with_both_sums(server, place, fetch_known, tmp_path, cache):
    wrong = bytes([DATA[0] ^ 1]) + DATA[1:]
    server.files["/small.tar.gz"] = wrong
    with pytest.raises(PipelineError) as refused:
        fetch_known(original(DATA, place))
    assert hashlib.md5(DATA).hexdigest() in str(refused.value)
    assert hashlib.md5(wrong).hexdigest() in str(refused.value)
    assert nothing_but_the_cache(tmp_path)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_another_size_is_refused_before_it_is_fetched(server, place, fetch_known):
    server.files["/small.tar.gz"] = DATA * 2
    with pytest.raises(PipelineError, match=f"a file of {2 * len(DATA):,} bytes instead of {len(DATA):,}"):
        fetch_known(original(DATA, place))


@pytest.mark.parametrize("if_range", [True, False], ids=["if-range known", "if-range ignored"])
@pytest.mark.parametrize(
    ("new", "etag"),
    [(tar_gz(names=("a/3.jpg", "b/4.jpg")), None), (tar_gz(310_000), '"the same"')],
    ids=["etag", "size"],
)
def test_a_file_that_changes_midway_is_not_glued(server, fetch_pictures, tmp_path, if_range, new, etag):
    """Without a checksum only the validator can tell, and the size."""
    server.files["/p.tar.gz"] = new
    server.answers = [Answer(body=DATA, stop_after=HALF, etag=etag), Answer(knows_if_range=if_range, etag=etag)]
    fetch_pictures(server.url("/p.tar.gz"))
    assert fetched(tmp_path, "pictures.tar.gz") == new


def test_without_a_validator_or_checksum_nothing_is_continued(server, place, fetch_pictures, tmp_path):
    server.answers = [Answer(stop_after=HALF, etag=""), Answer(etag="")]
    fetch_pictures(place)
    assert fetched(tmp_path, "pictures.tar.gz") == DATA
    assert [seen.range for seen in server.seen] == [None, None]


def test_a_weak_etag_proves_nothing_but_a_date_does(server, place, fetch_pictures, tmp_path):
    headers = {"Last-Modified": "Tue, 03 Nov 2026 10:00:00 GMT"}
    server.answers = [
        Answer(stop_after=HALF, etag='W/"1"', headers=headers),
        Answer(knows_if_range=False, headers=headers, etag='W/"1"'),
    ]
    fetch_pictures(place)
    assert fetched(tmp_path, "pictures.tar.gz") == DATA
    assert server.seen[1].headers["if-range"] == headers["Last-Modified"]
    assert server.seen[1].status == 206


def test_another_part_than_the_one_asked_for_is_not_used(server, place, fetch_known, tmp_path):
    server.answers = [Answer(stop_after=HALF), Answer(range_shift=-1000)]
    fetch_known(original(DATA, place))
    assert fetched(tmp_path) == DATA
    assert [seen.status for seen in server.seen] == [200, 206, 200]


@pytest.mark.parametrize("length", [len(DATA) + 1000, 10**9])
def test_a_length_that_is_too_long_never_makes_a_whole_file(server, place, fetch_pictures, tmp_path, length):
    server.answers = [Answer(length=length) for _ in range(99)]
    with pytest.raises(PipelineError, match="fewer bytes|then the end|connection broken"):
        fetch_pictures(place)
    assert nothing_but_the_cache(tmp_path)


@pytest.mark.parametrize(
    "answer", [Answer(length=HALF), Answer(length=None, stop_after=HALF)], ids=["too short", "none"]
)
def test_half_an_archive_is_refused_even_where_the_server_calls_it_whole(
    server, place, fetch_pictures, tmp_path, answer
):
    server.answers = [answer]
    with pytest.raises(PipelineError, match="truncated or damaged"):
        fetch_pictures(place)
    assert nothing_but_the_cache(tmp_path)


@pytest.mark.parametrize("answer", [Answer(length=None), Answer(chunked=True)], ids=["no length", "chunked"])
def test_a_length_need_not_be_known(server, place, fetch_pictures, tmp_path, answer):
    server.answers = [answer]
    fetch_pictures(place)
    assert fetched(tmp_path, "pictures.tar.gz") == DATA


def test_a_web_page_in_place_of_an_archive_is_named(server, fetch_pictures, tmp_path):
    server.answers = [Answer(body=b"<!doctype html><html>Please log in</html>")]
    with pytest.raises(PipelineError, match="which is a web page"):
        fetch_pictures(server.url("/p.tar.gz"))
    assert nothing_but_the_cache(tmp_path)


def test_an_encoding_on_the_way_is_not_undone(server, place, fetch_pictures, tmp_path):
    """Some servers call a .tar.gz a gzip-encoded tar; the bytes to keep are the ones sent."""
    server.answers = [Answer(headers={"Content-Encoding": "gzip"})]
    fetch_pictures(place)
    assert fetched(tmp_path, "pictures.tar.gz") == DATA


def test_redirects_are_followed(server, place, fetch_known, tmp_path):
    server.answers = [Answer(status=302, body=b"", headers={"Location": "/small.tar.gz?signature=hush"})]
    info = fetch_known(original(DATA, server.url("/here")))
    assert fetched(tmp_path) == DATA
    assert info.uri == server.url("/here")


class Elsewhere(Api):
    """Leads to the place."""

    def __init__(self, place: str):
        super().__init__()
        self.place = place

    def handle(self, *request):
        return 302, ({}, {"Location": self.place})


def test_a_redirect_from_https_to_http_is_followed_only_to_what_is_proven(
    certificate,  # noqa: F811
    place,
    fetch_pictures,
    monkeypatch,
):
    """Who asks for https is not to be handed what anybody on the way may change."""
    with Elsewhere(place).serving(tls_of(certificate)) as url:
        with pytest.raises(PipelineError, match=r"certificate can't be verified \(self.signed certificate\); check"):
            fetch_pictures(f"{url}/small.tar.gz")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        with pytest.raises(
            PipelineError, match="received: a redirect from https to plain http, .*; give source_sha256"
        ):
            fetch_pictures(f"{url}/small.tar.gz")
        assert fetch_pictures(f"{url}/small.tar.gz", source_sha256=hashlib.sha256(DATA).hexdigest()).bytes == len(DATA)


def test_redirects_without_end_are_given_up(server, place, fetch_known):
    server.answers = [Answer(status=302, body=b"", headers={"Location": "/"}) for _ in range(99)]
    with pytest.raises(PipelineError, match="TooManyRedirects"):
        fetch_known(original(DATA, place))


def test_nobody_listens(fetch_known, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(PipelineError, match="received: connection refused"):
        fetch_known(original(DATA, "http://127.0.0.1:9/x?token=hush"))


def test_words_in_an_address_are_not_the_servers(server, fetch_known):
    """Hugging Face's addresses hold `/resolve/`; this server speaks no TLS."""
    with pytest.raises(PipelineError, match="received: connection broken"):
        fetch_known(original(DATA, server.url("/resolve/x").replace("http", "https")))


def test_no_secret_is_written_or_said(server, fetch_pictures, tmp_path, cache, capsys):
    server.files["/p.tar.gz"] = DATA
    server.answers = [Answer(status=503, body=b""), Answer(stop_after=HALF), Answer(status=404, body=b"")]
    source = server.url("/p.tar.gz?token=hush-2", user="me:hush-1@")
    with pytest.raises(PipelineError) as refused:
        fetch_pictures(source)
    written = "".join(path.name + (path.read_text() if path.suffix == ".json" else "") for path in cache.iterdir())
    assert ".part.json" in written
    info = fetch_pictures(source)
    assert info.uri == server.url("/p.tar.gz")
    assert server.seen[-1].headers["authorization"].startswith("Basic ")
    assert server.seen[-1].path.endswith("token=hush-2")
    said = capsys.readouterr()
    everything = (str(refused.value), written, said.out, said.err, (tmp_path / "raw/source.json").read_text())
    assert not any("hush" in text or "bWU6" in text for text in everything)


def test_what_a_server_says_moves_no_terminal(server, place, fetch_known, capsys):
    server.answers = [Answer(status=503, body=b"", reason="\x1b[2Jaway")]
    fetch_known(original(DATA, place))
    said = capsys.readouterr().out
    assert "HTTP 503 \\x1b[2Jaway; trying again in " in said and "\x1b" not in said
