"""Settings: what an operator can choose, from DARKROOM_ variables and arguments.

The only file that reads the environment. Nested names join with two underscores: DARKROOM_GATEWAY__PORT. Each field's docstring is its row in docs/settings.md.
"""

import difflib
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from app.core.errors import ConfigurationError

PREFIX = "DARKROOM_"
DELIMITER = "__"

_NEAR = 0.8
_FROM_KUBERNETES = re.compile(
    r"(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_KUBERNETES_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://")


def _absolute(value: object) -> object:
    return Path(value).expanduser().absolute() if isinstance(value, str | Path) else value


def _default_data_dir() -> Path:
    return Path.home() / ".darkroom"


def _default_models_dir(values: dict[str, Any]) -> Path:
    return values.get("data_dir", _default_data_dir()) / "models"


AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]


class Group(BaseModel):
    """A frozen group of settings that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(Group):
    """Where state and money live."""

    url: str = ""
    """SQLAlchemy address of PostgreSQL (`postgresql://user:password@host/name`) or SQLite;
    empty: darkroom.sqlite3 in the data directory."""

    @field_validator("url")
    @classmethod
    def _name_the_driver(cls, url: str) -> str:
        for short, full in (
            ("postgres", "postgresql+asyncpg"),
            ("postgresql", "postgresql+asyncpg"),
            ("sqlite", "sqlite+aiosqlite"),
        ):
            if url.startswith(f"{short}://"):
                return full + url[len(short) :]
        if url and not url.startswith(("postgresql+asyncpg://", "sqlite+aiosqlite://")):
            raise ValueError("the database is PostgreSQL (postgresql://...) or SQLite (sqlite:///...)")
        return url


class RedisSettings(Group):
    """Doorbell and news of a fleet. Nothing that must not be lost is kept there."""

    url: str = ""
    """Address of Redis (`redis://user:password@host:6379/0`, `rediss://` over TLS, `unix:///path`);
    empty: one machine, a local socket."""
    prefix: str = Field(default="darkroom", pattern=r"^[A-Za-z0-9_-]+$")
    """Beginning of this service's names there; another one for each service that shares a Redis."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if url and not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("Redis has an address like redis://host:6379/0, rediss://... or unix:///path")
        return url


class StorageSettings(Group):
    """Where pictures lie, those that were sent and those that were made."""

    url: str = Field(default="", pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?)?$")
    """Bucket, and perhaps a prefix (`s3://darkroom/prod`); empty: files in the data directory."""
    endpoint_url: str | None = Field(default=None, pattern=r"^https?://")
    """Address of an S3-compatible service; empty: Amazon's."""
    region: str | None = None
    """Region of the bucket; empty: from AWS_REGION or AWS's configuration."""
    access_key_id: str | None = None
    """Access key; empty: from where AWS's tools look (environment, files, the machine's role)."""
    secret_access_key: SecretStr | None = None
    """Secret of the access key."""
    path_style: bool = False
    """Whether the bucket stands in the path and not in the host name, as most services beside Amazon's want it."""
    deadline_s: float = Field(default=20.0, gt=0, le=600)
    """Seconds that a request may take with all its retries, above 0 to 600."""
    presigned: bool = False
    """Whether clients speak to the bucket themselves, by presigned addresses, for results and uploads: they must be able to reach it."""
    public_endpoint_url: str | None = Field(default=None, pattern=r"^https?://")
    """Address at which clients reach the service of a presigned bucket; empty: the one that this server uses."""


class GatewaySettings(Group):
    """The HTTP side."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port to listen on, 0 to 65535; 0 takes a free one."""
    max_body_bytes: int = Field(default=32 * 2**20, ge=1024)
    """Longest request body in bytes, at least 1024."""
    await_worker: bool = False
    """Whether /readyz waits for a worker to register; `darkroom up` sets it."""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """TCP port of its own for /metrics, 1 to 65535; empty: the gateway's port."""
    trusted_proxies: list[str] = []
    """Addresses or networks (JSON list) whose X-Forwarded headers are believed."""


class QueueSettings(Group):
    """Leases, limits and the rhythm of the queue."""

    lease_s: float = Field(default=12.0, gt=0, le=3600)
    """Seconds that a claimed generation stays its worker's without a renewal, above 0 to 3600."""
    renew_s: float = Field(default=3.0, gt=0, le=1200)
    """Seconds between renewals, above 0; at most a third of the lease is wise."""
    sweep_s: float = Field(default=1.0, gt=0, le=600)
    """Seconds between sweeps for lost leases and passed deadlines, above 0 to 600."""
    poll_s: float = Field(default=0.25, gt=0, le=60)
    """Seconds between looks at the queue when no doorbell rings, above 0 to 60."""
    deadline_s: float = Field(default=1800.0, gt=0)
    """Seconds from submit until an unfinished generation becomes an error, above 0."""
    max_failures: int = Field(default=3, ge=1, le=100)
    """Failed runs after which a generation becomes an error, 1 to 100."""
    max_queued: int = Field(default=1000, ge=1)
    """Queued generations of one class after which submits are refused, at least 1."""
    window: int = Field(default=8, ge=1, le=1024)
    """Generations that one worker claims ahead, 1 to 1024."""
    ageing_s: float = Field(default=20.0, gt=0)
    """Seconds after which a waiting generation of a lower class moves up one, above 0."""


class FreeSettings(Group):
    """Images without payment: for callers without a key, by their network, and for accounts on the plan `free`."""

    anonymous: bool | None = None
    """Whether callers without a key are served; empty: only under `darkroom up` bound to a loopback address."""
    anonymous_images_per_day: int = Field(default=20, ge=0)
    """Images a day (UTC) for each network without a key (an IPv4 address or an IPv6 /64), at least 0."""
    anonymous_images_per_month: int = Field(default=200, ge=0)
    """Images a month (UTC) for each network without a key, at least 0."""
    anonymous_images_per_day_in_all: int = Field(default=2000, ge=0)
    """Images a day (UTC) for all callers without a key together, at least 0. Submits at the same moment may pass it by a few."""
    images_per_day: int = Field(default=50, ge=0)
    """Images a day (UTC) for each account on the plan `free`, at least 0."""
    images_per_month: int = Field(default=500, ge=0)
    """Images a month (UTC) for each account on the plan `free`, at least 0."""
    models: list[str] = []
    """Public names that may be free (JSON list); empty: all that this server has weights for."""
    max_pixels: int = Field(default=1 << 20, ge=1)
    """Largest free image, in pixels, at least 1."""
    active: int = Field(default=4, ge=1)
    """Free tasks that one account or network may have under way, at least 1."""


class LimitSettings(Group):
    """How much of the service one caller may take at a time."""

    burst: int = Field(default=100, ge=1)
    """Submits that a caller may send at once, at least 1."""
    submits_per_s: float = Field(default=20.0, gt=0)
    """Submits a second that a caller may go on sending, above 0."""
    poll_burst: int = Field(default=1200, ge=1)
    """Other requests that a caller may send at once, at least 1."""
    polls_per_s: float = Field(default=200.0, gt=0)
    """Other requests a second that a caller may go on sending, above 0."""
    active: int = Field(default=24, ge=1)
    """Unfinished tasks that an account on the standard plan may have, at least 1."""
    active_by_model: dict[str, Annotated[int, Field(ge=1)]] = {"flux-kontext-max": 6}
    """Unfinished tasks of one public name that an account may have, as a JSON object."""


class PlanSettings(Group):
    """What an operator changes of a plan; what is left out stays as shipped."""

    priority: int | None = Field(default=None, ge=0, le=2)
    weight: float | None = Field(default=None, gt=0, le=1000)
    max_active: int | None = Field(default=None, ge=1)
    retention_s: float | None = Field(default=None, gt=0)


class WeightsSettings(Group):
    """Where the weights of one network are fetched from."""

    url: str = Field(pattern=r"^(s3|https?|file)://.+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class PriceSettings(Group):
    """What images cost."""

    file: AbsolutePath | None = None
    """Prices over the shipped ones, a TOML or JSON file; docs/billing.md says how it is written."""


class OpenAISettings(Group):
    """What OpenAI's Images API means here."""

    default_model: str = "flux-nano"
    """Public name that draws when a request names no model."""
    models: dict[str, str] = {}
    """Public names behind the names that clients insist on, as a JSON object: `{"gpt-image-1": "flux-2-klein-4b"}`."""


class EgressSettings(Group):
    """Which hosts that customers name this server speaks to, for pictures behind URLs."""

    private_hosts: list[str] = []
    """Names, addresses or networks outside the public internet that customers may name all the same (JSON list)."""
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = [80, 443, 8080, 8443]
    """Ports that a URL may have (JSON list)."""
    allows_http: bool = True
    """Whether a URL may begin with http:// too."""
    connect_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds for connecting, and for every single read, above 0 to 60."""
    picture_s: float = Field(default=15.0, gt=0, le=120)
    """Seconds for a whole picture, above 0 to 120."""


class WebhookSettings(Group):
    """What customers' servers are told besides signatures."""

    echoes_secret: bool = True
    """Whether a secret that a request brought goes with its webhook, over https alone, as `X-Webhook-Secret`: some receivers compare it."""


class ModerationSettings(Group):
    """What is not drawn, or not shown: it ends as `Request Moderated` or `Content Moderated`, and costs nothing."""

    policy: Literal["keywords", "off"] = "keywords"
    """`keywords`: words by category, each up to a `safety_tolerance`; `off`: no words are looked at."""
    words: AbsolutePath | None = None
    """JSON file of categories instead of the built-in ones; docs/moderation.md says how it is written."""
    classifier_url: str | None = Field(default=None, pattern=r"^https?://[^/]+(/.*)?$")
    """Address of a service that judges requests after the words have let them through; empty: none."""
    classifier_timeout_s: float = Field(default=3.0, gt=0, le=60)
    """Seconds that the classifier has, above 0 to 60."""
    without_classifier: Literal["refuse", "draw"] = "refuse"
    """While a classifier is away: `refuse` answers requests with 503 and shows no finished picture, `draw` goes on unjudged."""
    picture_classifier_url: str | None = Field(default=None, pattern=r"^https?://[^/]+(/.*)?$")
    """Address of a service that judges pictures, those that are sent and those that were made; empty: none."""
    picture_classifier_timeout_s: float = Field(default=10.0, gt=0, le=60)
    """Seconds that the classifier of pictures has for one of them, above 0 to 60."""


class ProvenanceSettings(Group):
    """What finished pictures say of where they come from. docs/provenance.md says more."""

    credentials: bool = True
    """Whether every picture carries signed content credentials (C2PA): that it was generated, by which model."""
    certificate: AbsolutePath | None = None
    """PEM file of the certificate that signs them and those above it, in this order, for an ES256 key;
    empty: one that this server made for itself, in the data directory, that no trust list knows."""
    private_key: AbsolutePath | None = None
    """PEM file of the certificate's private key."""
    timestamp_url: str | None = Field(default=None, pattern=r"^https?://")
    """Address of a time-stamping authority (RFC 3161) that is asked at each signature; empty: no timestamps."""
    generation_data: bool = False
    """Whether pictures say how they were made (prompt, seed, steps, model), where a request does not choose by `embed_metadata`."""

    @model_validator(mode="after")
    def _has_both_or_neither(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("the certificate and the private_key are given together, or neither is")
        return self


class ResultSettings(Group):
    """How long pictures and their addresses live."""

    url_ttl_s: float = Field(default=600.0, gt=0)
    """Seconds that a signed result address works, above 0."""
    retention_s: float = Field(default=86400.0, gt=0)
    """Seconds from submit until a task and its pictures are deleted, above 0, where the account's plan says nothing else."""
    idempotency_s: float = Field(default=86400.0, gt=0)
    """Seconds from submit for which its Idempotency-Key is remembered, above 0."""


class FileSettings(Group):
    """Pictures that accounts upload, to be named in their requests."""

    retention_s: float = Field(default=86400.0, gt=0)
    """Seconds from the upload until a file is deleted, above 0. Tasks keep copies of their own."""
    max_files: int = Field(default=1000, ge=0)
    """Files that an account may have at a time, at least 0; 0: no uploads."""
    max_bytes: int = Field(default=1 << 30, ge=0)
    """Bytes that an account's files may have together, at least 0."""
    upload_s: float = Field(default=600.0, gt=0, le=86400)
    """Seconds that an upload may take, above 0 to 86400: what is unfinished then is given up."""


class CorsSettings(Group):
    """Pages of other sites that may call this API from a browser. Cookies play no part; keys do not belong into pages."""

    origins: list[Annotated[str, Field(pattern=r"^(\*|https?://[^/*]+)$")]] = []
    """Origins as browsers write them (JSON list: `["https://studio.example"]`), or `["*"]` for all; empty: none."""
    max_age_s: int = Field(default=600, ge=0)
    """Seconds for which a browser may remember that it was let, at least 0."""


class SecretSettings(Group):
    """Secrets; an empty one comes from secrets.json in the data directory, made at first use."""

    key_pepper: SecretStr | None = Field(default=None, min_length=16)
    """Server secret in the digest of every API key, at least 16 characters; the same in every gateway."""
    url_signing_key: SecretStr | None = Field(default=None, min_length=16)
    """Server secret that signs result and polling addresses, at least 16 characters; the same in every gateway."""


class WorkerSettings(Group):
    """The process that owns a device."""

    pool: str = "default"
    """Pool whose queue this worker serves."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    index: int = Field(default=0, ge=0)
    """Number of this worker among those of its machine, from 0: with `auto` it takes the GPU of that number."""
    num_beside: int = Field(default=1, ge=1, le=256)
    """Workers on this machine, 1 to 256: on the CPU they share its cores; `darkroom up --workers` sets it."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """Arithmetic of the networks; empty: what each network's generation.json says."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of torch, at least 1; empty: torch's own choice, or this worker's share of the cores."""
    weights_bytes: int | None = Field(default=None, ge=1)
    """Bytes of the device for the weights of all networks, at least 1: what does not fit is loaded when it is needed, in the place of
    what was not used for longest; empty: all are loaded at the start and stay."""
    drain_s: float = Field(default=30.0, ge=0)
    """Seconds that running generations get to finish after SIGTERM, at least 0; the rest is handed back."""
    hung_after_s: float = Field(default=600.0, gt=0)
    """Longest that one step, or loading weights, may take in seconds, above 0; then the worker ends and its rows run elsewhere."""
    id: str | None = None
    """Name of this worker; empty: a random one."""


class LogSettings(Group):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["auto", "json", "console"] = "auto"
    """`json`, `console`, or `auto`: console on a terminal, else JSON."""


class Settings(BaseSettings):
    """Everything that an operator can choose."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
    )

    data_dir: AbsolutePath = Field(default_factory=_default_data_dir)
    """Folder of everything that an embedded service keeps; default ~/.darkroom."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/]+(/.*)?$")
    """Address that clients reach the service at, for links in answers;
    empty: from trusted proxies' headers or the listening address."""
    aliases: dict[str, str] = {}
    """Public names that run on another's weights, as a JSON object: `{"flux-2-pro": "flux-nano"}`."""
    models_dir: AbsolutePath = Field(default_factory=_default_models_dir)
    """Folder of imported weights, one folder a network; default models in the data directory.
    Bundled weights are always found."""
    weights: dict[str, WeightsSettings] = {}
    """Networks that workers fetch into that folder, as a JSON object: `{"flux-dev": {"url": "s3://bucket/flux-dev", "sha256": "..."}}`;
    the sum is that of the folder's darkroom.json. docs/storage.md says more."""
    plans: dict[str, PlanSettings] = {}
    """Plans to change or add, as a JSON object: `{"studio": {"weight": 8, "max_active": 50}}`; `priority` is 0 to 2,
    `retention_s` is how long its results live."""
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    storage: StorageSettings = StorageSettings()
    gateway: GatewaySettings = GatewaySettings()
    queue: QueueSettings = QueueSettings()
    free: FreeSettings = FreeSettings()
    limits: LimitSettings = LimitSettings()
    prices: PriceSettings = PriceSettings()
    openai: OpenAISettings = OpenAISettings()
    egress: EgressSettings = EgressSettings()
    webhooks: WebhookSettings = WebhookSettings()
    moderation: ModerationSettings = ModerationSettings()
    provenance: ProvenanceSettings = ProvenanceSettings()
    results: ResultSettings = ResultSettings()
    files: FileSettings = FileSettings()
    cors: CorsSettings = CorsSettings()
    secrets: SecretSettings = SecretSettings()
    worker: WorkerSettings = WorkerSettings()
    log: LogSettings = LogSettings()

    @field_validator("database")
    @classmethod
    def _default_to_the_data_dir(cls, database: DatabaseSettings, info: Any) -> DatabaseSettings:
        if database.url:
            return database
        folder = info.data.get("data_dir", _default_data_dir())
        return database.model_copy(update={"url": f"sqlite+aiosqlite:///{folder / 'darkroom.sqlite3'}"})


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, with overrides (`data_dir=...`, `gateway={"port": 8001}`) on top.

    Raises:
        ConfigurationError: a value is out of range, or a DARKROOM_ name is a misspelt field.
    """
    check_names(os.environ)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None
    except SettingsError as error:
        raise ConfigurationError(f"{error} (lists and objects are written as JSON)") from None


def set_default_variable(name: str, value: str) -> None:
    """Set a variable that a library reads when it is loaded, unless the operator has set it."""
    os.environ.setdefault(name, value)


def setting_names() -> dict[str, str]:
    """Every variable and its field: DARKROOM_GATEWAY__PORT -> gateway.port."""
    names: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            names |= {f"{PREFIX}{name}{DELIMITER}{leaf}".upper(): f"{name}.{leaf}" for leaf in group.model_fields}
        else:
            names[f"{PREFIX}{name}".upper()] = name
    return names


def check_names(environment: Mapping[str, str]) -> None:
    """Refuse DARKROOM_ names that are almost a field; warn about others that are none."""
    known = setting_names()
    groups = {name.split(".")[0] for name in known.values() if "." in name}
    for name, value in environment.items():
        upper = name.upper()
        is_ours = upper.startswith(PREFIX) and upper not in known
        if not is_ours or upper.removeprefix(PREFIX).lower() in groups or _is_from_kubernetes(upper, value):
            continue
        nearest = _nearest_field(upper, known)
        if nearest is not None:
            raise ConfigurationError(f"{name} is not a setting; did you mean {nearest}?")
        warnings.warn(f"{name} is not a setting of Darkroom and is ignored", stacklevel=2)


def _nearest_field(name: str, known: Mapping[str, str]) -> str | None:
    """The field that somebody who wrote `name` most likely meant."""
    by_leaf = {full.removeprefix(PREFIX).rsplit(DELIMITER, 1)[-1]: full for full in known}
    bare = name.removeprefix(PREFIX)
    if bare in by_leaf:
        return by_leaf[bare]
    close = difflib.get_close_matches(bare, [full.removeprefix(PREFIX) for full in known], n=1, cutoff=_NEAR)
    if close:
        return PREFIX + close[0]
    group = bare.split(DELIMITER)[0]
    same_group = [full for full in known if full.startswith(f"{PREFIX}{group}{DELIMITER}")]
    return (difflib.get_close_matches(name, same_group, n=1, cutoff=0.0) or [None])[0]


def _is_from_kubernetes(name: str, value: str) -> bool:
    """Kubernetes describes each service of a namespace in variables named after it."""
    bare = name.removeprefix(PREFIX)
    if _FROM_KUBERNETES.fullmatch(bare):
        return True
    return (bare == "PORT" or bare.endswith("_PORT")) and _KUBERNETES_ADDRESS.match(value) is not None


def _explain(error: ValidationError) -> str:
    lines = [
        f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors(include_url=False, include_input=False)
    ]
    return "; ".join(lines)


def _variable(location: tuple[int | str, ...]) -> str:
    return PREFIX + DELIMITER.join(str(part) for part in location[:2]).upper()
