"""What `up` prints when the service is ready: where the playground is, a key, and lines to paste."""

import json
import shlex
import sys
from pathlib import Path

PROMPT = "a red apple on a blue background"


def welcome(url: str, key: str, data_dir: Path) -> str:
    """The whole greeting. Each line to paste is one line, quoted for a POSIX shell."""
    return f"""
Darkroom is ready.

  Playground  {url}/playground/#key={key}
  API key     {key}

Order a picture, and ask for it by the id in the answer (when it is Ready, result.sample is its address):

{submit_line(url, key)}
{poll_line(url, key)}

Or both at once:

{generate_line(data_dir)}
"""


def submit_line(url: str, key: str) -> str:
    body = json.dumps({"prompt": PROMPT})
    headers = ("-H", f"x-key: {key}", "-H", "content-type: application/json")
    return shlex.join(["curl", "-s", f"{url}/v1/flux-nano", *headers, "-d", body])


def poll_line(url: str, key: str) -> str:
    return shlex.join(["curl", "-s", "-H", f"x-key: {key}", f"{url}/v1/get_result?id=ID"])


def generate_line(data_dir: Path) -> str:
    own = sys.argv[0] if Path(sys.argv[0]).name == "darkroom" else f"{sys.executable} -m app.cli"
    return f"{own} generate {shlex.quote(PROMPT)} -o apple.png --data-dir {shlex.quote(str(data_dir))}"
