"""What one part of a configuration says about another: whether it is there, and whether it is used."""

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from polyvox.catalog.overrides import read_overrides
from polyvox.composite.names import PREFIX, profile_of
from polyvox.composite.profile import Profile
from polyvox.config.around import BudgetSection, LimitSection
from polyvox.config.names import profile_guess, target_of
from polyvox.config.positions import KeyPath
from polyvox.config.problems import Problem
from polyvox.config.schema import NAME, Config
from polyvox.config.source import Source
from polyvox.config.stores import accounts_of, answers_of, traced
from polyvox.dialects import get_dialect
from polyvox.errors import ConfigurationError
from polyvox.messages import COMPOSITE
from polyvox.providers import Provider, load_providers
from polyvox.providers.registry import LITELLM, SIMULATED
from polyvox.providers.rows import key_of
from polyvox.providers.simulated import EMBEDDER, simulated_model
from polyvox.routing import COOLDOWNS
from polyvox.suggestions import did_you_mean

__all__ = ["check"]

_WILDCARD = re.compile(r"[*?\[]")


def check(config: Config, source: Source, environ: Mapping[str, str]) -> list[Problem]:
    """Everything that does not fit together."""
    return _Checker(config, source, environ).problems


class _Checker:
    def __init__(self, config: Config, source: Source, environ: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._config = config
        self._source = source
        self._environ = environ
        self._rows: dict[str, Provider] = load_providers() | {
            name: section.row for name, section in config.providers.items()
        }
        self._keyless: set[str] = set()
        self._providers()
        self._prices()
        self._names()
        self._aliases()
        self._deployments()
        self._routers()
        self._profiles()
        self._cooldowns(config.cooldowns, ("cooldowns",))
        self._semantic()
        self._rules("budgets", config.budgets)
        self._rules("limits", config.limits)
        if config.defaults.model:
            self._known(config.defaults.model, ("defaults", "model"))
        self._unused()
        self._stores()
        self._servers()
        self._agents()

    def _names(self) -> None:
        config, seen = self._config, dict[str, str]()
        for section in ("agents", "aliases", "routers", "deployments", "profiles"):
            for name in getattr(config, section):
                if not NAME.fullmatch(name):
                    text = f"{name!r} is no name: take letters, digits and .:@_-, and no slash"
                    self._wrong((section, name), text)
                if name in seen:
                    text = f"{name!r} is a name in {seen[name]} already: a call could mean either"
                    self._wrong((section, name), text)
                if section not in ("agents", "profiles"):  # their names have more before
                    seen[name] = section

    def _providers(self) -> None:
        for name in (SIMULATED, LITELLM, COMPOSITE):
            if name in self._config.providers:
                text = f"{name}/ models have no provider's row: nothing of this would hold"
                self._wrong(("providers", name), text)

    def _prices(self) -> None:
        for name, section in self._config.prices.items():
            provider = name.partition("/")[0]
            row = self._rows.get(provider)
            if provider == SIMULATED:
                self._known(name, ("prices", name))
            elif row is None:
                guess = _guess(provider, self._rows)
                self._wrong(("prices", name), f"prices: there is no provider {provider!r}{guess}")
            elif row.local:
                self._wrong(("prices", name), f"{provider} is local: all of it is free of charge")
            try:
                read_overrides({name: section.said})
            except ConfigurationError as error:
                self._wrong(("prices", name), error.text, error.hint or "")

    def _cooldowns(self, kinds: Mapping[str, object], path: KeyPath) -> None:
        for kind in kinds:
            if kind not in COOLDOWNS:
                text = f"there is no kind of error {kind!r}{did_you_mean(kind, COOLDOWNS)}"
                self._wrong((*path, kind), text)

    def _semantic(self) -> None:
        """Whether the embedding model of the cache is one."""
        section = self._config.cache and self._config.cache.semantic
        path: KeyPath = ("cache", "semantic", "model")
        if section is None or not self._known(section.model, path):
            return
        target = self._target(section.model)
        row = self._rows.get(target.partition("/")[0])
        embeds = row is not None and get_dialect(row.dialect).embeddings is not None
        if target and not embeds and target != EMBEDDER and not target.startswith(f"{LITELLM}/"):
            self._wrong(path, f"{section.model!r} is no embedding model")

    def _aliases(self) -> None:
        for name in self._config.aliases:
            path: KeyPath = ("aliases", name)
            alias = self._config.alias(name)
            assert alias is not None
            self._known(alias.model, path)
            self._template(alias.template, path)
            try:
                target_of(self._config, name)
            except ConfigurationError as error:
                self._wrong(path, error.text)

    def _deployments(self) -> None:
        for name, section in self._config.deployments.items():
            path: KeyPath = ("deployments", name, "model")
            self._template(section.template, ("deployments", name, "template"))
            self._cooldowns(section.cooldowns, ("deployments", name, "cooldowns"))
            if not self._known(section.model, path, has_key=bool(section.all_keys)):
                continue
            target = self._target(section.model)
            if target and "/" not in target:
                text = f"a deployment is of one model: give provider/model, not {section.model!r}"
                self._wrong(path, text)
            elif target and section.all_keys and target.partition("/")[0] not in self._rows:
                self._wrong(path, f"{target} takes no key from here")

    def _routers(self) -> None:
        for name, section in self._config.routers.items():
            for field in ("deployments", "fallbacks", "on_context_window", "on_content_filter"):
                members = getattr(section, field)
                for place, member in enumerate(members):
                    self._known(member, ("routers", name, field, place))
                    if member in members[:place]:
                        self._warn(
                            ("routers", name, field, place),
                            f"{member!r} is named twice: it is asked twice",
                        )
            if circle := self._circle([name], set()):
                text = f"the router asks itself: {' -> '.join(circle)}"
                self._wrong(("routers", name), text)

    def _profiles(self) -> None:
        for name, profile in self._config.profiles.items():
            known = [
                self._known(member, ("profiles", name, role, place))
                for role in profile.roles
                for place, member in enumerate(each.model for each in profile.of(role))
            ]
            if all(known) and (circle := self._circle([f"{PREFIX}profile/{name}"], set())):
                text = f"the profile asks itself: {' -> '.join(circle)}"
                self._wrong(("profiles", name), text)

    def _circle(self, way: list[str], seen: set[str]) -> list[str]:
        """The way from somebody back to where it began, if there is one by whom was not ``seen``."""
        for member in self._asked_by(way[-1]):
            target = self._target(member)
            if target == way[0]:
                return [*way, target]
            if target and target not in seen:
                seen.add(target)
                if circle := self._circle([*way, target], seen):
                    return circle
        return []

    def _asked_by(self, name: str) -> Iterable[str]:
        if name in self._config.routers:
            return self._config.routers[name].members
        if name in self._config.deployments:
            return [self._config.deployments[name].model]
        profile = self._profile(name) if name.startswith(PREFIX) else None
        return profile.names.values() if profile else ()

    def _profile(self, name: str) -> Profile | None:
        """The composite of that name; if there is none, whoever names it says so."""
        try:
            return profile_of(name, self._config.profiles)
        except ConfigurationError:
            return None

    def _rules(
        self, section: str, rules: Mapping[str, BudgetSection] | Mapping[str, LimitSection]
    ) -> None:
        for name, rule in rules.items():
            for place, pattern in enumerate(rule.models):
                if not self._reaches(pattern):
                    known = (*self._config.names, *(f"{row}/*" for row in self._rows))
                    text = f"{section}.{name} covers {pattern!r}, which nobody is asked by"
                    path = (section, name, "models", place)
                    self._wrong(path, text + _guess(pattern, known))
            if isinstance(rule, BudgetSection) and rule.downgrade:
                self._known(rule.downgrade, (section, name, "downgrade"))

    def _reaches(self, pattern: str) -> bool:
        """Whether a limit on this can ever hold: one that nothing enforces is worse than none."""
        if any(fnmatchcase(name, pattern) for name in self._config.names):
            return True
        head = _WILDCARD.split(pattern)[0]
        providers = [f"{each}/" for each in (*self._rows, SIMULATED, LITELLM, COMPOSITE)]
        if head == pattern and pattern.startswith(PREFIX):
            return self._profile(pattern) is not None
        if head == pattern:
            return any(head.startswith(each) and head != each for each in providers)
        return any(each.startswith(head) or head.startswith(each) for each in providers)

    def _known(self, name: str, path: KeyPath, *, has_key: bool = False) -> bool:
        """Whether somebody can be asked by that name."""
        provider, slash, model = name.partition("/")
        if name in self._config.names:
            return True
        what = ".".join(str(step) for step in path if not isinstance(step, int))
        if not slash or not model:
            guess = profile_guess(self._config, name) or _guess(name, self._config.names)
            self._wrong(path, f"{what}: there is no alias, router or deployment {name!r}{guess}")
            return False
        if provider == SIMULATED:
            try:
                if name != EMBEDDER or path[0] not in ("aliases", "cache"):
                    simulated_model(name)
            except ConfigurationError as error:
                self._wrong(path, f"{what}: {error.text}", error.hint or "")
                return False
        elif provider == COMPOSITE:
            return self._composite(name, path, what)
        elif provider not in self._rows and provider != LITELLM:
            guess = _guess(provider, self._rows)
            self._wrong(path, f"{what}: there is no provider {provider!r}{guess}")
            return False
        elif not has_key:
            self._check_key(provider, path)
        return True

    def _composite(self, name: str, path: KeyPath, what: str) -> bool:
        try:
            profile = profile_of(name, self._config.profiles)
        except ConfigurationError as error:
            self._wrong(path, f"{what}: {error.text}", error.hint or "")
            return False
        if name.startswith(f"{PREFIX}profile/"):
            return True  # its members are looked at where they are named
        known = [self._known(each, path) for each in dict.fromkeys(profile.names.values())]
        return all(known)

    def _check_key(self, provider: str, path: KeyPath) -> None:
        row, section = self._rows.get(provider), self._config.providers.get(provider)
        keyless = (
            row is None or row.local or row.auth in ("none", "aws") or provider in self._keyless
        )
        if row is None or keyless or (section and section.all_keys) or key_of(row, self._environ):
            return
        self._keyless.add(provider)
        variables = " or ".join(row.key_env)
        ways = f"Set {variables}, or" if variables else "Set"
        self._warn(
            path,
            f"there is no key for {row.title}: {provider}/ models can't be asked yet",
            f"{ways} providers.{provider}.key.",
        )

    def _template(self, name: str, path: KeyPath) -> None:
        if name and name not in self._config.templates:
            guess = _guess(name, self._config.templates)
            self._wrong(path, f"there is no template {name!r}{guess}")

    def _target(self, name: str) -> str:
        try:
            return target_of(self._config, name)
        except ConfigurationError:
            return ""  # its alias has said so

    def _unused(self) -> None:
        config = self._config
        aliases = [config.alias(name) for name in config.aliases]
        used = {alias.template for alias in aliases if alias}
        used |= {section.template for section in config.deployments.values()}
        used |= {section.template for section in config.agents.values()}
        for name in config.templates:
            if name not in used:
                self._warn(("templates", name), f"nothing uses the template {name!r}")
        asking = [each.members for each in config.routers.values()]
        asking += [tuple(each.names.values()) for each in config.profiles.values()]
        members = {self._target(name) for each in asking for name in each}
        for name in config.deployments if config.routers else ():
            if name not in members:
                self._warn(("deployments", name), f"no router asks the deployment {name!r}")
        if config.accounts is not None and not (config.budgets or config.limits):
            self._warn(
                ("accounts",), "there are accounts, but no budgets or limits to keep in them"
            )

    def _stores(self) -> None:
        """Whether the stores can be made: nothing is opened or asked."""
        try:
            if self._config.cache is not None and self._config.cache.kind == "redis":
                answers_of(self._config.cache)
        except ConfigurationError as error:
            self._wrong(("cache",), f"cache: {error.text}", error.hint or "")
        try:
            accounts_of(self._config.accounts)
        except ConfigurationError as error:
            self._wrong(("accounts",), f"accounts: {error.text}", error.hint or "")
        try:
            if self._config.telemetry is not None:
                traced(simulated_model("simulated/echo"), self._config.telemetry, [])
        except ConfigurationError as error:
            self._wrong(("telemetry",), f"telemetry: {error.text}", error.hint or "")

    def _servers(self) -> None:
        for name, section in self._config.mcp.items():
            path = os.path.expanduser(section.command)
            if section.command and shutil.which(path) is None:
                text = f"there is no command {section.command!r}: the server can't be started yet"
                self._warn(("mcp", name, "command"), text)
            if section.cwd and not os.path.isdir(os.path.expanduser(section.cwd)):
                self._warn(("mcp", name, "cwd"), f"there is no folder {section.cwd!r}")

    def _agents(self) -> None:
        for name, section in self._config.agents.items():
            if section.model:
                self._known(section.model, ("agents", name, "model"))
            self._template(section.template, ("agents", name, "template"))
            for place, server in enumerate(section.mcp):
                if server not in self._config.mcp:
                    text = f"there is no server {server!r}{_guess(server, self._config.mcp)}"
                    self._wrong(("agents", name, "mcp", place), text)

    def _wrong(self, path: KeyPath, text: str, hint: str = "") -> None:
        self.problems.append(Problem(self._source.where(path), text, hint))

    def _warn(self, path: KeyPath, text: str, hint: str = "") -> None:
        self.problems.append(Problem(self._source.where(path), text, hint, warning=True))


def _guess(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """What was probably meant, where something is near."""
    return did_you_mean(name, known, otherwise="")
