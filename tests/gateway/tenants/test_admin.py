"""The endpoints for administrators: what is made, seen, changed; and what never comes out."""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from polyvox.errors import AuthenticationError
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.versions import numbers
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.tenants.provider_keys import ProviderKeys
from polyvox.gateway.web.endpoints import Endpoint

from .asked import Asked
from .conftest import BUILD_KEY, SECRET, Clock

CANARY = "sk-canary-3f8a1d5c7e9b2046"
LIMITS = {
    "budgets": {"daily": {"limit": "$10", "per": "day"}},
    "limits": {"burst": {"requests": 60}},
    "shadow": True,
}
EVERY_KIND = [
    ("/admin/organisations", {"name": "umbrella", "title": "Umbrella", **LIMITS}),
    ("/admin/organisations/acme/teams", {"name": "core", **LIMITS}),
    ("/admin/organisations/acme/end_users", {"name": "*", **LIMITS}),
    ("/admin/organisations/acme/end_users", {"name": "ada@example.org", **LIMITS}),
    ("/admin/keys", {"name": "ci", **LIMITS}),
    (
        "/admin/keys",
        {
            "organisation": "acme",
            "models": ["openai/*"],
            "routes": ["chat", "embeddings"],
            "addresses": ["10.0.0.0/8", "2001:db8::1"],
            "manager": True,
            "expires": 1_880_000_000.5,
        },
    ),
    ("/admin/provider_keys", {"name": "main", "provider": "openai", "value": CANARY}),
    ("/admin/provider_keys", {"name": "env", "provider": "openai", "value": "env:OPENAI_API_KEY"}),
]


@pytest.fixture(autouse=True)
async def acme(ask: Asked) -> None:
    assert (await ask("POST", "/admin/organisations", {"name": "acme"})).status == 201


async def created(ask: Asked, path: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The path of a new object, and the object."""
    answer = await ask("POST", path, body)
    assert answer.status == 201, answer.text
    one = answer.json.get("key", answer.json)
    return f"{path}/{one.get('id') or one['name']}", one


@pytest.mark.parametrize(("path", "body"), EVERY_KIND)
class TestEveryKind:
    async def test_getting_and_putting_changes_nothing(
        self, ask: Asked, database: Database, path: str, body: dict[str, Any]
    ) -> None:
        where, made = await created(ask, path, body)
        before = await database.run(dump)
        got = await ask("GET", where)
        put = await ask("PUT", where, got.text.encode())
        assert (put.status, put.json) == (200, got.json)
        assert await database.run(dump) == before  # not even the numbers of versions
        assert got.json == made

    async def test_it_is_listed_and_gone_once_deleted(
        self, ask: Asked, path: str, body: dict[str, Any]
    ) -> None:
        where, made = await created(ask, path, body)
        assert made in (await ask("GET", path)).json["data"]
        assert (await ask("DELETE", where)).status == 204
        assert made not in (await ask("GET", path)).json["data"]
        for method, sent in (("GET", None), ("PUT", body), ("PATCH", {}), ("DELETE", None)):
            assert (await ask(method, where, sent)).status == 404

    async def test_patching_with_all_that_is_got_or_with_nothing_changes_nothing(
        self, ask: Asked, database: Database, path: str, body: dict[str, Any]
    ) -> None:
        where, _ = await created(ask, path, body)
        before = await database.run(dump)
        got = await ask("GET", where)
        said = {name: value for name, value in got.json.items() if value is not None}
        for patch in (b"{}", msgspec.json.encode(said)):
            patched = await ask("PATCH", where, patch)
            assert (patched.status, patched.json) == (200, got.json)
        assert await database.run(dump) == before

    async def test_a_patch_changes_what_it_names_and_nothing_else(
        self, ask: Asked, path: str, body: dict[str, Any]
    ) -> None:
        where, made = await created(ask, path, body)
        if "value" in made:
            patch, changed = {"value": "env:X_KEY"}, {"value": "env:X_KEY", "state": "missing"}
        else:
            patch = {"budgets": {"new": {"limit": "$3"}}}
            changed = {"budgets": made["budgets"] | patch["budgets"]}
        patched = await ask("PATCH", where, patch)
        assert (patched.status, patched.json) == (200, made | changed)
        assert (await ask("GET", where)).json == made | changed

    async def test_a_put_that_lacks_a_field_is_refused_and_names_it(
        self, ask: Asked, database: Database, path: str, body: dict[str, Any]
    ) -> None:
        where, made = await created(ask, path, body)
        before = await database.run(dump)
        for field in made:
            rest = {name: value for name, value in made.items() if name != field}
            refused = await ask("PUT", where, rest)
            assert (refused.status, field in refused.error) == (400, True)
        required = {name: made[name] for name in ("name", "provider") if name in made}
        told = (await ask("PUT", where, required)).error
        assert "PATCH changes only" in told
        assert all(field in told for field in made.keys() - required.keys())
        assert await database.run(dump) == before

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    async def test_what_the_gateway_says_can_not_be_changed(
        self, ask: Asked, method: str, path: str, body: dict[str, Any]
    ) -> None:
        where, made = await created(ask, path, body)
        for field in made.keys() & {"id", "created", "revoked", "mark", "organisation", "provider"}:
            other = 5.0 if field in ("created", "revoked") else "another"
            refused = await ask(method, where, made | {field: other})
            assert (refused.status, f"{field} can't be changed" in refused.error) == (400, True)
        assert (await ask("GET", where)).json == made

    async def test_a_patch_with_an_unknown_field_is_refused_whatever_it_says(
        self, ask: Asked, path: str, body: dict[str, Any]
    ) -> None:
        where, _ = await created(ask, path, body)
        for value in (None, "x"):
            refused = await ask("PATCH", where, {"nam": value})
            assert (refused.status, "Did you mean 'name'?" in refused.error) == (400, True)

    @pytest.mark.parametrize("patch", [b"[]", b"5", b"null", b'"x"', b"{", b'{"a":' * 5_000])
    async def test_a_patch_is_an_object(
        self, ask: Asked, path: str, body: dict[str, Any], patch: bytes
    ) -> None:
        where, made = await created(ask, path, body)
        assert (await ask("PATCH", where, patch)).status == 400
        assert (await ask("GET", where)).json == made

    async def test_a_field_that_there_is_not_is_named(
        self, ask: Asked, path: str, body: dict[str, Any]
    ) -> None:
        answer = await ask("POST", path, body | {"modles": ["*"]})
        assert answer.status == 400
        assert "modles" in answer.error

    async def test_only_the_administrator_may(
        self, ask: Asked, path: str, body: dict[str, Any]
    ) -> None:
        manager = await ask("POST", "/admin/keys", {"organisation": "acme", "manager": True})
        where, _ = await created(ask, path, body)
        for key in (BUILD_KEY, manager.json["secret"]):
            for method, at in (
                *(("GET", path), ("POST", path), ("GET", where), ("PUT", where)),
                *(("PATCH", where), ("DELETE", where)),
            ):
                assert (await ask(method, at, body, key=key)).status == 403
        for method, at in (("GET", path), ("POST", path), ("PUT", where), ("PATCH", where)):
            assert (await ask(method, at, body, key="pv-nobody")).status == 401
        assert (await ask("GET", where)).status == 200

    async def test_nothing_is_told_of_a_key(
        self, ask: Asked, path: str, body: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        where, made = await created(ask, path, body)
        told = [str(made)]
        for method, at, sent in (
            ("GET", where, None),
            ("GET", path, None),
            ("PUT", where, body),
            ("POST", path, body),
            ("PUT", where, body | {"name": "another"}),
            ("PUT", where, body | {"value": 5, "budgets": 5}),
            ("PATCH", where, {"value": 5, "budgets": 5}),
            ("PATCH", where, {"value": CANARY, "provider": "groq"}),
        ):
            told.append((await ask(method, at, sent)).text)
        assert CANARY not in "".join(told) + caplog.text


class TestNames:
    @pytest.mark.parametrize(
        "name", ["", " ", "a b", "a/b", "../x", "\x00", "a\n", "ä", "x" * 65, "-x", "'; DROP--", 5]
    )
    async def test_a_name_that_is_none_is_refused(self, ask: Asked, name: object) -> None:
        answer = await ask("POST", "/admin/organisations", {"name": name})
        assert answer.status == 400
        assert "name" in answer.error

    @pytest.mark.parametrize("name", ["\x00", "'; DROP TABLE keys; --", "ä", "x" * 10_000, "%00"])
    async def test_a_hostile_name_in_a_path_is_not_found(self, ask: Asked, name: str) -> None:
        for path in (
            f"/admin/organisations/{name}",
            f"/admin/organisations/{name}/teams",
            f"/admin/organisations/acme/teams/{name}",
            f"/admin/organisations/acme/end_users/{name}",
            f"/admin/keys/{name}",
            f"/admin/provider_keys/{name}",
        ):
            assert (await ask("GET", path)).status == 404
        assert (await ask("GET", "/admin/keys?after=%00")).json == {"data": [], "next": None}

    async def test_a_name_that_is_taken_is_a_conflict(self, ask: Asked) -> None:
        answer = await ask("POST", "/admin/organisations", {"name": "acme"})
        assert (answer.status, "already" in answer.error) == (409, True)

    async def test_names_stay(self, ask: Asked) -> None:
        renamed = (await ask("GET", "/admin/organisations/acme")).json | {"name": "other"}
        for method in ("PUT", "PATCH"):
            assert (await ask(method, "/admin/organisations/acme", renamed)).status == 400
        where, _ = await created(ask, "/admin/keys", {"organisation": "acme"})
        for body in ({"organisation": "x"}, {"id": "key_x"}, {"mark": "pv-x"}, {"revoked": 1.0}):
            assert (await ask("PATCH", where, body)).status == 400
        path = "/admin/organisations/acme/teams"
        assert (await ask("POST", path, {"name": "a", "organisation": "x"})).status == 400

    async def test_what_a_key_names_must_be_there(self, ask: Asked) -> None:
        for body in ({"organisation": "x"}, {"organisation": "acme", "team": "x"}):
            answer = await ask("POST", "/admin/keys", body)
            assert answer.status == 404
        assert (await ask("POST", "/admin/keys", {"team": "core"})).status == 400
        assert (await ask("POST", "/admin/organisations/x/teams", {"name": "a"})).status == 404
        assert (await ask("GET", "/admin/organisations/x/teams")).status == 404

    async def test_what_still_has_keys_is_not_deleted(self, ask: Asked) -> None:
        await created(ask, "/admin/organisations/acme/teams", {"name": "core"})
        where, _ = await created(ask, "/admin/keys", {"organisation": "acme", "team": "core"})
        team = "/admin/organisations/acme/teams/core"
        for path in (team, "/admin/organisations/acme"):
            answer = await ask("DELETE", path)
            assert (answer.status, "still has keys" in answer.error) == (409, True)
        for path in (where, team, "/admin/organisations/acme"):
            assert (await ask("DELETE", path)).status == 204

    async def test_a_list_comes_in_parts(self, ask: Asked) -> None:
        path = "/admin/organisations/acme/teams"
        for number in range(5):
            await created(ask, path, {"name": f"t{number}"})
        found, after = list[str](), ""
        while after is not None:
            page = (await ask("GET", f"{path}?limit=2{after and f'&after={after}'}")).json
            assert len(page["data"]) <= 2
            found += [each["name"] for each in page["data"]]
            after = page["next"]
        assert found == ["t0", "t1", "t2", "t3", "t4"]

    async def test_what_it_may_be_used_for_is_something_that_there_is(self, ask: Asked) -> None:
        refused = await ask("POST", "/admin/keys", {"routes": ["chat", "chta"]})
        assert (refused.status, "Did you mean 'chat'?" in refused.error) == (400, True)
        made = await ask("POST", "/admin/keys", {"routes": ["ch*", "batches"]})
        assert made.status == 201
        path = f"/admin/keys/{made.json['key']['id']}"
        refused = await ask("PUT", path, made.json["key"] | {"routes": ["embeding"]})
        assert (refused.status, "Did you mean 'embeddings'?" in refused.error) == (400, True)
        assert (await ask("GET", path)).json["routes"] == ["ch*", "batches"]

    @pytest.mark.parametrize(
        ("query", "body", "meant"),
        [
            ("", {"nam": "ci"}, "name"),
            ("", {"budgets": {"daily": {"limt": 1}}}, "limit"),
            ("", {"limits": {"burst": {"request": 1}}}, "requests"),
            ("?team=core&organization=acme", None, "organisation"),
        ],
    )
    async def test_a_slip_in_a_field_is_told_what_was_meant_however_deep_it_stands(
        self, ask: Asked, query: str, body: Any, meant: str
    ) -> None:
        refused = await ask("GET" if body is None else "POST", f"/admin/keys{query}", body)
        assert (refused.status, f"Did you mean {meant!r}?" in refused.error) == (400, True)

    async def test_a_key_whose_use_there_is_no_more_can_be_put_back_as_it_is(
        self, ask: Asked, database: Database
    ) -> None:
        path, _ = await created(ask, "/admin/keys", {"models": ["simulated/*"]})
        old = text("""UPDATE keys SET document = replace(document, '["*"]', '["telegraph"]')""")
        await database.run(lambda connection: connection.execute(old))
        key = (await ask("GET", path)).json
        assert key["routes"] == ["telegraph"]
        assert (await ask("PUT", path, key | {"name": "renamed"})).status == 200

    async def test_keys_are_listed_by_organisation_and_team(self, ask: Asked) -> None:
        await created(ask, "/admin/organisations/acme/teams", {"name": "core"})
        for body in ({}, {"organisation": "acme"}, {"organisation": "acme", "team": "core"}):
            await created(ask, "/admin/keys", body)
        counts = [
            len((await ask("GET", f"/admin/keys?{query}")).json["data"])
            for query in ("", "organisation=acme", "organisation=acme&team=core", "organisation=")
        ]
        assert counts == [3, 2, 1, 1]


class TestLimits:
    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"budgets": {"d": {"limit": "ten"}}}, "no amount of money"),
            ({"budgets": {"d": {"limit": -1}}}, "no amount of money"),
            ({"budgets": {"d": {}}}, "limit"),
            ({"budgets": {"d": {"limit": 1, "per": "decade"}}}, "decade"),
            ({"budgets": {"d": {"limit": 1, "time_zone": "Mars"}}}, "no time zone"),
            ({"budgets": {"d": {"limit": 1, "models": ["a"]}}}, "models means nothing"),
            ({"budgets": {"d": {"limit": 1, "policy": "downgrade"}}}, "can't downgrade"),
            ({"budgets": {"no good": {"limit": 1}}}, 'letters (a-z), digits, ".", "_" and "-"'),
            ({"limits": {"l": {}}}, "a number of requests"),
            ({"limits": {"l": {"requests": 0}}}, "requests"),
            ({"limits": {"l": {"requests": 1, "per": "decade"}}}, "decade"),
            ({"limits": {"l": {"requests": 1, "wait_seconds": 5}}}, "wait_seconds means nothing"),
            ({"limits": {"l": {"requests": 1, "scope": "x"}}}, "scope"),
            ({"addresses": ["10.0.0.1/8"]}, "host bits"),
            ({"addresses": ["localhost"]}, "localhost"),
            ({"models": []}, "models"),
            ({"manager": True}, "organisation"),
        ],
    )
    async def test_what_makes_no_sense_is_named(
        self, ask: Asked, fields: dict[str, Any], said: str
    ) -> None:
        answer = await ask("POST", "/admin/keys", fields)
        assert answer.status == 400
        assert said in answer.error

    async def test_a_change_holds_at_once(self, ask: Asked) -> None:
        new = (await ask("POST", "/admin/keys", {"models": ["a"]})).json
        own = await ask("GET", "/v1/key", key=new["secret"])
        assert own.json["models"] == ["a"]
        await ask("PATCH", f"/admin/keys/{new['key']['id']}", {"models": ["b"]})
        own = await ask("GET", "/v1/key", key=new["secret"])
        assert own.json["models"] == ["b"]
        await ask("POST", f"/admin/keys/{new['key']['id']}/revoke")
        own = await ask("GET", "/v1/key", key=new["secret"])
        assert (own.status, "revoked" in own.error) == (401, True)


class TestRotation:
    async def test_a_rotated_key_keeps_its_id_and_both_secrets_work(
        self, ask: Asked, clock: Clock
    ) -> None:
        old = (await ask("POST", "/admin/keys", {"name": "ci"})).json
        path = f"/admin/keys/{old['key']['id']}/rotate"
        new = (await ask("POST", path, {"overlap_seconds": 60})).json
        assert new["key"] == old["key"]
        for secret in (old["secret"], new["secret"]):
            assert (await ask("GET", "/v1/key", key=secret)).json["name"] == "ci"
        clock.now += 60
        assert (await ask("GET", "/v1/key", key=old["secret"])).status == 401
        assert (await ask("GET", "/v1/key", key=new["secret"])).status == 200

    async def test_nobody_is_shut_out_while_a_new_secret_is_handed_out(
        self, ask: Asked, clock: Clock
    ) -> None:
        old = (await ask("POST", "/admin/keys", {"name": "ci"})).json
        await ask("POST", f"/admin/keys/{old['key']['id']}/rotate", {})
        assert (await ask("GET", "/v1/key", key=old["secret"])).status == 200
        clock.now += 60
        assert (await ask("GET", "/v1/key", key=old["secret"])).status == 401

    async def test_a_revoked_key_is_not_rotated_and_stays_revoked(self, ask: Asked) -> None:
        where, _ = await created(ask, "/admin/keys", {})
        revoked = (await ask("POST", f"{where}/revoke")).json
        assert (await ask("POST", f"{where}/revoke")).json == revoked
        assert (await ask("POST", f"{where}/rotate", {})).status == 409
        assert (await ask("PATCH", where, {"name": "back"})).json["revoked"] == revoked["revoked"]
        for method, body in (("PUT", revoked | {"revoked": None}), ("PATCH", {"revoked": None})):
            refused = await ask(method, where, body)
            assert (refused.status, "revoked can't be changed" in refused.error) == (400, True)

    @pytest.mark.parametrize("overlap", [-1, 1e300, "soon", None])
    async def test_an_overlap_is_a_time(self, ask: Asked, overlap: object) -> None:
        where, _ = await created(ask, "/admin/keys", {})
        assert (await ask("POST", f"{where}/rotate", {"overlap_seconds": overlap})).status == 400

    async def test_a_change_beside_a_revocation_never_undoes_it(self, ask: Asked) -> None:
        for _ in range(5):
            where, _made = await created(ask, "/admin/keys", {})
            answers = await asyncio.gather(
                *(ask("PATCH", where, {"name": f"n{number}"}) for number in range(4)),
                ask("POST", f"{where}/revoke"),
                *(ask("PATCH", where, {"name": f"m{number}"}) for number in range(4)),
            )
            assert {answer.status for answer in answers} == {200}
            assert (await ask("GET", where)).json["revoked"] is not None


class TestMerging:
    """What a PATCH says, as RFC 7396 has it."""

    async def test_parts_of_a_budget_are_changed_and_null_takes_one_away(self, ask: Asked) -> None:
        where, made = await created(ask, "/admin/keys", LIMITS)
        daily = {"limit": "$12", "per": "day"}
        for patch, budgets in (
            ({"daily": {"limit": "$12"}}, {"daily": daily}),
            ({"all": {"limit": 5}, "none": None}, {"daily": daily, "all": {"limit": 5}}),
            ({"daily": {"per": None}}, {"daily": {"limit": "$12"}, "all": {"limit": 5}}),
            ({"daily": None}, {"all": {"limit": 5}}),
            (None, {}),
        ):
            patched = await ask("PATCH", where, {"budgets": patch})
            assert patched.json == made | {"budgets": budgets}

    async def test_null_leaves_nothing_but_never_opens_a_key_for_everything(
        self, ask: Asked
    ) -> None:
        where, made = await created(ask, *EVERY_KIND[5])
        for field in ("models", "routes"):
            refused = await ask("PATCH", where, {field: None})
            assert (refused.status, f"{field} can't be null" in refused.error) == (400, True)
        empty = {"expires": None, "manager": None, "name": None}
        patched = await ask("PATCH", where, empty)
        assert patched.json == made | {"expires": None, "manager": False, "name": ""}

    async def test_what_makes_no_sense_together_is_refused(self, ask: Asked) -> None:
        where, made = await created(ask, "/admin/keys", LIMITS)
        for patch in (
            {"budgets": {"daily": {"limit": None}}},
            {"limits": {"burst": {"requests": None}}},
            {"team": "core"},
            {"models": []},
            {"routes": ["chta"]},
        ):
            assert (await ask("PATCH", where, patch)).status == 400
        assert (await ask("GET", where)).json == made

    async def test_two_who_change_different_fields_at_once_lose_nothing(self, ask: Asked) -> None:
        where, made = await created(ask, "/admin/keys", {})
        patches = [{"budgets": {f"b{number}": {"limit": number}}} for number in range(1, 9)]
        answers = await asyncio.gather(*(ask("PATCH", where, patch) for patch in patches))
        assert {answer.status for answer in answers} == {200}
        budgets = {name: limit for patch in patches for name, limit in patch["budgets"].items()}
        assert (await ask("GET", where)).json == made | {"budgets": budgets}


class TestBroughtAlong:
    """Keys that services have already, from another gateway."""

    OLD = "sk-Vb4Qw9ZxR2mK7tLpN3sY8c"

    @pytest.mark.parametrize("field", ["key", "sha256"])
    async def test_a_key_is_good_as_it_is_and_is_never_told(
        self, ask: Asked, database: Database, field: str
    ) -> None:
        value = self.OLD if field == "key" else sha256(self.OLD.encode()).hexdigest()
        made = await ask("POST", "/admin/keys", {"name": "old", "models": ["a"], field: value})
        assert (made.status, made.json["secret"]) == (201, "")
        assert (made.json["key"]["name"], made.json["key"]["mark"]) == ("old", "")
        own = (await ask("GET", "/v1/key", key=self.OLD)).json
        assert (own["id"], own["models"]) == (made.json["key"]["id"], ["a"])
        where = f"/admin/keys/{own['id']}"
        told = made.text + (await ask("GET", where)).text + await database.run(dump)
        assert self.OLD not in told
        assert field not in made.json["key"]
        assert (await ask("PUT", where, made.json["key"])).json == made.json["key"]
        again = await ask("POST", "/admin/keys", {field: value})
        assert (again.status, "this key is there already" in again.error) == (409, True)
        rotated = (await ask("POST", f"{where}/rotate", {"overlap_seconds": 0})).json
        assert rotated["secret"].startswith(rotated["key"]["mark"] + "-")
        assert (await ask("GET", "/v1/key", key=self.OLD)).status == 401
        assert (await ask("GET", "/v1/key", key=rotated["secret"])).json["id"] == own["id"]

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ({"key": "sk-1234"}, "20 to 512 visible characters"),
            ({"key": "sk-changeme-changeme-changeme"}, "key is too weak"),
            ({"key": "sk-Vb4Qw9ZxR2mK7tL pN3sY8c"}, "20 to 512 visible characters"),
            ({"key": "x" * 513}, "key"),
            ({"sha256": "abc"}, "64 digits"),
            ({"sha256": "A" * 64}, "64 digits"),
            ({"key": OLD, "sha256": "a" * 64}, "One of them is enough"),
        ],
    )
    async def test_what_is_none_is_refused_and_not_repeated(
        self, ask: Asked, said: dict[str, Any], told: str
    ) -> None:
        refused = await ask("POST", "/admin/keys", said)
        assert (refused.status, told in refused.error) == (400, True)
        assert not [value for value in said.values() if value in refused.text]
        assert (await ask("GET", "/admin/keys")).json["data"] == []

    async def test_a_secret_is_given_once_and_never_by_a_change(self, ask: Asked) -> None:
        where, made = await created(ask, "/admin/keys", {})
        for method in ("PUT", "PATCH"):
            refused = await ask(method, where, made | {"key": self.OLD})
            assert (refused.status, self.OLD in refused.text) == (400, False)


class TestProvidersKeys:
    async def test_a_key_comes_out_only_to_be_used(
        self, ask: Asked, provider_keys: ProviderKeys, database: Database
    ) -> None:
        for path, body in EVERY_KIND[-2:]:
            await created(ask, path, body)
        revealed = await provider_keys.revealed()
        values = [secret.reveal() for secret in revealed["openai"]]
        assert values == ["sk-canary-from-the-environment", CANARY]
        stored = await database.run(dump)
        assert CANARY not in stored
        assert SECRET not in stored
        assert "sk-canary-from-the-environment" not in stored

    @pytest.mark.parametrize("value", ["", "***", None])
    async def test_changing_without_the_key_keeps_it(
        self, ask: Asked, provider_keys: ProviderKeys, value: str | None
    ) -> None:
        where, made = await created(ask, *EVERY_KIND[-2])
        if value is not None:
            assert (await ask("PUT", where, made | {"value": value})).json["value"] == "***"
        assert (await ask("PATCH", where, {"value": value})).json["value"] == "***"
        assert [each.reveal() for each in (await provider_keys.revealed())["openai"]] == [CANARY]

    @pytest.mark.parametrize("value", ["sk-***2046", "sk-c…2046", "••••••••", "***2046"])
    async def test_a_masked_key_is_never_stored(
        self, ask: Asked, provider_keys: ProviderKeys, value: str
    ) -> None:
        where, made = await created(ask, *EVERY_KIND[-2])
        for method, path in (("PUT", where), ("PATCH", where), ("POST", "/admin/provider_keys")):
            body = made | {"value": value}
            answer = await ask(method, path, body)
            assert (answer.status, "masked" in answer.error) == (400, True)
        assert [each.reveal() for each in (await provider_keys.revealed())["openai"]] == [CANARY]

    async def test_a_new_value_takes_the_place_of_the_old_one(
        self, ask: Asked, provider_keys: ProviderKeys, database: Database
    ) -> None:
        where, made = await created(ask, *EVERY_KIND[-2])
        before = await database.run(numbers)
        body = made | {"value": "sk-another-canary"}
        assert (await ask("PUT", where, body)).status == 200
        [secret] = (await provider_keys.revealed())["openai"]
        assert secret.reveal() == "sk-another-canary"
        after = await database.run(numbers)
        assert {name for name in after if after[name] != before[name]} == {"tenants"}
        assert (await ask("PUT", where, body | {"provider": "groq"})).status == 400

    async def test_a_variable_that_is_not_set_is_told_of(
        self, ask: Asked, provider_keys: ProviderKeys, environ: dict[str, str]
    ) -> None:
        where, made = await created(ask, *EVERY_KIND[-1])
        assert made["state"] == "usable"
        environ.clear()
        assert (await ask("GET", where)).json["state"] == "missing"
        assert await provider_keys.revealed() == {}
        body = {"name": "x", "provider": "openai", "value": "env:NOT A NAME"}
        assert (await ask("POST", "/admin/provider_keys", body)).status == 400


def test_every_endpoint_can_be_described(endpoints: tuple[Endpoint, ...]) -> None:
    kinds = [
        kind
        for each in endpoints
        for kind in (each.takes, each.gives, each.query)
        if kind is not None
    ]
    schemas, parts = msgspec.json.schema_components(kinds)
    assert len(schemas) == len(kinds)
    assert all(parts[name].get("description") for name in ("Key", "Organisation", "ProviderKey"))
    assert len({(each.method, each.path) for each in endpoints}) == len(endpoints)


async def test_an_organisation_is_not_deleted_beside_a_key_that_is_made_in_it(ask: Asked) -> None:
    for number in range(5):
        name = f"o{number}"
        await ask("POST", "/admin/organisations", {"name": name})
        made, removed = await asyncio.gather(
            ask("POST", "/admin/keys", {"organisation": name}),
            ask("DELETE", f"/admin/organisations/{name}"),
        )
        assert (made.status, removed.status) in ((201, 409), (404, 204))


async def test_nothing_secret_is_in_the_database_or_the_file(
    ask: Asked, database: Database, directory: Directory
) -> None:
    secrets = list[str]()
    for path, body in EVERY_KIND:
        answer = await ask("POST", path, body)
        if path == "/admin/keys":
            secrets.append(answer.json["secret"])
            where = f"{path}/{answer.json['key']['id']}"
            secrets.append((await ask("POST", f"{where}/rotate", {})).json["secret"])
            assert secrets[-1] not in (await ask("GET", where)).text
    stored = await database.run(dump)
    assert len(secrets) == 4
    assert not [each for each in [*secrets, CANARY, SECRET] if each[12:] in stored]


async def test_two_replicas_share_what_one_has_made(
    ask: Asked, make_directory: Callable[..., Directory]
) -> None:
    other = make_directory()
    new = (await ask("POST", "/admin/keys", {})).json
    await other.load()
    assert other.find(new["secret"], None).key == new["key"]["id"]
    await ask("DELETE", f"/admin/keys/{new['key']['id']}")
    await other.load()
    with pytest.raises(AuthenticationError):
        other.find(new["secret"], None)


def dump(connection: Any) -> str:
    """All that stands in the tables of this room, and the numbers of versions."""
    tables = [
        "organisations",
        "teams",
        "keys",
        "key_secrets",
        "end_users",
        "provider_keys",
        "versions",
    ]
    rows = [connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables]
    return repr([sorted(map(repr, each)) for each in rows])
