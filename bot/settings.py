"""Every setting, read once from the environment, `X_FILE` files, `.env` and `codetask.toml` into one frozen `Settings`.

Precedence: environment, then the file that `X_FILE` names, then `.env`, then `codetask.toml`, both in the working
directory (or in the folder of the file that `CODETASK_CONFIG` names). A part that is unset is off; half a pair is an
error that names the other half.

What a chat platform needs stands in `platforms/<name>/settings.py`, a `PlatformSettings`; `platforms.registry`
joins them: `platforms.registry.load_settings()` is how settings are read.
"""

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from bot.ports import Repo

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
"""A list written as words with commas or spaces between them."""
Seconds = Annotated[tuple[Annotated[float, Field(ge=0)], ...], NoDecode, BeforeValidator(_words), Field(min_length=1)]
"""One or more durations in seconds, written the same way."""


class SettingsError(Exception):
    """A setting is missing or wrong. The text says which one and what to write."""


class RepoSettings(BaseModel):
    """One `[repos.<alias>]` table of `codetask.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str
    base: str = "main"
    forge: str | None = None
    owner: str = ""
    name: str = ""
    setup_command: str = ""
    test_command: str = "auto"
    on_test_failure: Literal["draft_pr", "pr", "fail"] | None = None


class FileSource(PydanticBaseSettingsSource):
    """Reads `X` from the file named by `X_FILE`. A file that everyone may read is refused."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{field_name.upper()}_FILE")
        if not path:
            return None, field_name, False
        file = Path(path)
        if stat.S_IMODE(file.stat().st_mode) & stat.S_IROTH and "key" not in field_name and _is_secret(field):
            raise SettingsError(f"{path} can be read by everyone. Run: chmod 600 {path}")
        return file.read_text().strip(), field_name, False

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value is not None:
                values[key] = value
        return values


class EnvFileSource(PydanticBaseSettingsSource):
    """Reads `.env`, which `codetask setup` writes: `NAME=value` lines. A file that everyone may read is refused."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        own, path = setting_names(self.settings_cls), env_file()
        if not path.is_file():
            return {}
        if stat.S_IMODE(path.stat().st_mode) & stat.S_IROTH:
            raise SettingsError(f"{path} can be read by everyone. Run: chmod 600 {path}")
        given = {name.lower(): value for name, value in dotenv_values(path, interpolate=False).items() if value}
        return {name: value for name, value in given.items() if name in own}


def env_file() -> Path:
    """Where `.env` is looked for: beside `codetask.toml`."""
    return Path(os.environ.get("CODETASK_CONFIG", "codetask.toml")).with_name(".env")


class TomlSource(PydanticBaseSettingsSource):
    """Reads `codetask.toml`; keys are the setting names in lower case, repositories stand under `[repos.<alias>]`."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        own = setting_names(self.settings_cls)
        return {name: value for name, value in read_toml().items() if name in own}


def read_toml() -> dict[str, Any]:
    """What `codetask.toml` says; empty without one. Raises `SettingsError` when it is no TOML."""
    path = Path(os.environ.get("CODETASK_CONFIG", "codetask.toml"))
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def setting_names(settings_cls: type[BaseSettings]) -> frozenset[str]:
    """The names under which a class's settings are given: variables in lower case."""
    return frozenset(str(field.validation_alias or name) for name, field in settings_cls.model_fields.items())


def _is_secret(field: Any) -> bool:
    return "SecretStr" in str(field.annotation)


_ALONE: ContextVar[bool] = ContextVar("_ALONE", default=False)


@contextmanager
def without_environment() -> Iterator[None]:
    """Settings made inside come only from the values given: no environment, no file (the demo)."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


class SourcedSettings(BaseSettings):
    """Settings read from the places of this module's docstring. Field names are the variables in lower case."""

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, hide_input_in_errors=True, case_sensitive=False, extra="forbid"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        if _ALONE.get():
            return (init_settings,)
        return (
            init_settings,
            env_settings,
            FileSource(settings_cls),
            EnvFileSource(settings_cls),
            TomlSource(settings_cls),
        )

    def secrets(self) -> tuple[str, ...]:
        """The value of every secret setting, for redaction."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(v.get_secret_value() for v in values if isinstance(v, SecretStr) and v.get_secret_value())


class PlatformSettings(SourcedSettings):
    """What one chat platform needs. It is on when `configured`; `codetask setup` asks for the settings `asked`."""

    asked: ClassVar[tuple[str, ...]] = ()

    @property
    def configured(self) -> bool:
        raise TypeError(f"{type(self).__name__} has to say when it is configured")


class Settings(SourcedSettings):
    """All settings but the platforms' own, which are `chat`. Each field says its use."""

    _chat: Mapping[str, PlatformSettings] = PrivateAttr(default_factory=dict[str, PlatformSettings])

    data_dir: Path = Field(
        default_factory=lambda: Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share")) / "codetask",
        validation_alias="codetask_data",
        description="Folder of the SQLite database, the token file and the workspaces.",
    )
    database_url: str = Field("", description="Empty: SQLite in the data folder; or postgresql+psycopg://...")

    git_repo_url: str = Field("", description="Clone URL of the repository, https or ssh.")
    git_base_branch: str = Field("main", description="Branch that pull requests go to.")
    repos: dict[str, RepoSettings] = Field(default_factory=dict, description="More repositories by alias.")
    git_ssh_key_file: Path | None = Field(None, description="Deploy key for ssh URLs.")
    git_author_name: str = Field("Codetask", description="Author of the commits.")
    git_author_email: str = Field("codetask@localhost", description="E-mail address of that author.")
    branch_prefix: str = Field("code-worker", pattern=r"^[a-z0-9][a-z0-9._-]{0,40}$", description="Branches start so.")

    github_token: SecretStr | None = Field(None, description="Token that pushes and opens pull requests.")
    github_owner: str = Field("", description="Owner of the repository on GitHub.")
    github_repo: str = Field("", description="Name of the repository on GitHub.")
    github_app_id: str = Field("", description="GitHub App instead of a token.")
    github_app_private_key: SecretStr | None = Field(None, description="Its private key (PEM).")
    github_api_url: str = Field("https://api.github.com", description="API address; GitHub Enterprise has another.")
    github_web_url: str = Field("", description="Where repositories are cloned from; empty: the one of the API.")
    github_webhook_secret: SecretStr | None = Field(None, description="Secret of the webhook.")
    github_webhook_secret_previous: SecretStr | None = Field(None, description="The one before, during a rotation.")

    llm_base_url: str = Field("", description="Model endpoint the gateway talks to.")
    llm_api_key: SecretStr | None = Field(None, description="Its key; agents never see it.")
    llm_provider: str = Field("openai", description="Protocol of the endpoint: openai or anthropic.")
    llm_model: str = Field("", description="Model that agents use.")

    default_agent: str = Field("opencode", description="Agent of code tasks that name none.")
    agents: Words = Field((), description="Agents that may be used; empty: all that are known.")
    agent_command: Words = Field((), description="Argument list of the agent `command`; {prompt_file} is replaced.")
    opencode_bin: str = Field("opencode", description="OpenCode's program.")
    setup_command: str = Field("", description="Runs in the fresh checkout before the agent and before the tests.")
    test_command: str = Field("auto", description="auto (pytest, npm, go, cargo), a command, or none.")
    on_test_failure: Literal["draft_pr", "pr", "fail"] = Field("draft_pr", description="What red tests lead to.")

    intake_judge: Literal["rules", "llm"] = Field(
        "rules", description="Who judges ordinary messages: rules (offline) or llm, the model of LLM_*."
    )
    intake_threshold: float | None = Field(
        None, gt=0, le=1, description="Score from which on it suggests; unset: its own."
    )
    intake_emoji: str = Field(
        "", description="Name of the emoji that files a message, the same on every platform; empty: bulb."
    )
    intake_daily_cap: int = Field(
        10, ge=0, description="Code tasks that intake may file by itself in one channel a day."
    )
    embeddings_model: str = Field(
        "", description="Model of LLM_BASE_URL that re-ranks similar code tasks; empty: none."
    )

    workspace_root: Path | None = Field(None, description="Folder of mirrors and workspaces.")
    workspace_max_mb: int = Field(2048, ge=1, description="Disk that one run may use, in MiB.")
    workspace_max_files: int = Field(200_000, ge=1, description="Files and folders that one run may make.")
    disk_reserve_mb: int = Field(
        2048, ge=0, description="Free disk, in MiB (at most a tenth of it), under which no run starts."
    )
    sandbox: str = Field("auto", description="auto, bubblewrap or none.")
    sandbox_tools: Words = Field((), description="Extra folders shown read-only inside the sandbox.")
    allow_unsandboxed_push: bool = Field(False, description="With SANDBOX=none: push all the same.")
    keep_failed_hours: float = Field(24, ge=0, validation_alias="keep_failed", description="Keeps failed workspaces.")
    max_attempts: int = Field(3, ge=1, le=10, description="Attempts of a code task, crashes included.")
    retry_waits_seconds: Seconds = Field((60.0, 300.0), description="Waits before the second attempt, the third...")
    max_runs: int = Field(2, ge=1, le=64, description="Runs at once in one worker.")
    max_follow_ups: int = Field(4, ge=1, le=64, description="Follow-ups that are worked on at once, over all workers.")
    max_runs_per_repo: int = Field(1, ge=1, le=16, description="Runs at once in one repository, over all workers.")
    max_open_prs: int = Field(10, ge=1, description="Open pull requests per repository.")
    budget_task_usd: float | None = Field(None, gt=0, description="Most that one run may spend.")
    agent_minutes: float = Field(10, gt=0, description="Time limit of the agent.")
    follow_up_minutes: float = Field(120, gt=0, description="Time limit of the agent in a follow-up.")
    setup_minutes: float = Field(10, gt=0, description="Time limit of the setup command.")
    test_minutes: float = Field(5, gt=0, description="Time limit of the tests.")
    poll_interval_ms: int = Field(10_000, ge=100, description="Fallback poll of the worker.")
    lease_seconds: float = Field(60, gt=0, description="A worker silent for so long loses its run.")
    heartbeat_seconds: float = Field(15, gt=0, description="How often a worker says that it lives.")
    sweep_seconds: float = Field(10, gt=0, description="How often lost runs and deliveries are looked for.")
    reconcile_seconds: float = Field(60, gt=0, description="How often open pull requests are looked at.")
    drain_seconds: float = Field(30, ge=0, description="Time a stopping worker has to finish its step.")

    web_bind: str = Field("127.0.0.1:8787", description="Address of the HTTP API.")
    web_secret: SecretStr | None = Field(None, description="Needed for a bind other than loopback.")
    web_allowed_hosts: Words = Field((), description="Host names the API answers to besides loopback.")
    codetask_url: str = Field("", description="Server the command line talks to; empty: the local one.")
    codetask_token: SecretStr | None = Field(None, description="Its token; empty: the local server's token file.")
    worker_token: SecretStr | None = Field(None, description="A worker of its own process proves itself with it.")

    admins: Words = Field((), description="People, groups or roles: slack:U123, slack:T1:U123.")
    filers: Words = Field((), description="May file code tasks.")
    viewers: Words = Field((), description="May look; guests and outsiders only when listed.")
    channels: Words = Field(
        (), description="Only these channels are heard: slack:T1:C123, C123; dm for direct messages. Empty: all."
    )
    admin_channel: str = Field("", description="Where admins are told what concerns them: slack:T1:C123.")
    person_daily_tasks: int = Field(50, ge=0, description="Code tasks that one person may file in 24 hours.")
    channel_daily_tasks: int = Field(200, ge=0, description="Code tasks that may be filed in one channel in 24 hours.")
    features: Words = Field(("codetasks", "intake", "followups", "web"), description="Parts that are on.")
    requester_may_approve: bool | None = Field(
        None, description="An admin may allow a change asked for by that admin; unset: only where there is one admin."
    )
    protected_paths: Words = Field((), description="More paths that need an approval before a push.")
    default_timezone: str = Field("", description="Zone of people whose own is not known: Europe/Berlin.")
    default_language: Literal["en", "zh"] = Field("en", description="Language of shared messages: en or zh.")
    retention_days: int = Field(90, ge=1, description="Finished code tasks and raw payloads are forgotten after it.")
    log_level: str = Field("info", description="debug, info, warning or error.")

    @field_validator("default_timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        from bot.core.when import zone_named

        if value and zone_named(value) is None:
            raise ValueError(f"{value} is no time zone; one looks like Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _pairs(self) -> "Settings":
        for one, two in (("github_owner", "github_repo"), ("github_app_id", "github_app_private_key")):
            if bool(getattr(self, one)) != bool(getattr(self, two)):
                missing, given = (one, two) if not getattr(self, one) else (two, one)
                raise ValueError(f"{given.upper()} is set, so {missing.upper()} is needed too")
        host = self.web_host
        if host not in LOOPBACK and self.web_secret is None:
            raise ValueError(f"WEB_BIND={self.web_bind} can be reached from outside, so WEB_SECRET is needed too")
        return self

    @property
    def web_host(self) -> str:
        return self.web_bind.rpartition(":")[0] or "127.0.0.1"

    @property
    def web_port(self) -> int:
        return int(self.web_bind.rpartition(":")[2])

    @property
    def store_url(self) -> str:
        """The database's URL; SQLite in the data folder when none is set."""
        return self.database_url or f"sqlite:///{self.data_dir / 'codetask.db'}"

    @property
    def workspaces(self) -> Path:
        return self.workspace_root or self.data_dir / "workspaces"

    @property
    def token_file(self) -> Path:
        """Where the local server leaves the token for the command line (mode 0600)."""
        return self.data_dir / "token"

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def retry_waits(self) -> tuple[timedelta, ...]:
        return tuple(timedelta(seconds=wait) for wait in self.retry_waits_seconds)

    @cached_property
    def repositories(self) -> dict[str, Repo]:
        """The configured repositories by alias, the default one first."""
        found: dict[str, Repo] = {}
        if self.git_repo_url:
            alias = self.github_repo or Path(urlsplit(self.git_repo_url).path).name.removesuffix(".git") or "repo"
            found[alias] = self._repo(alias, RepoSettings(url=self.git_repo_url, base=self.git_base_branch))
        for alias, table in self.repos.items():
            found[alias] = self._repo(alias, table)
        return found

    def _repo(self, alias: str, table: RepoSettings) -> Repo:
        owner, name = table.owner, table.name
        if table.url == self.git_repo_url:
            owner, name = self.github_owner, self.github_repo
        return Repo(
            alias=alias,
            url=table.url,
            base=table.base,
            forge=table.forge or ("github" if owner and name else "none"),
            owner=owner,
            name=name,
            setup_command=table.setup_command or self.setup_command,
            test_command=self.test_command if table.test_command == "auto" else table.test_command,
            on_test_failure=table.on_test_failure or self.on_test_failure,
        )

    @property
    def chat(self) -> Mapping[str, PlatformSettings]:
        """The settings of every known chat platform by name, configured or not."""
        return self._chat

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *(secret for one in self._chat.values() for secret in one.secrets()))


def join_settings(platforms: Mapping[str, type[PlatformSettings]], values: Mapping[str, Any]) -> Settings:
    """The settings of this process with those of its platforms; `values` go before every other place.

    Raises `SettingsError` with one line per problem, never a value: a wrong value, a name nobody knows."""
    parts: dict[str, type[SourcedSettings]] = {"": Settings, **platforms}
    known = {name: setting_names(part) for name, part in parts.items()}
    given = values if _ALONE.get() else {**read_toml(), **values}
    unknown = sorted(set(given) - frozenset[str]().union(*known.values()))
    if unknown:
        raise SettingsError("\n".join(f"{name.upper()}: there is no such setting" for name in unknown))
    made: dict[str, Any] = {}
    try:
        for name, part in parts.items():
            made[name] = part(**{key: value for key, value in values.items() if key in known[name]})
    except ValidationError as error:
        lines = [f"{'.'.join(str(p) for p in e['loc']).upper() or 'settings'}: {e['msg']}" for e in error.errors()]
        raise SettingsError("\n".join(lines)) from error
    settings: Settings = made.pop("")
    settings._chat = made
    return settings
