"""What a user of `black-forest-labs` from PyPI, which is not BFL's own, does: `unofficial_bfl.py URL KEY` prints what came back."""

# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# black-forest-labs is there for `make prove` alone.

import json
import os
import sys
import time

url, key = sys.argv[1:]
os.environ["BFL_API_KEY"] = key  # it looks for one when it is imported

from black_forest_labs import Client  # noqa: E402 - needs the variable

client = Client(api_key=key, base_url=url)
task = client.generate("flux-dev", prompt="a red apple", width=256, height=256, seed=7)
while task.status is None or task.status.value == "Pending":
    time.sleep(0.1)
    task = client.get_result(task)
result = task.result
assert result is not None
sys.stdout.write(json.dumps({"status": task.status.value, "sample": str(result.sample), "prompt": result.prompt}))
