"""A network of its own, with a name server at port 53 that lies: run by `unshare`, so that the machine's own resolver asks it.

`python -m tests.app.egress.little_internet` in new network and mount namespaces. OUTSIDE is an address of the public internet that here leads to a
listener of the test's; another listens where nobody may be led. Prints what became of every case, as JSON.
"""

import asyncio
import fcntl
import json
import socket
import struct
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from app.egress.addresses import PrivateHosts
from app.egress.client import Egress
from app.egress.refused import Failed, Refused
from tests.app.egress.dns_server import DnsServer
from tests.app.egress.listener import Listener, ok, redirect

OUTSIDE = "198.41.0.4"
FURTHER_INSIDE = ("10.0.0.7", "169.254.169.254")
INSIDE = ("127.0.0.1", "::1", *FURTHER_INSIDE)
PORT = 8080
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP, IFF_RUNNING = 0x8914, 0x8916, 0x1, 0x40  # netdevice(7)
ZONE = {
    "good.example": [[OUTSIDE]],
    "rebinding.example": [[OUTSIDE], ["127.0.0.1"], [OUTSIDE], ["169.254.169.254"], ["10.0.0.7"]],
    "mixed.example": [[OUTSIDE, "127.0.0.1"]],
    "sixes.example": [[OUTSIDE, "::1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "nat64.example": [["64:ff9b::7f00:1"]],
    "zero.example": [["0.0.0.0"]],
    "inner.example": [["10.0.0.7"]],
    "turning.example": [[OUTSIDE], ["127.0.0.1"]],
}
ASKED = ["good", "rebinding", "rebinding", "rebinding", "rebinding", "rebinding"]
ASKED += ["mixed", "sixes", "mapped", "nat64", "zero", "inner", "absent"]


def main() -> None:
    _furnish()
    sys.stdout.write(json.dumps(asyncio.run(_outcomes())))


def _furnish() -> None:
    """Addresses for the loopback device, and a resolver's configuration that leads to our name server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up = struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, up)
        for number, address in enumerate((OUTSIDE, *FURTHER_INSIDE)):
            named = struct.pack("16sHH4s8x", f"lo:{number}".encode(), socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(any_socket, SIOCSIFADDR, named)
    configuration = Path(tempfile.mkdtemp()) / "resolv.conf"
    configuration.write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    subprocess.run(["mount", "--bind", str(configuration), "/etc/resolv.conf"], check=True)


async def _outcomes() -> dict[str, object]:
    outer = Listener({"/": ok(b"outside")})
    inner = Listener({"/": ok(b"inside")})
    dns = DnsServer(ZONE)
    async with AsyncExitStack() as stack:
        for listener, addresses in ((outer, (OUTSIDE,)), (inner, INSIDE)):
            for address in addresses:
                await stack.enter_async_context(listener.at(address, PORT))
        await stack.enter_async_context(dns.running("127.0.0.1", 53))
        client = await stack.enter_async_context(Egress(("http",), {PORT}, PrivateHosts(()), 2.0))
        told = [[name, await _asked(client, f"http://{name}.example:{PORT}/")] for name in ASKED]
        outer.answers["/"] = redirect(f"http://turning.example:{PORT}/again")
        told.append(["turning", await _asked(client, f"http://turning.example:{PORT}/")])
    return {"told": told, "inside": inner.num_connections, "outside": outer.num_connections, "dns": dict(dns.asked)}


async def _asked(client: Egress, url: str) -> str:
    try:
        return (await client.get(url, 1000, within_s=10.0)).decode()
    except (Refused, Failed) as error:
        return type(error).__name__


if __name__ == "__main__":
    main()
