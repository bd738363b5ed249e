"""Where a gateway listens, the folder of its data, and how its administrator is known."""

import socket
from pathlib import Path
from typing import Any

import pytest

from polyvox.config.serving import GatewaySection
from polyvox.errors import AuthenticationError, ConfigurationError
from polyvox.gateway.serving.data_folder import DataFolder
from polyvox.gateway.serving.launch import AdminFinder, Launch, with_said
from polyvox.gateway.serving.listening import bind, is_loopback
from polyvox.gateway.tenants.access import ADMIN, Access
from polyvox.gateway.tenants.keys import check_strength, digest_of
from polyvox.secret import Secret


@pytest.mark.parametrize("workers", [1, 3])
def test_port_0_finds_a_free_one_and_tells_it(workers: int):
    bound = bind("127.0.0.1", 0, workers)
    try:
        assert {each.getsockname()[1] for each in bound.sockets} == {bound.port}
        assert len(bound.sockets) == workers
        with socket.create_connection(("127.0.0.1", bound.port)):  # the kernel takes it already
            pass
    finally:
        bound.close()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("others", [1, 2])
def test_an_address_is_not_shared_with_another_gateway(workers: int, others: int):
    bound = bind("127.0.0.1", 0, others)
    try:
        with pytest.raises(ConfigurationError, match="is taken"):
            bind("127.0.0.1", bound.port, workers)
    finally:
        bound.close()


def test_a_name_that_is_no_address_of_this_machine_is_told():
    with pytest.raises(ConfigurationError, match=r"address of this machine|can't listen") as caught:
        bind("192.0.2.1", 0)
    assert "127.0.0.1" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:")]
)
def test_the_address_that_is_told_can_be_asked(host: str, url: str):
    bound = bind(host, 0)
    bound.close()
    assert bound.url == f"{url}{bound.port}"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_what_others_can_reach_is_never_taken_for_the_loopback(host: str, loopback: bool):
    assert is_loopback(host) is loopback


def test_a_data_folder_belongs_to_one_gateway_at_a_time(tmp_path: Path):
    first = DataFolder(tmp_path / "data")
    with pytest.raises(ConfigurationError, match="another gateway runs"):
        DataFolder(tmp_path / "data")
    first.close()
    DataFolder(tmp_path / "data").close()


def test_of_a_made_key_only_its_digest_is_kept(tmp_path: Path):
    folder = DataFolder(tmp_path)
    assert folder.admin_digest is None
    key = folder.make_admin_key()
    check_strength(key, "the key")
    assert folder.admin_digest == digest_of(key)
    assert key not in (tmp_path / "admin-key.sha256").read_text()
    assert folder.make_admin_key() != key
    folder.close()


def test_a_digest_that_was_spoilt_is_told_with_the_way_out(tmp_path: Path):
    folder = DataFolder(tmp_path)
    (tmp_path / "admin-key.sha256").write_text("no digest")
    with pytest.raises(ConfigurationError, match="can't be read") as caught:
        _ = folder.admin_digest
    assert "Delete it" in str(caught.value.hint)
    folder.close()


class Others:
    async def look_for(self, secret: str) -> None:
        """Nobody else makes any."""

    def find(self, secret: str, address: str | None) -> Access:
        if secret == "theirs":
            return Access(key="k")
        raise AuthenticationError("nobody knows this key")


def test_the_administrator_is_known_by_the_digest_and_others_as_before():
    finder = AdminFinder(Others(), digest_of("the key"))
    assert finder.find("the key", None) is ADMIN
    assert finder.find("theirs", None).key == "k"
    for wrong in ("the kex", "", "x" * 10_000):
        with pytest.raises(AuthenticationError):
            finder.find(wrong, None)


def test_without_a_made_key_nobody_is_the_administrator_by_an_empty_digest():
    finder = AdminFinder(Others(), b"")
    with pytest.raises(AuthenticationError):
        finder.find("", None)


def test_what_the_command_line_says_goes_first_and_shows_no_password():
    said: dict[str, Any] = {"port": 1, "database": Secret("postgresql://u:canary@h/d")}
    section = with_said(GatewaySection(port=2, workers=3), said)
    assert (section.port, section.workers) == (1, 3)
    assert section.database is not None
    assert section.database.reveal().endswith("@h/d")
    assert "canary" not in repr(section) + repr(Launch(file=None, said=said, data=Path()))


def test_a_launch_reads_the_file_anew(tmp_path: Path):
    file = tmp_path / "polyvox.toml"
    file.write_text("[gateway]\nmax_in_flight = 5\nport = 9\n")
    launch = Launch(file=file, said={"port": 1}, data=tmp_path)
    assert launch.read().gateway.port == 1
    file.write_text("[gateway]\nmax_in_flight = 6\n")
    assert launch.read().gateway.max_in_flight == 6
