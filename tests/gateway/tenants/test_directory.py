"""Keys in memory: found, refused, reloaded, and known without a database."""

import asyncio
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from polyvox.config.around import BudgetSection
from polyvox.config.serving import KeySection
from polyvox.errors import (
    AuthenticationError,
    ConfigurationError,
    OverloadedError,
    PermissionDeniedError,
)
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.versions import Lookout
from polyvox.gateway.tenants.access import ADMIN, matches
from polyvox.gateway.tenants.changing import patched
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.tenants.keys import make_key
from polyvox.gateway.tenants.objects import EndUser, Key, NewKey, Organisation, Team
from polyvox.gateway.tenants.store import END_USERS, KEYS, ORGANISATIONS, TEAMS, Tenants
from polyvox.gateway.web.door import UNSURE, Door
from polyvox.secret import Secret

from .asked import Asked
from .conftest import ADMIN_KEY, BUILD_KEY, Clock

TEN = BudgetSection(limit=10)
HOSTILE = [
    "",
    " ",
    "' OR 1=1 --",
    "pv-00000000-" + "A" * 43 + "'; DROP TABLE keys; --",
    "x" * (1 << 20),
    "\x00",
    "pv-\x00",
    "schlüssel-ключ-鍵",
    "\ud800",
    "{{7*7}}",
    "../../etc/passwd",
    "%00",
]


async def created(tenants: Tenants, directory: Directory, **fields: Any) -> NewKey:
    new = await tenants.create_key(Key(**fields))
    await directory.load()
    return new


class TestFinding:
    async def test_keys_of_the_configuration_and_the_administrators_need_no_database(self) -> None:
        directory = Directory({"build": KeySection(key=Secret(BUILD_KEY))}, Secret(ADMIN_KEY))
        assert directory.find(ADMIN_KEY, None) is ADMIN
        access = directory.find(BUILD_KEY, None)
        assert (access.key, access.name, access.admin) == ("config:build", "build", False)

    @pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: repr(text[:20]))
    async def test_whatever_is_no_key_is_unknown(self, directory: Directory, hostile: str) -> None:
        for _ in ("before the database was read", "after"):
            with pytest.raises(AuthenticationError, match="does not know") as caught:
                directory.find(hostile, "127.0.0.1")
            assert caught.value.status == 401
            await directory.load()

    async def test_an_error_never_tells_the_key(self, directory: Directory) -> None:
        await directory.load()
        with pytest.raises(AuthenticationError) as caught:
            directory.find(canary := make_key("key_00000000"), None)
        assert canary not in str(caught.value)
        assert canary not in repr(caught.value)

    async def test_a_created_key_has_its_rights(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        await tenants.add(ORGANISATIONS, Organisation(name="acme"))
        await tenants.add(TEAMS, Team(organisation="acme", name="core"))
        new = await created(
            tenants,
            directory,
            name="ci",
            organisation="acme",
            team="core",
            models=("openai/*",),
            routes=("chat",),
            manager=True,
        )
        access = directory.find(new.secret, None)
        assert (access.key, access.name) == (new.key.id, "ci")
        assert (access.organisation, access.team, access.tenant) == ("acme", "core", "acme")
        assert (access.models, access.routes) == (("openai/*",), ("chat",))
        assert access.manager
        assert not access.admin
        assert access.levels == ()

    async def test_keys_without_an_organisation_share_nothing(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        first, second = [await created(tenants, directory) for _ in range(2)]
        tenant = {directory.find(each.secret, None).tenant for each in (first, second)}
        assert len(tenant) == 2

    @pytest.mark.parametrize(
        ("addresses", "address", "allowed"),
        [
            ((), None, True),
            ((), "203.0.113.9", True),
            (("10.0.0.0/8",), "10.200.3.4", True),
            (("10.0.0.0/8",), "11.0.0.1", False),
            (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
            (("10.0.0.0/8",), None, False),
            (("10.0.0.0/8",), "unix:", False),
            (("192.0.2.7",), "192.0.2.7", True),
            (("192.0.2.7",), "192.0.2.8", False),
            (("2001:db8::/32", "10.0.0.1"), "2001:db8::17", True),
            (("2001:db8::/32", "10.0.0.1"), "10.0.0.1", True),
            (("fe80::/10",), "fe80::1%eth0", True),
            (("::/0",), "10.0.0.1", False),
        ],
    )
    async def test_addresses(
        self, addresses: tuple[str, ...], address: str | None, allowed: bool
    ) -> None:
        key = KeySection(key=Secret(BUILD_KEY), addresses=addresses)
        directory = Directory({"build": key})
        if allowed:
            assert directory.find(BUILD_KEY, address).name == "build"
        else:
            with pytest.raises(PermissionDeniedError, match="may not be used from"):
                directory.find(BUILD_KEY, address)


class TestScopes:
    """What a key is good for, at the door and where models are chosen."""

    @pytest.mark.parametrize(
        ("scope", "asked", "allowed"),
        [
            (("*",), "openai/gpt-5-mini", True),
            (("openai/*",), "openai/gpt-5-mini", True),
            (("openai/*",), "azure-openai/gpt-5-mini", False),
            (("openai/*",), "OpenAI/gpt-5-mini", False),
            (("openai/gpt-5-*",), "openai/gpt-5-mini", True),
            (("openai/gpt-5-*",), "openai/gpt-4o", False),
            (("fast", "cheap"), "cheap", True),
            (("fast", "cheap"), "fas", False),
            (("fast", "cheap"), "", False),
            (("[ab]c",), "ac", True),
        ],
    )
    async def test_models(
        self,
        tenants: Tenants,
        directory: Directory,
        scope: tuple[str, ...],
        asked: str,
        allowed: bool,
    ) -> None:
        new = await created(tenants, directory, models=scope)
        assert matches(asked, directory.find(new.secret, None).models) is allowed

    @pytest.mark.parametrize(
        ("scope", "asked", "allowed"),
        [
            (("*",), "chat", True),
            (("chat",), "chat", True),
            (("ch*",), "chat", True),
            (("chat",), "embeddings", False),
            (("batches", "contexts"), "contexts", True),
            (("batches", "contexts"), "context", False),
            (("[be]*",), "embeddings", True),
            (("chat",), "", True),
        ],
    )
    async def test_routes(
        self,
        tenants: Tenants,
        directory: Directory,
        scope: tuple[str, ...],
        asked: str,
        allowed: bool,
    ) -> None:
        new = await created(tenants, directory, routes=scope)
        enter = Door(directory).enter
        headers = {"authorization": f"Bearer {new.secret}"}
        if allowed:  # an endpoint without a name for its use is open to every key
            assert enter({}, headers, asked).key == new.key.id
        else:
            with pytest.raises(PermissionDeniedError, match="may not be used for"):
                enter({}, headers, asked)


class TestTime:
    async def test_a_key_expires_at_its_second(
        self, tenants: Tenants, directory: Directory, clock: Clock
    ) -> None:
        new = await created(tenants, directory, expires=clock.now + 60)
        clock.now += 59.999
        assert directory.find(new.secret, None).key == new.key.id
        clock.now += 0.001
        with pytest.raises(AuthenticationError, match="has expired"):
            directory.find(new.secret, None)

    async def test_a_revoked_key_says_so_to_its_holder_alone(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        new = await created(tenants, directory)
        await tenants.revoke(new.key.id)
        await directory.load()
        with pytest.raises(AuthenticationError, match="was revoked"):
            directory.find(new.secret, None)
        with pytest.raises(AuthenticationError, match="does not know"):
            directory.find(make_key(new.key.id), None)

    async def test_after_a_rotation_both_secrets_work_until_the_overlap_is_over(
        self, tenants: Tenants, directory: Directory, clock: Clock
    ) -> None:
        old = await created(tenants, directory)
        new = await tenants.rotate(old.key.id, overlap_seconds=3600)
        await directory.load()
        assert old.secret != new.secret
        assert old.key == new.key
        clock.now += 3599
        ids = {directory.find(each, None).key for each in (old.secret, new.secret)}
        assert ids == {old.key.id}
        clock.now += 1
        assert directory.find(new.secret, None).key == old.key.id
        with pytest.raises(AuthenticationError, match="was replaced"):
            directory.find(old.secret, None)

    async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        old = await created(tenants, directory)
        await tenants.rotate(old.key.id, 0)
        await directory.load()
        with pytest.raises(AuthenticationError):
            directory.find(old.secret, None)

    async def test_a_second_rotation_does_not_lengthen_the_first_overlap(
        self, tenants: Tenants, directory: Directory, clock: Clock
    ) -> None:
        first = await created(tenants, directory)
        second = await tenants.rotate(first.key.id, 60)
        third = await tenants.rotate(first.key.id, 3600)
        await directory.load()
        clock.now += 61
        with pytest.raises(AuthenticationError):
            directory.find(first.secret, None)
        assert directory.find(second.secret, None) == directory.find(third.secret, None)

    async def test_a_key_that_expires_within_the_overlap_expires(
        self, tenants: Tenants, directory: Directory, clock: Clock
    ) -> None:
        old = await created(tenants, directory, expires=clock.now + 10)
        new = await tenants.rotate(old.key.id, 3600)
        await directory.load()
        clock.now += 10
        for secret in (old.secret, new.secret):
            with pytest.raises(AuthenticationError, match="has expired"):
                directory.find(secret, None)


class TestReloading:
    async def test_another_replica_sees_create_edit_rotate_revoke_and_delete(
        self, tenants: Tenants, make_directory: Callable[..., Directory], database: Database
    ) -> None:
        other = make_directory()
        lookout = Lookout(database, seconds=1)
        lookout.watch("tenants", other.load)
        new = await tenants.create_key(Key(name="ci"))
        await lookout.look()
        assert other.find(new.secret, None).name == "ci"
        await tenants.change_key(new.key.id, partial(patched, {"models": ["openai/*"]}))
        await lookout.look()
        assert other.find(new.secret, None).models == ("openai/*",)
        rotated = await tenants.rotate(new.key.id, 60)
        await lookout.look()
        assert other.find(rotated.secret, None) == other.find(new.secret, None)
        await tenants.revoke(new.key.id)
        await lookout.look()
        with pytest.raises(AuthenticationError, match="revoked"):
            other.find(rotated.secret, None)
        await tenants.remove_key(new.key.id)
        await lookout.look()
        with pytest.raises(AuthenticationError, match="does not know"):
            other.find(rotated.secret, None)

    async def test_new_keys_are_added_without_reading_the_others_again(
        self, tenants: Tenants, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = await created(tenants, directory)
        read: list[int] = []
        whole = KEYS.all
        monkeypatch.setattr(
            KEYS, "all", lambda *given: (found := whole(*given), read.append(len(found)))[0]
        )
        second = await created(tenants, directory)
        assert read == [1]
        for each in (first, second):
            assert directory.find(each.secret, None).key == each.key.id

    async def test_new_keys_have_the_limits_of_their_organisation(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        budget = BudgetSection(limit="$10", per="day")
        await tenants.add(ORGANISATIONS, limited(Organisation, name="acme", budget=budget))
        await directory.load()
        new = await created(tenants, directory, organisation="acme")
        levels = directory.find(new.secret, None).levels
        assert [level.name for level in levels] == ["organisation:acme"]

    async def test_a_hundred_who_load_at_once_ask_once(
        self, directory: Directory, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = counted(database, monkeypatch)
        await asyncio.gather(*(directory.load() for _ in range(100)))
        assert len(asked) == 1

    async def test_what_was_committed_before_a_load_is_seen_though_another_was_under_way(
        self,
        tenants: Tenants,
        directory: Directory,
        database: Database,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        reading, go_on = asyncio.Event(), asyncio.Event()
        run = database.run

        async def slow(work: Any, **options: Any) -> Any:
            found = await run(work, **options)
            reading.set()
            await go_on.wait()
            return found

        monkeypatch.setattr(database, "run", slow)
        early = asyncio.create_task(directory.load())
        await reading.wait()
        monkeypatch.setattr(database, "run", run)
        new = await tenants.create_key(Key())
        late = asyncio.create_task(directory.load())
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(early, late)
        assert directory.find(new.secret, None).key == new.key.id


class TestWithoutADatabase:
    async def test_before_it_is_read_a_key_that_may_be_good_is_told_to_wait(
        self, directory: Directory
    ) -> None:
        with pytest.raises(OverloadedError) as caught:
            directory.find(make_key("key_00000000"), None)
        assert (caught.value.status, caught.value.retry_after) == (503, 2.0)
        await directory.load()
        with pytest.raises(AuthenticationError):
            directory.find(make_key("key_00000000"), None)

    async def test_a_restart_without_it_serves_the_keys_that_were_known(
        self, tenants: Tenants, make_directory: Callable[..., Directory], clock: Clock
    ) -> None:
        before = make_directory()
        first = await created(tenants, before, name="first")
        gone = await created(tenants, before)
        await tenants.revoke(gone.key.id)
        await before.load()
        late = await created(tenants, before, expires=clock.now + 60)  # a line of its own
        after = make_directory(database=Broken())
        with pytest.raises(OverloadedError):
            await after.load()
        assert after.find(first.secret, None) == before.find(first.secret, None)
        assert after.find(late.secret, None).key == late.key.id
        with pytest.raises(AuthenticationError, match="revoked"):
            after.find(gone.secret, None)
        with pytest.raises(OverloadedError):
            after.find(make_key("key_00000000"), None)
        clock.now += 60
        with pytest.raises(AuthenticationError, match="expired"):
            after.find(late.secret, None)

    async def test_while_it_is_down_a_key_that_may_be_new_is_told_to_wait(
        self, tenants: Tenants, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = await created(tenants, directory)
        monkeypatch.setattr(directory, "_database", Broken())
        with pytest.raises(OverloadedError):
            await directory.load()
        assert directory.is_behind
        assert directory.find(known.secret, None).key == known.key.id
        with pytest.raises(OverloadedError):
            directory.find(make_key("key_00000000"), None)

    async def test_the_file_holds_no_secret_and_is_its_owners_alone(
        self, tenants: Tenants, directory: Directory, snapshot: Path
    ) -> None:
        new = await created(tenants, directory, name="ci")
        another = await created(tenants, directory)
        text = text_of(snapshot)
        assert new.key.id in text
        assert another.key.id in text
        for secret in (new.secret, another.secret, ADMIN_KEY, BUILD_KEY):
            assert secret not in text
            assert secret[12:] not in text
        assert mode_of(snapshot) == 0o600

    async def test_a_key_deleted_after_a_late_line_stays_deleted(
        self, tenants: Tenants, make_directory: Callable[..., Directory], snapshot: Path
    ) -> None:
        ahead = make_directory()
        await ahead.load()
        new = await created(tenants, ahead)
        late_line = text_of(snapshot).splitlines()[-1]
        await tenants.remove_key(new.key.id)
        await ahead.load()
        added = text_of(snapshot) + late_line + "\n"  # by a slower process that shares the file
        put_into(snapshot, added.encode())
        after = make_directory(database=Broken())
        with pytest.raises(OverloadedError):
            after.find(new.secret, None)

    @pytest.mark.parametrize("damage", [b"", b"{", b"\x00\xff", b'{"keys": 5}\n[]\n'])
    async def test_a_file_that_is_damaged_is_left_out(
        self, make_directory: Callable[..., Directory], snapshot: Path, damage: bytes
    ) -> None:
        put_into(snapshot, damage)
        directory = make_directory()
        assert directory.find(ADMIN_KEY, None) is ADMIN
        await directory.load()
        assert directory.knows_callers

    async def test_a_folder_that_takes_no_file_costs_the_file_only(
        self, tenants: Tenants, make_directory: Callable[..., Directory], tmp_path: Path
    ) -> None:
        directory = make_directory(snapshot=tmp_path / "nowhere" / "keys.json")
        new = await created(tenants, directory)
        assert directory.find(new.secret, None).key == new.key.id


class TestLevels:
    async def test_the_widest_comes_first_and_names_are_unique(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        ten = BudgetSection(limit="$10", per="day")
        await tenants.add(ORGANISATIONS, limited(Organisation, name="acme", budget=ten))
        for name in ("core", "web"):
            team = limited(Team, organisation="acme", name=name, budget=ten)
            await tenants.add(TEAMS, team)
        keys = [
            await tenants.create_key(limited(Key, organisation="acme", team=team, budget=ten))
            for team in ("core", "core", "web")
        ]
        await directory.load()
        found = [directory.find(each.secret, None).levels for each in keys]
        names = [[level.name for level in levels] for levels in found]
        assert names[0] == ["organisation:acme", "team:acme/core", f"key:{keys[0].key.id}"]
        assert len({name for each in names for name in each}) == 1 + 2 + 3
        budgets = {budget.name for levels in found for level in levels for budget in level.budgets}
        assert len(budgets) == 1 + 2 + 3
        assert "team:acme/web:daily" in budgets
        assert found[0][0] is found[2][0]

    async def test_an_unlimited_level_costs_nothing(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        await tenants.add(ORGANISATIONS, Organisation(name="acme"))
        await tenants.add(TEAMS, Team(organisation="acme", name="core"))
        new = await created(tenants, directory, organisation="acme", team="core")
        assert directory.find(new.secret, None).levels == ()

    async def test_a_change_of_a_team_reaches_its_keys(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        await tenants.add(ORGANISATIONS, Organisation(name="acme"))
        team = await tenants.add(TEAMS, Team(organisation="acme", name="core"))
        new = await created(tenants, directory, organisation="acme", team="core")
        change = {"budgets": {"budget": {"limit": 1}}, "shadow": True}
        await tenants.change(TEAMS, ["acme", "core"], partial(patched, change))
        await directory.load()
        [level] = directory.find(new.secret, None).levels
        assert level.name == "team:acme/core"
        assert level.shadow
        assert team.budgets == {}

    async def test_end_users_have_limits_of_their_own_or_like_everybody(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        await tenants.add(ORGANISATIONS, Organisation(name="acme"))
        new = await created(tenants, directory, organisation="acme")
        assert directory.find(new.secret, None).end_user("ada") is None
        one, five = BudgetSection(limit=1), BudgetSection(limit=5)
        for name, budget in (("*", one), ("ada", five)):
            user = limited(EndUser, organisation="acme", name=name, budget=budget)
            await tenants.add(END_USERS, user)
        await directory.load()
        access = directory.find(new.secret, None)
        found = [access.end_user(name) for name in ("ada", "bob", "carl:daily", "acme/bob", "")]
        ada, bob, odd, slash, nobody = found
        assert ada
        assert bob
        assert odd
        assert slash
        assert nobody is None
        assert (ada.budgets[0].limit, bob.budgets[0].limit) == (5, 1)
        assert bob.budgets[0].name == "user:acme/bob:daily"
        assert len({each.name for each in found if each}) == 4

    async def test_a_key_of_the_configuration_has_its_limits_and_those_of_its_organisation(
        self, tenants: Tenants, database: Database
    ) -> None:
        section = KeySection(
            key=Secret(BUILD_KEY), organisation="acme", budget=BudgetSection(limit=5)
        )
        directory = Directory({"build": section}, database=database)
        names = [level.name for level in directory.find(BUILD_KEY, None).levels]
        assert names == ["key:config:build"]
        budget = BudgetSection(limit=1)
        await tenants.add(ORGANISATIONS, limited(Organisation, name="acme", budget=budget))
        await directory.load()
        names = [level.name for level in directory.find(BUILD_KEY, None).levels]
        assert names == ["organisation:acme", "key:config:build"]


class TestConfiguration:
    @pytest.mark.parametrize("weak", ["admin", "sk-1234", "changeme", "x" * 40])
    def test_a_weak_key_does_not_start(self, weak: str) -> None:
        with pytest.raises(ConfigurationError, match=r"\[gateway\] admin_key is too weak"):
            Directory({}, Secret(weak))
        with pytest.raises(ConfigurationError, match=r"\[gateway.keys.ci\] key is too weak"):
            Directory({"ci": KeySection(key=Secret(weak))})

    def test_two_of_the_same_key_do_not_start(self) -> None:
        key = KeySection(key=Secret(BUILD_KEY))
        with pytest.raises(ConfigurationError, match="the key of another one"):
            Directory({"a": key, "b": key})
        with pytest.raises(ConfigurationError, match="admin_key is the key of somebody else"):
            Directory({"a": key}, Secret(BUILD_KEY))

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"organisation": "no good"}, "organisation"),
            ({"routes": ("chat", "chta")}, r"routes.*'chta'.*\nDid you mean 'chat'"),
            ({"team": "core"}, "name that, too"),
            ({"addresses": ("10.0.0.1/8",)}, "host bits"),
            ({"budget": BudgetSection(limit=1, models=("openai/*",))}, "models means nothing"),
        ],
    )
    def test_nonsense_is_named(self, fields: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigurationError, match=r"\[gateway.keys.ci\].*" + said):
            Directory({"ci": KeySection(key=Secret(BUILD_KEY), **fields)})


class TestById:
    async def test_work_that_goes_on_has_the_rights_of_its_key_as_they_are_now(
        self, tenants: Tenants, directory: Directory, clock: Clock
    ) -> None:
        new = await created(tenants, directory, expires=clock.now + 3600)
        await tenants.rotate(new.key.id, 0)
        await directory.load()
        clock.now += 1
        assert directory.of(new.key.id).key == new.key.id  # whichever secret it was begun with
        assert directory.of("config:build").name == "build"
        assert directory.of("admin") is ADMIN
        clock.now += 3600
        with pytest.raises(AuthenticationError, match="expired"):
            directory.of(new.key.id)
        await tenants.remove_key(new.key.id)
        await directory.load()
        with pytest.raises(AuthenticationError, match="is gone"):
            directory.of(new.key.id)


class TestAround:
    """What is said of an organisation, of a team or of end users holds for every key in them."""

    @pytest.fixture
    async def secrets(self, tenants: Tenants, directory: Directory) -> dict[str, str]:
        """A key of a team, one of its organisation and one of nobody."""
        await tenants.add(ORGANISATIONS, Organisation(name="acme", models=("a/*", "b/*")))
        await tenants.add(TEAMS, Team(organisation="acme", name="core", models=("a/*",)))
        homes = {
            "team": {"organisation": "acme", "team": "core"},
            "organisation": {"organisation": "acme"},
            "nobody": {},
        }
        return {
            name: (await created(tenants, directory, **home)).secret for name, home in homes.items()
        }

    async def test_none_asks_more_than_those_around_it_may(
        self, directory: Directory, secrets: dict[str, str]
    ) -> None:
        asks = {
            name: [m for m in ("a/x", "b/x", "c/x") if directory.find(secret, None).may_ask(m)]
            for name, secret in secrets.items()
        }
        every = ["a/x", "b/x", "c/x"]
        assert asks == {"team": every[:1], "organisation": every[:2], "nobody": every}

    @pytest.mark.parametrize(
        ("blocked", "refused"),
        [("team", ["team"]), ("organisation", ["team", "organisation"]), ("key", ["nobody"])],
    )
    async def test_what_is_blocked_refuses_all_that_is_in_it_until_it_is_so_no_more(
        self,
        tenants: Tenants,
        directory: Directory,
        secrets: dict[str, str],
        blocked: str,
        refused: list[str],
    ) -> None:
        nobody = directory.find(secrets["nobody"], None).key

        async def block(value: bool) -> None:
            change = partial(patched, {"blocked": value})
            if blocked == "key":
                await tenants.change_key(nobody, change)
            elif blocked == "team":
                await tenants.change(TEAMS, ["acme", "core"], change)
            else:
                await tenants.change(ORGANISATIONS, ["acme"], change)
            await directory.load()

        await block(True)
        for name, secret in secrets.items():
            if name in refused:
                with pytest.raises(PermissionDeniedError, match=f"{blocked}.* is blocked") as told:
                    directory.find(secret, None)
                assert told.value.status == 403
            else:
                directory.find(secret, None)
        if blocked == "key":
            with pytest.raises(PermissionDeniedError):
                directory.of(nobody)
        await block(False)
        for secret in secrets.values():
            directory.find(secret, None)

    async def test_a_key_of_the_configuration_is_blocked_with_its_organisation(
        self, tenants: Tenants, database: Database, secrets: dict[str, str]
    ) -> None:
        section = KeySection(key=Secret(BUILD_KEY), organisation="acme")
        directory = Directory({"build": section}, database=database)
        await directory.load()
        assert not directory.find(BUILD_KEY, None).may_ask("c/x")
        await tenants.change(ORGANISATIONS, ["acme"], partial(patched, {"blocked": True}))
        await directory.load()
        with pytest.raises(PermissionDeniedError, match="organisation acme is blocked"):
            directory.find(BUILD_KEY, None)

    async def test_end_users_are_blocked_by_name_or_all_but_those_that_are_named(
        self, tenants: Tenants, directory: Directory, secrets: dict[str, str]
    ) -> None:
        def access() -> Any:
            return directory.find(secrets["organisation"], None)

        await tenants.add(END_USERS, EndUser(organisation="acme", name="ada"))
        await tenants.add(END_USERS, EndUser(organisation="acme", name="bob", blocked=True))
        await directory.load()
        with pytest.raises(PermissionDeniedError, match="end user 'bob' is blocked"):
            access().end_user("bob")
        assert access().end_user("carl") is None
        assert access().end_user("ada").name == "user:acme/ada"
        await tenants.add(END_USERS, EndUser(organisation="acme", name="*", blocked=True))
        await directory.load()
        with pytest.raises(PermissionDeniedError, match="end user 'carl' is blocked"):
            access().end_user("carl")
        assert access().end_user("ada").name == "user:acme/ada"
        assert access().end_user("") is None

    async def test_what_is_missing_around_a_key_is_told_with_the_command_that_makes_it(
        self, ask: Asked
    ) -> None:
        said = {"organisation": "acme", "team": "core"}
        refused = await ask("POST", "/admin/keys", said)
        assert (refused.status, "'polyvox organisations create acme'" in refused.error) == (
            404,
            True,
        )
        await ask("POST", "/admin/organisations", {"name": "acme"})
        refused = await ask("POST", "/admin/keys", said)
        assert (refused.status, "'polyvox teams create acme/core'" in refused.error) == (404, True)


class TestNewcomers:
    """Keys that another process has just made, or changed, and of which nobody has told this one."""

    async def test_a_new_key_is_let_in_at_once_wherever_it_was_made(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        await directory.load()
        await tenants.add(ORGANISATIONS, limited(Organisation, name="acme", budget=TEN))
        new = await tenants.create_key(Key(name="ci", organisation="acme"))
        access = await entered(directory, new.secret)
        assert access.key == new.key.id
        assert [level.name for level in access.levels] == ["organisation:acme"]
        assert access.levels[0].budgets[0].limit == 10  # none gets by what holds around it

    async def test_so_is_a_rotated_key_and_one_that_is_good_again(
        self, tenants: Tenants, directory: Directory, clock: Clock
    ) -> None:
        new = await created(tenants, directory, expires=clock.now + 60)
        rotated = await tenants.rotate(new.key.id, 3600)
        assert (await entered(directory, rotated.secret)).key == new.key.id
        clock.now += 60
        await tenants.change_key(new.key.id, partial(patched, {"expires": clock.now + 60}))
        assert (await entered(directory, new.secret)).key == new.key.id

    async def test_a_thousand_calls_with_unknown_keys_ask_the_database_once(
        self, tenants: Tenants, directory: Directory, database: Database, monkeypatch: Any
    ) -> None:
        await directory.load()
        new = await tenants.create_key(Key())
        asked = counted(database, monkeypatch)
        others = [make_key(f"key_{number:08x}") for number in range(500)]
        secrets = [*others, *[new.secret] * 500]
        found = await asyncio.gather(
            *(entered(directory, each) for each in secrets), return_exceptions=True
        )
        assert all(isinstance(each, AuthenticationError) for each in found[:500])
        assert all(each.key == new.key.id for each in found[500:])
        assert len(asked) == 1
        for secret in others:
            with pytest.raises(AuthenticationError, match="does not know"):
                await entered(directory, secret)
        assert len(asked) == 1  # a moment later nobody looks again for what was not there

    async def test_work_that_another_process_left_finds_its_key_by_the_id(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        await directory.load()
        new = await tenants.create_key(Key())
        await directory.look_for_id(new.key.id)
        assert directory.of(new.key.id).key == new.key.id

    async def test_a_known_key_waits_for_nobody(
        self, tenants: Tenants, directory: Directory, database: Database, monkeypatch: Any
    ) -> None:
        new = await created(tenants, directory)
        asked = counted(database, monkeypatch)
        assert (await entered(directory, new.secret)).key == new.key.id
        assert asked == []

    @pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: repr(text[:20]))
    async def test_what_can_be_no_key_asks_the_database_nothing(
        self, directory: Directory, database: Database, monkeypatch: Any, hostile: str
    ) -> None:
        await directory.load()
        asked = counted(database, monkeypatch)
        with pytest.raises(AuthenticationError):
            await entered(directory, hostile)
        assert asked == []

    async def test_while_the_database_is_down_nobody_is_told_no(
        self, tenants: Tenants, directory: Directory, database: Database, monkeypatch: Any
    ) -> None:
        await directory.load()
        new = await tenants.create_key(Key())
        with monkeypatch.context() as down:
            down.setattr(database, "run", Broken().run)
            for secret in (new.secret, new.secret, make_key("key_00000000")):
                with pytest.raises(OverloadedError) as caught:
                    await entered(directory, secret)
                assert caught.value.status == 503
            assert (await entered(directory, BUILD_KEY)).name == "build"
        assert (await entered(directory, new.secret)).key == new.key.id
        assert not directory.is_behind

    async def test_over_http_too(self, tenants: Tenants, directory: Directory, ask: Asked) -> None:
        await directory.load()
        new = await tenants.create_key(Key(name="ci"))
        assert (await ask("GET", "/v1/key", key=new.secret)).json["name"] == "ci"
        unknown = await ask("GET", "/v1/key", key=make_key("key_00000000"))
        assert (unknown.status, "does not know this key" in unknown.error) == (401, True)


async def entered(directory: Directory, secret: str) -> Any:
    """The access of who comes in through the door."""
    door, headers = Door(directory), {"authorization": f"Bearer {secret}"}
    try:
        return door.enter({}, headers, "")
    except UNSURE:
        return await door.enter_after_all({}, headers, "")


class TestOtherConfiguration:
    async def test_its_keys_are_replaced_and_those_of_the_database_stay(
        self, tenants: Tenants, directory: Directory
    ) -> None:
        new = await created(tenants, directory)
        directory.configure({"other": KeySection(key=Secret(ADMIN_KEY))}, None)
        assert directory.find(ADMIN_KEY, None).name == "other"
        assert directory.find(new.secret, None).key == new.key.id
        with pytest.raises(AuthenticationError):
            directory.find(BUILD_KEY, None)
        await tenants.revoke(new.key.id)
        await directory.load()
        assert directory.find(ADMIN_KEY, None).name == "other"

    async def test_a_weak_key_leaves_all_as_it_was(self, directory: Directory) -> None:
        with pytest.raises(ConfigurationError):
            directory.configure({}, Secret("changeme"))
        assert directory.find(ADMIN_KEY, None) is ADMIN
        assert directory.find(BUILD_KEY, None).name == "build"


class Broken:
    """A database that is down."""

    async def run(self, work: Any, **_: Any) -> Any:
        raise OverloadedError("the gateway's database can't be used just now", status=503)


def limited(kind: Any, *, budget: BudgetSection, **fields: Any) -> Any:
    """An object with a budget "daily"."""
    said = {"budgets": {"daily": msgspec.to_builtins(budget)}, **fields}
    return msgspec.convert(said, kind)


def counted(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each transaction."""
    asked: list[int] = []
    run = database.run

    async def counting(work: Any, **options: Any) -> Any:
        asked.append(1)
        return await run(work, **options)

    monkeypatch.setattr(database, "run", counting)
    return asked


def text_of(path: Path) -> str:
    return path.read_text()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def put_into(path: Path, data: bytes) -> None:
    path.write_bytes(data)
