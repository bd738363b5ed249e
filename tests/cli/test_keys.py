"""``polyvox keys``, against a gateway that runs."""

import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from .conftest import NOBODY, Run
from .gateway_process import gateway as started
from .gateway_server import ADMIN_KEY, Served, serving
from .terminal import Terminal


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def keys(run: Run, gateway: Served) -> Callable[..., Any]:
    """Run ``polyvox keys`` as administrator."""

    def runner(*arguments: str, **options: Any) -> Any:
        return run("keys", *arguments, env=gateway.env(), **options)

    return runner


def test_the_new_key_alone_is_on_stdout_and_works(
    keys: Callable[..., Any], run: Run, gateway: Served
) -> None:
    made = keys("create", "ci", "--budget", "$10/day", "--requests", "60/minute", "--shadow")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert re.fullmatch(r"pv-[0-9a-f]{8}-[A-Za-z0-9_-]{43}", secret)
    assert "can't be shown again" in made.stderr
    assert secret not in made.stderr
    own = json.loads(run("budget", "--json", env=gateway.env(secret)).stdout)
    assert [(each["name"], each["limit"], each["shadow"]) for each in own["limits"]] == [
        ("day", 10_000_000_000, True),
        ("minute", 60, True),
    ]


def test_everything_that_was_said_of_a_key_is_shown(keys: Callable[..., Any]) -> None:
    said = ["--model", "openai/*", "--model", "fast", "--route", "chat", "--address", "10.0.0.0/8"]
    limits = ["--budget", "5", "--tokens", "1000/hour", "--expires", "2090-01-31"]
    assert keys("create", "ci", *said, *limits).returncode == 0
    shown = json.loads(keys("show", "ci", "--json").stdout)
    assert shown["models"] == ["openai/*", "fast"]
    assert (shown["routes"], shown["addresses"]) == (["chat"], ["10.0.0.0/8"])
    assert shown["budgets"] == {"total": {"limit": "5"}}
    assert shown["limits"] == {"hour": {"tokens": 1000, "per": "hour"}}
    text = keys("show", "ci").stdout
    for each in (
        "openai/*, fast",
        "$5 in total, 1,000 tokens per hour",
        "2090-01-31",
        "10.0.0.0/8",
    ):
        assert each in text


def test_keys_are_listed_in_a_pipe_without_colours(keys: Callable[..., Any]) -> None:
    for name in ("first", "second"):
        keys("create", name)
    listed = keys("list").stdout
    head, *lines = listed.splitlines()
    assert head.split()[:2] == ["KEY", "NAME"]
    assert [line.split()[1] for line in lines] == ["first", "second"]
    assert "\x1b" not in listed
    assert [each["name"] for each in json.loads(keys("list", "--json").stdout)] == [
        "first",
        "second",
    ]


def test_a_list_of_nothing_ends_with_1(keys: Callable[..., Any]) -> None:
    empty = keys("list")
    assert (empty.returncode, empty.stdout) == (1, "")
    assert "polyvox keys create" in empty.stderr
    assert keys("list", "--json").stdout == "[]\n"


def test_a_key_is_named_by_its_name_its_id_its_beginning_or_itself(
    keys: Callable[..., Any],
) -> None:
    made = json.loads(keys("create", "ci", "--json").stdout)
    key, secret = made["key"], made["secret"]
    for which in ("ci", key["id"], key["mark"], secret):
        assert json.loads(keys("show", which, "--json").stdout) == key


def test_a_name_of_several_keys_asks_for_the_id(keys: Callable[..., Any], gateway: Served) -> None:
    ids = [made_by_hand(gateway, "ci") for _ in range(2)]
    done = keys("revoke", "ci")
    assert done.returncode == 2
    assert all(id in done.stderr for id in ids)
    assert "good" in keys("show", ids[0]).stdout


def made_by_hand(gateway: Served, name: str) -> str:
    """The id of a key that is made without the command, which would look for others of its name."""
    asked = Request(
        f"{gateway.url}/admin/keys",
        json.dumps({"name": name}).encode(),
        {"authorization": f"Bearer {ADMIN_KEY}"},
    )
    with urlopen(asked) as answer:
        return json.load(answer)["key"]["id"]


def test_a_name_is_given_again_only_once_its_key_is_revoked(keys: Callable[..., Any]) -> None:
    first = json.loads(keys("create", "ci", "--json").stdout)["key"]["id"]
    again = keys("create", "ci")
    assert (again.returncode, again.stdout) == (2, "")
    assert f"there is a key 'ci' already: {first}" in again.stderr
    assert keys("revoke", "ci").returncode == 0
    second = json.loads(keys("create", "ci", "--json").stdout)["key"]["id"]
    assert json.loads(keys("show", "ci", "--json").stdout)["id"] == second
    assert [keys("create").returncode for _ in range(2)] == [
        0,
        0,
    ]  # without a name as often as you like


def test_a_key_that_is_not_there_is_not_repeated_whole(keys: Callable[..., Any]) -> None:
    secret = "pv-00000000-" + "A" * 43
    done = keys("show", secret)
    assert done.returncode == 5
    assert "pv-00000000" in done.stderr
    assert secret not in done.stderr
    assert keys("show", "key_none").returncode == 5


def test_rotating_prints_a_new_key_beside_which_the_old_one_works(
    keys: Callable[..., Any], run: Run, gateway: Served
) -> None:
    old = keys("create", "ci").stdout.strip()
    rotated = keys("rotate", "ci", "--overlap", "1h")
    new = rotated.stdout.strip()
    assert "The old one works until" in rotated.stderr
    assert old != new
    for secret in (old, new):
        assert run("budget", env=gateway.env(secret)).returncode == 0
    newest = keys("rotate", "ci", "--overlap", "0s").stdout.strip()
    assert run("budget", env=gateway.env(newest)).returncode == 0
    refused = run("budget", env=gateway.env(new))
    assert (refused.returncode, "was replaced" in refused.stderr) == (4, True)


def test_a_revoked_key_is_refused_and_says_so(
    keys: Callable[..., Any], run: Run, gateway: Served
) -> None:
    secret = keys("create", "ci").stdout.strip()
    assert keys("revoke", "ci").returncode == 0
    refused = run("budget", env=gateway.env(secret))
    assert (refused.returncode, "was revoked" in refused.stderr) == (4, True)
    assert keys("list").stdout.splitlines()[-1].endswith("revoked")
    assert keys("rotate", "ci").returncode == 6


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["create", "--organisation", "nobody"], 5, "there is no organisation 'nobody'"),
        (["create", "--budget", "ten"], 6, "no amount of money"),
        (["create", "--requests", "many"], 2, "is no number per time"),
        (
            ["create", "--budget", "10/fortnight"],
            2,
            "--budget '10/fortnight': there is no 'fortnight'\nhint: Known are total, hour, day, week, month",
        ),
        (["create", "--tokens", "10/week"], 2, "Known are second, minute, hour, day"),
        (["create", "--route", "chta"], 6, "Did you mean 'chat'?"),
        (["create", "--route", "x*"], 6, "There are approvals, batches, chat"),
        (["create", "--expires", "soon"], 2, "is no time"),
        (["create", "--address", "10.0.0.1/8"], 6, "host bits"),
        (["rotate", "ci", "--overlap", "soon"], 2, "is no span of time"),
    ],
)
def test_what_is_wrong_is_said(
    keys: Callable[..., Any], arguments: list[str], code: int, said: str
) -> None:
    done = keys(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_only_the_administrators_key_manages_keys(
    keys: Callable[..., Any], run: Run, gateway: Served
) -> None:
    secret = keys("create", "ci").stdout.strip()
    done = run("keys", "list", env=gateway.env(secret))
    assert (done.returncode, "administrator" in done.stderr) == (4, True)


def test_without_a_gateway_it_says_how_to_start_one(run: Run) -> None:
    done = run("keys", "list", "--url", NOBODY, "--key", ADMIN_KEY)
    assert done.returncode == 10
    assert "no gateway answers at http://127.0.0.1:1" in done.stderr
    assert "polyvox serve" in done.stderr
    assert ADMIN_KEY not in done.stderr


def test_without_a_key_it_says_where_to_put_one(run: Run) -> None:
    for command in (["keys", "list"], ["usage"], ["budget"]):
        done = run(*command)
        assert (done.returncode, "POLYVOX_GATEWAY_KEY" in done.stderr) == (3, True)


def test_an_address_that_is_none_is_named_without_its_password(run: Run) -> None:
    done = run("budget", "--url", "ftp://ada:hunter2@example.org", "--key", "x")
    assert done.returncode == 2
    assert "is no address of a gateway" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_terminal_is_not_bent_by_a_name(
    gateway: Served, keys: Callable[..., Any], terminal: Callable[..., Terminal]
) -> None:
    assert keys("create", "red\x1b[31m").returncode == 6
    keys("create", "plain")
    screen = terminal("keys", "list", env=gateway.env())
    assert screen.wait() == 0
    assert "plain" in screen.seen


class TestChanging:
    @pytest.fixture
    def change(self, keys: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
        """Change the key "ci": which fields are others than before, with what they are now."""
        said = ["--model", "fast", "--budget", "$10/day", "--budget", "$100/month"]
        said += ["--requests", "60/minute", "--tokens", "1000/minute", "--expires", "2090-01-31"]
        assert keys("create", "ci", *said).returncode == 0

        def change(*arguments: str) -> dict[str, Any]:
            before = json.loads(keys("show", "ci", "--json").stdout)
            done = keys("change", "ci", "--json", *arguments)
            assert done.returncode == 0, done.stderr
            after = json.loads(done.stdout)
            assert after == json.loads(keys("show", after["id"], "--json").stdout)
            return {name: after[name] for name in after if after[name] != before[name]}

        return change

    @pytest.mark.parametrize(
        ("said", "changed"),
        [
            (["--name", "build"], {"name": "build"}),
            (["--model", "a", "--model", "b"], {"models": ["a", "b"]}),
            (["--route", "chat"], {"routes": ["chat"]}),
            (["--address", "10.0.0.0/8"], {"addresses": ["10.0.0.0/8"]}),
            (["--expires", "never"], {"expires": None}),
            (["--shadow"], {"shadow": True}),
            (["--block"], {"blocked": True}),
            (["--unblock"], {}),
            (
                ["--budget", "$20/day"],
                {
                    "budgets": {
                        "day": {"limit": "$20", "per": "day"},
                        "month": {"limit": "$100", "per": "month"},
                    }
                },
            ),
            (
                ["--budget", "none/day"],
                {"budgets": {"month": {"limit": "$100", "per": "month"}}},
            ),
            (
                ["--tokens", "none/minute"],
                {"limits": {"minute": {"requests": 60, "per": "minute"}}},
            ),
            (["--tokens", "none/minute", "--requests", "none/minute"], {"limits": {}}),
            (
                ["--requests", "9/day"],
                {
                    "limits": {
                        "day": {"requests": 9, "per": "day"},
                        "minute": {"requests": 60, "tokens": 1000, "per": "minute"},
                    }
                },
            ),
        ],
    )
    def test_what_is_said_is_changed_and_nothing_else(
        self, change: Callable[..., dict[str, Any]], said: list[str], changed: dict[str, Any]
    ) -> None:
        assert change(*said) == changed

    @pytest.mark.parametrize(
        ("said", "code", "told"),
        [
            ([], 2, "nothing is said to change"),
            (["--budget", "none/week"], 2, "there is no such budget\nhint: There are day, month."),
            (["--tokens", "none/day"], 2, "there is no such limit\nhint: There are minute."),
            (["--team", "core"], 6, "a team is one of an organisation"),
            (["--route", "chta"], 6, "Did you mean 'chat'?"),
        ],
    )
    def test_what_can_not_be_is_said_and_changes_nothing(
        self,
        keys: Callable[..., Any],
        change: Callable[..., dict[str, Any]],
        said: list[str],
        code: int,
        told: str,
    ) -> None:
        before = keys("show", "ci", "--json").stdout
        done = keys("change", "ci", *said)
        assert (done.returncode, done.stdout) == (code, "")
        assert told in done.stderr
        assert keys("show", "ci", "--json").stdout == before


class TestBringingAlong:
    OLD = "sk-Vb4Qw9ZxR2mK7tLpN3sY8c"

    @pytest.mark.parametrize("way", ["env", "stdin", "sha256"])
    def test_a_key_that_somebody_has_is_good_and_is_not_printed(
        self, run: Run, gateway: Served, way: str
    ) -> None:
        said = {
            "env": ["--key-from-env", "OLD_KEY"],
            "stdin": ["--key-from-stdin"],
            "sha256": ["--sha256", sha256(self.OLD.encode()).hexdigest()],
        }
        env = gateway.env() | {"OLD_KEY": self.OLD}
        done = run("keys", "create", "old", *said[way], env=env, stdin=f"{self.OLD}\n")
        assert (done.returncode, done.stdout) == (0, "")
        assert "is the one that you gave" in done.stderr
        assert self.OLD not in done.stderr
        assert run("budget", env=gateway.env(self.OLD)).returncode == 0
        listed = run("keys", "list", env=gateway.env()).stdout
        id = json.loads(run("keys", "show", "old", "--json", env=gateway.env()).stdout)["id"]
        assert id in listed

    @pytest.mark.parametrize(
        ("said", "code", "told"),
        [
            (["--key-from-env", "NOT_THERE"], 2, "there is no key in NOT_THERE"),
            (["--key-from-stdin"], 2, "there is no key in stdin"),
            (["--key-from-env", "WEAK"], 6, "key is too weak"),
            (["--sha256", "abc"], 6, "a SHA-256 as 64 digits"),
            (["--key-from-stdin", "--key-from-env", "OLD_KEY"], 2, "in one way"),
        ],
    )
    def test_what_is_none_is_refused(
        self, run: Run, gateway: Served, said: list[str], code: int, told: str
    ) -> None:
        env = gateway.env() | {"WEAK": "sk-changeme-changeme-changeme"}
        done = run("keys", "create", *said, env=env, stdin="")
        assert (done.returncode, done.stdout) == (code, "")
        assert told in done.stderr
        assert "changeme" not in done.stderr


def test_a_model_that_the_gateway_has_not_is_warned_of(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with started(tmp_path_factory.mktemp("gateway")) as gateway:
        said = ["--model", "simulated/echoo", "--model", "simulated/*", "--model", "simulated/echo"]
        for command in (["create", "ci"], ["change", "ci"]):
            done = run("keys", *command, *said, env=gateway.env)
            assert done.returncode == 0, done.stderr
            warnings = [line for line in done.stderr.splitlines() if line.startswith("warning")]
            assert len(warnings) == 1, done.stderr
            assert "no model 'simulated/echoo'" in warnings[0]
            assert "Did you mean 'simulated/echo'?" in warnings[0]
