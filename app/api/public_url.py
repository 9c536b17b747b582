"""The address that clients reach this server at, for links in answers. Never taken from a bare Host header.

In order: DARKROOM_PUBLIC_URL; what a trusted proxy forwards; the address that the gateway listens on.
"""

import re

from fastapi import Request

from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.limits.network import is_trusted, peer_address, proxy_network

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


def public_url(request: Request, settings: Settings) -> str:
    """Scheme, host and perhaps a base path, without a slash at the end."""
    if settings.public_url is not None:
        return settings.public_url.rstrip("/")
    if is_trusted(peer_address(request), settings.gateway.trusted_proxies) and (forwarded := _forwarded(request)):
        return forwarded
    return listening_url(request, settings)


def check_proxies(settings: Settings) -> None:
    """Raise ConfigurationError for a trusted proxy that is neither an address nor a network."""
    for proxy in settings.gateway.trusted_proxies:
        try:
            proxy_network(proxy)
        except ValueError as error:
            raise ConfigurationError(f"DARKROOM_GATEWAY__TRUSTED_PROXIES: {error}") from None


def listening_url(request: Request, settings: Settings) -> str:
    """Where this gateway listens, as this machine sees it."""
    host = settings.gateway.host
    if host in ("", "0.0.0.0", "::"):
        host = "127.0.0.1"
    port = settings.gateway.port or _bound_port(request)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound_port(request: Request) -> int:
    """The port that the system chose, from the socket itself."""
    server: tuple[str, int | None] | None = request.scope.get("server")
    return (server[1] if server else None) or 0


def _forwarded(request: Request) -> str | None:
    """What the nearest proxy says: the last value of each header, since earlier ones may be the client's own."""
    host = request.headers.get("x-forwarded-host", "").rpartition(",")[2].strip()
    scheme = request.headers.get("x-forwarded-proto", "http").rpartition(",")[2].strip().lower()
    if scheme not in ("http", "https") or _HOST.fullmatch(host) is None:
        return None
    return f"{scheme}://{host}"
