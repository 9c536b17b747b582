"""What a user of Black Forest Labs' own SDK does: `python bfl_sdk.py URL KEY` prints one JSON object of what came back."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# blackforest is there for `make prove` alone, and types its answers as unions.

import json
import sys

from blackforest import BFLClient, BFLError
from blackforest.types.general.client_config import ClientConfig

SOON = {"polling_interval": 0.2, "max_retries": 300}


def main(url: str, key: str) -> None:
    client = BFLClient(key, base_url=url)
    asked = {"prompt": "a red apple on a blue background", "seed": 7, "output_format": "png"}
    waited = client.generate("flux-dev", {**asked, "width": 256, "height": 256}, ClientConfig(sync=True, **SOON))
    submitted = client.generate("flux-pro-1.1-ultra", {**asked, "aspect_ratio": "1:1"}, ClientConfig())
    result = client.get_polling_result(submitted.id, ClientConfig(**SOON))
    status = client.get_task_status(submitted.id)
    try:
        BFLClient("dk_wrong", base_url=url).generate("flux-dev", asked, ClientConfig())
        refused = ""
    except BFLError as error:
        refused = str(error)
    told = {"waited": waited.result, "polled": result, "status": status.status, "refused": refused}
    sys.stdout.write("\n" + json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
